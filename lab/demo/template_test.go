package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/lab/testenv"
)

func TestATemplateThatCannotBeRun(t *testing.T) {
	testenv.Python(t)
	missing := filepath.Join(t.TempDir(), "Sluice.template.json")
	var errs bytes.Buffer
	status := perform(t.Context(), options{root: testenv.Root(), template: missing, logs: t.TempDir(), plain: true}, os.Stdout, &errs)
	if want := "demo: read template " + missing + ": no such file or directory\n"; status != 1 || errs.String() != want {
		t.Errorf("exit status %d, %q; want %q", status, errs.String(), want)
	}
}

// A call that the template's roles do not allow breaks the demo, whatever comes of it.
func TestDeniedCallsBreakTheDemo(t *testing.T) {
	const call = "check: ecs:ListTasks on arn:x"
	s := judge(facts{denied: []string{call, call}})
	if want := "calls that the roles of the template do not allow: 2 (" + call + ")"; s.Denied != 2 || !strings.Contains(strings.Join(s.Broken, "\n"), want) {
		t.Errorf("%d denied, broken %q", s.Denied, s.Broken)
	}
	s.Template = "Sluice.template.json"
	var out bytes.Buffer
	s.print(&out)
	for _, want := range []string{"deployment                    Sluice.template.json", "calls denied by its roles     2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
