package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"math"
	"slices"
	"strconv"
	"strings"
)

// mutant is one small fault at one place.
type mutant struct {
	id   int
	file string // From the root of the module.
	line int
	key  string // Tells it in the list of those that are equivalent: no line numbers, which change with every edit.
}

// rewriter makes of each file one that asks at each place whether the fault there is planted. Places are texts between
// positions, so that all else stays where it stands, and the compiler's complaints have the right line.
type rewriter struct {
	fset    *token.FileSet
	mutants []mutant
	consts  map[string]int // The first fault of each named constant, which holds for all its uses.
	ours    func(path string) bool
	seen    map[string]int

	// Of the file at hand.
	pkg     *types.Package
	info    *types.Info
	file    string
	src     []byte
	base    token.Pos
	fn      string // The function, or the variable, that is at hand.
	used    bool
	imports []string // For the types of constants.
}

// mutate returns the text of the file with its places, or nil if it has none.
func (w *rewriter) mutate(file string, f *ast.File, src []byte, pkg *types.Package, info *types.Info) []byte {
	w.pkg, w.info, w.file, w.src, w.base, w.used, w.imports = pkg, info, file, src, f.FileStart, false, nil
	text := w.inside(f)
	if !w.used {
		return nil
	}
	imports := fmt.Sprintf("; import mutated %q", runtimePath)
	for i, path := range w.imports {
		imports += fmt.Sprintf("; import mutated%d %q", i, path)
	}
	name := f.Name.End() - f.Pos()
	return []byte(w.source(f.FileStart, f.Pos()) + text[:name] + imports + text[name:])
}

// add makes a fault, and returns its number.
func (w *rewriter) add(at token.Pos, place, change string) int {
	w.used = true
	place = strings.Join(strings.Fields(place), " ")
	const most = 120
	if len(place) > most {
		place = place[:most] + "..."
	}
	key := fmt.Sprintf("%s %s: %s -> %s", strings.TrimPrefix(w.file, "internal/"), w.fn, place, change)
	if w.seen[key]++; w.seen[key] > 1 {
		key += fmt.Sprintf(" #%d", w.seen[key])
	}
	m := mutant{id: len(w.mutants) + 1, file: w.file, line: w.fset.Position(at).Line, key: key}
	w.mutants = append(w.mutants, m)
	return m.id
}

func (w *rewriter) source(from, to token.Pos) string { return string(w.src[from-w.base : to-w.base]) }

func (w *rewriter) original(n ast.Node) string { return w.source(n.Pos(), n.End()) }

// inside is the text of a node whose children have been rewritten.
func (w *rewriter) inside(n ast.Node) string { return w.replaced(n, n.Pos(), children(n), w.node) }

func children(n ast.Node) []ast.Node {
	var out []ast.Node
	ast.Inspect(n, func(c ast.Node) bool {
		if c != nil && c != n {
			out = append(out, c)
		}
		return c == n
	})
	return slices.DeleteFunc(out, func(c ast.Node) bool { _, doc := c.(*ast.CommentGroup); return doc })
}

// node is the text of a node with its places.
func (w *rewriter) node(n ast.Node) string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		w.fn = n.Name.Name
		if n.Recv != nil {
			w.fn = strings.TrimPrefix(w.original(n.Recv.List[0].Type), "*") + "." + w.fn
		}
		if n.Body == nil {
			return w.original(n)
		}
		return w.replaced(n, n.Pos(), []ast.Node{n.Body}, w.node)
	case *ast.GenDecl:
		if n.Tok != token.VAR {
			return w.original(n)
		}
	case *ast.ValueSpec:
		if w.pkg.Scope().Lookup(n.Names[0].Name) == w.info.Defs[n.Names[0]] {
			w.fn = n.Names[0].Name
		}
		parts := make([]ast.Node, len(n.Values))
		for i, v := range n.Values {
			parts[i] = v
		}
		return w.replaced(n, n.Pos(), parts, w.node)
	case *ast.FuncType, *ast.InterfaceType, *ast.StructType, *ast.ArrayType, *ast.MapType, *ast.ChanType:
		return w.original(n)
	case *ast.FuncLit:
		return w.replaced(n, n.Pos(), []ast.Node{n.Body}, w.node)
	case *ast.IfStmt:
		return w.conditional(n, n.Cond, true)
	case *ast.ForStmt:
		return w.conditional(n, n.Cond, false)
	case *ast.SwitchStmt:
		return w.cases(n)
	case *ast.CommClause:
		return w.replaced(n, n.Pos(), children(n), func(c ast.Node) string {
			if s := n.Comm; s != nil && c == ast.Node(s) {
				return w.part(s)
			}
			return w.node(c)
		})
	case *ast.CompositeLit:
		return w.literal(n)
	case *ast.ReturnStmt:
		parts := children(n)
		return w.replaced(n, n.Pos(), parts, func(c ast.Node) string {
			if e := c.(ast.Expr); w.isBool(e) {
				return w.boolean(e, true, true)
			}
			return w.node(c)
		})
	case ast.Stmt:
		return w.statement(n)
	case ast.Expr:
		return w.expr(n)
	}
	return w.inside(n)
}

