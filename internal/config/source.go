package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxSize is the most bytes that a file may have: 1 MiB, which is over 2,000 targets with every field.
const maxSize = 1 << 20

// maxDepth is how deep values may be nested. The format itself needs 8; the parser descends once for each.
const maxDepth = 40

// maxEntries is how many entries a block mapping may have. The parser descends once for each of them, too, and takes quadratic
// time; local.services[].env is the longest one that the format has.
const maxEntries = 1100

// source turns the text of a file into a syntax tree. It refuses, before the parser sees it, whatever the format has no use
// for and a parser could choke on. With problems there is no tree.
func source(data []byte, file string) (ast.Node, Problems) {
	if len(data) > maxSize {
		return nil, Problems{{
			File: file, Line: 1, Column: 1, Message: fmt.Sprintf("has %d bytes", len(data)),
			Remedy: "keep it under 1 MiB (1048576 bytes)",
		}}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Some Windows editors begin a file with it.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if problems := checkText(data, file); problems != nil {
		return nil, problems
	}
	return parse(string(data), file)
}

// checkText refuses characters that no YAML file may have.
func checkText(data []byte, file string) Problems {
	var problems Problems
	line := 0
	for text := range bytes.Lines(data) {
		line++
		add := func(column int, message, remedy string) {
			problems = append(problems, Problem{File: file, Line: line, Column: column, Message: message, Remedy: remedy})
		}
		if i := bytes.IndexByte(text, '\t'); i >= 0 && len(bytes.TrimLeft(text[:i], " ")) == 0 && len(bytes.TrimSpace(text)) > 0 {
			add(i+1, "the line is indented with a tab", "indent with spaces")
		}
		column := 0
		for len(text) > 0 {
			column++
			r, size := utf8.DecodeRune(text)
			text = text[size:]
			switch {
			case r == utf8.RuneError && size == 1:
				add(column, "holds a byte that is not UTF-8", "save the file as UTF-8")
			case r == 0:
				add(column, "holds a NUL character", "remove it, or save the file as UTF-8")
			case unicode.IsControl(r) && r != '\t' && r != '\n':
				add(column, fmt.Sprintf("holds the control character %U", r), `write it as "\x.." in double quotes, or remove it`)
			default:
				continue
			}
			break // One such problem a line says enough.
		}
		if len(problems) > maxProblems {
			break
		}
	}
	return problems
}

// parse runs the lexer, then the checks on its flat list of tokens, and only then the parser, which recurses.
func parse(text, file string) (root ast.Node, problems Problems) {
	// The parser has panicked on odd files before. None is known; if there is one, it must not take a Lambda down.
	defer func() {
		if r := recover(); r != nil {
			root, problems = nil, Problems{{
				File: file, Line: 1, Column: 1, Message: "the YAML cannot be parsed", Remedy: "write it more plainly",
			}}
		}
	}()
	tokens := lexer.Tokenize(text)
	if problems := checkTokens(tokens, file); problems != nil {
		return nil, problems
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Problems{syntaxProblem(err, file)}
	}
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			return doc.Body, nil
		}
	}
	return nil, Problems{{
		File: file, Line: 1, Column: 1, Message: "is empty", Remedy: "begin with `version: 1`, `brokers:` and `targets:`",
	}}
}

func syntaxProblem(err error, file string) Problem {
	p := Problem{File: file, Line: 1, Column: 1, Message: "the YAML cannot be parsed", Remedy: "correct the syntax near this place"}
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &at) {
		// The parser's sentences may quote the file; what stands there may be a password.
		message, _, _ := strings.Cut(at.GetMessage(), "\n")
		if !strings.ContainsAny(message, `"'`+"`") {
			p.Message += ": " + message
		}
		if t := at.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	return p
}

// refused are the parts of YAML that the format has no use for: anchors and aliases can make a small file expand without end,
// tags can change what a value is, and complex keys name no field.
var refused = map[token.Type][2]string{
	token.AnchorType:     {"an anchor (&)", "write the value out; put a text that begins with & in quotes"},
	token.AliasType:      {"an alias (*)", "write the value out; put a text that begins with * in quotes"},
	token.MergeKeyType:   {"a merge key (<<)", "write the fields out"},
	token.TagType:        {"a tag (!)", "remove it; put a text that begins with ! in quotes"},
	token.DirectiveType:  {"a directive (%)", "remove it"},
	token.MappingKeyType: {"a complex key (?)", "write `field: value`"},
}

// checkTokens refuses what the format has no use for, and what is nested too deep.
func checkTokens(tokens token.Tokens, file string) Problems {
	var problems Problems
	add := func(t *token.Token, message, remedy string) {
		problems = append(problems, Problem{
			File: file, Line: t.Position.Line, Column: t.Position.Column, Message: message, Remedy: remedy,
		})
	}
	var depth depthGauge
	content := false // Whether anything but comments and directives has come.
	directive := 0   // The line of the last directive.
	for _, t := range tokens {
		if t.Position == nil || t.Type == token.CommentType {
			continue
		}
		if r, ok := refused[t.Type]; ok {
			add(t, r[0]+" is not supported", r[1])
		}
		if t.Type == token.DocumentHeaderType && content {
			add(t, "a second document begins", "keep one document in the file")
		}
		if t.Type == token.DirectiveType {
			directive = t.Position.Line
		}
		content = content || t.Position.Line != directive
		if depth.next(t) > maxDepth {
			add(t, fmt.Sprintf("is nested more than %d deep", maxDepth), "write it flatter")
			break
		}
		if depth.long {
			add(t, fmt.Sprintf("a mapping has more than %d entries", maxEntries), "shorten it")
			break
		}
		if len(problems) > maxProblems {
			break
		}
	}
	return problems
}

// depthGauge measures from the flat tokens how deep a parser will have to descend: an upper bound, exact enough for a limit
// that no real file comes near.
type depthGauge struct {
	flow    int   // Open brackets and braces.
	columns []int // The columns of the open block values, each further right than the one before.
	entries []int // How many entries a mapping at each of these columns has so far.
	line    int
	opened  bool // The last token was "- ", after which a block may begin on the same line.
	long    bool // A mapping has too many entries.
	colons  int  // Colons since the last comma or the start of the line.
}

func (g *depthGauge) next(t *token.Token) int {
	starts := t.Position.Line != g.line || g.opened
	if t.Position.Line != g.line {
		g.colons = 0
	}
	g.line, g.opened = t.Position.Line, t.Type == token.SequenceEntryType
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		g.flow++
	case token.SequenceEndType, token.MappingEndType:
		g.flow--
	case token.CollectEntryType:
		g.colons = 0
	case token.MappingValueType:
		g.colons++
	}
	if g.flow <= 0 && starts {
		for len(g.columns) > 0 && g.columns[len(g.columns)-1] >= t.Position.Column {
			n := len(g.columns) - 1
			if g.columns[n] == t.Position.Column && t.Type != token.SequenceEntryType {
				break // The next entry of the same mapping.
			}
			g.columns, g.entries = g.columns[:n], g.entries[:n]
		}
		if n := len(g.columns) - 1; n < 0 || g.columns[n] < t.Position.Column {
			g.columns, g.entries = append(g.columns, t.Position.Column), append(g.entries, 0)
		}
	}
	if n := len(g.entries) - 1; n >= 0 && g.flow <= 0 && t.Type == token.MappingValueType {
		if g.entries[n]++; g.entries[n] > maxEntries {
			g.long = true
		}
	}
	return max(g.flow, 0) + len(g.columns) + g.colons
}
