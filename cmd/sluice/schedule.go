package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/scaler"
)

func scheduleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schedule [TARGET...]",
		Short: "Show the windows: which are open, and what comes next",
		Long: "Shows the windows of targets: whether each is open, when it next opens (pre-warm included) and closes, in its own time zone and " +
			"in UTC, and the bounds that are in effect now, by sluice.yaml, its windows and the tags of the ECS service (`sluice set`).\n\n" +
			"Of the windows that are open, the first one that gives a bound decides it; a tag comes before any window. Without AWS " +
			"credentials the tags are unknown, and so are the bounds in effect.",
		Example:           "  sluice schedule\n  sluice schedule worker -o json",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, targets, err := targets(cmd, args)
			if err != nil {
				return err
			}
			return showSchedule(cmd, c, targets, len(args) > 0, time.Now())
		},
	}
}

// schedule is what `sluice schedule` shows.
type schedule struct {
	At      time.Time         `json:"at"`
	Targets []targetSchedule  `json:"targets"`
	Unknown map[string]string `json:"unknown,omitempty"` // Why tags are not known, by target.
}

// targetSchedule are the bounds of a target, and its windows.
type targetSchedule struct {
	Target     string           `json:"target"`
	Configured bounds           `json:"configured"` // By sluice.yaml, without windows.
	InEffect   *bounds          `json:"in_effect"`  // null where the tags are not known.
	By         []string         `json:"by"`         // The windows and tags that decide it.
	Windows    []windowSchedule `json:"windows"`
	Bad        []string         `json:"bad_tags,omitempty"`
}

// windowSchedule is a window and its times; a time that never comes is null.
type windowSchedule struct {
	Name     string     `json:"name"`
	Cron     string     `json:"cron"`
	TimeZone string     `json:"time_zone"`
	Min      *int       `json:"min"`
	Max      *int       `json:"max"`
	Open     bool       `json:"open"`
	Opens    *time.Time `json:"opens"` // Next, in the window's zone.
	Closes   *time.Time `json:"closes"`
}

func showSchedule(cmd *cobra.Command, c *config.Config, targets []config.Target, named bool, now time.Time) error {
	s := schedule{At: now.UTC(), Targets: []targetSchedule{}}
	tags, err := allTags(cmd, c, targets)
	if cmd.Context().Err() != nil {
		return cmd.Context().Err()
	}
	for i, t := range targets {
		one := scheduleOf(t, now)
		if i < len(tags) && tags[i] != nil {
			o := overrides(t, tags[i], now)
			one.InEffect, one.Bad, one.By = &bounds{o.Limits.Min, o.Limits.Max}, o.Bad, decidedBy(t, o, now)
		} else {
			s.note(t.Name, errorOf(t.Name, err))
		}
		s.Targets = append(s.Targets, one)
	}
	return print(cmd, s, func(w *textWriter) {
		without := 0
		for _, t := range s.Targets {
			if len(t.Windows) == 0 && !named && len(t.Bad) == 0 {
				without++
				continue
			}
			if w.b.Len() > 0 {
				w.line("")
			}
			t.print(w, now)
		}
		if without > 0 {
			if w.b.Len() > 0 {
				w.line("")
			}
			w.line("%s without windows.", count(without, "target"))
		}
		if err != nil {
			w.wrapped(0, "The bounds in effect are unknown, as the tags of the services are:")
			for line := range strings.Lines(plainly(err)) {
				w.wrapped(2, "%s", strings.TrimSpace(line))
			}
		}
	})
}

func (s *schedule) note(target string, err error) {
	if s.Unknown == nil {
		s.Unknown = map[string]string{}
	}
	s.Unknown[target] = err.Error()
}

// errorOf is what went wrong with the one target: of several errors its own.
func errorOf(target string, err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			if strings.HasPrefix(one.Error(), "target "+target+": ") {
				return one
			}
		}
	}
	return err
}

