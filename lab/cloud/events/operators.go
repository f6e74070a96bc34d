package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parseMatcher compiles one element of a field's list: a literal, or an object with one operator.
func parseMatcher(v any) (matcher, error) {
	switch v := v.(type) {
	case nil, bool, string, json.Number:
		// Numbers are compared as they are written: the documentation says that 300, 300.0 and 3.0e2 are not equal.
		return func(x any) bool { return x == v }, nil
	case map[string]any:
		if len(v) != 1 {
			return nil, errors.New("only one operator is allowed in a match expression")
		}
		for name, argument := range v {
			m, err := parseOperator(name, argument)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return m, nil
		}
	}
	return nil, errors.New("a match expression is a string, a number, true, false, null or an operator")
}

func parseOperator(name string, argument any) (matcher, error) {
	switch name {
	case "exists":
		want, ok := argument.(bool)
		if !ok {
			return nil, errors.New("its argument is true or false")
		}
		return func(x any) bool { return (x != absent{}) == want }, nil
	case "anything-but":
		return parseAnythingBut(argument)
	case "numeric":
		return parseNumeric(argument)
	case "cidr":
		return parseCIDR(argument)
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return parseText(name, argument)
	}
	return nil, errors.New("there is no such operator")
}

// parseText compiles an operator on strings. prefix and suffix also take {"equals-ignore-case": s}.
func parseText(name string, argument any) (matcher, error) {
	if nested, ok := argument.(map[string]any); ok && (name == "prefix" || name == "suffix") && len(nested) == 1 {
		s, ok := nested["equals-ignore-case"].(string)
		if !ok {
			return nil, errors.New(`its argument is a string or {"equals-ignore-case": a string}`)
		}
		return onText(func(x string) bool { return affix(name, strings.ToLower(x), strings.ToLower(s)) }), nil
	}
	s, ok := argument.(string)
	if !ok {
		return nil, errors.New("its argument is a string")
	}
	switch name {
	case "equals-ignore-case":
		return onText(func(x string) bool { return strings.EqualFold(x, s) }), nil
	case "wildcard":
		parts, err := parseWildcard(s)
		if err != nil {
			return nil, err
		}
		return onText(func(x string) bool { return matchWildcard(parts, x) }), nil
	}
	return onText(func(x string) bool { return affix(name, x, s) }), nil
}

func onText(f func(string) bool) matcher {
	return func(x any) bool {
		s, ok := x.(string)
		return ok && f(s)
	}
}

func affix(name, x, s string) bool {
	if name == "prefix" {
		return strings.HasPrefix(x, s)
	}
	return strings.HasSuffix(x, s)
}

// parseAnythingBut compiles anything-but: a literal, a list of literals, or one operator on strings with one string or a
// list. It matches every value that exists and is none of them.
func parseAnythingBut(argument any) (matcher, error) {
	var not []matcher
	add := func(m matcher, err error) error {
		not = append(not, m)
		return err
	}
	switch v := argument.(type) {
	case string, json.Number:
		if err := add(parseMatcher(v)); err != nil {
			return nil, err
		}
	case []any:
		if len(v) == 0 {
			return nil, errors.New("empty arrays are not allowed")
		}
		for _, e := range v {
			switch e.(type) {
			case string, json.Number:
			default:
				return nil, errors.New("its list holds strings or numbers")
			}
			if err := add(parseMatcher(e)); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if len(v) != 1 {
			return nil, errors.New("only one operator is allowed in it")
		}
		for name, inner := range v {
			switch name {
			case "prefix", "suffix", "equals-ignore-case", "wildcard":
			default:
				return nil, fmt.Errorf("it does not take the operator %s", name)
			}
			list, ok := inner.([]any)
			if !ok {
				list = []any{inner}
			}
			if len(list) == 0 {
				return nil, errors.New("empty arrays are not allowed")
			}
			for _, e := range list {
				if err := add(parseText(name, e)); err != nil {
					return nil, err
				}
			}
		}
	default:
		return nil, errors.New("its argument is a string, a number, a list of them, or an operator on strings")
	}
	return func(x any) bool {
		return x != absent{} && !slices.ContainsFunc(not, func(m matcher) bool { return m(x) })
	}, nil
}

// maxNumeric bounds the numbers that numeric compares: from -5e9 to 5e9, as documented.
const maxNumeric = 5e9

// parseNumeric compiles comparisons such as [">", 0, "<=", 5]: one, or a lower and an upper bound.
func parseNumeric(argument any) (matcher, error) {
	list, ok := argument.([]any)
	if !ok || (len(list) != 2 && len(list) != 4) {
		return nil, errors.New("its argument is a list of one or two comparisons")
	}
	var all []func(float64) bool
	for i := 0; i < len(list); i += 2 {
		op, _ := list[i].(string)
		number, ok := list[i+1].(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v is compared with something that is no number", list[i])
		}
		bound, err := number.Float64()
		if err != nil || bound < -maxNumeric || bound > maxNumeric {
			return nil, fmt.Errorf("%s is not between -5e9 and 5e9", number)
		}
		compare, ok := map[string]func(float64) bool{
			"<": func(x float64) bool { return x < bound }, "<=": func(x float64) bool { return x <= bound },
			"=": func(x float64) bool { return x == bound }, ">=": func(x float64) bool { return x >= bound },
			">": func(x float64) bool { return x > bound },
		}[op]
		if !ok {
			return nil, fmt.Errorf("there is no comparison %v", list[i])
		}
		all = append(all, compare)
	}
	return func(x any) bool {
		number, ok := x.(json.Number)
		if !ok {
			return false
		}
		value, err := number.Float64()
		if err != nil || value < -maxNumeric || value > maxNumeric {
			return false
		}
		for _, compare := range all {
			if !compare(value) {
				return false
			}
		}
		return true
	}, nil
}

func parseCIDR(argument any) (matcher, error) {
	s, ok := argument.(string)
	if !ok {
		return nil, errors.New("its argument is a string")
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no CIDR block", s)
	}
	return onText(func(x string) bool {
		addr, err := netip.ParseAddr(x)
		return err == nil && network.Contains(addr)
	}), nil
}

// parseWildcard splits a wildcard at its asterisks. \* is an asterisk and \\ a backslash.
func parseWildcard(s string) ([]string, error) {
	var parts []string
	var part strings.Builder
	star := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
			if i == len(s) || (s[i] != '*' && s[i] != '\\') {
				return nil, errors.New(`a backslash stands before * or \ only`)
			}
			part.WriteByte(s[i])
			star = false
		case c == '*' && star:
			return nil, errors.New("consecutive wildcard characters are not allowed")
		case c == '*':
			parts = append(parts, part.String())
			part.Reset()
			star = true
		default:
			part.WriteByte(c)
			star = false
		}
	}
	return append(parts, part.String()), nil
}

// matchWildcard says whether x is the parts with anything in between. The first place where a part fits is always good
// enough, so it takes linear time.
func matchWildcard(parts []string, x string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return x == first
	}
	rest, ok := strings.CutPrefix(x, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}
