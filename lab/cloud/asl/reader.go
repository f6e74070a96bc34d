package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// reader collects what is wrong with a definition, so that one run shows all of it.
type reader struct{ errs []error }

func (r *reader) refuse(at, format string, args ...any) {
	if at == "" {
		at = "state machine"
	}
	r.errs = append(r.errs, fmt.Errorf("%s: "+format, append([]any{at}, args...)...))
}

// fields is a JSON object that is read field by field. What nobody has asked for in the end is unknown, and refused.
type fields struct {
	r    *reader
	path string
	raw  map[string]json.RawMessage
}

// object reads a JSON object. It refuses a name that occurs twice: which of the two counts, engines may differ on.
func (r *reader) object(at string, raw json.RawMessage) *fields {
	f := &fields{r: r, path: at, raw: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		r.refuse(at, "is no JSON object")
		return f
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			r.refuse(at, "is no JSON object: %v", err)
			return f
		}
		name := t.(string) // Within an object, the decoder gives nothing else here.
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			r.refuse(join(at, name), "is not JSON: %v", err)
			return f
		}
		if _, twice := f.raw[name]; twice {
			r.refuse(join(at, name), "occurs twice")
		}
		f.raw[name] = value
	}
	return f
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func (f *fields) take(name string) (json.RawMessage, bool) {
	raw, ok := f.raw[name]
	delete(f.raw, name)
	return raw, ok
}

func (f *fields) has(name string) bool {
	_, ok := f.raw[name]
	return ok
}

// names lists the fields that nobody has asked for yet.
func (f *fields) names() []string { return slices.Sorted(maps.Keys(f.raw)) }

// done refuses what is left.
func (f *fields) done() {
	for _, name := range f.names() {
		f.r.refuse(join(f.path, name), "is not supported here")
	}
}

// text reads a string; "" if there is none.
func (f *fields) text(name string) string {
	raw, ok := f.take(name)
	if !ok {
		return ""
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		f.r.refuse(join(f.path, name), "is no string")
		return ""
	}
	return *s
}

// need reads a string that must be there and not be empty.
func (f *fields) need(name string) string {
	if !f.has(name) {
		f.r.refuse(join(f.path, name), "is missing")
		return ""
	}
	before := len(f.r.errs)
	s := f.text(name)
	if s == "" && len(f.r.errs) == before {
		f.r.refuse(join(f.path, name), "is empty")
	}
	return s
}

// flag reads a boolean that must be there.
func (f *fields) flag(name string) bool {
	raw, _ := f.take(name)
	switch string(raw) {
	case "true":
		return true
	case "false":
		return false
	}
	f.r.refuse(join(f.path, name), "is neither true nor false")
	return false
}

// list reads an array; nil if there is none.
func (f *fields) list(name string) []json.RawMessage {
	raw, ok := f.take(name)
	if !ok {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		f.r.refuse(join(f.path, name), "is no list with something in it")
	}
	return list
}

// maxSeconds is the largest number of seconds that the language knows: about three years.
const maxSeconds = 99999999

// whole reads a whole number from least to maxSeconds, or gives the fallback if there is none.
func (f *fields) whole(name string, least, fallback int) int {
	raw, ok := f.take(name)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < least || n > maxSeconds {
		f.r.refuse(join(f.path, name), "is no whole number from %d to %d", least, maxSeconds)
		return fallback
	}
	return n
}

// seconds reads a duration in whole seconds; 0 if there is none.
func (f *fields) seconds(name string, least int) time.Duration {
	return time.Duration(f.whole(name, least, 0)) * time.Second
}

// jsonPath reads a path in the form that want allows; nil if there is none.
func (f *fields) jsonPath(name string, want func(path) error) *path {
	if !f.has(name) {
		return nil
	}
	before := len(f.r.errs)
	text := f.text(name)
	if len(f.r.errs) != before {
		return nil
	}
	p, err := parsePath(text)
	if err == nil {
		err = want(p)
	}
	if err != nil {
		f.r.refuse(join(f.path, name), "%v", err)
		return nil
	}
	return &p
}

// decode reads one JSON value, with its numbers as they are written.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}