// replaced is the text of a node, from some position in it on, with each of these parts made by do.
func (w *rewriter) replaced(n ast.Node, at token.Pos, parts []ast.Node, do func(ast.Node) string) string {
	var out strings.Builder
	for _, c := range parts {
		out.WriteString(w.source(at, c.Pos()))
		out.WriteString(do(c))
		at = c.End()
	}
	out.WriteString(w.source(at, n.End()))
	return out.String()
}

// conditional rewrites an if or a for, whose condition is also forced. One that is true for ever only costs time in a
// loop.
func (w *rewriter) conditional(n ast.Node, cond ast.Expr, yes bool) string {
	return w.replaced(n, n.Pos(), children(n), func(c ast.Node) string {
		if c == ast.Node(cond) {
			return w.boolean(cond, yes, true)
		}
		if s, ok := c.(ast.Stmt); ok {
			return w.part(s)
		}
		return w.node(c)
	})
}

// part is a statement that cannot be left out, as it stands in another.
func (w *rewriter) part(s ast.Stmt) string {
	switch s.(type) {
	case *ast.BlockStmt, *ast.IfStmt:
		return w.node(s)
	}
	return w.inside(s)
}

// cases rewrites a switch: each of its cases is also never taken, or if it is a condition, always.
func (w *rewriter) cases(n *ast.SwitchStmt) string {
	return w.replaced(n, n.Pos(), children(n), func(c ast.Node) string {
		switch c := c.(type) {
		case *ast.BlockStmt:
			return w.replaced(c, c.Pos(), children(c), func(clause ast.Node) string {
				return w.replaced(clause, clause.Pos(), children(clause), func(c ast.Node) string {
					e, isExpr := c.(ast.Expr)
					switch {
					case !isExpr:
						return w.node(c)
					case n.Tag == nil:
						return w.boolean(e, true, true)
					case w.info.Types[e].Value != nil && w.info.Types[e].Value.Kind() == constant.String:
						id := w.add(e.Pos(), "case "+w.original(e), "never")
						return fmt.Sprintf("mutated.Word[%s](%d, %s)", w.typeName(e), id, w.original(e))
					}
					return w.original(c)
				})
			})
		case ast.Stmt:
			return w.part(c)
		}
		return w.node(c)
	})
}

// literal rewrites a composite literal. The indices of an array have to be constants.
func (w *rewriter) literal(n *ast.CompositeLit) string {
	parts := make([]ast.Node, len(n.Elts))
	for i, e := range n.Elts {
		parts[i] = e
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			parts[i] = kv.Value
		}
	}
	return w.replaced(n, n.Pos(), parts, w.node)
}

// statement rewrites a statement, which is also left out if the rest compiles without it.
func (w *rewriter) statement(n ast.Stmt) string {
	text := ""
	switch n := n.(type) {
	case *ast.ExprStmt:
		call, ok := n.X.(*ast.CallExpr)
		if !ok || w.original(call.Fun) == "panic" {
			return w.inside(n)
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return w.inside(n)
		}
	case *ast.BranchStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
	default:
		return w.inside(n)
	}
	id := w.add(n.Pos(), w.original(n), "nothing")
	text = w.inside(n)
	return fmt.Sprintf("if !mutated.Is(%d) { %s }", id, text)
}

// boolean rewrites a condition. yes and no say whether it is forced to be true and false as a whole; in a chain of &&
// each member is also left out, which is to be true, and in one of || to be false.
func (w *rewriter) boolean(e ast.Expr, yes, no bool) string {
	if w.info.Types[e].Value != nil {
		return w.expr(e)
	}
	place := w.original(e)
	ids := [2]int{}
	if yes {
		ids[0] = w.add(e.Pos(), place, "true")
	}
	if no {
		ids[1] = w.add(e.Pos(), place, "false")
	}
	return fmt.Sprintf("mutated.Bool(%d, %d, %s)", ids[0], ids[1], w.member(e))
}