// allTags are the tags of the targets' services; nil of those that are not there, which the error names.
func allTags(cmd *cobra.Command, c *config.Config, targets []config.Target) ([]map[string]string, error) {
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), steerLimit)
	defer cancel()
	found, err := services(ctx, ecs.NewFromConfig(sdk), targets)
	tags := make([]map[string]string, len(found))
	for i, s := range found {
		if s.ServiceArn != nil {
			tags[i] = tagsOf(s)
		}
	}
	return tags, err
}

func scheduleOf(t config.Target, now time.Time) targetSchedule {
	s := targetSchedule{Target: t.Name, Configured: bounds{t.Min, t.Max}, By: decidedBy(t, scaler.Overrides{}, now), Windows: []windowSchedule{}}
	for _, w := range t.Windows {
		one := windowSchedule{Name: w.Name, Cron: w.Cron, TimeZone: w.TimeZone, Min: w.Min, Max: w.Max, Open: w.Open(now)}
		zone, err := time.LoadLocation(w.TimeZone)
		if err != nil {
			zone = time.UTC // Validation has refused it.
		}
		opens, closes := w.Next(now)
		one.Opens, one.Closes = timeOrNil(opens, zone), timeOrNil(closes, zone)
		s.Windows = append(s.Windows, one)
	}
	return s
}

// decidedBy are the tags and windows that decide the bounds: for each a tag, or else the first open window that gives it.
func decidedBy(t config.Target, o scaler.Overrides, now time.Time) []string {
	by := []string{}
	add := func(tag *int, name string, gives func(w config.Window) bool) {
		if tag == nil {
			i := slices.IndexFunc(t.Windows, func(w config.Window) bool { return gives(w) && w.Open(now) })
			if i < 0 {
				return
			}
			name = t.Windows[i].Name
		}
		if !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	add(o.Min, scaler.TagMin, func(w config.Window) bool { return w.Min != nil })
	add(o.Max, scaler.TagMax, func(w config.Window) bool { return w.Max != nil })
	return by
}

func timeOrNil(at time.Time, zone *time.Location) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.In(zone)
	return &at
}

func (t targetSchedule) print(w *textWriter, now time.Time) {
	inEffect := "?"
	if t.InEffect != nil {
		inEffect = t.InEffect.String()
	}
	by := ""
	if len(t.By) > 0 {
		by = ", by " + strings.Join(t.By, " and ") + fmt.Sprintf(" (else %s)", t.Configured)
	}
	w.wrapped(0, "%s: %s tasks now%s", bold(t.Target), inEffect, by)
	for _, problem := range t.Bad {
		w.wrapped(2, "%s", warn(problem))
	}
	if len(t.Windows) > 0 {
		table := w.table(column{title: "  WINDOW", names: true}, column{title: "TASKS"}, column{title: "NOW"}, column{title: "OPENS NEXT"}, column{title: "CLOSES NEXT"})
		for _, one := range t.Windows {
			is := any("closed")
			if one.Open {
				is = good("open")
			}
			table.row("  "+one.Name, one.tasks(), is, shownTime(one.Opens, now), shownTime(one.Closes, now))
			if one.TimeZone != "UTC" {
				table.row("", "", "", dim(shownTime(inUTC(one.Opens), now)), dim(shownTime(inUTC(one.Closes), now)))
			}
		}
		table.end()
	}
}

// tasks is what a window says of the bounds.
func (w windowSchedule) tasks() string {
	switch {
	case w.Min != nil && w.Max != nil:
		return bounds{*w.Min, *w.Max}.String()
	case w.Min != nil:
		return fmt.Sprintf("min %d", *w.Min)
	case w.Max != nil:
		return fmt.Sprintf("max %d", *w.Max)
	}
	return "-"
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}

// shownTime is a time in its own zone: with the day of the week if it is near, else with the date.
func shownTime(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return "never"
	case at.Sub(now) < 6*24*time.Hour:
		return at.Format("Mon 15:04 MST")
	case at.Sub(now) < 300*24*time.Hour:
		return at.Format("Jan 2 15:04 MST")
	}
	return at.Format("2006-01-02 15:04 MST")
}
