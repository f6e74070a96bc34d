package main

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/mutants"
)

// The fake simulator in testdata has one invariant and one rule that it rests on, so that each way in which a fault can turn
// out is one line here.
func TestSurvey(t *testing.T) {
	fault := func(name string, seeds int, file string, lines ...string) mutant {
		f, err := planted.Parse("--- " + file + "\n@@\n" + strings.Join(lines, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return mutant{Name: name, Breaks: "something", Invariant: "bounded", Seeds: seeds, Hunks: f.Hunks}
	}
	const rules = "rules/rules.go"
	tests := []struct {
		name  string
		fault mutant
		want  string // Of the columns verdict, fault, seeds, bound and invariant.
		note  string
		fine  bool
	}{
		{
			"found at once", fault("more", 5, rules, "-	return seed + more", "+	return seed + more + 1"),
			"found more 1 5 bounded", "", true,
		},
		{
			"found at the last seed of the bound", fault("seventh", 7, rules, " 	if seed == 7 {", "-		return seed", "+		return 100"),
			"found seventh 7 7 bounded", "", true,
		},
		{
			"a seed too late", fault("seventh", 6, rules, " 	if seed == 7 {", "-		return seed", "+		return 100"),
			"NOT FOUND seventh 6 bounded", "", false,
		},
		{
			"another invariant breaks first", fault("other", 9, rules, " 	if seed == 7 {", "-		return seed", "+		return 99", " 	}", " 	if seed == 9 {", "-		return seed", "+		return 1000"),
			"found other 9 9 bounded", "", true,
		},
		{
			"in an embedded file", fault("embedded", 3, "rules/extra.txt", "-10", "+12"),
			"found embedded 1 3 bounded", "", true,
		},
		{
			"the place is not there", fault("gone", 3, rules, "-	return seed + 1", "+	return seed + 2"),
			"FAILED gone 3 bounded", "the old lines do not stand there", false,
		},
		{
			"the place is there twice", fault("twice", 3, rules, "-		return seed", "+		return 99"),
			"FAILED twice 3 bounded", "stand there twice, in lines 20 and 23", false,
		},
		{
			"it does not compile", fault("broken", 3, rules, "-	return seed + more", "+	return more + \"1\""),
			"FAILED broken 3 bounded", "mismatched types", false,
		},
		{
			"the simulator does not run it", fault("elsewhere", 3, "unused/unused.go", "-const N = 1", "+const N = 2"),
			"FAILED elsewhere 3 bounded", errUntouched.Error(), false,
		},
		{
			"no such file", fault("nowhere", 3, "rules/nowhere.go", "-const N = 1", "+const N = 2"),
			"FAILED nowhere 3 bounded", "no such file", false,
		},
		{
			"the simulator itself fails", fault("panics", 3, "rules/extra.txt", "-10", "+ten"),
			"FAILED panics 3 bounded", "exit status 2", false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			fine := survey(t.Context(), &out, builder{root: "testdata/fake", sim: ".", dir: t.TempDir()}, []mutant{tt.fault}, 1, false)
			if fine != tt.fine {
				t.Errorf("fine is %t, want %t", fine, tt.fine)
			}
			rows := strings.Split(out.String(), "\n")
			if want := "clean the code as it is 2000"; !strings.HasPrefix(columns(rows[1]), want) {
				t.Errorf("the first row is %q, want %q", columns(rows[1]), want)
			}
			if !strings.HasPrefix(columns(rows[2])+" ", tt.want+" ") {
				t.Errorf("the second row is %q, want %q", columns(rows[2]), tt.want)
			}
			if !strings.Contains(out.String(), tt.note) {
				t.Errorf("no note says %q:\n%s", tt.note, out.String())
			}
		})
	}
}

// columns is a row without the spaces that line up its columns.
func columns(row string) string {
	return strings.TrimSpace(regexp.MustCompile(`  +`).ReplaceAllString(row, " "))
}

// A simulator that finds something in the code as it is proves nothing about faults.
func TestSurveyOfBrokenCode(t *testing.T) {
	var out strings.Builder
	fake := t.TempDir()
	copyFake(t, fake, "rules/extra.txt", "11\n")
	more := mutant{Name: "more", Breaks: "something", Invariant: "bounded", Seeds: 5000, Hunks: []planted.Hunk{{File: "rules/extra.txt", Old: []string{"11"}, New: []string{"12"}}}}
	if survey(context.Background(), &out, builder{root: fake, sim: ".", dir: t.TempDir()}, []mutant{more}, 2, true) {
		t.Error("all is said to be fine")
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, regexp.MustCompile(` \d+\.\ds| in \d+ s`).ReplaceAllString(columns(line), ""))
	}
	want := []string{
		"verdict fault seeds bound invariant took what the fault breaks",
		"BROKEN the code as it is 1 5000 bounded nothing was planted",
		"found more 1 5000 bounded something",
		"", "the code as it is, seed 1, bounded: it was too much", "first one", "then another",
		"", "more, seed 1, bounded: it was too much", "first one", "then another",
		"", "1 of 1 faults were found,",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the survey (-want +got):\n%s", diff)
	}
}
