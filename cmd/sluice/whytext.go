package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// text is the whole of it for people. It begins with what matters to whoever was woken up: what would happen now, and why.
func (y why) text(w *textWriter) {
	if y.Now == nil {
		w.wrapped(0, "%s: %s", bold(y.Target), bad("could not be looked at: "+y.LookError))
	} else {
		y.now(w, *y.Now)
	}
	if y.Note != "" {
		w.wrapped(0, "%s", y.Note)
	}
	w.line("")
	zone := y.At.Local().Format("MST")
	switch all := episodes(y.Log, y.settle); {
	case y.LogError != "":
		w.wrapped(0, "%s", bad("The log of decisions could not be read: "+y.LogError))
	case len(all) == 0:
		w.wrapped(0, "Since %s (%s) there was no decision: do the sweeps run? `sluice doctor` tells.", clock(y.Since, y.At), zone)
	default:
		w.wrapped(0, "Since %s (%s), newest first:", clock(y.Since, y.At), zone)
		w.line("")
		for _, e := range all {
			y.tell(w, e)
		}
	}
}

// now tells what a sweep would decide.
func (y why) now(w *textWriter, p scaler.TargetPlan) {
	r := p.Record
	if r.Running != nil {
		w.wrapped(0, "%s: %s, %d running.", bold(y.Target), count(r.Current, "worker")+" desired", *r.Running)
	} else {
		w.wrapped(0, "%s: %s", bold(y.Target), bad("ECS did not say how many workers there are."))
	}
	w.wrapped(0, "%s, because", y.would(r))
	for _, reason := range r.Reasons {
		if reason != policy.ReasonSettle || r.Action != policy.Candidate { // Which has been said.
			w.bullet("%s (%s)", reason.Sentence(), string(reason))
		}
	}
	w.wrapped(0, "Seen: %s. %s", seenText([]scaler.Record{r}), y.sized(r))
	for _, line := range overridesText(p.Overrides, y.At) {
		w.wrapped(0, "In effect by a tag: %s.", line)
	}
	if r.Window != "" {
		w.wrapped(0, "In effect by a window: %s.", r.Window)
	}
	for _, trouble := range troubles(r) {
		w.wrapped(0, "%s", bad("Trouble: "+trouble))
	}
	y.tasks(w, p.Tasks)
	// What a candidate comes to once it has settled has been said.
	others := slices.DeleteFunc(slices.Clone(p.Alternatives), func(a policy.Alternative) bool {
		return r.Action == policy.Candidate && a.Decision.Action == policy.ScaleIn && a.Decision.Desired == r.Desired
	})
	if len(others) > 0 {
		w.line("")
		w.wrapped(0, "What would change that:")
		for _, a := range others {
			w.bullet("if %s: %s", a.If, y.decided(a.Decision))
		}
	}
}

// bullet writes an entry of a list.
func (w *textWriter) bullet(format string, args ...any) { w.hanging("  - ", format, args...) }

// would is the beginning of a sentence: what a sweep would do now.
func (y why) would(r scaler.Record) string {
	what := ""
	switch {
	case r.Action == policy.Hold && r.Running == nil:
		what = "A sweep would change nothing"
	case r.Action == policy.Hold:
		what = fmt.Sprintf("A sweep would leave it at %d", r.Current)
	case r.Action == policy.Candidate && r.Desired < r.Current:
		what = fmt.Sprintf("A sweep would let %s go (%d -> %d), if it stays so for %v,", count(r.Current-r.Desired, "worker"), r.Current, r.Desired, config.Duration(y.settle))
	case r.Action != policy.ScaleOut && r.Desired == r.Current && !slices.Contains(r.Reasons, policy.ReasonStuck):
		what = "A sweep would tell all workers to fetch nothing more"
	case r.Action == policy.Candidate:
		what = fmt.Sprintf("A sweep would replace a worker, if it stays so for %v,", config.Duration(y.settle))
	case r.Action == policy.ScaleIn:
		what = fmt.Sprintf("A sweep would let %s go (%d -> %d)", count(r.Current-r.Desired, "worker"), r.Current, r.Desired)
	case r.Desired > r.Current:
		what = fmt.Sprintf("A sweep would start %s (%d -> %d)", count(r.Desired-r.Current, "worker"), r.Current, r.Desired)
		if r.Resume > 0 {
			what += fmt.Sprintf(" and have %s fetch again", count(r.Resume, "drained one"))
		}
	default:
		what = fmt.Sprintf("A sweep would have %s fetch again", count(r.Resume, "drained worker"))
	}
	what = strings.TrimSuffix(what, ",")
	if r.DryRun {
		what += " (a dry run: it would only say so)"
	}
	return what
}

// decided is a decision in a word or two.
func (y why) decided(d policy.Decision) string {
	switch {
	case d.Action == policy.Hold:
		return fmt.Sprintf("stay at %d", d.Current)
	case d.Action == policy.Candidate:
		return fmt.Sprintf("%d -> %d after %v", d.Current, d.Desired, config.Duration(y.settle))
	}
	return outcome(d.Action, d.Current, d.Desired, d.Resume)
}

