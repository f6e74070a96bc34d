package runtime

import (
	"fmt"
	"reflect"
	"strings"
)

// A Check panics if a value, which is named in the message, is not of a type that the API takes. The real Go modules make
// these checks too, when a call is made, for parameters and fields of the type interface{} that take several types.
type Check func(v reflect.Value, name string)

// An Alternative is one of the types that a value may have, with what to check of such a value.
type Alternative struct {
	typ   reflect.Type
	check Check
}

// Is is the alternative T.
func Is[T any](check Check) Alternative { return Alternative{reflect.TypeFor[T](), check} }

// OneOf checks that a value has one of the types.
func OneOf(alternatives ...Alternative) Check {
	return func(v reflect.Value, name string) {
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if !v.IsValid() || v.Type() == reflect.TypeFor[*Object]() { // Not set, or of a type known only at synthesis.
			return
		}
		var names []string
		for _, a := range alternatives {
			if a.takes(v.Type()) {
				if a.check != nil {
					a.check(v, name)
				}
				return
			}
			names = append(names, a.typ.String())
		}
		panic(fmt.Sprintf("%s: %s must be one of the allowed types: %s; it is a %s",
			caller(), name, strings.Join(names, ", "), v.Type()))
	}
}

// takes allows a value for a pointer to it, and any number for a *float64.
func (a Alternative) takes(t reflect.Type) bool {
	if t == a.typ || a.typ.Kind() == reflect.Interface && t.Implements(a.typ) {
		return true
	}
	if a.typ == reflect.TypeFor[*float64]() {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return t.PkgPath() == "" && t.ConvertibleTo(reflect.TypeFor[float64]())
	}
	return a.typ.Kind() == reflect.Pointer && t == a.typ.Elem()
}

// Each checks the items of a list or a map.
func Each(item Check) Check {
	return func(v reflect.Value, name string) {
		v = reflect.Indirect(v)
		switch v.Kind() {
		case reflect.Slice:
			for i := range v.Len() {
				item(v.Index(i), fmt.Sprintf("%s[%d]", name, i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				item(v.MapIndex(key), name+"."+key.String())
			}
		}
	}
}
