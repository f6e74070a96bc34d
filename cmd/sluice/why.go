package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/deployed"
	"sluice/internal/deployed/decisions"
	"sluice/internal/scaler"
)

// whyFlags are the flags of `sluice why`.
type whyFlags struct {
	since span
	via   via
}

func whyCommand() *cobra.Command {
	f := whyFlags{since: span(time.Hour)}
	cmd := &cobra.Command{
		Use:   "why TARGET",
		Short: "Tell why a target has the workers that it has",
		Long: "Looks at the target now and tells what a sweep would decide and why, from which numbers, and what would have to change for " +
			"another decision. Then it tells the decisions since then, newest first, from the log of decisions: each with its reasons in " +
			"plain words and the numbers that it rested on. Equal ones that follow each other are told once.\n\n" +
			"The word in parentheses is the reason as it stands in logs, metrics and the README's table.\n\n" +
			viaHelp + "\n\n" +
			"Exit status: 1 if the target or the log of decisions could not be read. What could be is told all the same.",
		Example:           "  sluice why video\n  sluice why video --since 2d\n  sluice why video -o json | jq '.log[].decision'",
		Args:              oneTarget,
		ValidArgsFunction: completeTargets(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, named, err := targets(cmd, args)
			if err != nil {
				return err
			}
			l, err := newLive(cmd, c, f.via)
			if err != nil {
				return err
			}
			y, err := ask(cmd.Context(), l, named[0], time.Duration(f.since))
			if err != nil {
				return err
			}
			if err := print(cmd, y, y.text); err != nil {
				return err
			}
			if y.Now == nil || y.LogError != "" || unseen(*y.Now) {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().Var(&f.since, "since", "how far to look back, such as 90m or 2d")
	addVia(cmd, &f.via)
	return cmd
}

// why is what is known of a target's decisions.
type why struct {
	Target    string             `json:"target"`
	At        time.Time          `json:"at"`
	Since     time.Time          `json:"since"`
	Now       *scaler.TargetPlan `json:"now"` // What a sweep would decide; null if nobody could look.
	LookError string             `json:"look_error,omitempty"`
	Log       []logged           `json:"log"` // Oldest first.
	LogError  string             `json:"log_error,omitempty"`
	Note      string             `json:"note,omitempty"`

	settle time.Duration
	per    int // messages_per_worker
}

// logged is a line of the log of decisions: a decision, or what came of one.
type logged struct {
	At         time.Time      `json:"at"`
	Function   string         `json:"function"` // scaleout, check or scalein.
	Decision   *scaler.Record `json:"decision,omitempty"`
	Result     *scaler.Change `json:"result,omitempty"`
	Unreadable string         `json:"unreadable,omitempty"`
}

// ask looks at the target, and reads the log meanwhile.
func ask(ctx context.Context, l *live, t config.Target, since time.Duration) (why, error) {
	now := time.Now()
	y := why{Target: t.Name, At: now, Since: now.Add(-since), Log: []logged{}, settle: t.Settle.Std(), per: t.MessagesPerWorker}
	done := make(chan error)
	go func() {
		stack, err := l.find(ctx)
		if err == nil {
			y.Log, err = readDecisions(ctx, stack, l.logs(), t.Name, y.Since, now.Add(time.Minute))
		}
		done <- err
	}()
	p, note, lookErr := l.plan(ctx, scaler.PlanInput{Targets: []string{t.Name}, Close: true, Explain: true})
	logErr := <-done
	switch {
	case ctx.Err() != nil:
		return y, ctx.Err()
	case lookErr != nil && logErr != nil:
		return y, errors.Join(lookErr, logErr)
	case lookErr != nil:
		y.LookError = plainly(lookErr)
	default:
		y.Now, y.At, y.Note = &p.Targets[0], p.At, note
	}
	if logErr != nil {
		y.LogError = plainly(logErr)
	}
	return y, nil
}

func readDecisions(ctx context.Context, stack deployed.Stack, c decisions.Client, target string, since, until time.Time) ([]logged, error) {
	functions := map[string]string{stack.ScaleOut.Logs: "scaleout", stack.Check.Logs: "check", stack.ScaleIn.Logs: "scalein"}
	lines := []logged{}
	for e, err := range stack.Log(c).Records(ctx, decisions.Query{Since: since, Until: until, Targets: []string{target}}) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, logged{e.Time, functions[e.Group], e.Decision, e.Result, e.Unreadable})
	}
	return lines, nil
}
