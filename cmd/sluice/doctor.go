package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/doctor"
)

// How long `sluice doctor` waits for what came of an event, and how long a target has to have had no work for its min to be worth a
// word.
const (
	doctorEventsWait = 30 * time.Second
	doctorIdleFor    = 6 * time.Hour
)

// doctorFlags are the flags of `sluice doctor`.
type doctorFlags struct {
	only                 []string
	list, strict, events bool
}

func doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [TARGET...]",
		Short: "Find what is wrong with the deployment before it hurts",
		Long: "Looks at all that Sluice rests on: the stack, the functions and what their roles allow, the rule, the schedules and the sweeps; " +
			"the ECS services and how their workers are started; each Redis, and the workers as they are heard. Of each thing that is wrong it " +
			"says what, why it matters, and how to mend it. --list shows all checks; docs/doctor.md tells of them.\n\n" +
			"What could not be looked at is told with its cause, and never taken for fine. Much of the workers can be seen only while one runs: " +
			"where none does, `sluice trigger` brings one up.\n\n" +
			"It changes nothing. With --events it also sends an event for the first target, with scale_to 0: that asks for nothing beyond what " +
			"the queue itself asks for, as a sweep does; and it waits for ScaleOut's decision in the log.\n\n" +
			"Exit status: 1 if a check failed, and with --strict also if one warns. Notes, and what could not be checked, leave it 0.",
		Example:           "  sluice doctor\n  sluice doctor video --strict\n  sluice doctor --only second-scaler,stop-timeout\n  sluice doctor -o json | jq '.findings[].id'",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE:              func(cmd *cobra.Command, args []string) error { return runDoctor(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.only, "only", nil, "run these checks only, by `id`")
	flags.BoolVar(&f.list, "list", false, "show all checks, and run none")
	flags.BoolVar(&f.strict, "strict", false, "warnings count as failures")
	flags.BoolVar(&f.events, "events", false, "send an event and see what comes of it")
	_ = cmd.RegisterFlagCompletionFunc("only", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var all []string
		for _, c := range doctor.Catalogue() {
			all = append(all, cobra.CompletionWithDesc(c.ID, c.Finds))
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// doctorReport is the form of a report for programs.
type doctorReport struct {
	doctor.Report
	Fine      int `json:"fine"` // How many checks found nothing.
	Failed    int `json:"failed"`
	Warned    int `json:"warned"`
	Noted     int `json:"noted"`
	Unchecked int `json:"unchecked"` // How many times something could not be looked at.
}

func runDoctor(cmd *cobra.Command, f doctorFlags, args []string) error {
	checks, err := chosen(f.only)
	if err != nil {
		return err
	}
	if f.list {
		return print(cmd, map[string]any{"checks": checks}, func(w *textWriter) { writeChecks(w, checks) })
	}
	c, named, err := targets(cmd, args)
	if err != nil {
		return err
	}
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return err
	}
	env, err := doctor.Outside(c, sdk, time.Now)
	if err != nil {
		return err
	}
	facts := doctor.Gather(cmd.Context(), env, doctor.Options{
		Config: c, Targets: named, Events: f.events, EventsWait: doctorEventsWait, IdleFor: doctorIdleFor,
	})
	if err := cmd.Context().Err(); err != nil {
		return err // What could not be asked any more says nothing.
	}
	r := doctor.Judge(facts, checks)
	report := doctorReport{r, r.Fine(), r.Count(doctor.Fail), r.Count(doctor.Warn), r.Count(doctor.Note), r.Count(doctor.Unchecked)}
	if err := print(cmd, report, func(w *textWriter) { writeReport(w, report) }); err != nil {
		return err
	}
	if r.Bad(f.strict) {
		return errReported
	}
	return nil
}

// chosen are the checks by these ids; all of them without any.
func chosen(ids []string) ([]doctor.Check, error) {
	all := doctor.Catalogue()
	if len(ids) == 0 {
		return all, nil
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(c doctor.Check) bool { return c.ID == id }) {
			return nil, misused("--only: there is no check %q: `sluice doctor --list` shows all", id)
		}
	}
	return slices.DeleteFunc(all, func(c doctor.Check) bool { return !slices.Contains(ids, c.ID) }), nil
}

// writeChecks writes the list of checks, by area.
func writeChecks(w *textWriter, checks []doctor.Check) {
	var area doctor.Area
	for _, c := range checks {
		if c.Area != area {
			if area != "" {
				w.line("")
			}
			area = c.Area
			w.line("%s", bold(strings.ToUpper(string(area))))
		}
		w.line("%-24s%s", c.ID, word(c.Severity))
		w.wrapped(2, "%s", c.Finds)
	}
}

// word is a severity in its colour.
func word(s doctor.Severity) styled {
	switch s {
	case doctor.Fail:
		return bad(string(s))
	case doctor.Warn:
		return warn(string(s))
	}
	return dim(string(s))
}

// writeReport writes what was found, and what could not be looked at together by its cause.
func writeReport(w *textWriter, r doctorReport) {
	type cause struct{ subject, what string }
	var causes []cause
	because := map[cause][]string{}
	for _, f := range r.Findings {
		if f.Severity == doctor.Unchecked {
			c := cause{f.Subject, f.What}
			if because[c] == nil {
				causes = append(causes, c)
			}
			because[c] = append(because[c], f.ID)
			continue
		}
		w.line("%s  %s  %s", word(f.Severity), bold(f.ID), f.Subject)
		w.wrapped(2, "%s", f.What)
		w.wrapped(2, "Why: %s.", f.Why)
		w.wrapped(2, "Mend: %s.", f.Mend)
		w.line("")
	}
	for _, c := range causes {
		w.line("%s  %s", word(doctor.Unchecked), c.subject)
		w.wrapped(2, "%s", c.what)
		w.wrapped(2, "Not checked: %s", strings.Join(because[c], ", "))
		w.line("")
	}
	sum := []any{good(fmt.Sprintf("%d fine", r.Fine))}
	for _, n := range []struct {
		n    int
		what string
		is   func(string) styled
	}{{r.Failed, "failed", bad}, {r.Warned, "warned", warn}, {r.Noted, "noted", dim}, {r.Unchecked, "times something could not be looked at", dim}} {
		if n.n > 0 {
			sum = append(sum, n.is(fmt.Sprintf("%d %s", n.n, n.what)))
		}
	}
	w.wrapped(0, count(r.Checked, "check")+": "+strings.Repeat(", %s", len(sum))[2:], sum...)
	if len(r.NotAsked) > 0 {
		w.wrapped(0, "Not run: %s (--events sends an event).", strings.Join(r.NotAsked, ", "))
	}
}
