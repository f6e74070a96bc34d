package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// parse compiles a filter pattern: nothing, which matches every line, or one on the fields of a line in JSON, such as
// { ($.message = "decision" || $.message = "result") && $.desired > 0 }. It returns an error for every other.
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
var token = regexp.MustCompile(`^(?:\|\||&&|!=|<=|>=|[()=<>]|"(?:[^"\\]|\\.)*"|[^\s()=<>!&|"]+)`)

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

// selector is a path to a field, such as $.a.b or $.list[0].
var selector = regexp.MustCompile(`^\$(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d+\])+$`)

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
	path := p.next()
	if !selector.MatchString(path) {
		return nil, fmt.Errorf("%q is no field such as $.target", path+p.rest)
	}
	operator, value := p.next(), p.next()
	test, err := compare(operator, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	steps := step.FindAllString(path, -1)
	return func(fields map[string]any) bool { return test(lookUp(fields, steps)) }, nil
}

// step is a part of a path: the name of a field, or an index.
var step = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*|\d+`)

// lookUp is the value at the path, and whether there is one.
func lookUp(fields map[string]any, steps []string) (any, bool) {
	var value any = fields
	for _, s := range steps {
		switch v := value.(type) {
		case map[string]any:
			item, ok := v[s]
			if !ok {
				return nil, false
			}
			value = item
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// compare is what an operator and a value ask of a field. But for NOT EXISTS, a field that is not there is never as wanted.
func compare(operator, value string) (func(field any, there bool) bool, error) {
	switch words := strings.ToUpper(operator + " " + value); {
	case words == "NOT EXISTS":
		return func(_ any, there bool) bool { return !there }, nil
	case words == "IS NULL":
		return func(field any, there bool) bool { return there && field == nil }, nil
	case words == "IS TRUE", words == "IS FALSE":
		return func(field any, _ bool) bool { return field == (words == "IS TRUE") }, nil
	case value == "":
		return nil, errors.New("there is nothing to compare it with")
	}
	if number, err := strconv.ParseFloat(value, 64); err == nil {
		holds, ok := map[string]func(float64) bool{
			"=": func(f float64) bool { return f == number }, "!=": func(f float64) bool { return f != number },
			"<": func(f float64) bool { return f < number }, "<=": func(f float64) bool { return f <= number },
			">": func(f float64) bool { return f > number }, ">=": func(f float64) bool { return f >= number },
		}[operator]
		if !ok {
			return nil, fmt.Errorf("%q is no operator for numbers", operator)
		}
		return func(field any, _ bool) bool {
			f, isNumber := field.(float64)
			return isNumber && holds(f)
		}, nil
	}
	text := value
	if strings.HasPrefix(value, `"`) {
		if err := json.Unmarshal([]byte(value), &text); err != nil {
			return nil, fmt.Errorf("%s is no text", value)
		}
	} else if strings.HasPrefix(value, "%") {
		return nil, fmt.Errorf("the local cloud does not understand regular expressions such as %s", value)
	}
	if operator != "=" && operator != "!=" {
		return nil, fmt.Errorf("%q is no operator for texts", operator)
	}
	parts := strings.Split(text, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	like := regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`)
	return func(field any, _ bool) bool {
		s, isText := field.(string)
		return isText && like.MatchString(s) == (operator == "=")
	}, nil
}
