package runtime

import (
	"fmt"
	"math"
	"reflect"
	"sort"
	"strings"
	"time"
)

// encode turns an argument into JSON's terms. Objects of the CDK become {"$ref": id}, members of enums
// {"$enum": "type.MEMBER"}, times {"$date": ...} and Go maps {"$map": {...}}; structs of the API become plain objects.
func encode(v reflect.Value, name string) any {
	if !v.IsValid() {
		return nil
	}
	// Only these can be nothing: a nil slice or map is an empty one to jsii.
	if (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) && v.IsNil() {
		return nil
	}
	if v.CanInterface() {
		if t, ok := v.Interface().(Twin); ok {
			return map[string]any{"$ref": object(t)}
		}
		if t, ok := v.Interface().(time.Time); ok {
			return map[string]any{"$date": t.Format(time.RFC3339Nano)}
		}
		if v.Kind() == reflect.Pointer {
			if id, ok := pointers[v.Interface()]; ok {
				return map[string]any{"$ref": id}
			}
		}
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return encode(v.Elem(), name)
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		if e, ok := enums[v.Type()]; ok {
			return member(e, v.String(), name)
		}
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return number(v.Float(), name)
	case reflect.Slice, reflect.Array:
		list := []any{}
		for i := range v.Len() {
			list = append(list, encode(v.Index(i), fmt.Sprintf("%s[%d]", name, i)))
		}
		return list
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		entries := map[string]any{}
		for _, key := range v.MapKeys() {
			entries[key.String()] = encode(v.MapIndex(key), name+"."+key.String())
		}
		return map[string]any{"$map": entries}
	case reflect.Struct:
		if structs[v.Type()] != nil {
			return fields(v, name)
		}
	}
	panic(fmt.Sprintf("%s: %s: a %s cannot be passed to the CDK", caller(), name, v.Type()))
}

func fields(v reflect.Value, name string) any {
	object := map[string]any{}
	var missing []string
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if check := structs[v.Type()][field.Name]; check != nil {
			check(v.Field(i), name+"."+field.Name)
		}
		value := encode(v.Field(i), name+"."+field.Name)
		if value != nil {
			object[field.Tag.Get("json")] = value
		} else if field.Tag.Get("field") == "required" {
			missing = append(missing, name+"."+field.Name)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		panic(fmt.Sprintf("%s: %s: required, but not set", caller(), strings.Join(missing, ", ")))
	}
	return object
}

// member is nil for "": Go's zero value of an enum stands for one that was not set.
func member(e enum, m, name string) any {
	if m == "" {
		return nil
	}
	if !e.members[m] {
		panic(fmt.Sprintf("%s: %s: %s has no member %q", caller(), name, e.fqn, m))
	}
	return map[string]any{"$enum": e.fqn + "." + m}
}

func number(n float64, name string) any {
	bits := math.Float64bits(n)
	switch {
	case bits&numberMask == numberToken:
		return map[string]any{"$ref": int(bits &^ numberMask)}
	case math.IsInf(n, 0), math.IsNaN(n), math.Abs(n) > 1e280:
		panic(fmt.Sprintf("%s: %s: this number was computed from one that is known only at synthesis", caller(), name))
	}
	return n
}
