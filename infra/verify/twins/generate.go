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
	for _, name := range []string{"jsii.go", "runtime/runtime.go", "runtime/check.go"} {
		content, err := runtimeSource.ReadFile("jsii/" + name)
		if err != nil {
			return err
		}
		files["jsii/"+name] = strings.ReplaceAll(string(content), ownRuntime, runtimeModule)
	}
	return nil
}

// writeFiles writes the files that should be in a folder, and removes what should not.
func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		if err := WriteFile(filepath.Join(dir, filepath.FromSlash(name)), content); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if _, ok := files[filepath.ToSlash(name)]; !ok {
			return os.Remove(file)
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
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
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
	return err
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

// roots marks the types behind the names that the code takes from the packages.
func (g *generator) roots() {
	for p, names := range g.uses.packages {
		types := g.api.packages[p].types
		for name := range names {
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
	for _, t := range g.uses.asserted {
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

// name is how the package e refers to a type, which is then needed.
func (g *generator) name(e *emitted, fqn string) string {
	g.need(fqn)
	p, name := g.of[fqn], g.goName(fqn)
	if p == nil {
		return "interface{}" // emit reports the type that is missing.
	}
	if p.path == e.path {
		return name
	}
	e.use(p.path)
	return p.name + "." + name
}

func (g *generator) goName(fqn string) string {
	t := g.types[fqn]
	if t == nil {
		return ""
	}
	names := []string{t.Name}
	for parent := g.types[strings.TrimSuffix(fqn, "."+t.Name)]; parent != nil; {
		names = append([]string{parent.Name}, names...)
		fqn = parent.FQN
		parent = g.types[strings.TrimSuffix(fqn, "."+parent.Name)]
	}
	return strings.Join(names, "_")
}

// goType is the Go type for a reference: pointers to everything but objects, enums and any.
func (g *generator) goType(e *emitted, r typeRef) string {
	switch {
	case r.Primitive != "":
		switch r.Primitive {
		case "any":
			return "interface{}"
		case "number":
			return "*float64"
		case "boolean":
			return "*bool"
		case "json":
			return "*map[string]interface{}"
		case "date":
			e.use("time")
			return "*time.Time"
		}
		return "*" + r.Primitive
	case r.Collection != nil && r.Collection.Kind == "array":
		return "*[]" + g.goType(e, r.Collection.ElementType)
	case r.Collection != nil:
		return "*map[string]" + g.goType(e, r.Collection.ElementType)
	case r.Intersection != nil:
		var parts []string
		for _, part := range r.Intersection.Types {
			parts = append(parts, g.name(e, part.FQN))
		}
		return "interface{" + strings.Join(parts, ";") + "}"
	case r.FQN != "":
		if t := g.types[r.FQN]; t != nil && t.Datatype {
			return "*" + g.name(e, r.FQN)
		}
		return g.name(e, r.FQN)
	}
	return "interface{}" // a union
}

func (g *generator) enum(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	fmt.Fprintf(&e.types, "\ntype %s string\n\nconst (\n", name)
	var members []string
	for _, m := range t.Members {
		fmt.Fprintf(&e.types, "%s_%s %s = %q\n", name, m.Name, name, m.Name)
		members = append(members, fmt.Sprintf("%q", m.Name))
	}
	e.types.WriteString(")\n")
	e.use(runtimePath)
	fmt.Fprintf(&e.init, "runtime.RegisterEnum[%s](%q, %s)\n", name, t.FQN, strings.Join(members, ", "))
}

// structType has the fields that the code names and those that are required, the inherited ones among them.
func (g *generator) structType(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	fmt.Fprintf(&e.types, "\ntype %s struct {\n", name)
	var checks bytes.Buffer
	for _, p := range g.properties(t) {
		field := pascal(p.Name)
		if p.Optional && !g.uses.names[field] {
			continue
		}
		presence := "required"
		if p.Optional {
			presence = "optional"
		}
		fmt.Fprintf(&e.types, "%s %s `field:%q json:%q`\n", field, g.goType(e, p.Type), presence, p.Name)
		if check := g.check(e, p.Type); check != "" {
			fmt.Fprintf(&checks, "%q: %s,\n", field, check)
		}
	}
	e.types.WriteString("}\n")
	e.use(runtimePath)
	fmt.Fprintf(&e.init, "runtime.RegisterStruct[%s](map[string]runtime.Check{\n%s})\n", name, checks.Bytes())
}

// check is the code for what the real Go module checks of a value when it runs, as Go's types cannot tell: what a union is of.
func (g *generator) check(e *emitted, r typeRef) string {
	switch {
	case r.Collection != nil:
		if items := g.check(e, r.Collection.ElementType); items != "" {
			return "runtime.Each(" + items + ")"
		}
	case r.Union != nil:
		var parts []string
		for _, part := range r.Union.Types {
			inner := g.check(e, part)
			if inner == "" {
				inner = "nil"
			}
			parts = append(parts, fmt.Sprintf("runtime.Is[%s](%s)", g.goType(e, part), inner))
		}
		return "runtime.OneOf(" + strings.Join(parts, ", ") + ")"
	}
	return ""
}

// object makes a class or an interface: an interface in Go, and a struct behind it that records.
func (g *generator) object(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	twin := "twin_" + name
	e.use(runtimePath)
	fmt.Fprintf(&e.types, "\ntype %s interface {\n", name)
	for _, base := range t.bases() {
		e.types.WriteString(g.name(e, base) + "\n")
	}
	e.types.WriteString(marker(g.of[t.FQN], name) + "\nTwinID() int\n")
	var body bytes.Buffer
	for _, ancestor := range g.ancestors(t) {
		fmt.Fprintf(&body, "func (*%s) %s {}\n", twin, marker(g.of[ancestor], g.goName(ancestor)))
	}
	own := func(overrides string) bool { return overrides == "" }
	for _, m := range g.methods(t) {
		if m.Static || !g.uses.names[pascal(m.Name)] {
			continue
		}
		signature := pascal(m.Name) + g.signature(e, m)
		if own(m.Overrides) {
			e.types.WriteString(signature + "\n")
		}
		fmt.Fprintf(&body, "func (t *%s) %s {\n%s}\n", twin, signature, g.call(e, m, "Invoke", "t"))
	}
	for _, p := range g.properties(t) {
		if p.Static {
			continue
		}
		goType := ""
		if g.uses.names[pascal(p.Name)] {
			goType = g.goType(e, p.Type)
			fmt.Fprintf(&body, "func (t *%s) %s() %s { return runtime.Get[%s](t, %q) }\n",
				twin, pascal(p.Name), goType, goType, p.Name)
			if own(p.Overrides) {
				fmt.Fprintf(&e.types, "%s() %s\n", pascal(p.Name), goType)
			}
		}
		if setter := "Set" + pascal(p.Name); !p.Immutable && g.uses.names[setter] {
			goType = g.goType(e, p.Type)
			fmt.Fprintf(&body, "func (t *%s) %s(val %s) { runtime.Set(t, %q, val) }\n", twin, setter, goType, p.Name)
			if own(p.Overrides) {
				fmt.Fprintf(&e.types, "%s(val %s)\n", setter, goType)
			}
		}
	}
	fmt.Fprintf(&e.types, "}\n\ntype %s struct{ *runtime.Object }\n\n%s", twin, body.Bytes())
	fmt.Fprintf(&e.init, "runtime.RegisterObject[%s](%q, func(o *runtime.Object) any { return &%s{o} })\n", name, t.FQN, twin)
	g.statics(e, t, name)
}

// marker is the method that keeps the types apart.
func marker(p *goPackage, name string) string { return fmt.Sprintf("Is_%s_%s()", p.name, name) }

func (g *generator) statics(e *emitted, t *typeSpec, name string) {
	n := g.needed[t.FQN]
	if n.constructor && t.Initializer != nil && !t.Abstract {
		m := *t.Initializer
		fmt.Fprintf(&e.types, "func New%s%s %s {\nreturn runtime.Create[%s](%q%s)\n}\n",
			name, g.signature(e, &m), name, name, t.FQN, arguments(&m))
	}
	for _, m := range g.methods(t) {
		if m.Static && n.statics[pascal(m.Name)] {
			fmt.Fprintf(&e.types, "func %s_%s%s {\n%s}\n", name, pascal(m.Name), g.signature(e, m),
				g.call(e, m, "StaticInvoke", fmt.Sprintf("%q", t.FQN)))
		}
	}
	for _, p := range g.properties(t) {
		if p.Static && n.statics[pascal(p.Name)] {
			goType := g.goType(e, p.Type)
			fmt.Fprintf(&e.types, "func %s_%s() %s { return runtime.StaticGet[%s](%q, %q) }\n",
				name, pascal(p.Name), goType, goType, t.FQN, p.Name)
		}
	}
}

func (g *generator) signature(e *emitted, m *method) string {
	var params []string
	for _, p := range m.Parameters {
		variadic := ""
		if p.Variadic {
			variadic = "..."
		}
		params = append(params, parameterName(p)+" "+variadic+g.goType(e, p.Type))
	}
	returns := ""
	if m.Returns != nil {
		returns = " " + g.goType(e, m.Returns.Type)
	}
	return "(" + strings.Join(params, ", ") + ")" + returns
}

func (g *generator) call(e *emitted, m *method, function, on string) string {
	if m.Returns == nil {
		return fmt.Sprintf("runtime.%sVoid(%s, %q%s)\n", function, on, m.Name, arguments(m))
	}
	return fmt.Sprintf("return runtime.%s[%s](%s, %q%s)\n", function, g.goType(e, m.Returns.Type), on, m.Name, arguments(m))
}

// arguments passes the parameters on with their names, where ? marks the optional ones and ... the variadic one.
func arguments(m *method) string {
	var names, values []string
	for _, p := range m.Parameters {
		name := p.Name
		switch {
		case p.Variadic:
			name += "..."
		case p.Optional:
			name += "?"
		}
		names, values = append(names, name), append(values, parameterName(p))
	}
	return fmt.Sprintf(", %q", strings.Join(names, ",")) + strings.Join(append([]string{""}, values...), ", ")
}

// parameterName keeps clear of Go's keywords and of the packages.
func parameterName(p *parameter) string { return p.Name + "_" }

func (g *generator) assertions() {
	for at, t := range g.uses.asserted {
		asserted := g.api.packages[t.path].types[t.name]
		if asserted == nil || asserted.Kind == "enum" || asserted.Datatype {
			continue
		}
		e := g.packageAt(g.of[asserted.FQN])
		fmt.Fprintf(&e.init, "runtime.RegisterAssertion[%s](%q)\n", t.name, at)
	}
}

// bases are the types whose methods a type has by embedding them.
func (t *typeSpec) bases() []string {
	if t.Base == "" {
		return t.Interfaces
	}
	return append([]string{t.Base}, t.Interfaces...)
}

// ancestors are the type itself and all that it is, too.
func (g *generator) ancestors(t *typeSpec) []string {
	seen := map[string]bool{}
	var walk func(fqn string)
	walk = func(fqn string) {
		if seen[fqn] || g.types[fqn] == nil {
			return
		}
		seen[fqn] = true
		for _, base := range g.types[fqn].bases() {
			walk(base)
		}
	}
	walk(t.FQN)
	return slices.Sorted(maps.Keys(seen))
}

// methods are those of a type and its ancestors, each in its most special form.
func (g *generator) methods(t *typeSpec) []*method {
	return inherited(g, t, func(t *typeSpec) []*method { return t.Methods }, func(m *method) string { return m.Name })
}

func (g *generator) properties(t *typeSpec) []*property {
	return inherited(g, t, func(t *typeSpec) []*property { return t.Properties }, func(p *property) string { return p.Name })
}

func inherited[M any](g *generator, t *typeSpec, own func(*typeSpec) []M, name func(M) string) []M {
	members := map[string]M{}
	var walk func(t *typeSpec)
	walk = func(t *typeSpec) {
		for _, m := range own(t) {
			if _, ok := members[name(m)]; !ok {
				members[name(m)] = m
			}
		}
		for _, base := range t.bases() {
			if b := g.types[base]; b != nil {
				walk(b)
			}
		}
	}
	walk(t)
	var list []M
	for _, n := range slices.Sorted(maps.Keys(members)) {
		list = append(list, members[n])
	}
	return list
}
