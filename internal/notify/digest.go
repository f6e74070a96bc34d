package notify

import (
	"slices"
	"time"

	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// digest folds the log into what is new since a time. It holds some words for each target, however long the log is.
type digest struct {
	since   time.Time
	targets map[string]*target
	// pending are the decisions that have no result yet. A function writes both, and decides on a target once at a time.
	pending map[work]scaler.Record
}

func newDigest(since time.Time) *digest {
	return &digest{since: since, targets: map[string]*target{}, pending: map[work]scaler.Record{}}
}

// work is a function, by its log group, that deals with a target.
type work struct{ group, target string }

// looksBefore is how many sweeps before the period are read: two tell whether the target was seen then.
const looksBefore = 3

// before is from when on the log is to be read, for a digest of what is new since d.since.
func (d *digest) before(sweepEvery time.Duration) time.Time {
	return d.since.Add(-looksBefore * sweepEvery)
}

// target is what the log says of one target.
type target struct {
	name    string
	sight   sight
	unseen  bool      // At the beginning of the period.
	idle    time.Time // Since when it has been seen without work; zero if it has work or that is not known.
	changes []change
	stuck   int // Workers that were replaced since they left messages waiting.
}

// change is a change of the count.
type change struct {
	from, to int
	decision scaler.Record // What led to it; empty if the log does not have it.
	idle     time.Duration // With a scale-in: for how long there had been no work.
	reasons  []policy.Reason
}

// add takes the next line, in order of time.
func (d *digest) add(e decisions.Entry) {
	switch {
	case e.Decision != nil:
		t := d.target(e.Decision.Target)
		t.work(e.Time, *e.Decision)
		switch e.Decision.UseCase {
		case "check": // The others look in more haste or more closely, and at their own times.
			t.sight.look(e.Time, *e.Decision)
		case "scale_out", "scale_in":
			d.pending[work{e.Group, t.name}] = *e.Decision
		}
		if e.Time.Before(d.since) {
			t.unseen = t.sight.lost()
		}
	case e.Result != nil:
		t := d.target(e.Result.Target)
		if !e.Time.Before(d.since) {
			t.changed(e.Time, d.pending[work{e.Group, t.name}], *e.Result)
		}
		delete(d.pending, work{e.Group, t.name})
	}
}

func (d *digest) target(name string) *target {
	t, ok := d.targets[name]
	if !ok {
		t = &target{name: name}
		d.targets[name] = t
	}
	return t
}

// work notes since when there has been no work.
func (t *target) work(at time.Time, d scaler.Record) {
	none := func(n *int) bool { return n != nil && *n == 0 }
	switch {
	case !none(d.Backlog) || !none(d.Active) || !none(d.Held):
		t.idle = time.Time{}
	case t.idle.IsZero():
		t.idle = at
	}
}

// changed notes what came of a decision.
func (t *target) changed(at time.Time, because scaler.Record, r scaler.Change) {
	if r.Status == "replaced" {
		t.stuck++
	}
	if r.DesiredCount == r.Previous {
		return
	}
	c := change{from: r.Previous, to: r.DesiredCount, reasons: r.Reasons, decision: because}
	if c.to < c.from && !t.idle.IsZero() {
		c.idle = at.Sub(t.idle)
	}
	t.changes = append(t.changes, c)
}

// sight is whether a target is seen. One look that fails is no news: the next may do better.
type sight struct {
	fails int
	since time.Time // Of the first of the looks that failed in a row.
	cause string    // Of the last of them.
	looks int
}

func (s *sight) look(at time.Time, d scaler.Record) {
	s.looks++
	if d.Error == "" && !slices.Contains(d.Reasons, policy.ReasonUnknown) {
		s.fails, s.since, s.cause = 0, time.Time{}, ""
		return
	}
	if s.fails++; s.fails == 1 {
		s.since = at
	}
	if s.cause = d.Error; s.cause == "" {
		s.cause = d.Cause
	}
}

// lost says whether the target cannot be seen: two looks in a row have failed, or all that there are.
func (s *sight) lost() bool { return s.fails >= 2 || s.fails > 0 && s.fails == s.looks }
