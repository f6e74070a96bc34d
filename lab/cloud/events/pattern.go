package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Pattern is a compiled event pattern: for a field of the envelope, the texts that it may be. An event matches if each field
// is one of its texts.
//
// It knows what Sluice's rule uses, the fields source and detail-type with exact texts, and refuses everything else, so that
// no rule matches other events here than in EventBridge.
type Pattern struct {
	fields map[string][]string
}

// ParsePattern compiles a pattern.
func ParsePattern(text []byte) (*Pattern, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("parse event pattern: %w", err)
	}
	if len(fields) == 0 {
		return nil, errors.New("parse event pattern: it names no field; name source or detail-type")
	}
	p := &Pattern{fields: map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		texts, err := parseField(name, fields[name])
		if err != nil {
			return nil, fmt.Errorf("parse event pattern: %q: %w", name, err)
		}
		p.fields[name] = texts
	}
	return p, nil
}

// parseField returns the texts that a field may be.
func parseField(name string, value json.RawMessage) ([]string, error) {
	if name != "source" && name != "detail-type" {
		return nil, errors.New("the local cloud matches source and detail-type only; leave it out")
	}
	var list []any
	if err := json.Unmarshal(value, &list); err != nil || len(list) == 0 {
		return nil, errors.New("give a list of one or more texts")
	}
	var texts []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			return nil, fmt.Errorf("the local cloud does not know the operator %s; list exact texts instead",
				slices.Sorted(maps.Keys(v)))
		default:
			return nil, fmt.Errorf("it may not be %v; list exact texts", v)
		}
	}
	return texts, nil
}

// Matches reports whether an event, given as JSON, matches the pattern. What is not JSON matches none.
func (p *Pattern) Matches(event []byte) bool {
	var e map[string]any
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	for name, texts := range p.fields {
		text, ok := e[name].(string)
		if !ok || !slices.Contains(texts, text) {
			return false
		}
	}
	return true
}
