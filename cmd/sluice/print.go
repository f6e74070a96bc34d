package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"sluice/internal/config"
	"sluice/internal/terminal"
)

// yaml is the mapping as YAML.
func (m mapping) yaml() string {
	if len(m) == 0 {
		return "{}\n"
	}
	return terminal.Escape(yamlNode(m, 1).String()) + "\n" // Go shows some letters that nobody sees.
}

// yamlNode is a value whose lines begin in that column.
func yamlNode(v any, column int) ast.Node {
	at := &token.Position{Column: column, IndentNum: 2}
	switch v := v.(type) {
	case mapping:
		node := ast.Mapping(token.New("", "", at), len(v) == 0)
		for _, e := range v {
			value := yamlNode(e.value, column+2)
			if e.note != "" {
				_ = value.SetComment(ast.CommentGroup([]*token.Token{token.New(" "+e.note, "", at)})) // Every node of ours takes one.
			}
			node.Values = append(node.Values, ast.MappingValue(token.New("", "", at), yamlText(e.name, at, false), value))
		}
		return node
	case []any:
		node := ast.Sequence(token.New("-", "-", at), isFlat(v))
		for _, item := range v {
			value := yamlNode(item, column+2)
			if m, ok := value.(*ast.MappingNode); ok && node.IsFlowStyle {
				m.SetIsFlowStyle(true)
			}
			node.Values = append(node.Values, value)
		}
		return node
	case string:
		return yamlText(v, at, isBlock(v))
	case config.Duration:
		return ast.String(token.New(v.String(), v.String(), at))
	}
	text, _ := json.Marshal(v) // A number, a bool or nothing.
	return ast.String(token.New(string(text), string(text), at))
}

// yamlText is a text: below `|`, or on one line, in quotes where there is any doubt.
func yamlText(s string, at *token.Position, block bool) *ast.StringNode {
	t := token.New(s, s, at)
	if t.Type = token.StringType; !block && (!plain.MatchString(s) || yamlWords.MatchString(s)) {
		t.Type = token.DoubleQuoteType
	}
	return ast.String(t)
}

// isFlat reports whether a list stands on one line: it does unless all that it holds are mappings, and no empty ones.
func isFlat(list []any) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(item any) bool {
		m, ok := item.(mapping)
		return !ok || len(m) == 0
	})
}

// isBlock reports whether a text of several lines can be written below `|`, as it is: a certificate, for one.
func isBlock(s string) bool { return strings.HasSuffix(s, "\n") && blockLines.MatchString(s) }

// blockLines are lines of which none is empty, and the first is not indented, so that nothing has to be said of either.
var blockLines = regexp.MustCompile(`^([!-~]([ -~]*[!-~])?\n)+$`)

// plain are texts that no YAML reader takes for anything else, but for the words that yamlWords are. The library quotes by
// YAML 1.2, whose readers are few.
var (
	plain     = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@-]*$`)
	yamlWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null)$`)
)

// MarshalJSON keeps the order.
func (m mapping) MarshalJSON() ([]byte, error) {
	b := bytes.NewBufferString("{")
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for i, entry := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(entry.name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(b, "%s:", name)
		if err := e.Encode(entry.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
