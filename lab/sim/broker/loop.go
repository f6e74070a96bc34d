package broker

import (
	"slices"
	"time"
)

// happen does what an event says. What happens to a worker whose loop stands still waits for it.
func (m *Model) happen(e event) {
	switch w := e.worker; e.what {
	case messageAges, sweepComes:
		if e.age != m.watched {
			return
		}
		if e.what == sweepComes && w.phase == ready && w.sweeps() {
			m.sweep()
		}
		m.watch()
	case serverBack:
		m.back()
	case workerReady:
		switch {
		case w.age != e.age || w.phase != booting && w.phase != cut:
		case w.frozen || w.blocked():
			w.deferred = append(w.deferred, e)
		default:
			m.connect(w)
		}
	case workerEnded:
		if w.age == e.age && w.phase == exiting {
			m.gone(w, w.exitCode, false)
		}
	case taskEnds:
		if e.request.age == e.age {
			m.taskEnds(e)
		}
	default:
		m.toLoop(e)
	}
}

// toLoop does what only a worker's running loop can do, now or when it runs again.
func (m *Model) toLoop(e event) {
	w := e.worker
	switch {
	case e.request != nil && e.request.age != e.age, e.request == nil && w.age != e.age:
		return
	case w.frozen || w.blocked():
		w.deferred = append(w.deferred, e)
		return
	}
	switch e.what {
	case popArrives:
		m.arrive(w)
	case putBack:
		m.giveBack(e.request, false)
	case etaComes:
		m.leavesPop(w)
		r := e.request
		r.eta = false
		w.etas--
		m.admit(r)
	case rateAllows:
		m.leavesPop(w)
		m.allow(w, e.request)
	case loopTurns:
		m.pay(w, len(w.owed))
	case controlDone:
		m.obey(w, e)
	}
	m.fetch(w)
}

// awake has a worker do what it could not while it stood still.
func (m *Model) awake(w *Worker) {
	for {
		switch {
		case len(w.deferred) > 0 && w.phase < stopping && !w.frozen && !w.blocked():
			e := w.deferred[0]
			w.deferred = slices.Delete(w.deferred, 0, 1)
			m.happen(e)
		case len(w.inbox) > 0 && w.speaks():
			c := w.inbox[0]
			w.inbox = slices.Delete(w.inbox, 0, 1)
			m.serve(w, c)
		default:
			m.fetch(w)
			return
		}
	}
}

// durations that were measured.
const (
	cancelLag       = 5 * time.Millisecond    // prefork, threads, solo (section 5).
	cancelLagGevent = 2700 * time.Millisecond // gevent (section 5).
	resumeLag       = 80 * time.Millisecond   // add_consumer (section 5).
	resumeLagOld    = 2 * time.Second         // The same of Celery 5.2, at most.
	turn            = time.Second             // Of Gevent's loop when nothing comes.
)

// pay makes the first n of the acknowledgements that a worker's loop owes. Up to Celery 5.6 that of Gevent makes those of what has
// begun in its next turn, which a full pool holds up.
func (m *Model) pay(w *Worker, n int) {
	for _, r := range w.owed[:n] {
		m.settle(r)
	}
	w.owed = slices.Delete(w.owed, 0, n)
}

// settle acknowledges a request, once. A worker without a connection cannot.
func (m *Model) settle(r *request) {
	if !r.unacked || r.mute {
		return
	}
	r.unacked = false
	if i := slices.Index(r.worker.fetched, r); i >= 0 {
		r.worker.fetched = slices.Delete(r.worker.fetched, i, i+1)
	}
	if m.ack(r.msg) {
		r.delivery().Acked = m.now
	}
}

// forget drops a request that has not begun from its worker's memory.
func (m *Model) forget(r *request) {
	r.age++
	r.msg.record.fetched--
	m.drop(r.msg.record)
}

// giveBack returns a request that has not begun to its list.
func (m *Model) giveBack(r *request, front bool) {
	w := r.worker
	if i := slices.Index(w.fetched, r); i >= 0 {
		w.fetched = slices.Delete(w.fetched, i, i+1)
	}
	r.unacked = false
	if m.restore(r.msg, front) {
		r.delivery().Back = m.now
	}
	m.forget(r)
}
