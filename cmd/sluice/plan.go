package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

func planCommand() *cobra.Command {
	var v via
	cmd := &cobra.Command{
		Use:   "plan [TARGET...]",
		Short: "Show what a sweep would do now, and do nothing",
		Long: "Looks at the targets as a sweep does, decides as it does, and shows what it would do. It changes nothing: no count, no tag, no " +
			"worker, no message, no log.\n\n" +
			"A sweep never lowers a count at once: `3 -> 1?` is what it would do if the target still looks so after its settle time.\n\n" +
			viaHelp + "\n\n" +
			"Exit status: 1 if a target could not be seen.",
		Example:           "  sluice plan\n  sluice plan video -o json",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, named, err := targets(cmd, args)
			if err != nil {
				return err
			}
			l, err := newLive(cmd, c, v)
			if err != nil {
				return err
			}
			names := make([]string, len(named))
			settle := map[string]time.Duration{}
			for i, t := range named {
				names[i] = t.Name
				settle[t.Name] = t.Settle.Std()
			}
			p, note, err := l.plan(cmd.Context(), scaler.PlanInput{Targets: names})
			if err != nil {
				return err
			}
			err = print(cmd, p, func(w *textWriter) {
				planText(w, p, settle)
				if note != "" {
					w.wrapped(0, "\n%s", note)
				}
			})
			for _, t := range p.Targets {
				if err == nil && unseen(t) {
					err = errReported
				}
			}
			return err
		},
	}
	addVia(cmd, &v)
	return cmd
}

// planText is a plan for people.
func planText(w *textWriter, p scaler.Plan, settle map[string]time.Duration) {
	table := w.table(
		column{title: "TARGET", names: true}, column{title: "A SWEEP WOULD"}, column{title: "WISH", right: true}, column{title: "ALLOWED", right: true},
		column{title: "BACKLOG", right: true}, column{title: "ACTIVE", right: true}, column{title: "HELD", right: true},
	)
	acts := 0
	for _, t := range p.Targets {
		r := t.Record
		table.row(r.Target, would(r), wished(r), fmt.Sprintf("%d..%d", r.Min, r.Max), shown(r.Backlog), shown(r.Active), shown(r.Held))
		if r.Action != policy.Hold {
			acts++
		}
		if !slices.Equal(r.Reasons, []policy.Reason{policy.ReasonSteady}) { // Of a hundred targets most are steady.
			table.note("%s", because(r, settle[r.Target]))
		}
		for _, trouble := range troubles(r) {
			table.note("%s", bad(trouble))
		}
	}
	table.end()
	w.line("")
	w.line("%s", fmt.Sprintf("A sweep would act on %d of %s. Nothing was done.", acts, count(len(p.Targets), "target")))
}

// wished is the workers that the work asks for: at least so many where not all of it is known.
func wished(r scaler.Record) string {
	switch unknown := r.Backlog == nil || r.Active == nil || r.Held == nil; {
	case unknown && r.Wish == 0:
		return "?"
	case unknown:
		return fmt.Sprintf(">=%d", r.Wish)
	}
	return fmt.Sprint(r.Wish)
}

// would is what a sweep would do.
func would(r scaler.Record) styled {
	what := outcome(r.Action, r.Current, r.Desired, r.Resume)
	switch {
	case r.Running == nil:
		return bad("hold")
	case r.Action == policy.Hold:
		return styled{text: fmt.Sprintf("hold at %d", r.Current)}
	case r.DryRun:
		return warn(what + " (dry run)")
	case r.Action == policy.ScaleOut:
		return good(what)
	}
	return warn(what)
}

// because is why, in a sentence for each reason.
func because(r scaler.Record, settle time.Duration) string {
	var why []string
	for _, reason := range r.Reasons {
		if reason == policy.ReasonSettle && r.Action == policy.Candidate {
			why = append(why, fmt.Sprintf("it has to stay so for the settle time of %v first (settle)", config.Duration(settle)))
			continue
		}
		why = append(why, fmt.Sprintf("%s (%s)", reason.Sentence(), reason))
	}
	return strings.Join(why, "; ")
}
