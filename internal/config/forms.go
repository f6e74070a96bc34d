package config

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// textOf returns a text: plain, quoted or as a block.
func textOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// formOf says in words what a node is, without its value, which may be a secret.
func formOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number with a fraction"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	}
	if isMapping(n) {
		return "a mapping"
	}
	return "a " + n.Type().String()
}

// quote quotes a text of the file for a message, shortened. A URL in the wrong field may hold a password.
func quote(s string) string {
	if strings.Contains(s, "://") {
		return "a URL"
	}
	return strconv.Quote(shorten(s))
}

// shorten cuts what is too long for a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// label is a name of the file as it may stand in a field's path: a hostile one cannot break the line.
func label(name string) string {
	if strings.Contains(name, "://") {
		return "(a URL)"
	}
	for _, r := range name {
		if !strconv.IsPrint(r) {
			return quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return shorten(name)
}
