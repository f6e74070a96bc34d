package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestLoad(t *testing.T) {
	got, err := load(fstest.MapFS{
		"b.diff": {Data: []byte(`breaks: two things
invariant: live
seeds: 30

--- a/x.go
@@
 	if a {
-		b()
+		c()
+		d()

 	}
@@
-	e()
--- y.json
@@
-{ "a": 1 }
+{ "a": 2 }
`)},
		"a.diff":   {Data: []byte("seeds: 1\nbreaks: one thing: it\ninvariant: live\n--- x.go\n@@\n-a\n+b\n")},
		"note.txt": {Data: []byte("no mutant")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []mutant{
		{Name: "a", Breaks: "one thing: it", Invariant: "live", Seeds: 1, Hunks: []hunk{{File: "x.go", Old: []string{"a"}, New: []string{"b"}}}},
		{Name: "b", Breaks: "two things", Invariant: "live", Seeds: 30, Hunks: []hunk{
			{File: "a/x.go", Old: []string{"\tif a {", "\t\tb()", "", "\t}"}, New: []string{"\tif a {", "\t\tc()", "\t\td()", "", "\t}"}},
			{File: "a/x.go", Old: []string{"\te()"}},
			{File: "y.json", Old: []string{`{ "a": 1 }`}, New: []string{`{ "a": 2 }`}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	const head = "breaks: it\ninvariant: live\nseeds: 5\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no words", "seeds: 5\n--- a\n@@\n-x\n", "it does not say what it breaks"},
		{"no invariant", "breaks: it\nseeds: 5\n--- a\n@@\n-x\n", "it does not say which invariant has to break"},
		{"no bound", "breaks: it\ninvariant: live\n--- a\n@@\n-x\n", "it does not say within how many seeds it has to be found"},
		{"a bound of none", "breaks: it\ninvariant: live\nseeds: 0\n--- a\n@@\n-x\n", "it does not say within how many seeds it has to be found"},
		{"a bound that is no number", "breaks: it\nseeds: few\n", `line 2: seeds: "few" is no number`},
		{"a word that means nothing", "brakes: it\n", `line 1: "brakes" is none of breaks, invariant and seeds`},
		{"no change", head, "it changes nothing"},
		{"a change without a file", head + "@@\n-x\n", `line 4: "@@" is none of breaks, invariant and seeds`},
		{"a line outside a change", head + "--- a\n-x\n", `line 5: "-x" stands in no change: is its @@ missing?`},
		{"a line of no kind", head + "--- a\n@@\nx\n", `line 6: "x" begins with none of space, - and +`},
		{"nowhere in particular", head + "--- a\n@@\n+x\n", "a change of a does not say where: it has no old lines"},
		{"the same again", head + "--- a\n@@\n x\n", "a change of a changes nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(fstest.MapFS{"m.diff": {Data: []byte(tt.text)}})
			if want := "read mutant m.diff: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	if _, err := load(fstest.MapFS{}); err == nil || err.Error() != "read mutants: there are none" {
		t.Errorf("error %v", err)
	}
}

// Every planted fault has its place in the code of today. Whether the simulator finds it `make sim-mutants` tells.
func TestPlantedFaultsHaveTheirPlace(t *testing.T) {
	dir, err := fs.Sub(planted, "planted")
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
