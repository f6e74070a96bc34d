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

// together is how long the steps of one episode can lie apart: the settle time, at most an hour, and the time that a scale-in takes.
const together = 75 * time.Minute

// episodes groups the lines of a log, oldest first, into episodes, newest first.
func episodes(log []logged) []episode {
	var all []episode
	for _, line := range log {
		if n := len(all); n > 0 && all[n-1].takes(line) {
			all[n-1].steps = append(all[n-1].steps, line)
			continue
		}
		all = append(all, episode{steps: []logged{line}, times: 1, first: line.At})
	}
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

// takes says whether a line belongs to the episode.
func (e episode) takes(line logged) bool {
	begin, last := e.steps[0], e.steps[len(e.steps)-1]
	if begin.Decision == nil || line.At.Sub(begin.At) > together {
		return false
	}
	if line.Decision == nil {
		return last.Decision != nil && (last.Decision.UseCase == "scale_in" || last.Decision.UseCase == "scale_out") && line.Result != nil
	}
	switch line.Decision.UseCase {
	case "confirm", "scale_in":
		return begin.Decision.UseCase == "check" && begin.Decision.Action != policy.Hold
	case "scale_out": // A sweep's, unless an event asked.
		return begin.Decision.UseCase == "check" && begin.Decision.Action == policy.ScaleOut && len(e.steps) == 1 &&
			line.Decision.EventAgeMS == nil && !slices.Contains(line.Decision.Reasons, policy.ReasonDemand)
	}
	return false
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

// when says when the episode was: its time, or from when to when and how many times.
func (e episode) when(now time.Time) string {
	if e.times == 1 {
		return clock(e.first, now)
	}
	return fmt.Sprintf("%s to %s, %d times", clock(e.first, now), clock(e.steps[0].At, now), e.times)
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
func (e episode) later(now time.Time) (lines []string) {
	for _, s := range e.steps[1:] {
		at := clock(s.At, now)
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
		text += fmt.Sprintf(", %.1f s after the event", float64(*c.EventToCountMS)/1000)
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
