package main

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/config"
)

// mapping is a mapping of a configuration file, as it is printed. A value is a mapping, a list ([]any), a string,
// a config.Duration, an int, a float64 or a bool.
type mapping []entry

type entry struct {
	name  string
	value any
	note  string // Where the value is from, if not from the file.
}

// effective returns what a file comes to.
func effective(f *config.File) mapping {
	e := effect{file: f}
	return e.section(config.Root(), reflect.ValueOf(f.Config).Elem(), nil)
}

type effect struct{ file *config.File }

func (e effect) section(s *config.Section, v reflect.Value, at []any) (m mapping) {
	for i := range s.Fields {
		f := &s.Fields[i]
		field := v.FieldByName(f.GoName)
		if left(f, field) {
			continue
		}
		at := append(slices.Clip(at), f.Name)
		written := e.file.Has(at...)
		if f.Name == "ca_pem" && !written {
			continue // It was read from the ca_file, which stands beside it.
		}
		value, hidden := e.value(f, field, at)
		note := ""
		switch {
		case f.Nested != nil:
		case hidden:
			note = "the password is not shown"
		case written:
		case f.Name == "broker":
			note = "the only one"
		case f.Name == "messages_per_worker" && v.FieldByName("MaxWait").Int() > 0:
			note = "from max_wait, task_seconds and concurrency"
		default:
			note = "default"
		}
		m = append(m, entry{f.Name, value, note})
	}
	return m
}

// left says whether a field is left out of the file, and has no default either.
func left(f *config.Field, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		return false
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	}
	return f.Default == "" && v.IsZero()
}

func (e effect) value(f *config.Field, v reflect.Value, at []any) (value any, hidden bool) {
	switch f.Kind {
	case config.Mapping:
		return e.section(f.Nested, reflect.Indirect(v), at), false
	case config.MappingList:
		list := []any{}
		for i := range v.Len() {
			list = append(list, e.section(f.Nested, v.Index(i), append(slices.Clip(at), i)))
		}
		return list, false
	case config.TextList, config.CountList:
		list := []any{}
		for i := range v.Len() {
			item := v.Index(i).Interface()
			if text, ok := item.(string); ok && f.Name == "command" {
				shown := withoutPassword(text)
				hidden = hidden || shown != text
				item = shown
			}
			list = append(list, item)
		}
		return list, hidden
	case config.TextByText:
		texts := v.Interface().(map[string]string)
		m := mapping{}
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			item := entry{name: name, value: shownVariable(name, texts[name])}
			if item.value != texts[name] {
				item.note = "not shown"
			}
			m = append(m, item)
		}
		return m, false
	case config.SecretText:
		text := v.Interface().(config.Secret).Reveal()
		shown := withoutPassword(text)
		return shown, shown != text
	}
	return reflect.Indirect(v).Interface(), false
}

// redacted stands for what is not shown. It is a valid password of a URL.
const redacted = "redacted"

// userinfo is what stands before the host in a URL. A password with a raw / or @ in it is caught, too: a broker's URL has no other @.
var userinfo = regexp.MustCompile(`://\S*@`)

// withoutPassword hides the password of each URL in a text, and what stands in a password's place.
func withoutPassword(text string) string {
	return userinfo.ReplaceAllStringFunc(text, func(s string) string {
		user, _, ok := strings.Cut(strings.TrimPrefix(s, "://"), ":")
		if !ok {
			user = redacted // It may be a token.
		} else {
			user += ":" + redacted
		}
		return "://" + user + "@"
	})
}

// secretName is found in the names of environment variables that hold secrets.
var secretName = regexp.MustCompile(`(?i)passw|_pwd$|secret|token|credential|_key$|^key$|apikey`)

// shownVariable is what is shown of an environment variable's value.
func shownVariable(name, value string) string {
	if value != "" && secretName.MatchString(name) {
		return redacted
	}
	return withoutPassword(value)
}
