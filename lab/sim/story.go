package sim

import (
	"fmt"
	"strings"
	"time"
)

// story is what happened in a broken history, in so many lines at most: the breach and what led to it.
func (r Result) story(p *plan, most int) []string {
	lines := p.describe()
	var notes []note
	for _, n := range r.notes {
		if r.Breach != nil && r.Breach.Target >= 0 && n.target >= 0 && n.target != r.Breach.Target {
			continue
		}
		notes = append(notes, n)
	}
	// What lies long before the breach is left out first: then what is usual.
	for _, dull := range []topic{noteSteady, noteSweep, noteEvent, noteSend, noteTask, noteResult, noteDecision} {
		for len(notes) > most {
			at := -1
			for i, n := range notes {
				if n.topic == dull {
					at = i
					break
				}
			}
			if at < 0 {
				break
			}
			notes = append(notes[:at:at], notes[at+1:]...)
		}
	}
	if len(notes) > most {
		notes = notes[len(notes)-most:]
	}
	for _, n := range notes {
		lines = append(lines, n.String())
	}
	return lines
}

// describe tells the world of a plan in words.
func (p *plan) describe() []string {
	lines := []string{fmt.Sprintf(
		"seed %d: a sweep each %v; faults end at %v, messages at %v, the history at %v; counts lag by %v",
		p.Seed, p.SweepEvery, p.Calm.Round(time.Second), p.Quiet.Round(time.Second), p.Length.Round(time.Second), p.CountLag)}
	for i, b := range p.Brokers {
		lines = append(lines, fmt.Sprintf("redis%d: visibility timeout %v, horizon %v", i, b.Visibility, b.Horizon))
	}
	for _, t := range p.Targets {
		w := t.Worker
		lines = append(lines, fmt.Sprintf(
			"%s on redis%d: %d..%d workers, %d at first, %d messages for each, settle %v, grace %v, step %d; "+
				"%s, Celery %s, %s x %d, prefetch %d%s; stop timeout %v",
			t.Name, t.Broker, t.Min, t.Max, t.Initial, t.MessagesPerWorker, t.Settle, t.Grace, t.ScaleInStep, t.Naming, w.Version,
			[...]string{"prefork", "threads", "solo", "gevent"}[w.Pool], w.Concurrency, w.Prefetch, habits(t), t.StopTimeout))
	}
	lines = append(lines, fmt.Sprintf("%d messages, %d faults", len(p.Sends), len(p.Faults)))
	return lines
}

func habits(t targetPlan) string {
	var words []string
	if t.Worker.AcksLate {
		words = append(words, "late acknowledgement")
	}
	if t.Worker.NoHeartbeats {
		words = append(words, "no heartbeats")
	}
	if t.Worker.Rates != nil {
		words = append(words, "a rate limit")
	}
	if t.Worker.Untracked != nil {
		words = append(words, "tasks that no look shows")
	}
	if t.Rebalances {
		words = append(words, "zone rebalancing")
	}
	if t.Floor > 0 {
		words = append(words, "a floor of "+t.Floor.String())
	}
	if len(words) == 0 {
		return ""
	}
	return ", " + strings.Join(words, ", ")
}
