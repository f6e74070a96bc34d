package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Scope says what the names in a template stand for.
type Scope interface {
	// Ref returns what Ref gives of a parameter or resource. NoValue leaves out what it stands for.
	Ref(id string) (any, error)
	// Attribute returns what Fn::GetAtt gives.
	Attribute(id, attribute string) (any, error)
	// Call returns what any other function gives than Ref, Fn::GetAtt, Fn::Join and Fn::Sub. Its argument is resolved.
	Call(name string, argument any) (any, error)
}

// NoValue is the value of AWS::NoValue: the property is as if it were not there.
var NoValue any = new(struct{ _ byte })

// Resolve replaces the intrinsic functions in a value by what they come to.
// See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html.
func Resolve(value any, in Scope) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return call(name, argument, in)
				}
			}
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			resolved, err := Resolve(item, in)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if resolved != NoValue {
				out[key] = resolved
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			resolved, err := Resolve(item, in)
			if err != nil {
				return nil, err
			}
			if resolved != NoValue {
				out = append(out, resolved)
			}
		}
		return out, nil
	}
	return value, nil
}

func call(name string, argument any, in Scope) (any, error) {
	switch name {
	case "Ref":
		id, ok := argument.(string)
		if !ok {
			return nil, errors.New("the argument of Ref is no text")
		}
		return in.Ref(id)
	case "Fn::GetAtt":
		list, _ := argument.([]any)
		if text, ok := argument.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			list = []any{id, attribute}
		}
		if len(list) != 2 {
			return nil, errors.New("Fn::GetAtt: its argument is no pair")
		}
		return in.Attribute(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
	case "Fn::Sub":
		return sub(argument, in)
	}
	resolved, err := Resolve(argument, in)
	if err != nil {
		return nil, err
	}
	if name == "Fn::Join" {
		return join(resolved)
	}
	return in.Call(name, resolved)
}

// placeholder is ${Name}, ${Name.Attribute} or ${!Literal}.
var placeholder = regexp.MustCompile(`\$\{(!?)([^{}]*)\}`)

// sub fills in a text, given alone or in a pair with values for some of its placeholders.
func sub(argument any, in Scope) (any, error) {
	text, ok := argument.(string)
	values := map[string]any{}
	if list, isList := argument.([]any); isList && len(list) == 2 {
		text, ok = list[0].(string)
		values, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, errors.New("Fn::Sub: its argument is neither a text nor a text and values")
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		m := placeholder.FindStringSubmatch(p)
		name := strings.TrimSpace(m[2])
		if m[1] == "!" {
			return "${" + name + "}"
		}
		given, isGiven := values[name]
		id, attribute, isAttribute := strings.Cut(name, ".")
		var value any
		var err error
		switch {
		case isGiven:
			value, err = Resolve(given, in)
		case isAttribute:
			value, err = in.Attribute(id, attribute)
		default:
			value, err = in.Ref(name)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("Fn::Sub: %w", err))
		}
		return fmt.Sprint(value)
	})
	return filled, failed
}

// join joins a list of texts by a text.
func join(argument any) (any, error) {
	pair, _ := argument.([]any)
	if len(pair) != 2 {
		return nil, errors.New("Fn::Join: its argument is no pair")
	}
	separator, ok := pair[0].(string)
	items, isList := pair[1].([]any)
	if !ok || !isList {
		return nil, errors.New("Fn::Join: its argument is not a text and a list")
	}
	var list []string
	for _, item := range items {
		switch item.(type) {
		case string, json.Number, bool:
			list = append(list, fmt.Sprint(item))
		default:
			return nil, errors.New("Fn::Join: one of its values is no text")
		}
	}
	return strings.Join(list, separator), nil
}

// Select returns what the functions Fn::Select and Fn::Split give of a resolved argument.
func Select(name string, argument any) (any, error) {
	if name == "Fn::Split" {
		separator, ok := Within(argument, 0).(string)
		text, isText := Within(argument, 1).(string)
		if !ok || !isText {
			return nil, errors.New("Fn::Split: its argument is not a separator and a text")
		}
		var list []any
		for part := range strings.SplitSeq(text, separator) {
			list = append(list, part)
		}
		return list, nil
	}
	var index int
	if _, err := fmt.Sscan(fmt.Sprint(Within(argument, 0)), &index); err != nil {
		return nil, errors.New("Fn::Select: its index is no number")
	}
	item := Within(argument, 1, index)
	if item == nil {
		return nil, fmt.Errorf("Fn::Select: there is no item %d", index)
	}
	return item, nil
}
