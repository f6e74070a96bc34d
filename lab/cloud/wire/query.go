package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decodeQuery reads a form into a struct. Its keys are paths, such as ContextEntries.member.1.ContextKeyName.
func decodeQuery(body []byte, into reflect.Value, strict bool) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	form.Del("Action")
	form.Del("Version")
	if err := formValue(form, "", into); err != nil {
		return err
	}
	for key := range form {
		if !strict {
			break
		}
		return fmt.Errorf("json: unknown field %q", key)
	}
	return nil
}

// formValue reads what is at the path, and removes it from the form.
func formValue(form url.Values, path string, into reflect.Value) error {
	text := form.Get(path)
	switch into.Kind() {
	case reflect.Struct:
		for i := range into.NumField() {
			field := into.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			name := field.Name
			if path != "" {
				name = path + "." + name
			}
			if err := formValue(form, name, into.Field(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		form.Del(path) // As an empty list is written.
		for n := 1; ; n++ {
			member := fmt.Sprintf("%s.member.%d", path, n)
			if !hasKey(form, member) {
				return nil
			}
			item := reflect.New(into.Type().Elem()).Elem()
			if err := formValue(form, member, item); err != nil {
				return err
			}
			into.Set(reflect.Append(into, item))
		}
	}
	if !form.Has(path) {
		return nil
	}
	form.Del(path)
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%s: %q is no number", path, text)
		}
		into.SetInt(int64(n))
	case reflect.Bool:
		into.SetBool(text == "true")
	default:
		panic("no way to read a form into " + into.Type().String())
	}
	return nil
}

func hasKey(form url.Values, path string) bool {
	return form.Has(path) || slices.ContainsFunc(slices.Collect(maps.Keys(form)), func(key string) bool {
		return strings.HasPrefix(key, path+".")
	})
}

// namespace is that of an answer in XML.
func (c Call) namespace() string {
	return "https://" + c.Service + ".amazonaws.com/doc/" + c.version + "/"
}

func encodeXML(operation, namespace, id string, result map[string]any) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="%s">`, operation, namespace)
	writeXML(&b, operation+"Result", result)
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", id, operation)
	return b.Bytes()
}

func encodeXMLError(namespace, id string, e *Error, status int) []byte {
	whose := "Sender"
	if status >= http.StatusInternalServerError {
		whose = "Receiver"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<ErrorResponse xmlns="%s">`, namespace)
	writeXML(&b, "Error", map[string]any{"Type": whose, "Code": e.Code, "Message": e.Message})
	fmt.Fprintf(&b, "<RequestId>%s</RequestId></ErrorResponse>", id)
	return b.Bytes()
}

// writeXML writes a value as an element. The items of a list are elements named member.
func writeXML(b *bytes.Buffer, name string, value any) {
	fmt.Fprintf(b, "<%s>", name)
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			writeXML(b, key, v[key])
		}
	case []any:
		for _, item := range v {
			writeXML(b, "member", item)
		}
	case time.Time:
		b.WriteString(v.UTC().Format("2006-01-02T15:04:05.000Z"))
	default:
		_ = xml.EscapeText(b, []byte(fmt.Sprint(v))) // A buffer takes everything.
	}
	fmt.Fprintf(b, "</%s>", name)
}
