package main

import (
	"bytes"
	"encoding/json"
	"io"
)

// record is a structured log line of a function.
type record map[string]any

// functionLog writes what the functions print to a file, and hands on their structured lines the moment they are printed:
// a decision is written down before its effect, and that is how it shall be seen.
type functionLog struct {
	file io.Writer
	tell func(record)
}

// Write takes one line, "function: {...}", as the local cloud writes them.
func (l *functionLog) Write(line []byte) (int, error) {
	if _, text, ok := bytes.Cut(line, []byte(": ")); ok {
		var r record
		if err := json.Unmarshal(text, &r); err == nil {
			l.tell(r)
		}
	}
	return l.file.Write(line)
}
