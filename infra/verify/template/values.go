package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// at follows keys into maps.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// text is v if it is a text, or how JSON writes it if it is a number or a truth.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64, bool:
		return fmt.Sprint(v)
	}
	return ""
}

// list is v if it is a list, and a list of v alone if it is anything else but nil.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// texts is list, with the texts alone.
func texts(v any) (out []string) {
	for _, e := range list(v) {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// resolve brings CloudFormation's functions into plain texts, as the package says, and leaves out what is AWS::NoValue.
func resolve(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if e = resolve(e); e != noValue {
				out = append(out, e)
			}
		}
		return out
	case map[string]any:
		if s, ok := intrinsic(v); ok {
			return s
		}
		out := make(map[string]any, len(v))
		for key, e := range v {
			if e = resolve(e); e != noValue {
				out[key] = e
			}
		}
		return out
	}
	return v
}

const noValue = "${AWS::NoValue}"

// intrinsic is what a function of CloudFormation gives, as a text.
func intrinsic(m map[string]any) (string, bool) {
	if len(m) != 1 {
		return "", false
	}
	for name, argument := range m {
		switch {
		case name == "Ref":
			return "${" + text(argument) + "}", true
		case name == "Fn::GetAtt":
			if s, ok := argument.(string); ok {
				return "${" + s + "}", true
			}
			return "${" + strings.Join(texts(argument), ".") + "}", true
		case name == "Fn::Join":
			if s, ok := join(argument); ok {
				return s, true
			}
		case name == "Fn::Sub":
			if s, ok := sub(argument); ok {
				return s, true
			}
		case !strings.HasPrefix(name, "Fn::"):
			return "", false
		}
		// What only AWS can tell is a text that is like no other. It may stand in JSON, so that it has no double quotes.
		data, _ := json.Marshal(resolve(argument))
		return "${" + name + " " + strings.ReplaceAll(string(data), `"`, "'") + "}", true
	}
	return "", false
}

func join(argument any) (string, bool) {
	parts := list(argument)
	if len(parts) != 2 {
		return "", false
	}
	values, ok := resolve(parts[1]).([]any)
	if !ok {
		return "", false
	}
	var out []string
	for _, v := range values {
		out = append(out, text(v))
	}
	return strings.Join(out, text(parts[0])), true
}

// variable is a name in the text of a Sub.
var variable = regexp.MustCompile(`\$\{[^}]*\}`)

func sub(argument any) (string, bool) {
	parts := list(argument)
	if len(parts) == 0 {
		return "", false
	}
	var values map[string]any
	if len(parts) > 1 {
		values, _ = resolve(parts[1]).(map[string]any)
	}
	return variable.ReplaceAllStringFunc(text(parts[0]), func(v string) string {
		if value, ok := values[v[2:len(v)-1]]; ok {
			return text(value)
		}
		return v // As Ref and GetAtt are written.
	}), true
}

// reference finds what a resolved text refers to: the logical id, and the attribute if there is one.
var reference = regexp.MustCompile(`\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9.]+))?\}`)
