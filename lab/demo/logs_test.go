package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTailsShowsTheEndOfEachLog(t *testing.T) {
	dir := t.TempDir()
	var long strings.Builder
	for i := range 20 {
		_, _ = fmt.Fprintf(&long, "line %d\n", i)
	}
	for name, text := range map[string]string{"a.log": long.String(), "b.log": "one\n", "other": "not a log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	tails(&out, dir)
	var want strings.Builder
	_, _ = fmt.Fprintf(&want, "== %s\n", filepath.Join(dir, "a.log"))
	for i := range 12 {
		_, _ = fmt.Fprintf(&want, "line %d\n", 8+i)
	}
	_, _ = fmt.Fprintf(&want, "== %s\none\n", filepath.Join(dir, "b.log"))
	if out.String() != want.String() {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want.String())
	}
}
