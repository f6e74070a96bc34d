package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder puts the values of a syntax tree into the Go types, and collects all that is wrong on the way.
type decoder struct {
	file     string
	root     ast.Node
	problems Problems
	bad      []string // The paths that have a problem, so that later checks do not complain of what follows from it.
}

func (d *decoder) problemf(n ast.Node, p *path, remedy, format string, args ...any) {
	line, column := place(n)
	field := p.String()
	d.problems = append(d.problems, Problem{
		File: d.file, Line: line, Column: column, Field: field, Message: fmt.Sprintf(format, args...), Remedy: remedy,
	})
	d.bad = append(d.bad, field)
}

// section decodes a mapping with fixed fields into the struct v.
func (d *decoder) section(n ast.Node, p *path, s *Section, v reflect.Value) {
	s.fill(v)
	if !isMapping(n) {
		d.problemf(n, p, "write fields, such as `"+s.Fields[0].Name+": ...`", "is %s, not a mapping", formOf(n))
		return
	}
	seen := make([]bool, len(s.Fields))
	for _, e := range entries(n) {
		if len(d.problems) > maxProblems {
			return // A hostile file may have a hundred thousand.
		}
		name := keyOf(e)
		i := s.find(name)
		if i < 0 {
			at := &path{up: p, name: label(name)}
			d.problemf(e.Key, at, didYouMean(name, s.names()), "unknown field")
			continue
		}
		f, at := &s.Fields[i], &path{up: p, name: name}
		if seen[i] {
			d.problemf(e.Key, at, "remove one of them", "is given twice")
			continue
		}
		seen[i] = true
		if !d.value(e.Value, at, f, v.Field(f.index)) && f.def.IsValid() {
			v.Field(f.index).Set(f.def)
		}
	}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.Required && !seen[i] {
			d.problemf(n, &path{up: p, name: f.Name}, "add "+f.example(), "is missing")
		}
	}
}

// example is how a field that is missing may look.
func (f *Field) example() string {
	switch f.Kind {
	case MappingList, TextList, CountList:
		return "`" + f.Name + ":` with at least one entry"
	case Count:
		return "`" + f.Name + ":` with a number from " + f.Min + " to " + f.Max
	case Span:
		return "`" + f.Name + ":` with a time from " + f.Min + " to " + f.Max
	}
	return "`" + f.Name + ":`: " + f.Pattern.Says
}

// value decodes one field. It reports whether v holds a valid value.
func (d *decoder) value(n ast.Node, p *path, f *Field, v reflect.Value) bool {
	if n == nil || n.Type() == ast.NullType {
		d.problemf(n, p, "give it a value, or remove the line", "is empty")
		return false
	}
	switch f.Kind {
	case Mapping:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		d.section(n, p, f.Nested, v)
		return true
	case MappingList:
		return d.list(n, p, f, v, func(n ast.Node, p *path, v reflect.Value) { d.section(n, p, f.Nested, v) })
	case TextList:
		return d.list(n, p, f, v, func(n ast.Node, p *path, v reflect.Value) { d.text(n, p, f, v) })
	case CountList:
		v.SetZero()
		return d.list(n, p, f, v, func(n ast.Node, p *path, v reflect.Value) {
			if i, ok := d.integer(n, p); ok {
				v.SetInt(int64(i))
			}
		})
	case TextByText:
		return d.texts(n, p, f, v)
	case Text, SecretText:
		return d.text(n, p, f, v)
	case Switch:
		return d.boolean(n, p, v)
	case Span:
		return d.duration(n, p, f, v)
	case Count:
		i, ok := d.integer(n, p)
		ok = ok && d.bounded(n, p, f, float64(i), strconv.Itoa(i))
		if ok && v.Kind() == reflect.Pointer {
			v.Set(reflect.ValueOf(&i))
		} else if ok {
			v.SetInt(int64(i))
		}
		return ok
	case Number:
		return d.number(n, p, f, v)
	}
	panic("unknown kind of field " + string(f.Kind))
}

func (d *decoder) list(n ast.Node, p *path, f *Field, v reflect.Value, entry func(ast.Node, *path, reflect.Value)) bool {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problemf(n, p, "write a list, such as `[a, b]`, or lines that begin with `- `", "is %s, not a list", formOf(n))
		return false
	}
	if !d.counted(n, p, f, len(s.Values)) {
		return false
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, e := range s.Values {
		at := &path{up: p, index: i}
		if e == nil || e.Type() == ast.NullType {
			d.problemf(e, at, "give it a value, or remove the line", "is empty")
			continue
		}
		entry(e, at, v.Index(i))
	}
	return true
}

