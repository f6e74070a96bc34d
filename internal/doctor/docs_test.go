package doctor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/lab/testenv"
)

var update = flag.Bool("update", false, "write docs/doctor.md anew where it is generated")

// generated replaces the part of docs/doctor.md between two marks by what it has to be, or holds the one to the other.
func generated(t *testing.T, mark, want string) {
	t.Helper()
	path := filepath.Join(testenv.Root(), "docs", "doctor.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+mark+" -->\n", "<!-- end of "+mark+" -->"
	head, rest, ok := strings.Cut(string(text), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/doctor.md has no part %s", mark)
	}
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/doctor.md, %s: not current: go test ./internal/doctor -run TestDocs -update\n%s", mark, want)
	}
}

// TestDocsListTheChecks holds the list of checks in docs/doctor.md to the catalogue.
func TestDocsListTheChecks(t *testing.T) {
	var b strings.Builder
	var area Area
	for _, c := range Catalogue() {
		if c.Area != area {
			area = c.Area
			_, _ = fmt.Fprintf(&b, "\n### %s\n\n| id | | finds | why it matters | how to mend it |\n| --- | --- | --- | --- | --- |\n", area)
		}
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.ID, c.Severity, cell(c.Finds), cell(c.Why), cell(c.Mend))
	}
	generated(t, "checks", b.String()+"\n")
}

// TestDocsListTheRights holds the rights that docs/doctor.md lists to those that Gather knows to lack.
func TestDocsListTheRights(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`failed\("([a-z-]+:[A-Za-z]+)"`).FindAllStringSubmatch(string(source), -1) {
			actions = append(actions, m[1])
		}
	}
	// These are called by what the doctor shares with Sluice's own functions.
	actions = append(actions, "ecs:ListTasks", "ecs:DescribeTasks", "ecs:GetTaskProtection")
	slices.Sort(actions)
	generated(t, "rights", "\n`"+strings.Join(slices.Compact(actions), "`, `")+"`.\n\n")
}
