package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/deployed"
	"sluice/internal/scaler"
	"sluice/internal/terminal"
)

// drainFlags are the flags of `sluice drain`.
type drainFlags struct {
	lasting span
	wait    bool
	timeout span
	poll    time.Duration // Between two looks.
}

func drainCommand() *cobra.Command {
	f := drainFlags{timeout: span(time.Hour), poll: 3 * time.Second}
	cmd := &cobra.Command{
		Use:   "drain TARGET",
		Short: "Let all workers of a target go, each when its work is done",
		Long: "Has the workers of a target fetch nothing more and lets each go when its work is done, though messages wait: before a " +
			"migration, say. No task is cut short, and no message is lost.\n\n" +
			"It sets the tag " + scaler.TagMax + " of the ECS service to 0, which keeps workers away until `sluice set TARGET --clear`, or " +
			"until the time of --for is over, and starts a sweep at once. A worker with long work is let go by a later sweep. --wait " +
			"shows the progress until no task is left; Ctrl-C ends the showing, and not the drain.",
		Example:           "  sluice drain worker --for 1h --wait\n  sluice set worker --clear",
		Args:              oneTarget,
		ValidArgsFunction: completeTargets(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.drain(cmd, args) },
	}
	flags := cmd.Flags()
	flags.Var(&f.lasting, "for", "how long no worker is to come back, such as 90m, 2h or 3d; until cleared if it is left out")
	flags.BoolVar(&f.wait, "wait", false, "wait until no task is left")
	flags.Var(&f.timeout, "timeout", "how long to wait at most")
	return cmd
}

// drained is what `sluice drain` did.
type drained struct {
	steering
	Sweep string `json:"sweep,omitempty"` // The ARN of the execution that was started.
	// With --wait: what is left.
	Left *tasksLeft `json:"left,omitempty"`
}

// tasksLeft is what a service has of tasks.
type tasksLeft struct {
	Desired int `json:"desired"`
	Running int `json:"running"`
	Pending int `json:"pending"`
}

func (l tasksLeft) none() bool { return l == tasksLeft{} }

func (l tasksLeft) String() string {
	s := fmt.Sprintf("%d running", l.Running)
	if l.Pending > 0 {
		s += fmt.Sprintf(", %d starting", l.Pending)
	}
	return fmt.Sprintf("%s, %d asked for", s, l.Desired)
}

func (f drainFlags) drain(cmd *cobra.Command, args []string) error {
	c, targets, err := targets(cmd, args)
	if err != nil {
		return err
	}
	t := targets[0]
	var d drained
	var client *ecs.Client
	if d.steering, client, err = steer(cmd, c, targets, f.change); err != nil {
		return d.report(cmd, err)
	}
	say := func(format string, args ...any) { // Progress is for people, and no part of the output.
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), terminal.Clean(terminal.Cut(fmt.Sprintf(format, args...), terminal.MostShown)))
	}
	states, execution, err := startSweep(cmd, c)
	d.Sweep = execution
	if err != nil {
		err = fmt.Errorf("the tag is set, so the next sweep drains the workers, at most %s from now; one at once could not be started: %w", c.Sweep.Every, err)
		return errors.Join(f.print(cmd, d, t), err)
	}
	var late error
	if f.wait {
		d.Left, late = f.await(cmd.Context(), client, states, execution, t, c.Sweep.Every, say)
	}
	if err := f.print(cmd, d, t); err != nil {
		return err
	}
	return late
}

// print prints what was done, and how to undo it.
func (f drainFlags) print(cmd *cobra.Command, d drained, t config.Target) error {
	return print(cmd, d, func(w *textWriter) {
		d.write(w)
		switch {
		case d.Left != nil && d.Left.none():
			w.line("%s", good("No task is left."))
		case d.Left != nil:
			w.line("Left: %s.", d.Left)
		case d.Sweep != "":
			w.wrapped(0, "A sweep has been started. `sluice status %s` shows how it goes on.", t.Name)
		}
		after := "after"
		if f.lasting > 0 {
			after = "when that time is over, or after"
		}
		w.wrapped(0, "Workers come back %s `sluice set %s --clear`.", after, t.Name)
	})
}

