package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Pattern is a compiled event pattern. A pattern names fields; for each it lists what the field's value may be. All fields
// have to match, each by any of its list; `$or` lists alternatives of fields. A value that is an array matches if any of
// its elements does.
type Pattern struct {
	root group
}

// group is an object of a pattern.
type group struct {
	fields []field
	ors    [][]group // For each $or its alternatives.
}

// field is one field of a group: either it has matchers, or it is an object itself.
type field struct {
	name     string
	matchers []matcher
	nested   *group
}

// absent stands for the value of a field that an event does not have.
type absent struct{}

// matcher says whether one value matches. The value is absent{}, nil, a bool, a json.Number or a string.
type matcher func(value any) bool

// ParsePattern compiles a pattern. It refuses what EventBridge refuses: anything but arrays and objects as the value of a
// field, empty ones, and operators that do not exist or have the wrong kind of argument.
func ParsePattern(text []byte) (*Pattern, error) {
	v, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("parse event pattern: %w", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("parse event pattern: it is not an object")
	}
	root, err := parseGroup(object, "")
	if err != nil {
		return nil, fmt.Errorf("parse event pattern: %w", err)
	}
	return &Pattern{root: root}, nil
}

// Matches says whether an event, given as JSON, matches the pattern. What is not JSON matches none.
func (p *Pattern) Matches(event []byte) bool {
	v, err := decode(event)
	if err != nil {
		return false
	}
	object, ok := v.(map[string]any)
	return ok && p.root.matches(object)
}

// decode parses JSON and keeps numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func parseGroup(object map[string]any, path string) (group, error) {
	var g group
	if len(object) == 0 {
		return g, fmt.Errorf("%q: empty objects are not allowed", path)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + name
		if path == "" {
			at = name
		}
		switch value := object[name].(type) {
		case map[string]any:
			nested, err := parseGroup(value, at)
			if err != nil {
				return g, err
			}
			g.fields = append(g.fields, field{name: name, nested: &nested})
		case []any:
			if len(value) == 0 {
				return g, fmt.Errorf("%q: empty arrays are not allowed", at)
			}
			if alternatives, ok := orGroups(name, value); ok {
				or := make([]group, len(alternatives))
				for i, a := range alternatives {
					var err error
					if or[i], err = parseGroup(a, fmt.Sprintf("%s[%d]", at, i)); err != nil {
						return g, err
					}
				}
				g.ors = append(g.ors, or)
				continue
			}
			f := field{name: name}
			for _, v := range value {
				m, err := parseMatcher(v)
				if err != nil {
					return g, fmt.Errorf("%q: %w", at, err)
				}
				f.matchers = append(f.matchers, m)
			}
			g.fields = append(g.fields, f)
		default:
			return g, fmt.Errorf("%q must be an object or an array", at)
		}
	}
	return g, nil
}

// orGroups returns the alternatives of a $or. As in EventBridge, "$or" is an ordinary field name unless its value is a
// list of at least two objects.
func orGroups(name string, value []any) ([]map[string]any, bool) {
	if name != "$or" || len(value) < 2 {
		return nil, false
	}
	groups := make([]map[string]any, len(value))
	for i, v := range value {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		groups[i] = object
	}
	return groups, true
}

func (g *group) matches(object map[string]any) bool {
	for _, f := range g.fields {
		if !f.matches(object) {
			return false
		}
	}
	for _, or := range g.ors {
		if !slices.ContainsFunc(or, func(g group) bool { return g.matches(object) }) {
			return false
		}
	}
	return true
}

func (f *field) matches(object map[string]any) bool {
	value, ok := object[f.name]
	if f.nested != nil {
		return f.nested.matchesAny(value)
	}
	for _, leaf := range leaves(value, ok) {
		for _, m := range f.matchers {
			if m(leaf) {
				return true
			}
		}
	}
	return false
}

// matchesAny matches a nested group against an object, or against any object of an array. A missing or scalar value is
// an object without fields: {"exists": false} inside it matches.
func (g *group) matchesAny(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return g.matches(v)
	case []any:
		if len(v) > 0 {
			return slices.ContainsFunc(v, g.matchesAny)
		}
	}
	return g.matches(nil)
}

// leaves returns the values that a matcher looks at. Operators work on leaves only: an object, or an array without a
// leaf, is as good as absent.
func leaves(value any, ok bool) []any {
	var list []any
	switch v := value.(type) {
	case map[string]any:
	case []any:
		for _, e := range v {
			switch e.(type) {
			case map[string]any, []any:
				list = append(list, leavesOf(e)...)
			default:
				list = append(list, e)
			}
		}
	default:
		if ok {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return []any{absent{}}
	}
	return list
}

// leavesOf returns the leaves of an array inside an array; those of an object belong to another path.
func leavesOf(value any) []any {
	array, ok := value.([]any)
	if !ok {
		return nil
	}
	var list []any
	for _, e := range array {
		switch e.(type) {
		case map[string]any, []any:
			list = append(list, leavesOf(e)...)
		default:
			list = append(list, e)
		}
	}
	return list
}
