package deployment

import (
	"cmp"
	"errors"
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/callgraph"
	"golang.org/x/tools/go/callgraph/cha"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// Commands derives, by command of the command line, the operations of AWS that it can reach from the function that makes it, such as
// statusCommand.
//
// The command line has some fifty times the code of a function, nearly all of it libraries'. So, unlike Calls, it reads our own code
// alone, and takes for a call of an operation what has its form: a method that is called like the input it takes. What a library may
// call is what it is handed: functions that are mentioned, and the methods of interfaces of its own.
func Commands(root string, names []string) (map[string][]Call, error) {
	program, mains, err := ours(root, "./cmd/sluice")
	if err != nil {
		return nil, fmt.Errorf("load the command line: %w", err)
	}
	graph := cha.CallGraph(program)
	calls := map[string][]Call{}
	for _, name := range names {
		f := mains.Func(name + "Command")
		if f == nil {
			return nil, fmt.Errorf("load the command line: cmd/sluice has no function %sCommand", name)
		}
		c := command{program: program, graph: graph, from: map[*ssa.Function]*ssa.Function{}, calls: map[string]Call{}}
		c.follow(f)
		calls[name] = slices.SortedFunc(maps.Values(c.calls), func(a, b Call) int { return cmp.Compare(a.Operation, b.Operation) })
	}
	return calls, nil
}

// ours loads a program and what it imports of our module, with the types alone of everything else.
func ours(root, pattern string) (*ssa.Program, *ssa.Package, error) {
	configuration := packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedModule, Dir: root}
	found, err := packages.Load(&configuration, pattern)
	if err != nil {
		return nil, nil, err
	}
	main, paths := found[0].PkgPath, []string{}
	packages.Visit(found, nil, func(p *packages.Package) {
		if p.Module != nil && p.Module.Path == found[0].Module.Path {
			paths = append(paths, p.PkgPath)
		}
	})
	configuration.Mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
		packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo
	if found, err = packages.Load(&configuration, paths...); err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, p := range found {
		for _, e := range p.Errors {
			errs = append(errs, e)
		}
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	program, all := ssautil.Packages(found, ssa.InstantiateGenerics)
	program.Build()
	i := slices.IndexFunc(found, func(p *packages.Package) bool { return p.PkgPath == main })
	return program, all[i], nil
}

// command follows the ways from the function that makes a command.
type command struct {
	program *ssa.Program
	graph   *callgraph.Graph
	from    map[*ssa.Function]*ssa.Function
	calls   map[string]Call
}

func (c *command) follow(first *ssa.Function) {
	c.from[first] = nil
	for queue := []*ssa.Function{first}; len(queue) > 0; queue = queue[1:] {
		f := queue[0]
		add := func(g *ssa.Function) {
			if _, known := c.from[g]; !known {
				c.from[g] = f
				queue = append(queue, g)
			}
		}
		for _, block := range f.Blocks {
			for _, instruction := range block.Instrs {
				c.instruction(f, instruction, add)
			}
		}
	}
}

// instruction notes what an instruction calls of AWS, and adds the functions of ours that it mentions or may have called.
func (c *command) instruction(f *ssa.Function, instruction ssa.Instruction, add func(*ssa.Function)) {
	for _, operand := range instruction.Operands(nil) {
		if g, ok := (*operand).(*ssa.Function); ok {
			c.note(f, inSDK(g))
			add(g)
		}
	}
	switch i := instruction.(type) {
	case ssa.CallInstruction:
		common := i.Common()
		if !common.IsInvoke() {
			return
		}
		c.note(f, inputOf(common.Method.Name(), common.Signature()))
		if node := c.graph.Nodes[f]; node != nil {
			for _, edge := range node.Out {
				if edge.Site == i {
					add(edge.Callee.Func)
				}
			}
		}
	case *ssa.MakeInterface: // For a library, which may call all its methods.
		named, ok := types.Unalias(i.Type()).(*types.Named)
		if ok && named.Obj().Pkg() != nil && c.program.ImportedPackage(named.Obj().Pkg().Path()) != nil &&
			!strings.HasPrefix(named.Obj().Pkg().Path(), "sluice/") {
			for m := range named.Underlying().(*types.Interface).Methods() {
				if g := c.program.LookupMethod(i.X.Type(), m.Pkg(), m.Name()); g != nil {
					add(g)
				}
			}
		}
	}
}

func (c *command) note(f *ssa.Function, operation string) {
	if _, known := c.calls[operation]; known || operation == "" {
		return
	}
	var way []string
	for ; f != nil; f = c.from[f] {
		if f.Parent() == nil {
			way = append(way, short(f))
		}
	}
	slices.Reverse(way)
	c.calls[operation] = Call{operation, way}
}

// inputOf is the operation that a method has the form of; empty if it has not.
func inputOf(method string, signature *types.Signature) string {
	if signature.Params().Len() < 2 {
		return ""
	}
	p, ok := signature.Params().At(1).Type().(*types.Pointer)
	if !ok {
		return ""
	}
	n, ok := types.Unalias(p.Elem()).(*types.Named)
	if !ok || n.Obj().Pkg() == nil || n.Obj().Name() != method+"Input" {
		return ""
	}
	service, ok := strings.CutPrefix(n.Obj().Pkg().Path(), sdkServices)
	if !ok || strings.Contains(service, "/") {
		return ""
	}
	return service + "." + method
}

// inSDK is the operation that a function of the SDK calls: a client's method, or the maker of a paginator; empty if it is none.
func inSDK(g *ssa.Function) string {
	object := g.Object()
	if object == nil || object.Pkg() == nil {
		return ""
	}
	service, ok := strings.CutPrefix(object.Pkg().Path(), sdkServices)
	if !ok || strings.Contains(service, "/") {
		return ""
	}
	if name, ok := strings.CutPrefix(g.Name(), "New"); ok {
		if operation, ok := strings.CutSuffix(name, "Paginator"); ok {
			return service + "." + operation
		}
	}
	return inputOf(g.Name(), g.Signature)
}