// change is what drains.
func (f drainFlags) change(t config.Target, tags map[string]string, now time.Time) (change, error) {
	o := overrides(t, tags, now)
	dry := t.DryRun
	if o.DryRun != nil {
		dry = *o.DryRun
	}
	switch {
	case o.Paused || o.PausedIn:
		return change{}, fmt.Errorf("is paused, so nothing would be let go: `sluice resume %s --in` first", t.Name)
	case dry:
		return change{}, fmt.Errorf("is in a dry run, so nothing would be let go: set dry_run to false, or the tag %s", scaler.TagDryRun)
	}
	// A min of a tag would be at odds with the max, and then neither counts.
	c := change{
		set:    map[string]string{scaler.TagMax: scaler.TagValue("0", until(now, f.lasting))},
		remove: []string{scaler.TagMin},
	}
	if t.Activity.Source != config.ActivityInspect {
		c.notes = append(c.notes, fmt.Sprintf("With activity %s nobody tells its workers to fetch nothing more: they are let go once no message waits.", t.Activity.Source))
	}
	if bad := overrides(t, c.applied(tags), now).Bad; len(bad) > 0 {
		return c, fmt.Errorf("nothing would be let go, as a tag of its service cannot be understood: %s", strings.Join(bad, "; "))
	}
	return c, nil
}

// startSweep starts a sweep over all targets, as the schedule does.
func startSweep(cmd *cobra.Command, c *config.Config) (*sfn.Client, string, error) {
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), steerLimit)
	defer cancel()
	stack, err := deployed.Find(ctx, cloudformation.NewFromConfig(sdk), c.Deploy.Stack)
	if err != nil {
		return nil, "", err
	}
	client := sfn.NewFromConfig(sdk)
	out, err := client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &stack.StateMachine, Input: aws.String("{}")})
	if err != nil {
		return nil, "", fmt.Errorf("start state machine %s: %w", stack.StateMachine, err)
	}
	return client, aws.ToString(out.ExecutionArn), nil
}

// await shows the progress of a drain until no task is left.
func (f drainFlags) await(
	ctx context.Context, client *ecs.Client, states *sfn.Client, execution string, t config.Target, every config.Duration, say func(string, ...any),
) (*tasksLeft, error) {
	until, cancel := context.WithTimeout(ctx, time.Duration(f.timeout))
	defer cancel()
	var left *tasksLeft
	sweeping := true
	for {
		found, err := services(until, client, []config.Target{t})
		if err == nil {
			now := tasksLeft{int(found[0].DesiredCount), int(found[0].RunningCount), int(found[0].PendingCount)}
			if left == nil || *left != now {
				say("%s  %s", time.Now().Format(time.TimeOnly), now)
			}
			if left = &now; now.none() {
				return left, nil
			}
			if sweeping {
				sweeping, err = f.sweepGoesOn(until, states, execution, every, say)
			}
		}
		if err != nil && until.Err() == nil {
			return left, err
		}
		select {
		case <-until.Done():
			say("The drain goes on without this program: `sluice status %s` shows how far it is.", t.Name)
			if err := ctx.Err(); err != nil {
				return left, err
			}
			return left, fmt.Errorf("target %s still has tasks after %s: a worker may have long work; `sluice why %s` tells", t.Name, config.Duration(f.timeout), t.Name)
		case <-time.After(f.poll):
		}
	}
}

// sweepGoesOn says whether the sweep still runs, and tells how it ended.
func (f drainFlags) sweepGoesOn(ctx context.Context, states *sfn.Client, execution string, every config.Duration, say func(string, ...any)) (bool, error) {
	out, err := states.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	switch {
	case err != nil:
		return true, fmt.Errorf("describe execution %s: %w", execution, err)
	case out.Status == types.ExecutionStatusRunning:
		return true, nil
	case out.Status == types.ExecutionStatusSucceeded:
		say("The sweep is done. Workers that still have work are let go by a later one, each %s.", every)
	default:
		say("The sweep ended as %s: %s. The next one tries again, within %s.", out.Status, causeOf(out), every)
	}
	return false, nil
}

// causeOf is why an execution failed, in one line.
func causeOf(out *sfn.DescribeExecutionOutput) string {
	cause := aws.ToString(out.Cause)
	var inner struct{ ErrorMessage string }
	if json.Unmarshal([]byte(cause), &inner) == nil && inner.ErrorMessage != "" {
		cause = inner.ErrorMessage
	}
	return cmp.Or(cause, aws.ToString(out.Error), "no cause is given")
}
