package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/scaler"
)

// setFlags are the flags of `sluice set`. A bound below zero is not given.
type setFlags struct {
	min, max int
	lasting  span
	clear    bool
}

func setCommand() *cobra.Command {
	f := setFlags{min: -1, max: -1}
	cmd := &cobra.Command{
		Use:   "set TARGET",
		Short: "Give a target other bounds, for a time or until cleared",
		Long: "Sets the fewest and the most tasks of a target, in place of what sluice.yaml and its windows say. A bound that is not given " +
			"stays as it is.\n\n" +
			"It is done by the tags " + scaler.TagMin + " and " + scaler.TagMax + " of the ECS service, which the console shows, and takes " +
			"effect with the next event or sweep. With --for the bounds end by themselves, whether this program runs or not. --clear removes " +
			"both tags. `--max 0` keeps every worker away, though messages wait: see also `sluice drain`.",
		Example:           "  sluice set worker --min 4 --max 20 --for 2h\n  sluice set worker --clear",
		Args:              oneTarget,
		ValidArgsFunction: completeTargets(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			c, targets, err := targets(cmd, args)
			if err != nil {
				return err
			}
			s, _, err := steer(cmd, c, targets, f.change)
			return s.report(cmd, err)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.min, "min", -1, "the fewest tasks, `N`")
	flags.IntVar(&f.max, "max", -1, "the most tasks, `N`")
	flags.Lookup("min").DefValue, flags.Lookup("max").DefValue = "0", "0" // Which the help leaves out.
	flags.Var(&f.lasting, "for", "how long, such as 90m, 2h or 3d; until cleared if it is left out")
	flags.BoolVar(&f.clear, "clear", false, "remove the bounds that were set")
	cmd.MarkFlagsOneRequired("min", "max", "clear")
	for _, name := range []string{"min", "max", "for"} {
		cmd.MarkFlagsMutuallyExclusive("clear", name)
	}
	return cmd
}

func (f setFlags) check(cmd *cobra.Command) error {
	const most = 5000 // That ECS runs in a service.
	for name, n := range map[string]int{"min": f.min, "max": f.max} {
		if cmd.Flags().Changed(name) && (n < 0 || n > most) {
			return misused("--%s: use 0 to %d", name, most)
		}
	}
	if f.min >= 0 && f.max >= 0 && f.min > f.max {
		return misused("--min %d is more than --max %d", f.min, f.max)
	}
	return nil
}

func (f setFlags) change(t config.Target, tags map[string]string, now time.Time) (change, error) {
	if f.clear {
		return change{remove: []string{scaler.TagMin, scaler.TagMax}}, nil
	}
	c := change{set: map[string]string{}}
	end := until(now, f.lasting)
	if f.min >= 0 {
		c.set[scaler.TagMin] = scaler.TagValue(strconv.Itoa(f.min), end)
	}
	if f.max >= 0 {
		c.set[scaler.TagMax] = scaler.TagValue(strconv.Itoa(f.max), end)
	}
	// A tag of before may be at odds with the new one: then neither would count.
	o := overrides(t, c.applied(tags), now)
	for _, problem := range o.Bad {
		for tag := range c.set {
			if strings.Contains(problem, tag) {
				return c, errors.New(problem + ": give both --min and --max, or --clear first")
			}
		}
	}
	switch least, most, _ := t.Bounds(now); {
	case f.min < 0 && o.Min == nil && o.Limits.Min < least:
		c.notes = append(c.notes, "The configured min gives way, too, as it is more than the max.")
	case f.max < 0 && o.Max == nil && o.Limits.Max > most:
		c.notes = append(c.notes, "The configured max is raised, too, as it is less than the min.")
	}
	return c, nil
}
