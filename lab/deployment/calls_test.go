package deployment

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// derived are the calls of the code as it is.
var derived = sync.OnceValues(func() (map[string][]Call, error) { return Calls(root, nil) })

func derive(t *testing.T) map[string][]Call {
	t.Helper()
	calls, err := derived()
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

func operations(calls []Call) []string {
	var out []string
	for _, c := range calls {
		out = append(out, c.Operation)
	}
	return out
}

// TestTheLinkerAgrees holds what was derived against the binaries that ship.
func TestTheLinkerAgrees(t *testing.T) {
	t.Parallel()
	calls := derive(t)
	for _, f := range Functions() {
		bootstrap := filepath.Join(t.TempDir(), f)
		if err := Build(root, f, bootstrap); err != nil {
			t.Fatal(err)
		}
		linked, err := Linked(bootstrap)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(linked, operations(calls[f])); diff != "" {
			t.Errorf("%s: operations in its binary (-) and derived (+):\n%s", f, diff)
		}
		for _, c := range calls[f] {
			t.Logf("%s: %s\n      %s", f, c.Operation, strings.Join(c.Path, "\n      "))
		}
	}
}
