package asl

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// path is a JSONPath: `$`, then names, indices, wildcards, slices, and filters by a boolean field. Unions and recursive descent
// are not known.
//
// A filter that finds nothing is an error here. AWS gives an empty list and aws-local-stepfunctions an error, so that a machine
// must not use one where it may find nothing.
type path struct {
	text    string
	context bool // Begins with $$: it reads the context object, not the input.
	steps   []step
}

// step goes one level down.
type step struct {
	name  string // Of stepName; of stepFilter the field.
	index int    // Of stepIndex; of stepSlice the first.
	end   int    // Of stepSlice: the first that is left out.
	want  bool   // Of stepFilter.
	kind  stepKind
}

type stepKind int

const (
	stepName stepKind = iota
	stepIndex
	stepAll    // [*]
	stepSlice  // [0:20]
	stepFilter // [?(@.name == true)]
)

func parsePath(text string) (path, error) {
	p := path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, fmt.Errorf("path %q does not begin with $", text)
	}
	rest, p.context = strings.CutPrefix(rest, "$")
	for rest != "" {
		var s step
		var err error
		if s, rest, err = parseStep(rest); err != nil {
			return p, fmt.Errorf("path %q: %w", text, err)
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

func parseStep(text string) (s step, rest string, err error) {
	if name, ok := strings.CutPrefix(text, "."); ok {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		if end == 0 || strings.ContainsFunc(name[:end], notInName) {
			return s, "", fmt.Errorf("%q is no plain name", name[:end])
		}
		return step{name: name[:end]}, name[end:], nil
	}
	inner, ok := strings.CutPrefix(text, "[")
	if !ok {
		return s, "", fmt.Errorf("%q begins with neither . nor [", text)
	}
	inner, rest, ok = strings.Cut(inner, "]")
	if !ok {
		return s, "", errors.New("a [ is not closed")
	}
	if inner == "*" {
		return step{kind: stepAll}, rest, nil
	}
	if n, err := strconv.ParseUint(inner, 10, 31); err == nil {
		return step{kind: stepIndex, index: int(n)}, rest, nil
	}
	if m := slice.FindStringSubmatch(inner); m != nil {
		from, err1 := strconv.ParseUint(m[1], 10, 31)
		end, err2 := strconv.ParseUint(m[2], 10, 31)
		if err1 == nil && err2 == nil {
			return step{kind: stepSlice, index: int(from), end: int(end)}, rest, nil
		}
	}
	if m := filter.FindStringSubmatch(inner); m != nil {
		return step{kind: stepFilter, name: m[1], want: m[2] == "true"}, rest, nil
	}
	return s, "", fmt.Errorf("[%s] is no index, [*], [from:end] or [?(@.name == true)]", inner)
}

var (
	slice  = regexp.MustCompile(`^([0-9]+):([0-9]+)$`)
	filter = regexp.MustCompile(`^\?\(@\.([A-Za-z0-9_]+) == (true|false)\)$`)
)

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}

// many says whether the path may find any number of values, which then come as a list.
func (p path) many() bool {
	for _, s := range p.steps {
		if s.kind != stepName && s.kind != stepIndex {
			return true
		}
	}
	return false
}

// one allows a path into the input that finds one value.
func one(p path) error {
	switch {
	case p.context:
		return fmt.Errorf("path %q: the context object is not supported here", p.text)
	case p.many():
		return fmt.Errorf("path %q may find many values where one is needed", p.text)
	}
	return nil
}

// field allows what a ResultPath may be: names only, so that the place can be made.
func field(p path) error {
	for _, s := range p.steps {
		if s.kind != stepName {
			return fmt.Errorf("path %q: only names are supported here", p.text)
		}
	}
	return one(p)
}

// errNotThere is why a path finds nothing.
type errNotThere struct{ path string }

func (e errNotThere) Error() string {
	return fmt.Sprintf("the JSONPath '%s' could not be found in the input", e.path)
}

// find reads the path in v. A path that may find many gives a list, without what is missing below the wildcard.
func (p path) find(v any) (any, error) {
	found, ok := follow(p.steps, v)
	if !ok {
		return nil, errNotThere{p.text}
	}
	return found, nil
}

func follow(steps []step, v any) (any, bool) {
	for i, s := range steps {
		switch s.kind {
		case stepName:
			object, _ := v.(map[string]any)
			below, ok := object[s.name]
			if !ok {
				return nil, false
			}
			v = below
		case stepIndex:
			list, _ := v.([]any)
			if s.index >= len(list) {
				return nil, false
			}
			v = list[s.index]
		default:
			list, ok := v.([]any)
			if ok {
				list, ok = s.choose(list)
			}
			if !ok {
				return nil, false
			}
			return followAll(steps[i+1:], list), true
		}
	}
	return v, true
}

// choose returns the items of the list that the step is for, and whether it is for any that could be there.
func (s step) choose(list []any) ([]any, bool) {
	switch s.kind {
	case stepSlice:
		end := min(s.end, len(list))
		return list[min(s.index, end):end], true
	case stepFilter:
		var found []any
		for _, item := range list {
			if object, _ := item.(map[string]any); object[s.name] == any(s.want) {
				found = append(found, item)
			}
		}
		return found, len(found) > 0
	default:
		return list, true
	}
}

func followAll(steps []step, list []any) []any {
	found := []any{}
	deeper := path{steps: steps}.many()
	for _, item := range list {
		v, ok := follow(steps, item)
		if !ok {
			continue
		}
		if below, isList := v.([]any); deeper && isList {
			found = append(found, below...)
			continue
		}
		found = append(found, v)
	}
	return found
}

// put returns v with the value at the path, and leaves v itself alone: other items of a Map may share it.
func (p path) put(v, value any) (any, error) {
	if len(p.steps) == 0 {
		return value, nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("unable to apply ResultPath '%s': its place is in no object", p.text)
	}
	copied := make(map[string]any, len(object)+1)
	for k, below := range object {
		copied[k] = below
	}
	name := p.steps[0].name
	below, there := object[name]
	if !there && len(p.steps) > 1 {
		below = map[string]any{}
	}
	var err error
	copied[name], err = path{text: p.text, steps: p.steps[1:]}.put(below, value)
	return copied, err
}
