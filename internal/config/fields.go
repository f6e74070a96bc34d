package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Section describes a mapping of the file: a Go struct type, with what the tags of its fields say. The schema and the
// reference page are made of it, and decoding follows it.
type Section struct {
	Type   reflect.Type
	Fields []Field
}

// Field describes one field of a Section.
type Field struct {
	Name     string // In the file.
	GoName   string
	Kind     Kind
	Required bool
	Default  string   // As written in the tag; empty if there is none.
	Min, Max string   // Bounds of the number or duration, or of the list's or mapping's length; empty if there is none.
	Pattern  *Pattern // Of the text, of each text of a list, of each key of a mapping; nil if there is none.
	Enum     []string
	Nested   *Section // Of a mapping or a list of mappings.

	index    int
	def      reflect.Value // The default, parsed; invalid if there is none.
	min, max float64       // The bounds, parsed: plain numbers, or nanoseconds.
}

// Kind is the form of a field's value, in the words of the reference page.
type Kind string

// The kinds of fields.
const (
	Text        Kind = "text"
	SecretText  Kind = "secret text"
	Count       Kind = "count"
	Number      Kind = "number"
	Switch      Kind = "true or false"
	Span        Kind = "duration"
	Mapping     Kind = "mapping"
	MappingList Kind = "list of mappings"
	TextList    Kind = "list of texts"
	CountList   Kind = "list of counts"
	TextByText  Kind = "mapping of texts"
)

// Root describes the file as a whole. It panics if the tags of a type make no sense, which any test shows.
var Root = sync.OnceValue(func() *Section { return describe(reflect.TypeFor[Config]()) })

// find returns the number of the field with this name, or -1.
func (s *Section) find(name string) int {
	return slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
}

func (s *Section) names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

func describe(t reflect.Type) *Section {
	s := &Section{Type: t}
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		s.Fields = append(s.Fields, describeField(sf, name, i))
	}
	return s
}

func describeField(sf reflect.StructField, name string, index int) Field {
	f := Field{
		Name: name, GoName: sf.Name, Kind: kindOf(sf.Type), index: index,
		Required: sf.Tag.Get("required") == "true",
		Default:  sf.Tag.Get("default"), Min: sf.Tag.Get("min"), Max: sf.Tag.Get("max"),
	}
	if p := sf.Tag.Get("pattern"); p != "" {
		pattern, ok := patterns[p]
		if !ok {
			panic(fmt.Sprintf("field %s: no pattern %q", name, p))
		}
		f.Pattern = &pattern
	}
	if enum := sf.Tag.Get("enum"); enum != "" {
		f.Enum = strings.Split(enum, ",")
	}
	switch f.Kind {
	case Mapping:
		t := sf.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		f.Nested = describe(t)
	case MappingList:
		f.Nested = describe(sf.Type.Elem())
	}
	f.min, f.max = f.bound(f.Min), f.bound(f.Max)
	if f.Default != "" {
		f.def = f.parseDefault(sf.Type)
	}
	return f
}

func kindOf(t reflect.Type) Kind {
	switch t {
	case reflect.TypeFor[string]():
		return Text
	case reflect.TypeFor[Secret]():
		return SecretText
	case reflect.TypeFor[int](), reflect.TypeFor[*int](): // The latter where 0 is not the same as none.
		return Count
	case reflect.TypeFor[float64]():
		return Number
	case reflect.TypeFor[bool]():
		return Switch
	case reflect.TypeFor[Duration]():
		return Span
	case reflect.TypeFor[[]string]():
		return TextList
	case reflect.TypeFor[[]int]():
		return CountList
	case reflect.TypeFor[map[string]string]():
		return TextByText
	}
	switch {
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return Mapping
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return MappingList
	}
	panic(fmt.Sprintf("type %s has no form in the file", t))
}

// bound parses a bound of the tag: a duration in nanoseconds, or a number.
func (f *Field) bound(s string) float64 {
	if s == "" {
		return 0
	}
	if f.Kind == Span {
		d, err := parseDuration(s)
		if err != nil {
			panic(fmt.Sprintf("field %s: %v", f.Name, err))
		}
		return float64(d)
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("field %s: %v", f.Name, err))
	}
	return n
}

func (f *Field) parseDefault(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	var err error
	switch f.Kind {
	case Text:
		v.SetString(f.Default)
	case Switch:
		v.SetBool(f.Default == "true")
	case Count:
		var n int
		n, err = strconv.Atoi(f.Default)
		v.SetInt(int64(n))
	case Number:
		var x float64
		x, err = strconv.ParseFloat(f.Default, 64)
		v.SetFloat(x)
	case Span:
		var d Duration
		d, err = parseDuration(f.Default)
		v.SetInt(int64(d))
	case CountList:
		for s := range strings.SplitSeq(f.Default, ",") {
			var n int
			if n, err = strconv.Atoi(s); err != nil {
				break
			}
			v.Set(reflect.Append(v, reflect.ValueOf(n)))
		}
	default:
		err = fmt.Errorf("a %s has no default", f.Kind)
	}
	if err != nil {
		panic(fmt.Sprintf("default of field %s: %v", f.Name, err))
	}
	return v
}

// fill sets the defaults of a whole section, nested mappings included.
func (s *Section) fill(v reflect.Value) {
	for i := range s.Fields {
		f := &s.Fields[i]
		switch {
		case f.Kind == Mapping && v.Field(f.index).Kind() == reflect.Struct:
			f.Nested.fill(v.Field(f.index))
		case f.Kind == CountList && f.def.IsValid():
			// Each value gets a list of its own: two brokers must not share one.
			v.Field(f.index).Set(reflect.AppendSlice(reflect.Zero(f.def.Type()), f.def))
		case f.def.IsValid():
			v.Field(f.index).Set(f.def)
		}
	}
}