func (w *rewriter) member(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return "(" + w.member(x.X) + ")"
	case *ast.BinaryExpr:
		switch x.Op {
		case token.LAND, token.LOR:
			and := x.Op == token.LAND
			return w.operand(x.X, x.Op, and) + w.source(x.X.End(), x.Y.Pos()) + w.operand(x.Y, x.Op, and)
		case token.LSS, token.GTR, token.LEQ, token.GEQ:
			other := map[token.Token]token.Token{
				token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
			}[x.Op]
			a, b := w.node(x.X), w.node(x.Y)
			id := w.add(x.Pos(), w.original(x), other.String())
			equal := fmt.Sprintf("mutated.On(%d) && (%s) == (%s) && mutated.Is(%d)", id, a, b, id)
			plain := a + w.source(x.X.End(), x.Y.Pos()) + b
			if x.Op == token.LSS || x.Op == token.GTR {
				return fmt.Sprintf("(%s || %s)", equal, plain)
			}
			return fmt.Sprintf("(!(%s) && %s)", equal, plain)
		}
	case *ast.UnaryExpr:
		if x.Op == token.NOT {
			return "!" + w.member(x.X)
		}
	}
	return w.inside(e)
}

// operand is a member of a chain; one of the same operator is more of the chain.
func (w *rewriter) operand(e ast.Expr, op token.Token, and bool) string {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == op {
		return w.member(e)
	}
	return w.boolean(e, and, !and)
}

func (w *rewriter) isBool(e ast.Expr) bool {
	t := w.info.Types[e]
	return t.Type != nil && !t.IsType() && types.Identical(types.Default(t.Type), types.Typ[types.Bool])
}

// expr rewrites any other expression.
func (w *rewriter) expr(e ast.Expr) string {
	t := w.info.Types[e]
	switch {
	case t.IsType():
		return w.original(e)
	case t.Value != nil:
		return w.constant(e, t)
	}
	switch x := e.(type) {
	case *ast.BinaryExpr:
		if w.isBool(x) {
			return w.boolean(x, true, true)
		}
		names := map[token.Token]string{token.ADD: "Add", token.SUB: "Sub", token.MUL: "Mul", token.QUO: "Quo"}
		opposite := map[token.Token]string{token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*"}
		if name := names[x.Op]; name != "" && isNumber(t.Type) {
			id := w.add(x.Pos(), w.original(x), opposite[x.Op])
			return fmt.Sprintf("mutated.%s(%d, %s, %s)", name, id, w.node(x.X), w.node(x.Y))
		}
	case *ast.UnaryExpr:
		if x.Op == token.NOT {
			return w.boolean(x, true, true)
		}
		if x.Op == token.SUB && isNumber(t.Type) {
			return fmt.Sprintf("mutated.Neg(%d, %s)", w.add(x.Pos(), w.original(x), "without -"), w.node(x.X))
		}
	case *ast.CallExpr:
		return w.call(x)
	}
	return w.inside(e)
}

// call rewrites a call. min and max are also each other; how much make makes room for changes nothing.
func (w *rewriter) call(x *ast.CallExpr) string {
	name := ""
	if id, ok := x.Fun.(*ast.Ident); ok {
		if _, builtin := w.info.Uses[id].(*types.Builtin); builtin {
			name = id.Name
		}
	}
	text := func(args []ast.Expr) string {
		var parts []ast.Node
		for _, a := range args {
			parts = append(parts, a)
		}
		return w.replaced(x, x.Lparen, parts, w.node)
	}
	switch name {
	case "min":
		return fmt.Sprintf("mutated.Min(%d, %s", w.add(x.Pos(), w.original(x), "max"), text(x.Args)[1:])
	case "max":
		return fmt.Sprintf("mutated.Max(%d, %s", w.add(x.Pos(), w.original(x), "min"), text(x.Args)[1:])
	case "make":
		_, slice := w.info.Types[x].Type.Underlying().(*types.Slice)
		if len(x.Args) > 1 && slice {
			return "make" + text(x.Args[1:2])
		}
		return w.original(x)
	}
	return w.inside(x)
}

// constant rewrites the largest expression that is a constant: numbers become others, true false. A named constant of
// ours has the same fault wherever it is used.
func (w *rewriter) constant(e ast.Expr, t types.TypeAndValue) string {
	if t.Value.Kind() == constant.Bool {
		if id, literal := e.(*ast.Ident); literal && (id.Name == "true" || id.Name == "false") {
			if id.Name == "true" {
				return fmt.Sprintf("mutated.Bool(0, %d, true)", w.add(e.Pos(), "true", "false"))
			}
			return fmt.Sprintf("mutated.Bool(%d, 0, false)", w.add(e.Pos(), "false", "true"))
		}
		return w.original(e)
	}
	if !isNumber(t.Type) {
		return w.original(e)
	}
	named := w.constantIn(e)
	if named != nil && ast.Unparen(e) != ast.Expr(named) {
		if _, selector := e.(*ast.SelectorExpr); !selector {
			return w.inside(e)
		}
	}
	others := alternatives(t)
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.CHAR {
		others = []string{lit.Value + "+1", lit.Value + "-1"}
	}
	if len(others) == 0 {
		return w.original(e)
	}
	first := 0
	if named != nil {
		obj := w.info.Uses[named]
		key := obj.Pkg().Path() + "." + obj.Name()
		if obj.Parent() != obj.Pkg().Scope() {
			key = w.fset.Position(obj.Pos()).String()
		}
		first = w.consts[key]
		if first == 0 {
			fn := w.fn
			w.fn = "const"
			first = w.addAll(obj.Pos(), obj.Name(), others)
			w.fn = fn
			w.consts[key] = first
		}
		w.used = true
	} else {
		first = w.addAll(e.Pos(), w.original(e), others)
	}
	return fmt.Sprintf("mutated.Num[%s](%d, %s, %s)", w.typeName(e), first, w.original(e), strings.Join(others, ", "))
}

func (w *rewriter) addAll(at token.Pos, place string, others []string) int {
	first := len(w.mutants) + 1
	for _, o := range others {
		w.add(at, place, o)
	}
	return first
}

// constantIn finds a named constant of ours in an expression. One made with iota is a name, and no number.
func (w *rewriter) constantIn(e ast.Expr) *ast.Ident {
	var found *ast.Ident
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if c, ok := w.info.Uses[id].(*types.Const); ok && c.Pkg() != nil && w.ours(c.Pkg().Path()) {
				found = id
			}
		}
		return found == nil
	})
	return found
}

