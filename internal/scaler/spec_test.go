package scaler

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"sluice/internal/policy"
)

// TestTheSpecNamesWhatExists holds docs/design/0008-scale-in.md and 0012-drain.md, which say of each step of their argument what fails
// without it, against the tests and the planted faults that there are.
func TestTheSpecNamesWhatExists(t *testing.T) {
	var spec []byte
	for _, name := range []string{"0008-scale-in.md", "0012-drain.md"} {
		part, err := os.ReadFile("../../docs/design/" + name)
		if err != nil {
			t.Fatal(err)
		}
		spec = append(spec, part...)
	}
	var tests []byte
	for _, pattern := range []string{"*_test.go", "../celery/*_test.go", "../policy/*_test.go", "../../lab/sim/broker/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s (%v)", pattern, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests = append(tests, text...)
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllSubmatch(spec, -1)
	for _, name := range names {
		if !regexp.MustCompile("func " + string(name[1]) + `\(`).Match(tests) {
			t.Errorf("there is no %s", name[1])
		}
	}
	mutants := regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`").FindAllSubmatch(spec, -1)
	for _, name := range mutants {
		if policy.Reason(name[1]).Sentence() != "" {
			continue
		}
		if _, err := os.Stat("../../lab/sim/mutants/planted/" + string(name[1]) + ".diff"); err != nil {
			t.Errorf("there is no planted fault %s", name[1])
		}
	}
	if len(names) < 8 || len(mutants) < 28 {
		t.Errorf("found %d tests and %d planted faults in the spec, which names more", len(names), len(mutants))
	}
}
