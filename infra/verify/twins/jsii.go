package twins

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// assembly is what a .jsii file tells about a library: the parts of jsii's public schema that the twins need.
type assembly struct {
	Name       string
	Version    string
	Targets    targets
	Submodules map[string]struct{ Targets targets }
	Types      map[string]*typeSpec
}

type targets struct {
	Go struct{ ModuleName, PackageName string }
}

type typeSpec struct {
	FQN         string
	Kind        string // class, interface or enum
	Name        string
	Namespace   string // the submodule, and the types around a nested one: aws_scheduler.CfnSchedule
	Assembly    string
	Base        string
	Interfaces  []string
	Abstract    bool
	Datatype    bool // an interface that is a struct in Go
	Initializer *method
	Methods     []*method
	Properties  []*property
	Members     []struct{ Name string }
}

type method struct {
	Name       string
	Static     bool
	Overrides  string
	Parameters []*parameter
	Returns    *struct{ Type typeRef }
}

type parameter struct {
	Name     string
	Type     typeRef
	Optional bool
	Variadic bool
}

type property struct {
	Name      string
	Static    bool
	Immutable bool
	Optional  bool
	Overrides string
	Type      typeRef
}

type typeRef struct {
	Primitive  string
	FQN        string
	Collection *struct {
		Kind        string
		ElementType typeRef
	}
	Union        *struct{ Types []typeRef }
	Intersection *struct{ Types []typeRef }
}

// api is the API of the libraries as the Go modules have it.
type api struct {
	types    map[string]*typeSpec
	packages map[string]*goPackage // by import path
	of       map[string]*goPackage // by the type's fully qualified name
	modules  map[string]string     // module path -> version
}

type goPackage struct {
	path  string
	name  string
	types map[string]*typeSpec // by the Go name
}

// load reads the libraries' descriptions from node_modules. The big one is kept in cache in a form that loads fast.
func load(nodeModules, cache string) (*api, error) {
	a := &api{
		types:    map[string]*typeSpec{},
		packages: map[string]*goPackage{},
		of:       map[string]*goPackage{},
		modules:  map[string]string{},
	}
	for _, file := range []string{"aws-cdk-lib/.jsii.gz", "constructs/.jsii"} {
		asm, err := readAssembly(filepath.Join(nodeModules, file), cache)
		if err != nil {
			return nil, err
		}
		if err := a.add(asm); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func readAssembly(file, cache string) (*assembly, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the API's description (npm ci --prefix infra installs it): %w", err)
	}
	cached := filepath.Join(cache, fmt.Sprintf("api-%x.gob", sha256.Sum256(append(content, schema...))))
	asm := &assembly{}
	if content, err := os.ReadFile(cached); err == nil && gob.NewDecoder(bytes.NewReader(content)).Decode(asm) == nil {
		return asm, nil
	}
	var r io.Reader = bytes.NewReader(content)
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	asm = &assembly{} // Without what a broken cache has left in it.
	if err := json.NewDecoder(r).Decode(asm); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return asm, write(cached, func(w io.Writer) error { return gob.NewEncoder(w).Encode(asm) })
}

// schema changes whenever the types above do, so that a cache of before is not read.
const schema = "1"

func (a *api) add(asm *assembly) error {
	root, err := modulePath(asm)
	if err != nil {
		return err
	}
	a.modules[root] = "v" + asm.Version
	for fqn, t := range asm.Types {
		a.types[fqn] = t
		p := a.packageOf(asm, root, t)
		a.of[fqn] = p
		p.types[goTypeName(asm, t)] = t
	}
	return nil
}

// modulePath is the Go module of a library: a major version of 2 or more is part of it.
func modulePath(asm *assembly) (string, error) {
	if asm.Targets.Go.ModuleName == "" {
		return "", fmt.Errorf("%s has no Go module", asm.Name)
	}
	p := asm.Targets.Go.ModuleName + "/" + packageName(asm.Name, asm.Targets)
	if major, _, _ := strings.Cut(asm.Version, "."); major != "0" && major != "1" {
		p += "/v" + major
	}
	return p, nil
}

var notInPackageName = regexp.MustCompile(`[^a-zA-Z0-9.]`)

// packageName is the Go package of a library or a submodule: what it asks for, or its name in lower case letters.
func packageName(name string, t targets) string {
	if t.Go.PackageName != "" {
		return t.Go.PackageName
	}
	return strings.ToLower(notInPackageName.ReplaceAllString(name, ""))
}

// submodule splits a type's namespace into the submodule and the types around it.
func submodule(asm *assembly, t *typeSpec) (sub string, around []string) {
	if t.Namespace == "" {
		return "", nil
	}
	parts := strings.Split(t.Namespace, ".")
	for i := len(parts); i > 0; i-- {
		sub := strings.Join(parts[:i], ".")
		if _, ok := asm.Submodules[asm.Name+"."+sub]; ok {
			return sub, parts[i:]
		}
	}
	return "", parts
}

// goTypeName joins the names of nested types with underscores: CfnSchedule_TargetProperty.
func goTypeName(asm *assembly, t *typeSpec) string {
	_, around := submodule(asm, t)
	return strings.Join(append(around, t.Name), "_")
}

func (a *api) packageOf(asm *assembly, root string, t *typeSpec) *goPackage {
	sub, _ := submodule(asm, t)
	p := &goPackage{path: root, name: packageName(asm.Name, asm.Targets), types: map[string]*typeSpec{}}
	fqn := asm.Name
	for _, part := range strings.FieldsFunc(sub, func(r rune) bool { return r == '.' }) {
		fqn += "." + part
		p.name = packageName(part, asm.Submodules[fqn].Targets)
		p.path = path.Join(p.path, p.name)
	}
	if known, ok := a.packages[p.path]; ok {
		return known
	}
	a.packages[p.path] = p
	return p
}

// pascal is the Go name of a method or a property: only the first letter changes.
func pascal(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