// alternatives are the other numbers that stand in for a constant. Most count something, so none becomes negative.
func alternatives(t types.TypeAndValue) []string {
	basic := t.Type.Underlying().(*types.Basic)
	integer := basic.Info()&types.IsInteger != 0 || basic.Info()&types.IsFloat == 0
	v := t.Value
	num := func(n int64) constant.Value { return constant.MakeInt64(n) }
	div := token.QUO
	if integer {
		v, div = constant.ToInt(v), token.QUO_ASSIGN
	}
	all := []constant.Value{constant.BinaryOp(v, token.MUL, num(10)), constant.BinaryOp(v, div, num(10)), num(0)}
	small := constant.Compare(v, token.LSS, num(1000))
	if small && integer && t.Type.String() != "time.Duration" {
		all = append(all, constant.BinaryOp(v, token.ADD, num(1)), constant.BinaryOp(v, token.SUB, num(1)))
	}
	var out []string
	for _, o := range all {
		if constant.Compare(o, token.EQL, v) || constant.Sign(o) < 0 && constant.Sign(v) >= 0 || !fits(o, basic) {
			continue
		}
		text := o.ExactString()
		if !integer {
			f, _ := constant.Float64Val(o) // Exactly it is a fraction, whose division would be one of integers.
			if math.IsInf(f, 0) {
				continue
			}
			text = strconv.FormatFloat(f, 'g', -1, 64)
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

func fits(v constant.Value, b *types.Basic) bool {
	bits := map[types.BasicKind]uint{
		types.Int8: 7, types.Uint8: 8, types.Int16: 15, types.Uint16: 16, types.Int32: 31, types.Uint32: 32,
	}
	limit := constant.Shift(constant.MakeInt64(1), token.SHL, cmp.Or(bits[b.Kind()], 63))
	return b.Info()&types.IsInteger == 0 || constant.Compare(v, token.LSS, limit)
}

func isNumber(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsInteger|types.IsFloat) != 0 && b.Kind() != types.UntypedRune
}

// typeName writes the type of an expression, with an import of its own for the package that it is from.
func (w *rewriter) typeName(e ast.Expr) string {
	return types.TypeString(types.Default(w.info.Types[e].Type), func(p *types.Package) string {
		if p == w.pkg {
			return ""
		}
		if !slices.Contains(w.imports, p.Path()) {
			w.imports = append(w.imports, p.Path())
		}
		return fmt.Sprintf("mutated%d", slices.Index(w.imports, p.Path()))
	})
}
