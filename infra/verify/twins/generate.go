// Package twins makes stand-ins for the Go modules of the AWS CDK: packages with the import paths, names and types of
// the real ones, as far as the app's code names them, that record each call instead of making it.
//
// They are made from jsii's description of the API, which the npm packages carry and from which the real Go modules are
// made too, by the same naming rules: NewT, T_StaticMethod, T_MEMBER, structs with the inherited fields in them, an
// interface for each class. What the API does not have is not made, so it does not compile. Go would let a Topic pass
// for a Queue if both had just the methods that the code names; a method whose name is the type's own prevents it.
package twins

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	runtimeModule = "github.com/aws/jsii-runtime-go"
	runtimePath   = runtimeModule + "/runtime"
	ownRuntime    = "sluice/infra/verify/twins/jsii"
)

//go:embed jsii
var runtimeSource embed.FS

// Options says where Generate finds the app and where it writes.
type Options struct {
	App         string // the folder of the app's Go module
	NodeModules string
	Overlay     string // a file for `go build -overlay`, or ""
	Out         string // the folder for the twins; what else is in it is removed
	Cache       string
}

// Module is a Go module that was made.
type Module struct{ Path, Version, Dir string }

// Generate makes the twins that the app needs, each module in a folder of its own.
func Generate(o Options) ([]Module, error) {
	a, err := load(o.NodeModules, o.Cache)
	if err != nil {
		return nil, err
	}
	overlay := map[string]string{}
	if o.Overlay != "" {
		if overlay, err = readOverlay(o.Overlay, o.App); err != nil {
			return nil, err
		}
	}
	u, err := scan(o.App, overlay, a)
	if err != nil {
		return nil, err
	}
	g := &generator{api: a, uses: u, needed: map[string]*need{}, packages: map[string]*emitted{}}
	g.roots()
	files, err := g.emit()
	if err != nil {
		return nil, err
	}
	modules := []Module{{Path: runtimeModule, Dir: "jsii"}}
	for p, version := range a.modules {
		modules = append(modules, Module{Path: p, Version: version, Dir: moduleDir(p)})
	}
	slices.SortFunc(modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range modules {
		files[path.Join(m.Dir, "go.mod")] = "module " + m.Path + "\n\ngo 1.26.0\n"
	}
	if err := runtimeFiles(files); err != nil {
		return nil, err
	}
	return modules, writeFiles(o.Out, files)
}

// moduleDir is awscdk for .../awscdk/v2.
func moduleDir(p string) string { return path.Base(path.Dir(p)) }

func runtimeFiles(files map[string]string) error {
	for _, name := range []string{"jsii.go", "runtime/runtime.go", "runtime/encode.go", "runtime/check.go"} {
		content, err := runtimeSource.ReadFile("jsii/" + name)
		if err != nil {
			return err
		}
		files["jsii/"+name] = strings.ReplaceAll(string(content), ownRuntime, runtimeModule)
	}
	return nil
}

// unfinished is how the name of a file begins that somebody is writing.
const unfinished = ".new-"

// writeFiles writes the files that should be in a folder, and removes what should not, but for what another one is writing.
func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		if err := WriteFile(filepath.Join(dir, filepath.FromSlash(name)), content); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), unfinished) {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if _, ok := files[filepath.ToSlash(name)]; !ok {
			if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) { // Another one may have been quicker.
				return err
			}
		}
		return nil
	})
}

