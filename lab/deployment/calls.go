package deployment

import (
	"cmp"
	"errors"
	"fmt"
	"go/types"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/callgraph"
	"golang.org/x/tools/go/callgraph/cha"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"

	"sluice/internal/config"
)

// The functions, as their folders below lambdas/ are called.
const (
	ScaleOut = "scaleout"
	Check    = "check"
	ScaleIn  = "scalein"
	Notify   = "notify" // With deploy.notify.
)

// Functions are all of them, in the order of the documentation.
func Functions() []string { return []string{ScaleOut, Check, ScaleIn, Notify} }

// deployed are those that a configuration asks for.
func deployed(c *config.Config) []string {
	if c.Deploy.Notify == nil {
		return []string{ScaleOut, Check, ScaleIn}
	}
	return Functions()
}

// Call is an operation of AWS that a function can reach.
type Call struct {
	Operation string   // The SDK's package and method, such as "ecs.UpdateService".
	Path      []string // How it gets there: from main to the SDK's client.
}

// The build of the functions, as the Makefile has it.
const (
	buildTags = "lambda.norpc"
	goos      = "GOOS=linux"
	goarch    = "GOARCH=arm64"
	noCgo     = "CGO_ENABLED=0"
)

// Calls derives from the code of the project at root, by function, the operations of AWS that it can reach, sorted. overlay has
// the contents of files, by absolute path, that are to be read in place of those on the disk; it may be nil.
func Calls(root string, overlay map[string][]byte) (map[string][]Call, error) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
		Dir: root, Env: append(os.Environ(), goos, goarch, noCgo), BuildFlags: []string{"-tags", buildTags}, Overlay: overlay,
	}, "./lambdas/...")
	if err != nil {
		return nil, fmt.Errorf("load the functions: %w", err)
	}
	var errs []error
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			errs = append(errs, fmt.Errorf("load the functions: %w", e))
		}
	})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	program, mains := ssautil.AllPackages(loaded, ssa.InstantiateGenerics)
	program.Build()
	graph := cha.CallGraph(program)
	calls := map[string][]Call{}
	for i, p := range loaded {
		r := reach{module: p.Module.Path, graph: graph, from: map[*ssa.Function]*ssa.Function{}}
		calls[path.Base(p.PkgPath)] = r.run(mains[i])
	}
	for _, f := range Functions() {
		if _, ok := calls[f]; !ok {
			return nil, fmt.Errorf("load the functions: there is no lambdas/%s", f)
		}
	}
	return calls, nil
}

// reach follows all ways from main. Wherever a function is mentioned it is taken for called: a closure, a method as a value,
// a plain call. So nothing has to be known of where functions are handed to. A call by an interface may be of that method of
// every type that has the interface (class hierarchy analysis), be it our own code that calls or a library.
type reach struct {
	module string
	graph  *callgraph.Graph
	from   map[*ssa.Function]*ssa.Function // Who mentioned a function first; nil for main.
	calls  []Call
}

// run returns what can be reached. Our own code is followed before libraries are, so that the ways stay within it where they
// can: from main by the shortest one.
func (r *reach) run(main *ssa.Package) []Call {
	var ours, others []*ssa.Function
	add := func(f, from *ssa.Function) {
		if _, known := r.from[f]; known {
			return
		}
		r.from[f] = from
		if r.ours(f) {
			ours = append(ours, f)
		} else {
			others = append(others, f)
		}
	}
	add(main.Func("main"), nil)
	add(main.Func("init"), nil)
	for len(ours)+len(others) > 0 {
		var f *ssa.Function
		if len(ours) > 0 {
			f, ours = ours[0], ours[1:]
		} else {
			f, others = others[0], others[1:]
		}
		if op := operation(f); op != "" {
			r.calls = append(r.calls, Call{op, r.way(f)})
		}
		for _, g := range r.next(f) {
			add(g, f)
		}
	}
	slices.SortFunc(r.calls, func(a, b Call) int { return cmp.Compare(a.Operation, b.Operation) })
	return r.calls
}

// next are the functions that f mentions or may call by an interface.
func (r *reach) next(f *ssa.Function) (next []*ssa.Function) {
	for _, block := range f.Blocks {
		for _, instruction := range block.Instrs {
			for _, operand := range instruction.Operands(nil) {
				if g, ok := (*operand).(*ssa.Function); ok {
					next = append(next, g)
				}
			}
		}
	}
	var dynamic []*ssa.Function
	if node := r.graph.Nodes[f]; node != nil {
		for _, edge := range node.Out {
			if edge.Site != nil && edge.Site.Common().IsInvoke() {
				dynamic = append(dynamic, edge.Callee.Func)
			}
		}
	}
	// The graph has them in no certain order.
	slices.SortFunc(dynamic, func(a, b *ssa.Function) int { return cmp.Compare(a.String(), b.String()) })
	return append(next, dynamic...)
}

func (r *reach) ours(f *ssa.Function) bool {
	return f.Pkg != nil && (f.Pkg.Pkg.Path() == r.module || strings.HasPrefix(f.Pkg.Pkg.Path(), r.module+"/"))
}

// way is how f was reached. Functions without a name of their own are left out.
func (r *reach) way(f *ssa.Function) (way []string) {
	for ; f != nil; f = r.from[f] {
		if f.Synthetic == "" && f.Parent() == nil || f.Name() == "main" {
			way = append(way, short(f))
		}
	}
	slices.Reverse(way)
	return way
}

var folders = regexp.MustCompile(`[\w.~-]+/`)

// short is a function's name with the last part of its package's path.
func short(f *ssa.Function) string { return folders.ReplaceAllString(f.String(), "") }

// sdkServices is where the SDK has a package with a client for each service.
const sdkServices = "github.com/aws/aws-sdk-go-v2/service/"

// operation names the operation that a method of an SDK's client calls; empty if f is none. An operation takes an input that is
// called like it.
func operation(f *ssa.Function) string {
	recv := f.Signature.Recv()
	if recv == nil || f.Pkg == nil {
		return ""
	}
	service, ok := strings.CutPrefix(f.Pkg.Pkg.Path(), sdkServices)
	if !ok || strings.Contains(service, "/") || named(recv.Type()) != "Client" || f.Signature.Params().Len() < 2 {
		return ""
	}
	if named(f.Signature.Params().At(1).Type()) != f.Name()+"Input" {
		return ""
	}
	return service + "." + f.Name()
}

// named is the name of the type that t points to; empty if it has none.
func named(t types.Type) string {
	p, ok := t.(*types.Pointer)
	if !ok {
		return ""
	}
	n, ok := types.Unalias(p.Elem()).(*types.Named)
	if !ok {
		return ""
	}
	return n.Obj().Name()
}
