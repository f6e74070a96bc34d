package doctor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/doctor"
	"sluice/lab/testenv"
)

// fault is a misconfiguration that is planted, and the check that has to find it.
type fault struct {
	what string
	want string // The id of the check.
	// also are the further checks that find it, too: there is no other, but for those that can then not look.
	also string
	bed  *bed // Where it is a fault of one target.
	// plant plants it where it is one of what all share, and returns what takes it away; or it does to a bed what its yaml cannot.
	plant func(t *testing.T, w *ward) (undo func())
	exam  exam
	// blind says that checks may be unable to look because of it.
	blind bool
}

// name is the target in whose bed the fault is.
func (f fault) name() string {
	if f.bed == nil {
		return clean
	}
	return f.want + suffix(f.what)
}

// suffix tells faults for the same check apart.
func suffix(what string) string {
	n := 0
	for _, c := range what {
		n = (n*31 + int(c)) % 9973
	}
	return fmt.Sprintf("-%d", n)
}

// verdict is how a fault came out.
type verdict struct {
	fault
	found []string // The ids of what found something.
	blind []string // The ids of what could not look.
	took  time.Duration
}

// judged says what a report makes of the fault: nothing if it is as it should be.
func (f fault) judged(r doctor.Report) (problem string, found, blind []string) {
	for _, x := range r.Findings {
		list := &found
		if x.Severity == doctor.Unchecked {
			list = &blind
		}
		if !slices.Contains(*list, x.ID) {
			*list = append(*list, x.ID)
		}
	}
	allowed := append(strings.Fields(f.also), f.want)
	extra := slices.DeleteFunc(slices.Clone(found), func(id string) bool { return slices.Contains(allowed, id) })
	switch {
	case !slices.Contains(found, f.want):
		problem = "NOT FOUND by " + f.want
	case len(extra) > 0:
		problem = "also found by " + strings.Join(extra, ", ")
	case len(blind) > 0 && !f.blind && (f.bed == nil || f.bed.tasks > 0):
		problem = "could not be looked at by " + strings.Join(blind, ", ")
	}
	return problem, found, blind
}

// TestPlanted plants faults one at a time, and has the doctor find each; and nothing where nothing was planted. Each is a real one: a
// Redis that wants a password, a worker with its remote control off, a task definition with `sh -c`.
func TestPlanted(t *testing.T) {
	server := testenv.RedisServer(t, "--databases", "100")
	beds := map[string]bed{clean: {tasks: 1, target: "min: 1", args: []string{"--heartbeat-interval", "1"}}}
	faults := planted(t, server)
	for _, f := range faults {
		if f.bed == nil {
			continue
		}
		if _, ok := beds[f.name()]; ok {
			t.Fatalf("two faults have the name %s", f.name())
		}
		beds[f.name()] = *f.bed
	}
	w := newWard(t, server, beds)
	began := time.Now()

	verdicts := make([]verdict, len(faults))
	examine := func(t *testing.T, i int) {
		f := faults[i]
		if b, ok := beds[f.name()]; ok && b.tasks > 0 {
			w.awaitWorkers(t, f.name(), b)
		}
		if f.plant != nil {
			undo := f.plant(t, w)
			defer undo()
		}
		x := f.exam
		x.targets = []string{f.name()}
		var facts *doctor.Facts
		v := verdict{fault: f}
		if err := settled(t, func() (problem string, report doctor.Report) {
			start := time.Now()
			facts = w.examine(t, x)
			v.took = time.Since(start)
			report = doctor.Judge(facts, doctor.Catalogue())
			problem, v.found, v.blind = f.judged(report)
			return problem, report
		}); err != nil {
			t.Errorf("%s: %v", f.what, err)
		}
		// A table that stays green whatever the check does would say nothing.
		if still, _, _ := f.judged(doctor.Judge(facts, without(f.want))); still == "" {
			t.Errorf("%s: the table does not see that %s finds nothing", f.what, f.want)
		}
		verdicts[i] = v
	}

	nothing := func(t *testing.T, when string) {
		w.awaitWorkers(t, clean, beds[clean])
		if err := settled(t, func() (problem string, report doctor.Report) {
			report = doctor.Judge(w.examine(t, exam{targets: []string{clean}, events: true, idleFor: time.Hour}), doctor.Catalogue())
			if len(report.Findings) > 0 || report.Fine() != len(doctor.Catalogue()) {
				problem = fmt.Sprintf("nothing was planted, and of %d checks %d are fine", len(doctor.Catalogue()), report.Fine())
			}
			return problem, report
		}); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	t.Run("clean", func(t *testing.T) { nothing(t, "at first") })
	t.Run("beds", func(t *testing.T) { // Each in a bed of its own, so that they may be looked at at the same time.
		for i, f := range faults {
			if f.bed != nil {
				t.Run(f.name(), func(t *testing.T) { t.Parallel(); examine(t, i) })
			}
		}
	})
	for i, f := range faults {
		if f.bed == nil {
			t.Run(f.want, func(t *testing.T) { examine(t, i) })
		}
	}
	t.Run("clean again", func(t *testing.T) { nothing(t, "at last") })
	writeTable(t, verdicts, time.Since(began))
}

// settled has the doctor look until there is no problem with what it says. On a busy machine a worker may not answer within its half
// second, and the doctor says so: it is right, and what was planted is there the next time, too.
func settled(t *testing.T, look func() (problem string, report doctor.Report)) error {
	t.Helper()
	return testenv.WaitFor(t.Context(), func() error {
		problem, report := look()
		if problem == "" {
			return nil
		}
		t.Logf("%s\n%s", problem, told(report))
		return errors.New(problem)
	})
}

// without is the catalogue with one check that finds nothing.
func without(id string) []doctor.Check {
	return slices.DeleteFunc(doctor.Catalogue(), func(c doctor.Check) bool { return c.ID == id })
}

// told is a report for the log of a test.
func told(r doctor.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		_, _ = fmt.Fprintf(&b, "  %s %s (%s): %s\n", f.Severity, f.ID, f.Subject, f.What)
	}
	return b.String()
}

// documented holds the table in docs/doctor.md to what was planted.
func documented(t *testing.T, verdicts []verdict) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "planted  ")
	table, _, _ = strings.Cut(table, "```")
	for _, v := range verdicts {
		if !strings.Contains(table, "\n"+fmt.Sprintf("%-52s %-24s %s", v.what, v.want, v.want)) {
			t.Errorf("docs/doctor.md has no row in its table for: %s", v.what)
		}
	}
}

// writeTable writes the table into the file that DOCTOR_TABLE names, or into the log.
func writeTable(t *testing.T, verdicts []verdict, took time.Duration) {
	var b strings.Builder
	row := func(cells ...any) { _, _ = fmt.Fprintf(&b, "%-52s %-24s %-26s %7s\n", cells...) }
	row("planted", "has to be found by", "found by", "seconds")
	n := 0
	for _, v := range verdicts {
		by := "NOT FOUND"
		if slices.Contains(v.found, v.want) {
			n++
			by = v.want
			if len(v.found) > 1 {
				by += fmt.Sprintf(" +%d", len(v.found)-1)
			}
		}
		row(v.what, v.want, by, fmt.Sprintf("%.1f", v.took.Seconds()))
	}
	documented(t, verdicts)
	_, _ = fmt.Fprintf(&b, "\n%d of %d found, in %.0f s; nothing found where nothing was planted\n", n, len(verdicts), took.Seconds())
	if path := os.Getenv("DOCTOR_TABLE"); path != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Log("\n" + b.String())
}
