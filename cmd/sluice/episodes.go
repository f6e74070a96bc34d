package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// An episode is a decision and what followed from it: a sweep's look, the look that confirms it, and the scale-in; or an event. Equal
// ones that follow each other are told as one.
type episode struct {
	steps []logged // The first is the newest episode's, where several are told as one.
	times int
	first time.Time // When the oldest of them began.
	seen  []scaler.Record
}

// apart is how long the steps of one episode can lie apart: the settle time, at most an hour, and what the state machine waits besides.
const apart = 75 * time.Minute

// episodes groups the lines of a log, oldest first, into episodes, newest first. Sweeps may overlap, and nothing in the log says which
// execution a line is of: a look that confirms belongs to the candidate that has just been settling for so long, and what comes after it
// to the last that it can follow.
func episodes(log []logged, settle time.Duration) []episode {
	var all []episode
	for _, line := range log {
		best := -1
		var bestOff time.Duration
		for i, e := range slices.Backward(all) {
			begin, last := e.steps[0], e.steps[len(e.steps)-1]
			if line.At.Sub(begin.At) > apart {
				break
			}
			off := line.At.Sub(last.At)
			if line.Decision != nil && line.Decision.UseCase == "confirm" {
				off = (off - settle).Abs()
			}
			if follows(last, line) && (best < 0 || off < bestOff) {
				best, bestOff = i, off
			}
		}
		if best < 0 {
			all = append(all, episode{steps: []logged{line}, times: 1, first: line.At})
		} else {
			all[best].steps = append(all[best].steps, line)
		}
	}
	return fold(all)
}

// follows says whether a line can be the next step after the last one.
func follows(last, line logged) bool {
	d := last.Decision
	switch {
	case d == nil:
		return false
	case line.Result != nil: // A scale-in that finds another at work decides nothing.
		return d.UseCase == "scale_in" && line.Function == last.Function || d.UseCase == "scale_out" && line.Function == last.Function ||
			d.UseCase == "confirm" && d.Action != policy.Hold && line.Function == "scalein"
	case line.Decision == nil:
		return false
	}
	switch next := line.Decision; next.UseCase {
	case "confirm":
		return d.UseCase == "check" && d.Action != policy.Hold
	case "scale_in":
		return (d.UseCase == "confirm" || d.UseCase == "scale_in") && d.Action != policy.Hold
	case "scale_out": // A sweep's, unless an event asked.
		return d.UseCase == "check" && d.Action == policy.ScaleOut && next.EventAgeMS == nil && !slices.Contains(next.Reasons, policy.ReasonDemand)
	}
	return false
}

// fold makes one of equal episodes that follow each other, and puts the newest first.
func fold(all []episode) []episode {
	var folded []episode
	for _, e := range all {
		if d := e.steps[0].Decision; d != nil {
			e.seen = []scaler.Record{*d}
		}
		if n := len(folded); n > 0 && folded[n-1].signature() == e.signature() {
			last := folded[n-1]
			e.times, e.first, e.seen = last.times+1, last.first, append(last.seen, e.seen...)
			folded[n-1] = e
			continue
		}
		folded = append(folded, e)
	}
	slices.Reverse(folded)
	return folded
}

// signature is what equal episodes have in common.
func (e episode) signature() string {
	var b strings.Builder
	for _, s := range e.steps {
		switch {
		case s.Decision != nil:
			d := s.Decision
			fmt.Fprintln(&b, d.UseCase, d.Action, d.Current, d.Desired, d.Resume, d.Reasons, d.Min, d.Max, d.Window, d.Paused, d.DryRun, d.Floor, d.Error != "")
		case s.Result != nil:
			fmt.Fprintln(&b, s.Result.Status, s.Result.Previous, s.Result.DesiredCount)
		default:
			fmt.Fprintln(&b, s.Unreadable)
		}
	}
	return b.String()
}

// decision is the last decision of the episode.
func (e episode) decision() *scaler.Record {
	for _, s := range slices.Backward(e.steps) {
		if s.Decision != nil {
			return s.Decision
		}
	}
	return nil
}

