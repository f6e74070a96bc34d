package planted

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestLoad(t *testing.T) {
	got, err := Load(fstest.MapFS{
		"b.diff": {Data: []byte(`breaks: two things
by: somebody

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
		"a.diff":   {Data: []byte("breaks: one thing: it\n--- x.go\n@@\n-a\n+b\n")},
		"note.txt": {Data: []byte("no fault")},
	}, "breaks", "by")
	if err != nil {
		t.Fatal(err)
	}
	want := []Fault{
		{
			Name: "a", Head: map[string]string{"breaks": "one thing: it"},
			Hunks: []Hunk{{File: "x.go", Old: []string{"a"}, New: []string{"b"}}},
		},
		{Name: "b", Head: map[string]string{"breaks": "two things", "by": "somebody"}, Hunks: []Hunk{
			{File: "a/x.go", Old: []string{"\tif a {", "\t\tb()", "", "\t}"}, New: []string{"\tif a {", "\t\tc()", "\t\td()", "", "\t}"}},
			{File: "a/x.go", Old: []string{"\te()"}},
			{File: "y.json", Old: []string{`{ "a": 1 }`}, New: []string{`{ "a": 2 }`}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	const head = "breaks: it\n"
	for _, tt := range []struct{ name, text, want string }{
		{"a field that means nothing", "brakes: it\n", `line 1: "brakes: it" is none of breaks, by`},
		{"a change without a file", head + "@@\n-x\n", `line 2: "@@" is none of breaks, by`},
		{"a line outside a change", head + "--- a\n-x\n", `line 3: "-x" stands in no change: is its @@ missing?`},
		{"a line of no kind", head + "--- a\n@@\nx\n", `line 4: "x" begins with none of space, - and +`},
		{"nowhere in particular", head + "--- a\n@@\n+x\n", "a change of a does not say where: it has no old lines"},
		{"the same again", head + "--- a\n@@\n x\n", "a change of a changes nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"m.diff": {Data: []byte(tt.text)}}, "breaks", "by")
			if want := "read planted fault m.diff: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	if _, err := Load(fstest.MapFS{}); err == nil || err.Error() != "read planted faults: there are none" {
		t.Errorf("error %v", err)
	}
}

func TestApply(t *testing.T) {
	h := Hunk{File: "x", Old: []string{"b", "c"}, New: []string{"B"}}
	if got, err := h.Apply("a\nb\nc\nd"); err != nil || got != "a\nB\nd" {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{
		"a\nb\nd":        `the old lines do not stand there: "b\nc"`,
		"b\nc\nb\nc\n":   `the old lines stand there twice, in lines 1 and 3: "b"`,
		"bb\nc\nb\n c\n": "do not stand there",
	} {
		if got, err := h.Apply(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Apply(%q) = %q, %v; want %s", text, got, err, want)
		}
	}
}
