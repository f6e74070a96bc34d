package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// tailLines is how many lines of each log a broken run shows.
const tailLines = 12

// tails writes the last lines of each log in the directory, for who has to find out why a run came to no end.
func tails(w io.Writer, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		_, _ = fmt.Fprintf(w, "list the logs: %v\n", err)
		return
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			_, _ = fmt.Fprintf(w, "%v\n", err)
			continue
		}
		lines := bytes.Split(bytes.TrimRight(raw, "\n"), []byte("\n"))
		if len(lines) > tailLines {
			lines = lines[len(lines)-tailLines:]
		}
		_, _ = fmt.Fprintf(w, "== %s\n%s\n", path, bytes.Join(lines, []byte("\n")))
	}
}
