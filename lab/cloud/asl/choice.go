package asl

import (
	"encoding/json"
	"fmt"
)

// rule is one entry of a Choice, or a part of one.
type rule struct {
	next string // Only at the top.
	test test
}

// test is what a rule asks of the input. An error is a States.Runtime: AWS fails an execution that compares what is not
// there.
type test interface {
	holds(input any) (bool, error)
}

type (
	and []test
	or  []test
	not struct{ test }

	// compare asks whether the value at the path equals the wanted one, a string or a boolean. A value of another type
	// is merely different.
	compare struct {
		variable path
		want     any
	}
	isPresent struct {
		variable path
		want     bool
	}
)

func (t and) holds(input any) (bool, error) {
	for _, part := range t {
		if ok, err := part.holds(input); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t or) holds(input any) (bool, error) {
	for _, part := range t {
		if ok, err := part.holds(input); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (t not) holds(input any) (bool, error) {
	ok, err := t.test.holds(input)
	return !ok, err
}

func (t compare) holds(input any) (bool, error) {
	v, err := t.variable.find(input)
	if err != nil {
		return false, fmt.Errorf("invalid path '%s': the choice state's condition path references an invalid value", t.variable.text)
	}
	switch v.(type) {
	case string, bool:
		return v == t.want, nil
	}
	return false, nil
}

func (t isPresent) holds(input any) (bool, error) {
	_, err := t.variable.find(input)
	return (err == nil) == t.want, nil
}

// choose returns the state that the first rule that holds leads to, else the default, else "".
func (c *choice) choose(input any) (string, error) {
	for _, r := range c.rules {
		ok, err := r.test.holds(input)
		if err != nil {
			return "", err
		}
		if ok {
			return r.next, nil
		}
	}
	return c.fallback, nil
}

func (f *fields) choice() *choice {
	c := &choice{fallback: f.text("Default")}
	if !f.has("Choices") {
		f.r.refuse(join(f.path, "Choices"), "is missing")
	}
	for i, raw := range f.list("Choices") {
		entry := f.r.object(fmt.Sprintf("%s.Choices[%d]", f.path, i), raw)
		next := entry.need("Next")
		c.rules = append(c.rules, rule{next: next, test: entry.test(0)})
	}
	return c
}

// maxDepth bounds how deep And, Or and Not may be nested.
const maxDepth = 32

// test reads And, Or, Not or a comparison.
func (f *fields) test(depth int) test {
	f.text("Comment")
	defer f.done()
	if depth > maxDepth {
		f.r.refuse(f.path, "is nested too deeply")
		f.raw = nil
		return and{}
	}
	parts := func(name string) []test {
		var out []test
		for i, raw := range f.list(name) {
			out = append(out, f.r.object(fmt.Sprintf("%s.%s[%d]", f.path, name, i), raw).test(depth+1))
		}
		return out
	}
	switch {
	case f.has("And"):
		return and(parts("And"))
	case f.has("Or"):
		return or(parts("Or"))
	case f.has("Not"):
		raw, _ := f.take("Not")
		return not{f.r.object(join(f.path, "Not"), raw).test(depth + 1)}
	}
	return f.comparison()
}

func (f *fields) comparison() test {
	variable := f.jsonPath("Variable", one)
	if variable == nil {
		f.r.refuse(join(f.path, "Variable"), "is no path that can be used")
		variable = &path{}
	}
	switch {
	case f.has("BooleanEquals"):
		return compare{*variable, f.flag("BooleanEquals")}
	case f.has("IsPresent"):
		return isPresent{*variable, f.flag("IsPresent")}
	case f.has("StringEquals"):
		raw, _ := f.take("StringEquals")
		var want *string
		if err := json.Unmarshal(raw, &want); err != nil || want == nil {
			f.r.refuse(join(f.path, "StringEquals"), "is no string")
			want = new(string)
		}
		return compare{*variable, *want}
	}
	f.r.refuse(f.path, "has no comparison that is supported (BooleanEquals, StringEquals, IsPresent)")
	return and{}
}
