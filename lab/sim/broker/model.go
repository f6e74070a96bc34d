// Package broker is a model of one Redis with the Celery workers on it, in virtual time.
//
// It is a model with a clock put in from outside, as lab/cloud/ecs is: it has no goroutines and no scheduler of its own.
// Tick moves everything on to Now, Next says when Tick has something to do again, and every call moves on first by itself. With
// one seed and one order of calls it does the same each time. A worker costs nothing between two things that happen to it: a
// blocked pop is a delivery at once, and no heartbeat and no sweep is an event unless somebody could see it.
//
// It models what a scaler can be hurt by, as far as it was measured on real ones (reference/celery-redis.md, whose sections the
// comments name; conformance_test.go holds the model against real workers): the lists of each priority, the unacked hash with
// its times, the visibility timeout and who restores; pools, prefetch windows, early and late acknowledgement, ETA, retry,
// rates, expiry; the pop in flight; the warm stop, the kill, the freeze; reconnects and the queues forgotten with them;
// workers that are blocked, deaf or starved; remote control with its late effects; a Redis that is down, hangs, is slow, refuses
// to write, or loses its last writes. Client is the side that a scaler.Broker sees; it answers just as internal/celery does.
//
// Believed and not held against a real worker: Starve, Celery 5.3 to 5.5, what a 5.2 that stops under load now and then keeps to
// itself, and how long a reconnect takes. Chance in reality and a rule here: which early acknowledgements a blocked gevent pool
// still owes, and in which order a 5.2 asks for several queues.
//
// It does not model: memory and eviction, Sentinel and cluster mode, the frames on the wire, result backends, chords, revokes,
// soft shutdowns and a second SIGTERM, autoscaled pools, worker_disable_prefetch, tasks of unequal pickles (a wedge is put in by
// hand), clocks that differ, and network time but for what Options say.
package broker

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"
)

// Options set up a Model.
type Options struct {
	Now  func() time.Time // The world's clock; required.
	Rand *rand.Rand       // Of all choices; required.

	// VisibilityTimeout is after how long a worker restores what nobody has acknowledged; 0 is kombu's hour.
	VisibilityTimeout time.Duration
	// Flight is how long a popped message is on its way to its worker, where no key has it any more; 0 is 1 ms (section 2.3).
	Flight time.Duration
	// Pop is after how long Redis ends a pop that found nothing; 0 is kombu's second. A worker whose loop stands still, or stops,
	// has its last one outstanding for the rest of it (section 2.3).
	Pop time.Duration
	// Reconnect is how long a worker takes to be back after its connection was cut; 0 is 1 s.
	Reconnect time.Duration
}

// Model is one database of one Redis and the workers on it. Its methods, its workers' and its clients' may be called from
// several goroutines, one at a time having its way; no call waits but through Pause.
type Model struct {
	opts Options

	mu     sync.Mutex
	now    time.Time // The time of what is being done.
	events events
	ended  []func() // Calls of Spec.Ended that are due: made by Tick, without the lock.

	server
	workers []*Worker // Those that have not ended, in order of start.
	started int       // How many there have been.
	ledger
}

// New returns an empty Redis without workers.
func New(o Options) *Model {
	o.VisibilityTimeout = cmp.Or(o.VisibilityTimeout, time.Hour)
	o.Flight = cmp.Or(o.Flight, time.Millisecond)
	o.Pop = cmp.Or(o.Pop, time.Second)
	o.Reconnect = cmp.Or(o.Reconnect, time.Second)
	return &Model{opts: o, now: o.Now(), server: newServer()}
}

// Tick moves the model on to the present of its clock.
func (m *Model) Tick() {
	m.mu.Lock()
	m.advance()
	ended := m.ended
	m.ended = nil
	m.mu.Unlock()
	for _, f := range ended {
		f()
	}
}

// Next is when Tick will next have something to do that no call brings about; false if never.
func (m *Model) Next() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.ended) > 0:
		return m.opts.Now(), true
	case len(m.events.heap) > 0:
		return m.events.heap[0].at, true
	}
	return time.Time{}, false
}

// lock locks the model and moves it on to the present.
func (m *Model) lock() {
	m.mu.Lock()
	m.advance()
}

// advance does what is due, each thing at its own time. m.mu is held.
func (m *Model) advance() {
	now := m.opts.Now()
	for {
		e, ok := m.events.due(now)
		if !ok {
			break
		}
		if e.at.After(m.now) {
			m.now = e.at
		}
		m.happen(e)
	}
	if now.After(m.now) {
		m.now = now
	}
}
