package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// template is the value of Parameters, ItemSelector or ResultSelector: JSON in which the fields whose names end in
// ".$" are worked out from the input.
type template struct{ root node }

// scope is what a template may read.
type scope struct {
	input any
	item  any // The item of a Map, as the context object shows it; only in an ItemSelector.
	index int
}

// node is a part of a template.
type node interface {
	eval(scope) (any, error)
}

type (
	literal   struct{ value any }
	object    map[string]node
	list      []node
	reference path
	call      struct {
		function string
		args     []node
	}
)

func (n literal) eval(scope) (any, error) { return n.value, nil }

func (n object) eval(s scope) (any, error) {
	out := make(map[string]any, len(n))
	for _, name := range slices.Sorted(maps.Keys(n)) { // Sorted, so that the same one of two faults shows each time.
		v, err := n[name].eval(s)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func (n list) eval(s scope) (any, error) {
	out := make([]any, len(n))
	for i, item := range n {
		v, err := item.eval(s)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (n reference) eval(s scope) (any, error) {
	if !n.context {
		return path(n).find(s.input)
	}
	return path(n).find(map[string]any{"Map": map[string]any{"Item": map[string]any{
		"Index": json.Number(fmt.Sprint(s.index)),
		"Value": s.item,
	}}})
}

// errIntrinsic marks what AWS reports as States.IntrinsicFailure.
var errIntrinsic = errors.New("intrinsic function")

// functions has the intrinsic functions with the number of their arguments.
var functions = map[string]int{"States.ArrayContains": 2, "States.ArrayLength": 1, "States.JsonToString": 1}

func (n call) eval(s scope) (any, error) {
	args := make([]any, len(n.args))
	for i, arg := range n.args {
		v, err := arg.eval(s)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	if n.function == "States.JsonToString" {
		return string(encode(args[0])), nil
	}
	items, ok := args[0].([]any)
	if !ok {
		return nil, fmt.Errorf("%w %s: the first argument is no list", errIntrinsic, n.function)
	}
	if n.function == "States.ArrayLength" {
		return json.Number(strconv.Itoa(len(items))), nil
	}
	wanted := encode(args[1]) // States.ArrayContains: parsing lets nothing else through.
	return slices.ContainsFunc(items, func(v any) bool { return string(encode(v)) == string(wanted) }), nil
}

// encode writes a value that came out of JSON, which cannot fail, with the fields of objects in order.
func encode(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// template reads a payload template; nil if there is none. Only an ItemSelector may read the context object.
func (f *fields) template(name string, context bool) *template {
	raw, ok := f.take(name)
	if !ok {
		return nil
	}
	v, err := decode(raw)
	if err != nil {
		f.r.refuse(join(f.path, name), "is not JSON: %v", err)
		return nil
	}
	if _, ok := v.(map[string]any); !ok {
		f.r.refuse(join(f.path, name), "is no JSON object")
		return nil
	}
	return &template{f.r.node(join(f.path, name), v, context)}
}

func (r *reader) node(at string, v any, context bool) node {
	switch v := v.(type) {
	case map[string]any:
		out := object{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			plain, dynamic := strings.CutSuffix(name, ".$")
			if _, twice := out[plain]; twice {
				r.refuse(join(at, name), "occurs twice, with .$ and without")
			}
			if !dynamic {
				out[plain] = r.node(join(at, name), v[name], context)
				continue
			}
			text, _ := v[name].(string)
			n, err := parseExpression(text, context)
			if err != nil {
				r.refuse(join(at, name), "%v", err)
				continue
			}
			out[plain] = n
		}
		return out
	case []any:
		out := make(list, len(v))
		for i, item := range v {
			out[i] = r.node(fmt.Sprintf("%s[%d]", at, i), item, context)
		}
		return out
	default:
		return literal{v}
	}
}
