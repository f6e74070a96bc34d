package sim

import (
	"fmt"
	"slices"
	"time"

	"sluice/internal/scaler"
	"sluice/lab/sim/broker"
)

// people are what operators do to a target by a tag that may end by itself: a halt in one direction, a dry run, or no worker at all.
// They are drawn apart from the faults: see drawPeople.
var people = []struct {
	kind       kind
	tag, value string
}{
	{operatorPause, tagPaused, "true"},
	{operatorPausesIn, tagPausedIn, "true"},
	{operatorPausesOut, tagPausedOut, "true"},
	{operatorDryRun, tagDryRun, "true"},
	{operatorDrains, tagMax, "0"},
	{operatorDrains, tagMax, "0"},
}

// halts are the kinds of people.
var halts = []kind{operatorPause, operatorPausesIn, operatorPausesOut, operatorDryRun, operatorDrains}

// The tags of people who halt or drain a target.
const (
	tagPausedIn  = "sluice:paused-in"
	tagPausedOut = "sluice:paused-out"
	tagDryRun    = "sluice:dry-run"
)

// drawPeople draws who does what, to about a third of all targets. Their sources of chance are their own, so that the rest of a history
// does not change with them.
func drawPeople(seed uint64, p *plan) {
	d := stream(seed, "people")
	for i := range p.Targets {
		if d.chance(0.2) {
			p.Targets[i].Windows = drawWindows(d, p, p.Targets[i])
		}
		if !d.chance(0.25) {
			continue
		}
		who := people[d.IntN(len(people))]
		f := faultPlan{Kind: who.kind, Subject: i, Tag: who.tag, Value: who.value, At: d.between(0, p.Calm*9/10)}
		f.For = d.spread(20*time.Second, p.Length)
		f.Ends = d.chance(0.6)
		f.OnDrain, f.Length = d.chance(0.5), d.between(0, 20*time.Second)
		if d.chance(0.3) {
			f.For, f.Ends = 2*p.Length, false // For good.
		}
		p.Faults = append(p.Faults, f)
		if f.Kind == operatorDrains {
			p.Sends = append(p.Sends, drawWaiting(d, p.Targets[i], i, f.At)...)
		}
	}
	slices.SortStableFunc(p.Sends, func(a, b sendPlan) int { return int(a.At - b.At) })
}

// drawWaiting draws messages that come when the target is about to be drained: more than its workers are done with by then.
func drawWaiting(d draw, t targetPlan, i int, at time.Duration) []sendPlan {
	var all []sendPlan
	for range d.count(1, 30) {
		all = append(all, sendPlan{At: at + d.between(0, 30*time.Second), Target: i, Task: broker.Task{
			Queue: t.Queues[0], Name: "work", Duration: d.spread(time.Second, 10*time.Minute), AcksLate: d.chance(0.2),
		}})
	}
	return all
}

// windowPlan is a time with bounds of its own; a bound below 0 is none.
type windowPlan struct {
	From, To time.Duration
	Min, Max int
}

func drawWindows(d draw, p *plan, t targetPlan) []windowPlan {
	var all []windowPlan
	for range d.count(1, 2) {
		w := windowPlan{From: d.between(0, p.Length*3/4), Min: -1, Max: -1}
		w.To = w.From + d.spread(30*time.Second, p.Length)
		if d.chance(0.6) {
			w.Min = d.count(0, t.Max)
		}
		if w.Min < 0 || d.chance(0.4) {
			w.Max = d.count(max(0, w.Min), t.Max+3)
		}
		all = append(all, w)
	}
	return all
}

func (w windowPlan) open(at time.Time) bool {
	since := at.Sub(epoch)
	return since >= w.From && since < w.To
}

// windows are those of a target as its configuration gives them to the scaler.
func (t targetPlan) windows() []scaler.Window {
	var all []scaler.Window
	for i, w := range t.Windows {
		window := scaler.Window{Name: fmt.Sprint("window ", i), Open: w.open}
		if w.Min >= 0 {
			window.Min = &w.Min
		}
		if w.Max >= 0 {
			window.Max = &w.Max
		}
		all = append(all, window)
	}
	return all
}

// startled has those operators act who wait for workers to be drained.
func (w *world) startled(t *target) {
	for _, k := range halts {
		for _, f := range w.faults.byKind[k] {
			if f.OnDrain && f.Subject == t.index && f.left > 0 && w.loop.now.Sub(epoch) >= f.At {
				f.left = 0
				w.loop.after(f.Length, func() { w.halt(f) })
			}
		}
	}
}

// halt sets a tag, and has it end by itself, or be taken back.
func (w *world) halt(f *fault) {
	t := w.targets[f.Subject]
	if !f.Ends {
		w.hit(f, "an operator sets %s of %s to %s, for %v", f.Tag, t.plan.Name, f.Value, f.For)
		w.tag(t, f.Tag, f.Value)
		w.loop.after(f.For, func() {
			back := "false"
			if f.Tag == tagMax {
				back = fmt.Sprint(t.plan.Max)
			}
			w.note(noteOperator, t.index, "the operator sets %s of %s to %s", f.Tag, t.plan.Name, back)
			w.tag(t, f.Tag, back)
		})
		return
	}
	end := w.loop.now.Add(f.For).Truncate(time.Second)
	w.hit(f, "an operator sets %s of %s to %s until %v", f.Tag, t.plan.Name, f.Value, end.Sub(epoch))
	w.tag(t, f.Tag, f.Value+"@"+end.Format(time.RFC3339))
	w.loop.at(end, func() { w.judge.bounds(t) })
}
