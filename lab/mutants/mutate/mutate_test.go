package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMutate runs the tests of the package in testdata, which say of themselves what they do not hold.
func TestMutate(t *testing.T) {
	const equivalent = `# A sum of nothing that is negative is what it is.
lab/mutants/mutate/testdata/tiny/tiny.go Sum: continue -> nothing

# These are wrong.
lab/mutants/mutate/testdata/tiny/tiny.go Fits: n >= 0 -> >
lab/mutants/mutate/testdata/tiny/tiny.go Gone: n >= 0 -> >
`
	var out strings.Builder
	o := options{packages: []string{"./testdata/tiny"}, only: func(string) bool { return true }, jobs: 2, under: time.Hour}
	fine, err := run(t.Context(), &out, o, equivalent)
	if err != nil || fine {
		t.Fatalf("fine: %v, %v", fine, err)
	}
	const file = "lab/mutants/mutate/testdata/tiny/tiny.go"
	said := strings.NewReplacer(file+":", "tiny.go:", file+" ", "").Replace(out.String())
	got := strings.Split(strings.TrimSpace(regexp.MustCompile(" +").ReplaceAllString(said, " ")), "\n")
	slices.Sort(got)
	want := []string{
		"",
		"found by TestTiny, though it stands in equivalent.txt\tFits: n >= 0 -> >",
		"lab/mutants/mutate/testdata/tiny 35 25 0 1 9",
		"no such fault, though it stands in equivalent.txt\tGone: n >= 0 -> >",
		"package made found (no end) equivalent left",
		"tiny.go:11 never reached\tconst: patience -> 0",
		"tiny.go:11 never reached\tconst: patience -> 200000000",
		"tiny.go:11 never reached\tconst: patience -> 20000000000",
		"tiny.go:18 never reached\tGrow: n < limit -> <=",
		"tiny.go:18 never reached\tGrow: paused -> false",
		"tiny.go:27 never reached\tSum: n < 0 -> <=",
		"tiny.go:27 noticed by none of 1 tests\tSum: 0 -> 1",
		"tiny.go:37 never reached\tWait: time.Sleep(patience) -> nothing",
		"tiny.go:44 noticed by none of 1 tests\tKind: case \"other\" -> never",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is said (-want +got):\n%s", diff)
	}
}

func TestReadEquivalent(t *testing.T) {
	got, err := readEquivalent("# one reason\na b: c -> d\ne f: g -> h\n\n# another\ni j: k -> l\n")
	want := map[string]string{"a b: c -> d": "one reason", "e f: g -> h": "one reason", "i j: k -> l": "another"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"a b: c -> d\n", "# why\n\na b: c -> d\n", "# why\na\na\n"} {
		if _, err := readEquivalent(text); err == nil {
			t.Errorf("%q is let pass", text)
		}
	}
}
