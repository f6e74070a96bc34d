package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/scaler"
)

// direction is which way of scaling is meant.
type direction struct{ in, out bool }

func (d *direction) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.in, "in", false, "only scaling in: no worker is let go")
	cmd.Flags().BoolVar(&d.out, "out", false, "only scaling out: no worker is started")
	cmd.MarkFlagsMutuallyExclusive("in", "out")
}

func pauseCommand() *cobra.Command {
	var d direction
	var lasting span
	var all bool
	var reason string
	cmd := &cobra.Command{
		Use:   "pause TARGET...",
		Short: "Stop scaling targets, for a time or until resumed",
		Long: "Stops all scaling of targets, or one direction of it: what runs goes on, and nothing is started or let go, by events or " +
			"sweeps. Decisions are still made and logged, with the reason `paused`, `paused-in` or `paused-out`.\n\n" +
			"It is done by tags of the ECS service, which the console shows: " + scaler.TagPaused + ", or " + scaler.TagPausedIn + " and " +
			scaler.TagPausedOut + ". With --for the pause ends by itself, whether this program runs or not. Pausing what is paused changes " +
			"its end only. `sluice resume` takes it back. Where sluice.yaml has one target its name may be left out.",
		Example:           "  sluice pause worker --for 2h --reason \"db migration\"\n  sluice pause worker mail --in\n  sluice pause --all",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !reasonable.MatchString(reason) {
				return misused("--reason: AWS takes up to 200 letters, digits, spaces and + - = . _ : / @ in a tag")
			}
			c, targets, err := orAll(cmd, args, all)
			if err != nil {
				return err
			}
			s, _, err := steer(cmd, c, targets, func(_ config.Target, tags map[string]string, now time.Time) (change, error) {
				return d.pause(tags, now, until(now, lasting), reason), nil
			})
			return s.report(cmd, err)
		},
	}
	d.add(cmd)
	cmd.Flags().Var(&lasting, "for", "how long, such as 90m, 2h or 3d; until resumed if it is left out")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever reads the tags")
	cmd.Flags().BoolVar(&all, "all", false, "all targets")
	return cmd
}

// reasonable is what ECS takes as a tag's value.
var reasonable = regexp.MustCompile(`^[\p{L}\p{N}\p{Z}+\-=._:/@]{0,200}$`)

// pause is the change that pauses until then.
func (d direction) pause(tags map[string]string, now, end time.Time, reason string) change {
	tag := scaler.TagPaused
	switch {
	case d.in:
		tag = scaler.TagPausedIn
	case d.out:
		tag = scaler.TagPausedOut
	}
	c := change{set: map[string]string{tag: scaler.TagValue("true", end)}}
	o := parsed(tags, now)
	switch {
	case reason != "":
		c.set[scaler.TagReason] = reason
	case !o.Paused && !o.PausedIn && !o.PausedOut:
		c.remove = append(c.remove, scaler.TagReason) // Of a pause that is over.
	}
	if tag != scaler.TagPaused && o.Paused {
		c.notes = append(c.notes, fmt.Sprintf("All scaling is paused already, by the tag %s (%s).", scaler.TagPaused, tagShown(tags, scaler.TagPaused, now)))
	}
	return c
}

func resumeCommand() *cobra.Command {
	var d direction
	var all bool
	cmd := &cobra.Command{
		Use:   "resume TARGET...",
		Short: "Let paused targets scale again",
		Long: "Takes back what `sluice pause` set, by removing its tags. With --in or --out only that direction scales again: where all scaling " +
			"is paused, the other direction stays paused, with the same end. A target that is not paused stays as it is. " +
			"Where sluice.yaml has one target its name may be left out.",
		Example:           "  sluice resume worker\n  sluice resume worker --out\n  sluice resume --all",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, targets, err := orAll(cmd, args, all)
			if err != nil {
				return err
			}
			s, _, err := steer(cmd, c, targets, func(_ config.Target, tags map[string]string, now time.Time) (change, error) {
				return d.resume(tags, now), nil
			})
			return s.report(cmd, err)
		},
	}
	d.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all targets")
	return cmd
}

// resume is the change that ends pauses.
func (d direction) resume(tags map[string]string, now time.Time) change {
	if !d.in && !d.out {
		return change{remove: []string{scaler.TagPaused, scaler.TagPausedIn, scaler.TagPausedOut, scaler.TagReason}}
	}
	mine, other := scaler.TagPausedIn, scaler.TagPausedOut
	if d.out {
		mine, other = other, mine
	}
	o := parsed(tags, now)
	c := change{remove: []string{scaler.TagPaused, mine}}
	otherPaused := o.PausedOut
	if d.out {
		otherPaused = o.PausedIn
	}
	switch {
	case o.Paused && (!otherPaused || later(o.Until[scaler.TagPaused], o.Until[other])):
		c.set = map[string]string{other: scaler.TagValue("true", o.Until[scaler.TagPaused])}
	case !o.Paused && !otherPaused:
		c.remove = append(c.remove, other, scaler.TagReason) // What is left of it is over.
	}
	return c
}

// later says whether an end comes after another. Zero is never, and so the latest.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// parsed reads the tags that do not depend on a target's limits.
func parsed(tags map[string]string, now time.Time) scaler.Overrides {
	return overrides(config.Target{}, tags, now)
}
