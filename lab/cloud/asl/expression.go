package asl

import (
	"fmt"
	"strings"
)

// parseExpression reads the value of a field that ends in ".$": a path or the call of an intrinsic function.
func parseExpression(text string, context bool) (node, error) {
	if strings.HasPrefix(text, "$") {
		return parseReference(text, context)
	}
	if !strings.HasPrefix(text, "States.") {
		return nil, fmt.Errorf("%q is neither a path nor an intrinsic function", text)
	}
	n, rest, err := parseCall(text, context)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q follows the intrinsic function", rest)
	}
	return n, err
}

func parseReference(text string, context bool) (node, error) {
	p, err := parsePath(text)
	if err != nil {
		return nil, err
	}
	if p.context {
		inItem := strings.HasPrefix(text, "$$.Map.Item.Value") || text == "$$.Map.Item.Index"
		if !context || !inItem {
			return nil, fmt.Errorf("path %q: this part of the context object is not supported here", text)
		}
	}
	return reference(p), nil
}

// parseCall reads `States.Name(argument, ...)` at the beginning of text, and gives what follows it.
func parseCall(text string, context bool) (node, string, error) {
	name, rest, ok := strings.Cut(text, "(")
	count, known := functions[name]
	if !ok || !known {
		return nil, "", fmt.Errorf("the intrinsic function %q is not supported", name)
	}
	c := call{function: name}
	for {
		arg, after, err := parseArgument(strings.TrimLeft(rest, " "), context)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		c.args = append(c.args, arg)
		after = strings.TrimLeft(after, " ")
		if rest, ok = strings.CutPrefix(after, ","); ok {
			continue
		}
		if rest, ok = strings.CutPrefix(after, ")"); !ok {
			return nil, "", fmt.Errorf("%s: %q is neither a comma nor the closing bracket", name, after)
		}
		break
	}
	if len(c.args) != count {
		return nil, "", fmt.Errorf("%s takes %d arguments, not %d", name, count, len(c.args))
	}
	return c, rest, nil
}

// parseArgument reads a path, a plain word (true, false, null, a number) or a call.
func parseArgument(text string, context bool) (node, string, error) {
	if strings.HasPrefix(text, "States.") {
		return parseCall(text, context)
	}
	end := strings.IndexAny(text, ",)")
	if end < 0 {
		end = len(text)
	}
	word, rest := strings.TrimRight(text[:end], " "), text[end:]
	if strings.HasPrefix(word, "$") {
		n, err := parseReference(word, context)
		return n, rest, err
	}
	v, err := decode([]byte(word))
	switch v.(type) {
	case map[string]any, []any, string:
		err = fmt.Errorf("no plain word")
	}
	if err != nil {
		return nil, "", fmt.Errorf("argument %q is not supported", word)
	}
	return literal{v}, rest, nil
}
