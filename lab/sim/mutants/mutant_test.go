package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/mutants"
)

func TestLoad(t *testing.T) {
	got, err := load(fstest.MapFS{
		"a.diff": {Data: []byte("seeds: 30\nbreaks: one thing\ninvariant: live\n--- x.go\n@@\n-a\n+b\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []mutant{{
		Name: "a", Breaks: "one thing", Invariant: "live", Seeds: 30,
		Hunks: []planted.Hunk{{File: "x.go", Old: []string{"a"}, New: []string{"b"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	const change = "--- a\n@@\n-x\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no words", "invariant: live\nseeds: 5\n" + change, "it does not say what it breaks"},
		{"no invariant", "breaks: it\nseeds: 5\n" + change, "it does not say which invariant has to break"},
		{"no bound", "breaks: it\ninvariant: live\n" + change, `seeds is ""`},
		{"a bound of none", "breaks: it\ninvariant: live\nseeds: 0\n" + change, `seeds is "0"`},
		{"a bound that is no number", "breaks: it\ninvariant: live\nseeds: few\n" + change, `seeds is "few"`},
		{"no change", "breaks: it\ninvariant: live\nseeds: 5\n", "it changes nothing"},
		{"a word that means nothing", "brakes: it\n", `"brakes: it" is none of breaks, invariant, seeds`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(fstest.MapFS{"m.diff": {Data: []byte(tt.text)}}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %s", err, tt.want)
			}
		})
	}
}

// Every planted fault has its place in the code of today. Whether the simulator finds it `make sim-mutants` tells.
func TestPlantedFaultsHaveTheirPlace(t *testing.T) {
	dir, err := fs.Sub(faults, "planted")
	if err != nil {
		t.Fatal(err)
	}
	all, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 15 {
		t.Errorf("%d faults are planted, and at least 15 were promised", len(all))
	}
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if _, err := (builder{root: root, dir: t.TempDir()}).plant(m); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		for _, h := range m.Hunks {
			if strings.Contains(h.File, "/sim/") || strings.HasSuffix(h.File, "_test.go") {
				t.Errorf("%s: %s is not production code", m.Name, h.File)
			}
		}
	}
}

// copyFake copies the fake simulator, with another text for one of its files.
func copyFake(t *testing.T, to, file, text string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS("testdata/fake")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