// result is what came of the episode; nil if nothing is noted.
func (e episode) result() *scaler.Change {
	for _, s := range slices.Backward(e.steps) {
		if s.Result != nil {
			return s.Result
		}
	}
	return nil
}

// title says what happened, in a few words.
func (e episode) title() string {
	begin := e.steps[0]
	if begin.Decision == nil {
		if begin.Result != nil {
			return "Result: " + resultText(*begin.Result)
		}
		return "A line that cannot be read"
	}
	title := e.happened(*begin.Decision)
	if begin.Decision.DryRun && e.decision().Action != policy.Hold {
		title += " (dry run: nothing was done)"
	}
	return title
}

func (e episode) happened(d scaler.Record) string {
	last, r := e.decision(), e.result()
	who := "A sweep"
	if d.UseCase == "scale_out" {
		who = "An event"
	}
	switch {
	case d.Action == policy.Hold && d.UseCase == "scale_out":
		return fmt.Sprintf("An event asked, and it stayed at %d", d.Current)
	case d.Action == policy.Hold:
		return fmt.Sprintf("Held at %d", d.Current)
	case r != nil && r.Status == "held":
		return fmt.Sprintf("A sweep wanted %d -> %d, and then let nobody go", d.Current, d.Desired)
	case r != nil && r.Status == "draining":
		return fmt.Sprintf("A sweep told workers to fetch nothing more (for %d -> %d)", d.Current, d.Desired)
	case r != nil && r.Status == "scaled in":
		return fmt.Sprintf("A sweep let workers go: %d -> %d", r.Previous, r.DesiredCount)
	case r != nil && r.Status == "replaced":
		return "A sweep replaced a worker"
	case r != nil && r.Status == "resumed":
		return who + " had drained workers fetch again"
	case r != nil && r.Status == "scaled out":
		return fmt.Sprintf("%s started workers: %d -> %d", who, r.Previous, r.DesiredCount)
	case last.Action == policy.Hold:
		return fmt.Sprintf("A sweep wanted %d -> %d, looked again, and held", d.Current, d.Desired)
	case d.Action == policy.Candidate:
		return fmt.Sprintf("A sweep wanted %d -> %d, if it stayed so", d.Current, d.Desired)
	case d.Current == d.Desired && d.Resume > 0:
		return fmt.Sprintf("%s wanted %s to fetch again", who, count(d.Resume, "drained worker"))
	}
	return fmt.Sprintf("%s wanted %d -> %d", who, d.Current, d.Desired)
}

// later says what followed the first step, a line each.
func (e episode) later(clock func(time.Time) string) (lines []string) {
	for _, s := range e.steps[1:] {
		at := clock(s.At)
		switch {
		case s.Result != nil:
			lines = append(lines, at+" "+resultText(*s.Result))
		case s.Decision.UseCase == "scale_out": // Its result tells.
		case s.Decision.Action == policy.Hold:
			lines = append(lines, fmt.Sprintf("%s looked again and held: %s", at, reasonsText(s.Decision.Reasons)))
		case s.Decision.UseCase == "confirm":
			lines = append(lines, at+" looked again: still so")
		}
	}
	return lines
}

// resultText says what came of a decision.
func resultText(c scaler.Change) string {
	text := c.Status
	switch c.Status {
	case "scaled out", "scaled in":
		text = fmt.Sprintf("%s: %d -> %d", c.Status, c.Previous, c.DesiredCount)
	case "draining":
		text = "draining: workers fetch nothing more, and are let go once they are empty"
	case "resumed":
		text = "resumed: drained workers fetch again"
	case "replaced":
		text = "replaced: a worker was let go, and another started in its place"
	case "held":
		text = "held: " + reasonsText(c.Reasons)
	case "unchanged":
		text = fmt.Sprintf("unchanged at %d", c.DesiredCount)
	}
	if c.EventToCountMS != nil {
		text += ", " + (time.Duration(*c.EventToCountMS) * time.Millisecond).String() + " after the event"
	}
	return text
}

// reasonsText are reasons in words, one after the other.
func reasonsText(reasons []policy.Reason) string {
	var words []string
	for _, r := range reasons {
		words = append(words, fmt.Sprintf("%s (%s)", r.Sentence(), r))
	}
	return strings.Join(words, "; ")
}
