package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// text is the status for people.
func (s status) text(w *textWriter) {
	columns := []column{
		{title: "TARGET", names: true},
		{title: "BACKLOG", right: true},
		{title: "ACTIVE", right: true},
		{title: "HELD", right: true},
		{title: "DESIRED", right: true},
		{title: "RUNNING", right: true},
		{title: "PROT", right: true},
		{title: "LAST DECISION"},
	}
	if !s.close {
		columns = slices.Delete(columns, 6, 7)
	}
	table := w.table(columns...)
	for _, t := range s.Targets {
		cells := []any{t.Target, shown(t.Backlog), shown(t.Active), shown(t.Held), shown(t.Desired), shown(t.Running), shown(t.Protected), t.lastText()}
		if !s.close {
			cells = slices.Delete(cells, 6, 7)
		}
		table.row(cells...)
		for _, line := range slices.Concat(overridesText(t.Overrides, s.At), windowsText(t.Windows, s.At)) {
			table.note("%s", line)
		}
		for _, trouble := range t.Trouble {
			table.note("%s", bad(trouble))
		}
	}
	table.end()
	if s.LogError != "" {
		w.wrapped(0, "\nThe last decisions are not known: %s", s.LogError)
	}
	if s.Note != "" {
		w.wrapped(0, "\n%s", s.Note)
	}
}

// lastText is the last decision with its age, such as "3 -> 1, 4m".
func (t targetStatus) lastText() string {
	if t.Last == nil {
		return "?"
	}
	d := t.Last
	return outcome(d.Action, d.Current, d.Desired, d.Resume) + ", " + ago(time.Duration(d.AgeS*float64(time.Second)))
}

// outcome is what a decision comes to, in a word.
func outcome(action policy.Action, current, desired, resume int) string {
	switch {
	case action == policy.Hold:
		return "hold"
	case action == policy.Candidate:
		return fmt.Sprintf("%d -> %d?", current, desired)
	case current == desired && resume > 0:
		return fmt.Sprintf("resume %d", resume)
	}
	return fmt.Sprintf("%d -> %d", current, desired)
}

// overridesText says which tags are in effect, a line each.
func overridesText(o scaler.Overrides, now time.Time) (lines []string) {
	say := func(tag, what string) {
		end := ""
		if until, ok := o.Until[tag]; ok {
			end = " until " + when(until, now)
		}
		line := fmt.Sprintf("%s%s (%s)", what, end, tag)
		if pause := []string{scaler.TagPaused, scaler.TagPausedIn, scaler.TagPausedOut}; o.Reason != "" && slices.Contains(pause, tag) {
			line += ": " + o.Reason
		}
		lines = append(lines, line)
	}
	if o.Paused {
		say(scaler.TagPaused, "paused")
	}
	if o.PausedIn {
		say(scaler.TagPausedIn, "scale-in paused")
	}
	if o.PausedOut {
		say(scaler.TagPausedOut, "scale-out paused")
	}
	if o.DryRun != nil && *o.DryRun {
		say(scaler.TagDryRun, "dry run")
	} else if o.DryRun != nil {
		say(scaler.TagDryRun, "no dry run")
	}
	if o.Min != nil {
		say(scaler.TagMin, fmt.Sprintf("min %d", *o.Min))
	}
	if o.Max != nil {
		say(scaler.TagMax, fmt.Sprintf("max %d", *o.Max))
	}
	if o.Floor.Count > 0 {
		say(scaler.TagFloor, fmt.Sprintf("floor of %d for an event", o.Floor.Count))
	}
	return lines
}

// windowsText says which windows are open, and which opens next.
func windowsText(windows []windowStatus, now time.Time) (lines []string) {
	var next *windowStatus
	for i, w := range windows {
		switch {
		case w.Open && w.Closes != nil:
			lines = append(lines, fmt.Sprintf("window %s open until %s: %s", w.Name, when(*w.Closes, now), w.bounds()))
		case w.Open:
			lines = append(lines, fmt.Sprintf("window %s open: %s", w.Name, w.bounds()))
		case w.Opens != nil && (next == nil || w.Opens.Before(*next.Opens)):
			next = &windows[i]
		}
	}
	if next != nil {
		lines = append(lines, fmt.Sprintf("next window %s opens %s: %s", next.Name, when(*next.Opens, now), next.bounds()))
	}
	return lines
}

func (w windowStatus) bounds() string {
	var parts []string
	if w.Min != nil {
		parts = append(parts, fmt.Sprintf("min %d", *w.Min))
	}
	if w.Max != nil {
		parts = append(parts, fmt.Sprintf("max %d", *w.Max))
	}
	return strings.Join(parts, ", ")
}
