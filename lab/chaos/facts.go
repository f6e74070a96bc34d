package main

import (
	"time"
)

// facts are all that was observed of one round, by those who took part in it: the tasks' own ledger, the local cloud, a witness
// at the broker, and what this program itself did. Nothing in them is Sluice's word.
type facts struct {
	messages map[string]*message // By task id.
	workers  map[string]*worker  // By host name, which each ECS task has of its own.
	deeds    []deed
	counts   []count // Changes of the desired count, by whomever. We make none.
	ended    time.Time
	settled  bool // Everything was accounted for when the round ended: it did not end because its time was up.

	pool             string        // Of the workers.
	visibility       time.Duration // After which Celery gives a message to another worker.
	drained, resumed int           // How often workers obeyed cancel_consumer and add_consumer.
}

// message is one task as its sender sees it.
type message struct {
	id       string
	sending  time.Time
	sent     time.Time // Zero if its sender cannot tell whether it was sent: nobody waits for it.
	attempts []*attempt
}

// attempt is one message in the broker: the first is sent by the producer, each further one by the task itself as it retries.
type attempt struct {
	from     time.Time // Not in the broker before.
	due      time.Time // Zero if it was due at once.
	received []receipt // By worker processes, in order.
	runs     []*run    // In order.
	listed   []span    // When it was seen waiting in a list of the broker.
	left     string    // Where it was at the end: "waiting" or "held" in the broker, or "".
}

// receipt is a message that reached the main process of a worker.
type receipt struct {
	at          time.Time
	host, tag   string
	redelivered bool
}

// outcome is how a run of a task ended.
type outcome string

const (
	cut      outcome = "" // It started, and nothing tells of its end.
	done     outcome = "ended"
	retrying outcome = "retrying"
	broke    outcome = "failed"
)

// run is one execution of an attempt.
type run struct {
	host    string
	pid     int
	start   time.Time
	end     time.Time // Zero while outcome is cut.
	outcome outcome
	err     string // Of a run that broke.
}

// span is a time in which the witness saw a message each time that it looked. gone is its first look after that; zero if there
// was none.
type span struct{ from, to, gone time.Time }

// worker is one ECS task.
type worker struct {
	host, id  string    // The id is the ECS task's.
	started   time.Time // Zero if it never ran.
	stopping  time.Time // When it was told to stop, or ended by itself; zero if neither.
	stopped   time.Time // When nothing of it was left; zero if it lives.
	by        stopper
	sigkilled bool // It did not end within its stop timeout.
	code      int  // Its exit status, once it has stopped.
	// deployment is the one that started it, reason the one for which ECS stopped it; "" if it did not.
	deployment, reason string
	// drained are the times at which it obeyed cancel_consumer; resumed, add_consumer.
	drained, resumed []time.Time
}

// stopper says who had a worker stopped.
type stopper string

const (
	nobody     stopper = ""
	scaleIn    stopper = "scale-in"   // ECS, after the desired count had been lowered.
	deployment stopper = "deployment" // ECS, to replace it.
	itself     stopper = "itself"     // Its process ended, whoever did that.
)

// count is a change of the desired count.
type count struct {
	at       time.Time
	from, to int
}

// deed is something that the chaos did.
type deed struct {
	kind        kind
	host        string // Of the worker that it was done to, if it was one.
	from, until time.Time
	note        string
}

// attempt returns attempt n, and makes it if need be.
func (m *message) attempt(n int) *attempt {
	for len(m.attempts) <= n {
		m.attempts = append(m.attempts, &attempt{})
	}
	return m.attempts[n]
}

// last is the newest attempt; nil if there is none.
func (m *message) last() *attempt {
	if len(m.attempts) == 0 {
		return nil
	}
	return m.attempts[len(m.attempts)-1]
}

// finished says whether some run of the message has come to its end.
func (m *message) finished() bool {
	for _, a := range m.attempts {
		for _, r := range a.runs {
			if r.outcome == done {
				return true
			}
		}
	}
	return false
}

// executingAt says whether the run was under way at that time.
func (r *run) executingAt(t time.Time) bool {
	return !r.start.After(t) && (r.end.IsZero() || r.end.After(t))
}

// heldBy says whether a worker held this message, due and not started, when it was told to stop: it was the last one to be given
// it, nobody had begun it, and it had not been seen back in the broker since.
func (a *attempt) heldBy(host string, at time.Time) bool {
	if !a.due.IsZero() && a.due.After(at) {
		return false
	}
	var last receipt
	for _, r := range a.received {
		if r.at.Before(at) {
			last = r
		}
	}
	if last.host != host {
		return false
	}
	for _, r := range a.runs {
		if r.start.Before(at) && !r.start.Before(last.at) || r.outcome == done && r.end.Before(at) {
			return false
		}
	}
	for _, s := range a.listed {
		if s.to.After(last.at) && s.from.Before(at) {
			return false
		}
	}
	return true
}

// drainedAt says whether the worker had been told to fetch no more, and not to fetch again, by then.
func (w *worker) drainedAt(t time.Time) bool {
	var drained, resumed time.Time
	for _, at := range w.drained {
		if at.Before(t) {
			drained = at
		}
	}
	for _, at := range w.resumed {
		if at.Before(t) {
			resumed = at
		}
	}
	return drained.After(resumed)
}

// seconds is how long the worker cost something, up to the end of the round.
func (w *worker) seconds(end time.Time) float64 {
	if w.started.IsZero() {
		return 0
	}
	if !w.stopped.IsZero() {
		end = w.stopped
	}
	return end.Sub(w.started).Seconds()
}
