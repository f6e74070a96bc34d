package main

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sluice/infra/verify/template"
	"sluice/lab/mutants"
)

// Every fault can be planted, in a variant that there is, and is to be found by a check that there is. `go run ./planted` then
// sees that it is found, which takes minutes.
func TestFaultsCanBePlanted(t *testing.T) {
	dir, err := fs.Sub(files, "faults")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	checks := []string{"compiler", "app", "cdk synth", "default rules", "cdk-nag", "permissions", "state language", "cfn-lint", twice}
	for _, c := range template.Checks {
		checks = append(checks, c.Name)
	}
	root, err := projectRoot()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{root: root, dir: t.TempDir()}
	for _, name := range functions {
		if err := l.buildBootstrap(t.Context(), l.bootstrapsDir()+"/"+name, name, "arm64"); err != nil {
			t.Fatal(err)
		}
	}
	by := map[string]bool{}
	for _, f := range faults {
		if !slices.Contains(checks, f.By) {
			t.Errorf("%s: there is no check %q", f.Name, f.By)
		}
		if _, err := l.plant(context.WithoutCancel(t.Context()), f); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		by[f.By] = true
	}
	// A check that never had to find anything may be blind.
	for _, c := range checks {
		if !by[c] {
			t.Errorf("no fault is planted for the check %q", c)
		}
	}
}

func TestLoad(t *testing.T) {
	const head = "breaks: something\nby: rule\nsays: no\n"
	load := func(text string) ([]fault, error) { return load(fstest.MapFS{"f.diff": {Data: []byte(text)}}) }
	got, err := load(head + "variant: example\nbootstraps: x86\n--- a/b.go\n@@\n-two\n+three\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []fault{{
		Name: "f", Breaks: "something", By: "rule", Says: "no", Variant: "example", Bootstraps: "x86",
		Hunks: []planted.Hunk{{File: "a/b.go", Old: []string{"two"}, New: []string{"three"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	for text, says := range map[string]string{
		"breaks: x\nby: y\n\n--- f\n@@\n-a\n": "does not say what it breaks",
		head:                                  "changes nothing",
		head + "nonsense: x\n--- f\n@@\n-a\n": "is none of breaks",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("load %q: %v, want it to say %q", text, err, says)
		}
	}
}

func TestVerdicts(t *testing.T) {
	found := []caught{{"logs", "logs: no retention"}, {"rule", "rule: no target"}}
	for want, r := range map[string]result{
		"clean":     {},
		"NOT CLEAN": {found: found},
		"found":     {by: "rule", says: "no target", found: found},
		"OTHERWISE": {by: "rule", says: "no retention", found: found},
		"NOT FOUND": {by: "rule", says: "no target"},
		"FAILED":    {by: "rule", says: "no target", found: found, err: context.Canceled},
	} {
		if got := r.verdict(); got != want {
			t.Errorf("verdict of %+v is %s, want %s", r, got, want)
		}
		if r.fine() != (want == "clean" || want == "found") {
			t.Errorf("%s is fine: %t", want, r.fine())
		}
	}
	if got := (result{by: "rule", found: found}).catchers(); got != "rule, logs" {
		t.Errorf("catchers are %s, want the one that had to first", got)
	}
}