// sized is how the numbers come to a count.
func (y why) sized(r scaler.Record) string {
	workers := count(r.Wish, "worker")
	if wish := wished(r); wish != fmt.Sprint(r.Wish) {
		workers = wish + " workers"
	}
	text := fmt.Sprintf("That is work for %s, at %s a worker; %d to %d are allowed.", workers, count(y.per, "message"), r.Min, r.Max)
	if r.Floor > 0 {
		text += fmt.Sprintf(" An event keeps a floor of %d.", r.Floor)
	}
	return text
}

// mostTasks is how many tasks are listed.
const mostTasks = 20

// tasks lists the tasks and the workers in them.
func (y why) tasks(w *textWriter, tasks []scaler.TaskPlan) {
	if len(tasks) == 0 {
		return
	}
	w.line("")
	table := w.table(column{title: "TASK"}, column{title: "STATE"}, column{title: "AGE", right: true}, column{title: "WORKER", names: true}, column{title: "DOES"})
	for _, t := range tasks[:min(len(tasks), mostTasks)] {
		table.row(shortID(t.ID), string(t.State), ago(time.Duration(t.AgeS*float64(time.Second))), t.Node, y.does(t))
	}
	table.end()
	if more := len(tasks) - mostTasks; more > 0 {
		w.line("%s", dim(fmt.Sprintf("... and %d more: -o json lists all", more)))
	}
}

// does is what the worker in a task does.
func (y why) does(t scaler.TaskPlan) string {
	var parts []string
	switch {
	case t.State == policy.TaskPending:
		parts = append(parts, "starts")
	case t.State == policy.TaskStopping:
		parts = append(parts, "is on its way out")
	case t.Node == "":
		parts = append(parts, "? (no worker known by it)")
	case t.Active == nil:
		parts = append(parts, "?")
	case *t.Active == 0:
		parts = append(parts, "nothing")
	default:
		parts = append(parts, "executes "+fmt.Sprint(*t.Active))
	}
	if t.Drained {
		parts = append(parts, "drained")
	}
	if t.ProtectedUntil != nil {
		parts = append(parts, "protected until "+when(*t.ProtectedUntil, y.At))
	}
	return strings.Join(parts, ", ")
}

// clock is a time of the log. They all have the day if one of them is another one's.
func (y why) clock(at time.Time) string {
	if y.Since.Local().Format(time.DateOnly) != y.At.Local().Format(time.DateOnly) {
		return at.Local().Format("Jan _2 15:04:05")
	}
	return at.Local().Format(time.TimeOnly)
}

// tell tells an episode of the log.
func (y why) tell(w *textWriter, e episode) {
	begin := e.steps[0]
	at := y.clock(begin.At)
	indent := len(at) + 2
	title := e.title()
	if e.times > 1 {
		title += fmt.Sprintf(", %d times since %s", e.times, y.clock(e.first))
	}
	w.hanging(at+"  ", "%s", bold(title))
	if begin.Unreadable != "" {
		w.wrapped(indent, "%s", begin.Unreadable)
	}
	if d := begin.Decision; d != nil {
		// That a candidate has to settle is said by the title.
		reasons := slices.DeleteFunc(slices.Clone(d.Reasons), func(r policy.Reason) bool { return r == policy.ReasonSettle && d.Action == policy.Candidate })
		w.wrapped(indent, "%s", reasonsText(reasons))
		wish := rangeOf(e.seen, func(r scaler.Record) *int {
			if wished(r) == "?" {
				return nil
			}
			return &r.Wish
		})
		w.wrapped(indent, "%s; work for %s, allowed %d to %d%s", seenText(e.seen), wish, d.Min, d.Max, also(*d))
		for _, trouble := range troubles(*d) {
			w.wrapped(indent, "%s", bad(trouble))
		}
	}
	for _, line := range e.later(y.clock) {
		w.wrapped(indent, "%s", line)
	}
}

// also is what else was in effect.
func also(r scaler.Record) string {
	var parts []string
	if r.Window != "" {
		parts = append(parts, "window "+r.Window)
	}
	if r.Floor > 0 {
		parts = append(parts, fmt.Sprintf("floor %d", r.Floor))
	}
	if r.Paused != "" {
		parts = append(parts, "paused: "+r.Paused)
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// seenText is what was seen of the work, over several looks.
func seenText(seen []scaler.Record) string {
	text := fmt.Sprintf("%s waiting, %s executing, %s held",
		rangeOf(seen, func(r scaler.Record) *int { return r.Backlog }), rangeOf(seen, func(r scaler.Record) *int { return r.Active }),
		rangeOf(seen, func(r scaler.Record) *int { return r.Held }))
	if later := rangeOf(seen, func(r scaler.Record) *int { return r.Later }); later != "0" && later != "?" {
		text += ", " + later + " due later"
	}
	return text
}

// rangeOf is the range of a number over several looks: "3", "0 to 7", "?" where it was never known, "0 to 7 or ?" where not always.
func rangeOf(seen []scaler.Record, of func(scaler.Record) *int) string {
	var known []int
	for _, r := range seen {
		if n := of(r); n != nil {
			known = append(known, *n)
		}
	}
	if len(known) == 0 {
		return "?"
	}
	text := fmt.Sprint(slices.Min(known))
	if low, high := slices.Min(known), slices.Max(known); low != high {
		text = fmt.Sprintf("%d to %d", low, high)
	}
	if len(known) < len(seen) {
		text += " or ?"
	}
	return text
}
