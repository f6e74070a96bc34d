package sluicecdk

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"sluice/internal/config"
)

// file is a file of a function's code.
type file struct {
	path string // Relative to the folder of the code.
	mode os.FileMode
	data []byte
}

// code are the files of a function: its bootstrap, sluice.yaml as the functions need it, and the CA files that it names.
func code(c *config.Config, configPath, functions, name string) ([]file, error) {
	bootstrap, err := readBootstrap(filepath.Join(functions, name, "bootstrap"))
	if err != nil {
		return nil, err
	}
	runtime, err := runtimeConfig(configPath)
	if err != nil {
		return nil, err
	}
	files := []file{{"bootstrap", 0o755, bootstrap}, {"sluice.yaml", 0o644, runtime}}
	for i, b := range c.Brokers {
		if b.TLS == nil || b.TLS.CAFile == "" {
			continue
		}
		path := filepath.Clean(b.TLS.CAFile)
		switch {
		case !filepath.IsLocal(path):
			return nil, fmt.Errorf("brokers[%d].tls.ca_file: %s is not below the folder of sluice.yaml, where the functions can have it: "+
				"move it there, or use tls.ca_pem", i, path)
		case slices.ContainsFunc(files[:2], func(f file) bool { return f.path == path }):
			return nil, fmt.Errorf("brokers[%d].tls.ca_file: has the name of another file of the functions: rename it", i)
		case !slices.ContainsFunc(files, func(f file) bool { return f.path == path }):
			files = append(files, file{path, 0o644, []byte(b.TLS.CAPEM)})
		}
	}
	return files, nil
}

// readBootstrap reads a function's program, and refuses one that Lambda could not start: its error would be no more than
// "exec format error" at the first event.
func readBootstrap(path string) ([]byte, error) {
	const remedy = "build it with `make lambdas` (GOOS=linux GOARCH=arm64 CGO_ENABLED=0)"
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("SluiceProps.Functions: read %s: %w: %s", path, err, remedy)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("SluiceProps.Functions: %s is no Linux program: %w: %s", path, err, remedy)
	}
	interpreted := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	switch {
	case f.Machine != elf.EM_AARCH64 || f.Class != elf.ELFCLASS64:
		return nil, fmt.Errorf("SluiceProps.Functions: %s is built for %s, and the functions run on arm64: %s", path, f.Machine, remedy)
	case f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN:
		return nil, fmt.Errorf("SluiceProps.Functions: %s is no executable (%s): %s", path, f.Type, remedy)
	case interpreted:
		return nil, fmt.Errorf("SluiceProps.Functions: %s is linked dynamically, and Lambda may have other libraries: %s", path, remedy)
	}
	return data, nil
}

// runtimeConfig is sluice.yaml as the functions need it: without comments and without the sections `deploy` and `local`, which
// they ignore. So a new address for alarms does not make new functions, and what is only for a laptop, which may be a
// password, does not lie in an S3 bucket.
func runtimeConfig(path string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	parsed, err := parser.ParseBytes(data, 0) // Mode 0 leaves comments out.
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	for _, doc := range parsed.Docs {
		if m, ok := doc.Body.(*ast.MappingNode); ok {
			m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool {
				key := v.Key.GetToken().Value
				return key == "deploy" || key == "local"
			})
		}
	}
	short := append([]byte(parsed.String()), '\n')
	if err := sameAtRunTime(data, short, path); err != nil {
		return nil, err
	}
	return short, nil
}

// sameAtRunTime makes sure that the shortened file means what the whole one does to the functions.
func sameAtRunTime(whole, short []byte, path string) error {
	want, err := config.Parse(whole, path)
	if err != nil {
		return err
	}
	got, err := config.Parse(short, path+" without deploy and local")
	if err != nil {
		return err
	}
	for _, c := range []*config.Config{want, got} {
		c.Deploy, c.Local = config.Deploy{}, config.Local{}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("shorten %s: it would mean something else without its sections deploy and local: write it in plain block style", path)
	}
	return nil
}

// write puts the files into a folder of their own below parent and returns it. Its name tells the content, so that the same files
// always have the same place, whatever construct they are for.
func write(parent, name string, files []file) (string, error) {
	sum := sha256.New()
	for _, f := range files {
		sum.Write(fmt.Appendf(nil, "%s %o %d\n", f.path, f.mode, len(f.data)))
		sum.Write(f.data)
	}
	dir := filepath.Join(parent, "sluice-"+name+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	for _, f := range files {
		path := filepath.Join(dir, f.path)
		// Chmod, since the umask takes bits away, and a file that is there already keeps its own.
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.data, f.mode), os.Chmod(path, f.mode)); err != nil {
			return "", fmt.Errorf("put together the code of %s: %w", name, err)
		}
	}
	return dir, nil
}

// codeParent is where the code is put together: where the CDK CLI wants all output of the app, and without the CLI, as the CDK
// itself does then, in a temporary folder.
func codeParent() (string, error) {
	out := os.Getenv("CDK_OUTDIR")
	if out == "" {
		return os.MkdirTemp("", "sluice")
	}
	return filepath.Abs(out)
}
