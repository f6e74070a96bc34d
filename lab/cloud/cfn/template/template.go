// Package template reads CloudFormation templates: what they hold, and what the intrinsic functions in them come to.
//
// What a Ref or an attribute is depends on who asks, so that a Scope says it: the local cloud (package cfn) has names
// and ARNs of its own, and for those who look at a template without deploying it there is Symbolic, by which ARNs can
// be compared as texts, and a reference be found in them.
package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Template is a template as it was written, with json.Number for numbers.
type Template struct {
	Resources  []*Resource    // In the order of the file, which is that in which the CDK app made them.
	Parameters map[string]any // Their defaults; nil where there is none.
	Outputs    map[string]any // Their values.
	Transform  any
}

// Resource is one resource of a template.
type Resource struct {
	ID         string `json:"-"` // The logical id.
	Type       string
	Condition  string
	DependsOn  any
	Properties any
}

// Parse reads a template in JSON.
func Parse(text []byte) (*Template, error) {
	var file struct {
		Resources  json.RawMessage
		Parameters map[string]struct{ Default any }
		Outputs    map[string]struct{ Value any }
		Transform  any
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	t := &Template{Parameters: map[string]any{}, Outputs: map[string]any{}, Transform: file.Transform}
	for name, p := range file.Parameters {
		t.Parameters[name] = p.Default
	}
	for name, o := range file.Outputs {
		t.Outputs[name] = o.Value
	}
	d = json.NewDecoder(bytes.NewReader(file.Resources))
	d.UseNumber()
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("it has no Resources: is it a template in JSON?")
	}
	for d.More() {
		id, err := d.Token()
		if err != nil {
			return nil, err
		}
		res := &Resource{ID: fmt.Sprint(id)}
		if err := d.Decode(res); err != nil {
			return nil, fmt.Errorf("resource %s: %w", res.ID, err)
		}
		t.Resources = append(t.Resources, res)
	}
	return t, nil
}

// Of returns the resources of the types.
func (t *Template) Of(types ...string) (found []*Resource) {
	for _, r := range t.Resources {
		if slices.Contains(types, r.Type) {
			found = append(found, r)
		}
	}
	return found
}

// Resource returns the resource with the logical id; nil if there is none.
func (t *Template) Resource(id string) *Resource {
	for _, r := range t.Resources {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// Tagged returns the resource of the type whose tag has this value; nil if there is none.
func (t *Template) Tagged(kind, key, value string) *Resource {
	for _, r := range t.Of(kind) {
		if r.Tag(key) == value {
			return r
		}
	}
	return nil
}

// Tag returns the value of a tag; empty if there is none.
func (r *Resource) Tag(key string) string {
	for _, tag := range List(r.At("Tags")) {
		if Text(Within(tag, "Key")) == key {
			return Text(Within(tag, "Value"))
		}
	}
	return ""
}

// At returns the property at a path of keys and indexes; nil if there is none.
func (r *Resource) At(path ...any) any { return Within(r.Properties, path...) }

// Text returns the property at a path as a text; empty if there is none.
func (r *Resource) Text(path ...any) string { return Text(r.At(path...)) }

// Within returns the value at a path of keys and indexes; nil if there is none.
func Within(value any, path ...any) any {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			key, _ := step.(string)
			value = v[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// Text returns a text, or how JSON writes a number or a truth; else it is empty.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number, bool:
		return fmt.Sprint(v)
	}
	return ""
}

// List returns a list; anything else but nil is a list of one.
func List(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// Texts returns the texts of a list.
func Texts(v any) (out []string) {
	for _, e := range List(v) {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
