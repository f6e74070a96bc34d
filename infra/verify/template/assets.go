package template

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"sluice/internal/config"
)

// maxUnzipped is the most that Lambda takes, unzipped.
const maxUnzipped = 250 << 20

func checkAssets(d *Deployment, f *findings) {
	for _, name := range d.functionNames() {
		r := d.Functions[name]
		asset, ok := d.Sluice.Assets[r.text("Code", "S3Key")]
		if !ok || !asset.Zip {
			f.add(r, "use Code_FromAsset of a folder", "Code is no folder of the assembly that is zipped: %v", r.at("Code"))
			continue
		}
		d.checkAsset(f, r, name, asset.Path)
	}
}

func (d *Deployment) checkAsset(f *findings, r *Resource, name, dir string) {
	wanted := map[string]bool{"bootstrap": true, "sluice.yaml": true}
	for _, b := range d.Config.Brokers {
		if b.TLS != nil && b.TLS.CAFile != "" {
			wanted[filepath.Clean(b.TLS.CAFile)] = true
		}
	}
	var files []string
	size := int64(0)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files, size = append(files, relative), size+info.Size()
		if !wanted[relative] {
			f.add(r, "put only bootstrap, sluice.yaml and CA files there", "its code has the file %s, which nothing reads", relative)
		}
		if info.Mode().Perm()&0o444 != 0o444 {
			f.add(r, "make it readable for all: Lambda runs as another user", "%s has the mode %v", relative, info.Mode())
		}
		return nil
	})
	if err != nil {
		f.add(r, "see that the folder is there", "read its code: %v", err)
		return
	}
	for file := range wanted {
		if !slices.Contains(files, file) {
			f.add(r, "put it beside the bootstrap", "its code has no %s", file)
		}
	}
	if size > maxUnzipped {
		f.add(r, "build it stripped", "its code has %d bytes, and Lambda takes %d", size, maxUnzipped)
	}
	if slices.Contains(files, "bootstrap") {
		d.checkBootstrap(f, r, name, filepath.Join(dir, "bootstrap"))
	}
	if slices.Contains(files, "sluice.yaml") {
		d.checkConfigFile(f, r, filepath.Join(dir, "sluice.yaml"))
	}
}

// checkBootstrap: whatever is not a static program for arm64 fails at the first event with no more than "exec format error".
func (d *Deployment) checkBootstrap(f *findings, r *Resource, name, path string) {
	const remedy = "build it with `make lambdas`"
	data, err := os.ReadFile(path)
	if err != nil {
		f.add(r, remedy, "read its bootstrap: %v", err)
		return
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o111 != 0o111 {
		f.add(r, "give it the mode 0755", "its bootstrap cannot be executed by all")
	}
	program, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		f.add(r, remedy, "its bootstrap is no ELF program: %v", err)
		return
	}
	if program.Machine != elf.EM_AARCH64 || program.Class != elf.ELFCLASS64 {
		f.add(r, remedy, "its bootstrap is for %v, and the function is arm64", program.Machine)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		f.add(r, remedy, "its bootstrap is linked dynamically")
	}
	given, err := os.ReadFile(filepath.Join(d.Bootstraps, name, "bootstrap"))
	if err != nil || !bytes.Equal(data, given) {
		f.add(r, "give each function its own folder", "its bootstrap is not that of %s", name)
	}
}

// checkConfigFile: the functions need not have the file to the letter, but have to read the same in it. What they do not read,
// the sections deploy and local, has no place there: the latter may hold a password.
func (d *Deployment) checkConfigFile(f *findings, r *Resource, path string) {
	got, err := config.Load(path)
	if err != nil {
		f.add(r, "put sluice.yaml there as it is", "its sluice.yaml cannot be read: %v", err)
		return
	}
	if !reflect.DeepEqual(got.Local, config.Local{}) && !reflect.DeepEqual(got.Local, defaults().Local) {
		f.add(r, "leave it out", "its sluice.yaml has the section local")
	}
	want := *d.Config
	for _, c := range []*config.Config{got, &want} {
		c.Deploy, c.Local, c.Dir = config.Deploy{}, config.Local{}, ""
	}
	if !reflect.DeepEqual(got, &want) {
		f.add(r, "put the given file there", "its sluice.yaml means something else than the one given")
	}
}

// defaults are those of a file that says no more than it has to.
func defaults() *config.Config {
	c, err := config.Parse([]byte(fmt.Sprint("version: 1\nbrokers: [{name: b, url: redis://h/0}]\n",
		"targets: [{name: t, cluster: c, service: s, queues: [q], max: 1}]\n")), "defaults")
	if err != nil {
		panic(err) // It is always the same.
	}
	return c
}
