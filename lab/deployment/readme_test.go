package deployment

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheTableOfTheReadme holds the table of IAM actions in the README to what the functions need under a configuration that uses
// everything.
func TestTheTableOfTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "| role | IAM actions | on |\n| --- | --- | --- |\n")
	if !found {
		t.Fatal("the README has no such table any more")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	titles := map[string]string{"ScaleOut": ScaleOut, "Check": Check, "ScaleIn": ScaleIn, "Notify": Notify}
	said := map[string]map[string]bool{ScaleOut: {}, Check: {}, ScaleIn: {}, Notify: {}}
	action := regexp.MustCompile("`([a-z0-9]+:[A-Z][A-Za-z]+)`")
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, " | ")
		for title, function := range titles {
			if strings.Contains(cells[0], title) || function != Notify && strings.Contains(cells[0], "all three functions") {
				for _, m := range action.FindAllStringSubmatch(cells[1], -1) {
					said[function][m[1]] = true
				}
			}
		}
	}
	_, c := fixture(t)
	// Not those for network interfaces, which it sums up.
	lambda := role{log: "l", deadLetters: "d", traced: true}.platform()
	for _, f := range Functions() {
		own, err := Needs(f, derive(t)[f], c)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, need := range slices.Concat(own, lambda) {
			want = append(want, need.Action)
		}
		if diff := cmp.Diff(set(want), slices.Sorted(maps.Keys(said[f]))); diff != "" {
			t.Errorf("%s: needed (-) and in the README (+):\n%s", f, diff)
		}
	}
}
