package sluicecdk

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// filterOf reads the filter command of Logs Insights that a query begins with, as far as ours use it, and tells which lines pass. It fails
// the test where "and" and "or" stand side by side: which of them binds more is not documented.
func filterOf(t *testing.T, command string) func(line) bool {
	t.Helper()
	f := filter{t: t, rest: tokens.FindAllString(comment.ReplaceAllString(command, ""), -1)}
	f.take("filter")
	pass := f.either()
	if len(f.rest) > 0 {
		t.Fatalf("%s: %q is left over", command, f.rest)
	}
	return pass
}

var tokens = regexp.MustCompile(`"[^"]*"|!=|[()\[\],=<>]|[a-zA-Z_@][\w.@]*|[0-9.]+`)

type filter struct {
	t    *testing.T
	rest []string
}

func (f *filter) next() string {
	f.t.Helper()
	if len(f.rest) == 0 {
		f.t.Fatal("a filter ends too soon")
	}
	token := f.rest[0]
	f.rest = f.rest[1:]
	return token
}

func (f *filter) take(want string) {
	f.t.Helper()
	if got := f.next(); got != want {
		f.t.Fatalf("a filter has %q where %q has to be", got, want)
	}
}

func (f *filter) either() func(line) bool {
	terms, joined := []func(line) bool{f.term()}, ""
	for len(f.rest) > 0 && (f.rest[0] == "and" || f.rest[0] == "or") {
		by := f.next()
		if joined != "" && joined != by {
			f.t.Fatal(`a filter has "and" beside "or": write brackets`)
		}
		joined, terms = by, append(terms, f.term())
	}
	return func(l line) bool {
		passes := func(term func(line) bool) bool { return term(l) }
		if joined == "or" {
			return slices.ContainsFunc(terms, passes)
		}
		return !slices.ContainsFunc(terms, func(term func(line) bool) bool { return !passes(term) })
	}
}

func (f *filter) term() func(line) bool {
	switch field := f.next(); field {
	case "(":
		inner := f.either()
		f.take(")")
		return inner
	case "ispresent":
		f.take("(")
		field = f.next()
		f.take(")")
		return func(l line) bool { return l.value(field) != nil }
	default:
		return f.comparison(field)
	}
}

func (f *filter) comparison(field string) func(line) bool {
	operator := f.next()
	if operator == "in" {
		f.take("[")
		var values []string
		for token := f.next(); token != "]"; token = f.next() {
			if token != "," {
				values = append(values, strings.Trim(token, `"`))
			}
		}
		return func(l line) bool { text, _ := l.value(field).(string); return slices.Contains(values, text) }
	}
	value := strings.Trim(f.next(), `"`)
	number, _ := strconv.ParseFloat(value, 64)
	return func(l line) bool {
		text, _ := l.value(field).(string)
		n, isNumber := l.value(field).(float64)
		switch operator {
		case "=":
			return text == value
		case "!=":
			return text != value
		case "like":
			return strings.Contains(text, value)
		case ">":
			return isNumber && n > number
		}
		f.t.Fatalf("a filter has the operator %q, which this test does not know", operator)
		return false
	}
}
