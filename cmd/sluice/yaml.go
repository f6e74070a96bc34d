package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// printYAML writes the value, which is an object in JSON, as YAML: what its JSON says, with the fields in the same order.
func printYAML(out io.Writer, value any) error {
	var text bytes.Buffer
	if err := printJSON(&text, value, ""); err != nil {
		return err
	}
	d := json.NewDecoder(&text)
	d.UseNumber()
	v, err := ordered(d)
	if err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	_, err = io.WriteString(out, v.(mapping).yaml())
	return err
}

// ordered reads the next JSON value. Objects become mappings, which keep their order.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil || t != json.Delim('{') && t != json.Delim('[') {
		return t, err
	}
	m, list := mapping{}, []any{}
	for d.More() {
		var e entry
		if t == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			e.name = name.(string)
		}
		if e.value, err = ordered(d); err != nil {
			return nil, err
		}
		m, list = append(m, e), append(list, e.value)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if t == json.Delim('{') {
		return m, nil
	}
	return list, nil
}
