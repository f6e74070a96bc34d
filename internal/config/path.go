package config

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// path is where a value stands in the file. It is written out only for a problem: most files have none.
type path struct {
	up    *path
	name  string // A field, or empty for an entry of a list.
	index int
}

func (p *path) field(name string) *path { return &path{up: p, name: name} }

func (p *path) entry(i int) *path { return &path{up: p, index: i} }

// String is such as targets[0].max.
func (p *path) String() string {
	if p == nil {
		return ""
	}
	up := p.up.String()
	switch {
	case p.name == "":
		return up + "[" + strconv.Itoa(p.index) + "]"
	case up == "":
		return p.name
	}
	return up + "." + p.name
}

// within says whether the path p, written out, is the path outer or lies in it.
func within(p, outer string) bool {
	rest, ok := strings.CutPrefix(p, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// find returns the node at the path, or of the closest path above it that exists; exact says which.
func find(root ast.Node, p *path) (n ast.Node, exact bool) {
	if p == nil {
		return root, true
	}
	up, exact := find(root, p.up)
	if !exact {
		return up, false
	}
	if p.name == "" {
		if s, ok := up.(*ast.SequenceNode); ok && p.index < len(s.Values) {
			return s.Values[p.index], true
		}
		return up, false
	}
	for _, e := range entries(up) {
		if keyOf(e) == p.name {
			return e.Value, true
		}
	}
	return up, false
}

// entries returns the entries of a mapping; none for any other node.
func entries(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// keyOf returns the name of a mapping's entry.
func keyOf(e *ast.MappingValueNode) string {
	if s, ok := e.Key.(*ast.StringNode); ok {
		return s.Value
	}
	if t := e.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// place returns the line and column where a node begins.
func place(n ast.Node) (line, column int) {
	if es := entries(n); len(es) > 0 {
		n = es[0].Key
	}
	if s, ok := n.(*ast.SequenceNode); ok && s.Start != nil && s.Start.Position != nil {
		return s.Start.Position.Line, s.Start.Position.Column
	}
	if n != nil {
		if t := n.GetToken(); t != nil && t.Position != nil {
			return t.Position.Line, t.Position.Column
		}
	}
	return 1, 1
}
