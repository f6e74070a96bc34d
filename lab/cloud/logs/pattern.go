package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// parse compiles a filter pattern: nothing, which matches every line, or one by the exact texts of fields of a line in JSON, such as
// { ($.message = "decision" || $.message = "result") && $.target = "worker" }, which is what Sluice asks for. It returns an error for
// every other.
// See https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax-for-Metric-Filters.html.
func parse(pattern string) (func(line string) bool, error) {
	pattern = strings.TrimSpace(pattern)
	if pattern == "" {
		return func(string) bool { return true }, nil
	}
	inner, opened := strings.CutPrefix(pattern, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed {
		return nil, errors.New("the local cloud understands only patterns on fields of JSON, such as { $.target = \"worker\" }")
	}
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("it is longer than %d characters", maxPattern)
	}
	p := &parser{rest: inner}
	matches, err := p.any()
	if err == nil && p.peek() != "" {
		err = fmt.Errorf("%q is not understood", p.rest)
	}
	if err != nil {
		return nil, err
	}
	return func(line string) bool {
		var fields map[string]any
		return json.Unmarshal([]byte(line), &fields) == nil && matches(fields)
	}, nil
}

// maxPattern is the longest filter pattern that CloudWatch Logs takes.
const maxPattern = 1024

// condition says whether the fields of a line are as wanted.
type condition func(fields map[string]any) bool

// parser reads a pattern from its front.
type parser struct{ rest string }

// token is a part of a pattern: an operator, a parenthesis, a quoted text, or a word.
var token = regexp.MustCompile(`^(?:\|\||&&|[()=]|"(?:[^"\\]|\\.)*"|[^\s()=&|"]+)`)

// peek is the next token; empty at the end, or before what is none.
func (p *parser) peek() string {
	p.rest = strings.TrimSpace(p.rest)
	return token.FindString(p.rest)
}

func (p *parser) next() string {
	t := p.peek()
	p.rest = p.rest[len(t):]
	return t
}

// any reads conditions of which one has to hold.
func (p *parser) any() (condition, error) {
	return p.list("||", p.all, func(a, b condition) condition {
		return func(fields map[string]any) bool { return a(fields) || b(fields) }
	})
}

// all reads conditions that have to hold together.
func (p *parser) all() (condition, error) {
	return p.list("&&", p.one, func(a, b condition) condition {
		return func(fields map[string]any) bool { return a(fields) && b(fields) }
	})
}

func (p *parser) list(operator string, item func() (condition, error), join func(a, b condition) condition) (condition, error) {
	joined, err := item()
	for err == nil && p.peek() == operator {
		p.next()
		var other condition
		if other, err = item(); err == nil {
			joined = join(joined, other)
		}
	}
	return joined, err
}

// selector is a field of a line.
var selector = regexp.MustCompile(`^\$\.[A-Za-z_][A-Za-z0-9_]*$`)

// one reads one condition, or several in parentheses.
func (p *parser) one() (condition, error) {
	if p.peek() == "(" {
		p.next()
		c, err := p.any()
		if err == nil && p.next() != ")" {
			err = errors.New("a ) is missing")
		}
		return c, err
	}
	field := p.next()
	if !selector.MatchString(field) {
		return nil, fmt.Errorf("%q is no field such as $.target", field+p.rest)
	}
	if operator := p.next(); operator != "=" {
		return nil, fmt.Errorf("%s: the local cloud does not know the operator %q; compare with =", field, operator)
	}
	quoted := p.next()
	var want string
	if !strings.HasPrefix(quoted, `"`) || json.Unmarshal([]byte(quoted), &want) != nil || strings.Contains(want, "*") {
		return nil, fmt.Errorf("%s: the local cloud compares with exact texts in quotes only, not with %s", field, quoted)
	}
	name := strings.TrimPrefix(field, "$.")
	return func(fields map[string]any) bool { return fields[name] == want }, nil
}
