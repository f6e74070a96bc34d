package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Symbolic returns the template with what only a deployment can tell as texts: what a Ref gives is ${LogicalId}, an
// attribute ${LogicalId.Arn}, and a Join or Sub of them is the text that it makes.
func (t *Template) Symbolic() (*Template, error) {
	out := &Template{Parameters: t.Parameters, Outputs: map[string]any{}, Transform: t.Transform}
	var err error
	for name, value := range t.Outputs {
		if out.Outputs[name], err = Resolve(value, symbols{}); err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
	}
	for _, r := range t.Resources {
		resolved := *r
		if resolved.Properties, err = Resolve(r.Properties, symbols{}); err != nil {
			return nil, fmt.Errorf("resource %s: %w", r.ID, err)
		}
		out.Resources = append(out.Resources, &resolved)
	}
	return out, nil
}

// symbols is the scope in which everything stands for itself.
type symbols struct{}

func (symbols) Ref(id string) (any, error) {
	if id == "AWS::NoValue" {
		return NoValue, nil
	}
	return "${" + id + "}", nil
}

func (symbols) Attribute(id, attribute string) (any, error) {
	return "${" + id + "." + attribute + "}", nil
}

// Call returns a text that is like no other. It may stand in JSON, so that it has no double quotes.
func (symbols) Call(name string, argument any) (any, error) {
	data, err := json.Marshal(argument)
	return "${" + name + " " + strings.ReplaceAll(string(data), `"`, "'") + "}", err
}

// Ref returns how Symbolic writes a reference to the resource.
func (r *Resource) Ref() string { return "${" + r.ID + "}" }

// ARN returns how Symbolic writes the resource's ARN.
func (r *Resource) ARN() string { return "${" + r.ID + ".Arn}" }

// reference finds what a text refers to: the logical id, and the attribute if there is one.
var reference = regexp.MustCompile(`\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}`)

// References returns the resources that a value of a symbolic template refers to, anywhere in it, each once.
func (t *Template) References(v any) []*Resource {
	var ids []string
	Walk(v, "", func(_, text string) {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			ids = append(ids, m[1])
		}
	})
	return slices.DeleteFunc(slices.Clone(t.Resources), func(r *Resource) bool { return !slices.Contains(ids, r.ID) })
}

// Target returns the resource of these types that a text of a symbolic template is the Ref or an attribute of; nil if
// it is of none.
func (t *Template) Target(text string, types ...string) *Resource {
	m := reference.FindStringSubmatch(text)
	if m == nil || m[0] != text {
		return nil
	}
	if r := t.Resource(m[1]); r != nil && slices.Contains(types, r.Type) {
		return r
	}
	return nil
}

// Walk calls f with every text in v and the path to it, in a fixed order.
func Walk(v any, path string, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, e := range v {
			Walk(e, fmt.Sprintf("%s[%d]", path, i), f)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			Walk(v[key], strings.TrimPrefix(path+"."+key, "."), f)
		}
	}
}