// WriteFile writes a file whole or not at all, and not if it is as it should be: someone may be building with it.
func WriteFile(file, content string) error {
	if old, err := os.ReadFile(file); err == nil && string(old) == content {
		return nil
	}
	return write(file, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
}

func write(file string, content func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), unfinished+"*")
	if err != nil {
		return err
	}
	err = content(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// need is what the code needs of a type beyond its being there.
type need struct {
	constructor bool
	statics     map[string]bool // Go names after the underscore
}

type generator struct {
	*api
	uses     *uses
	needed   map[string]*need
	packages map[string]*emitted
	queue    []string
}

// emitted is the source of one package while it is made.
type emitted struct {
	*goPackage
	imports map[string]bool
	types   bytes.Buffer
	init    bytes.Buffer
}

// roots marks the types behind the names that the code takes from the packages. The order is always the same, and so are the
// twins: who synthesizes at the same time finds them as they should be, and writes none.
func (g *generator) roots() {
	for _, p := range slices.Sorted(maps.Keys(g.uses.packages)) {
		types := g.api.packages[p].types
		for _, name := range slices.Sorted(maps.Keys(g.uses.packages[p])) {
			if t, ok := types[name]; ok {
				g.need(t.FQN)
			}
			if class, ok := strings.CutPrefix(name, "New"); ok && types[class] != nil {
				g.need(types[class].FQN).constructor = true
			}
			for i, r := range name {
				if r == '_' && types[name[:i]] != nil {
					g.need(types[name[:i]].FQN).statics[name[i+1:]] = true
				}
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(g.uses.asserted)) {
		t := g.uses.asserted[at]
		if t := g.api.packages[t.path].types[t.name]; t != nil {
			g.need(t.FQN)
		}
	}
}

func (g *generator) need(fqn string) *need {
	n, ok := g.needed[fqn]
	if !ok {
		n = &need{statics: map[string]bool{}}
		g.needed[fqn] = n
		g.queue = append(g.queue, fqn)
	}
	return n
}

// emit makes the types until no signature asks for another one.
func (g *generator) emit() (map[string]string, error) {
	for p := range g.uses.packages {
		g.packageAt(g.api.packages[p])
	}
	for len(g.queue) > 0 {
		fqn := g.queue[0]
		g.queue = g.queue[1:]
		t := g.types[fqn]
		if t == nil {
			return nil, fmt.Errorf("the type %s is in none of the libraries that are read", fqn)
		}
		e := g.packageAt(g.of[fqn])
		switch {
		case t.Kind == "enum":
			g.enum(e, t)
		case t.Datatype:
			g.structType(e, t)
		default:
			g.object(e, t)
		}
	}
	g.assertions()
	files := map[string]string{}
	for p, e := range g.packages {
		source, err := format.Source(e.source())
		if err != nil {
			return nil, fmt.Errorf("format the twin of %s: %w", p, err)
		}
		files[path.Join(g.dir(p), e.name+".go")] = string(source)
	}
	return files, nil
}

func (g *generator) packageAt(p *goPackage) *emitted {
	e, ok := g.packages[p.path]
	if !ok {
		e = &emitted{goPackage: p, imports: map[string]bool{}}
		g.packages[p.path] = e
	}
	return e
}

func (g *generator) dir(p string) string {
	for module := range g.modules {
		if rest, ok := strings.CutPrefix(p+"/", module+"/"); ok {
			return path.Join(moduleDir(module), rest)
		}
	}
	panic("a package outside of every module: " + p)
}

func (e *emitted) source() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by infra/verify/twins. DO NOT EDIT.\n\npackage %s\n\n", e.name)
	for _, p := range slices.Sorted(maps.Keys(e.imports)) {
		fmt.Fprintf(&b, "import %q\n", p)
	}
	b.Write(e.types.Bytes())
	fmt.Fprintf(&b, "\nfunc init() {\n%s}\n", e.init.Bytes())
	return b.Bytes()
}

func (e *emitted) use(p string) { e.imports[p] = true }

func (g *generator) assertions() {
	for _, at := range slices.Sorted(maps.Keys(g.uses.asserted)) {
		t := g.uses.asserted[at]
		asserted := g.api.packages[t.path].types[t.name]
		if asserted == nil || asserted.Kind == "enum" || asserted.Datatype {
			continue
		}
		e := g.packageAt(g.of[asserted.FQN])
		fmt.Fprintf(&e.init, "runtime.RegisterAssertion[%s](%q)\n", t.name, at)
	}
}