func (d *decoder) texts(n ast.Node, p *path, f *Field, v reflect.Value) bool {
	if !isMapping(n) {
		d.problemf(n, p, "write `NAME: value` lines", "is %s, not a mapping", formOf(n))
		return false
	}
	es := entries(n)
	if !d.counted(n, p, f, len(es)) {
		return false
	}
	m := make(map[string]string, len(es))
	value := reflect.New(reflect.TypeFor[string]()).Elem()
	for _, e := range es {
		name := keyOf(e)
		at := &path{up: p, name: label(name)}
		if _, ok := m[name]; ok {
			d.problemf(e.Key, at, "remove one of them", "is given twice")
			continue
		}
		if !f.Pattern.matches(name) {
			d.problemf(e.Key, at, "use "+f.Pattern.Says, "is no valid name")
		}
		m[name] = ""
		if d.text(e.Value, at, &Field{Kind: Text}, value) {
			m[name] = value.String()
		}
	}
	v.Set(reflect.ValueOf(m))
	return true
}

// counted checks the length of a list or mapping.
func (d *decoder) counted(n ast.Node, p *path, f *Field, length int) bool {
	switch {
	case float64(length) < f.min:
		d.problemf(n, p, "give at least "+f.Min, "has %d entries", length)
	case f.Max != "" && float64(length) > f.max:
		d.problemf(n, p, "give at most "+f.Max, "has %d entries", length)
	default:
		return true
	}
	return false
}

// bounded checks a number or duration, which the file writes as shown.
func (d *decoder) bounded(n ast.Node, p *path, f *Field, value float64, shown string) bool {
	if f.Enum != nil {
		if slices.Contains(f.Enum, shown) {
			return true
		}
		d.problemf(n, p, "use one of "+strings.Join(f.Enum, ", "), "%s is not known", shown)
		return false
	}
	if value >= f.min && value <= f.max {
		return true
	}
	remedy := "use " + f.Min + " to " + f.Max
	if f.Min == f.Max {
		remedy = "use " + f.Min
	}
	d.problemf(n, p, remedy, "%s is out of bounds", shown)
	return false
}

func (d *decoder) text(n ast.Node, p *path, f *Field, v reflect.Value) bool {
	s, ok := textOf(n)
	if !ok {
		remedy := "write one text"
		if _, scalar := n.(ast.ScalarNode); scalar && n.Type() != ast.NullType {
			remedy = "put it in quotes"
		}
		d.problemf(n, p, remedy, "is %s, not a text", formOf(n))
		return false
	}
	switch {
	case f.Kind == SecretText && s == "":
		d.problemf(n, p, "give it a value, or remove the line", "is empty")
	case strings.IndexByte(s, 0) >= 0:
		d.problemf(n, p, "remove it", "holds a NUL character")
	case f.Enum != nil && !slices.Contains(f.Enum, s):
		d.problemf(n, p, didYouMean(s, f.Enum), "%s is not known", quote(s))
	case f.Pattern != nil && !f.Pattern.matches(s):
		d.problemf(n, p, "use "+f.Pattern.Says, "%s is not valid", quote(s))
	default:
		v.SetString(s)
		return true
	}
	return false
}

func (d *decoder) boolean(n ast.Node, p *path, v reflect.Value) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.problemf(n, p, "write true or false, without quotes", "is %s, not true or false", formOf(n))
		return false
	}
	v.SetBool(b.Value)
	return true
}

func (d *decoder) duration(n ast.Node, p *path, f *Field, v reflect.Value) bool {
	s, ok := textOf(n)
	if !ok {
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			shown := n.GetToken().Value
			d.problemf(n, p, "add the unit, such as "+shorten(shown)+"s or "+shorten(shown)+"m", "is a bare number")
		default:
			d.problemf(n, p, "write it like 90s, 5m or 1h30m", "is %s, not a duration", formOf(n))
		}
		return false
	}
	span, err := parseDuration(s)
	if err != nil {
		d.problemf(n, p, "write it like 90s, 5m or 1h30m", "%s is not a duration with a unit", quote(s))
		return false
	}
	if !d.bounded(n, p, f, float64(span), span.String()) {
		return false
	}
	v.SetInt(int64(span))
	return true
}

func (d *decoder) integer(n ast.Node, p *path) (int, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		remedy := "write a whole number"
		if s, isText := textOf(n); isText {
			if _, err := strconv.Atoi(s); err == nil {
				remedy = "remove the quotes"
			}
		}
		d.problemf(n, p, remedy, "is %s, not a whole number", formOf(n))
		return 0, false
	}
	switch value := i.Value.(type) {
	case int64:
		return int(value), true
	case uint64:
		if value <= math.MaxInt {
			return int(value), true
		}
	}
	d.problemf(n, p, "write a smaller number", "is too large a number")
	return 0, false
}

func (d *decoder) number(n ast.Node, p *path, f *Field, v reflect.Value) bool {
	var value float64
	switch n := n.(type) {
	case *ast.FloatNode:
		value = n.Value
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case int64:
			value = float64(i)
		case uint64:
			value = float64(i)
		}
	default:
		d.problemf(n, p, "write a number, such as 0.5", "is %s, not a number", formOf(n))
		return false
	}
	if !d.bounded(n, p, f, value, strconv.FormatFloat(value, 'g', -1, 64)) {
		return false
	}
	v.SetFloat(value)
	return true
}
