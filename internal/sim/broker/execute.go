package broker

import (
	"slices"
	"time"
)

// happen does what an event says. What happens to a worker whose loop stands still waits for it.
func (m *Model) happen(e event) {
	switch w := e.worker; e.what {
	case messageAges:
		m.age()
	case serverBack:
		m.back()
	case sweepComes:
		if w.age == e.age && w.sweeps() && m.fault == well {
			m.sweep()
		}
		m.age()
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

// leavesPop notes that a Solo worker is about to execute what it did not just pop: its pop is left outstanding (section 2.3).
func (m *Model) leavesPop(w *Worker) {
	if w.spec.Pool == Solo && w.room() {
		w.stray()
	}
}

// arrive is a popped message's arrival.
func (m *Model) arrive(w *Worker) {
	r := w.flight
	if r == nil {
		return
	}
	w.flight = nil
	rec := r.msg.record
	rec.flying--
	m.reserve(r.msg, w)
	m.drop(rec) // The copy in flight; the one in unacked is counted by now.
	rec.live++  // The worker's own.
	rec.fetched++
	r.delivery().Fetched = m.now
	r.unacked = true
	w.fetched = append(w.fetched, r)
	if !slices.Contains(w.consuming, r.msg.queue.name) {
		// The pop was outstanding when the queue was cancelled: it is put straight back (section 5).
		m.at(m.opts.Flight, putBack, w, r)
		return
	}
	owes := len(w.owed)
	switch {
	case m.tooLate(r):
	case r.msg.eta.After(m.now):
		r.eta = true
		w.etas++
		m.at(r.msg.eta.Sub(m.now), etaComes, w, r)
	default:
		m.admit(r)
	}
	if !w.blocked() {
		m.pay(w, owes)
	}
	m.fetch(w)
}

// tooLate drops a request whose time to be executed is over.
func (m *Model) tooLate(r *request) bool {
	expires := r.msg.record.task.Expires
	if expires.IsZero() || m.now.Before(expires) {
		return false
	}
	if rec := r.msg.record; !rec.expired {
		rec.expired = true
		m.ledger.expired++
	}
	m.settle(r)
	m.forget(r)
	return true
}

// admit takes a request that is due: to its rate's bucket, or to the pool. What a rate holds is in unacked and in nothing that
// a worker tells (section 2.2).
func (m *Model) admit(r *request) {
	w := r.worker
	if b := w.rates[r.msg.record.task.Name]; b != nil {
		if len(b.held) > 0 || b.next.After(m.now) {
			b.held = append(b.held, r)
			if len(b.held) == 1 {
				m.at(b.next.Sub(m.now), rateAllows, w, r)
			}
			return
		}
		b.next = m.now.Add(b.every)
	}
	w.reserved = append(w.reserved, r)
	m.begin(w)
}

// allow starts the first request that a rate has held.
func (m *Model) allow(w *Worker, r *request) {
	b := w.rates[r.msg.record.task.Name]
	i := slices.Index(b.held, r)
	if i < 0 {
		return
	}
	b.held = slices.Delete(b.held, i, i+1)
	b.next = m.now.Add(b.every)
	if len(b.held) > 0 {
		m.at(b.every, rateAllows, w, b.held[0])
	}
	w.reserved = append(w.reserved, r)
	m.begin(w)
}

// begin fills the pool. A message is acknowledged when its execution begins, or late, when it ends; with Solo the early
// acknowledgement too waits for the loop, which waits for the task (section 2.2).
func (m *Model) begin(w *Worker) {
	for len(w.reserved) > 0 && len(w.running) < w.spec.Concurrency {
		r := w.reserved[0]
		w.reserved = slices.Delete(w.reserved, 0, 1)
		if m.tooLate(r) {
			continue
		}
		rec := r.msg.record
		rec.fetched--
		rec.running++
		w.running = append(w.running, r)
		w.processed++
		r.delivery().Started = m.now
		r.mute = w.phase == stopping && w.spec.Pool == Prefork
		switch {
		case r.late() || w.spec.Pool == Solo:
		case w.spec.Pool == Gevent && w.spec.Version != V57:
			w.owed = append(w.owed, r)
			m.at(turn, loopTurns, w, nil)
		default:
			m.settle(r)
		}
		if d := rec.task.Duration; d >= 0 {
			r.ends = m.now.Add(d)
			m.at(d, taskEnds, w, r)
		}
	}
}

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

// End ends a task that executes now, in the worker that began it first; false if none executes it. It is for tasks of Duration
// Forever.
func (m *Model) End(id ID) bool {
	m.lock()
	defer m.mu.Unlock()
	for _, d := range m.records[id].deliveries {
		for _, r := range d.Worker.running {
			if r.msg.record.id == id && !r.over {
				r.age++
				m.taskEnds(event{at: m.now, what: taskEnds, worker: r.worker, request: r, age: r.age})
				return true
			}
		}
	}
	return false
}

// taskEnds is the end of an execution. A prefork child ends its task also while its parent is frozen, which then notices it
// later; any other pool stands still with its process.
func (m *Model) taskEnds(e event) {
	r, w := e.request, e.worker
	if w.frozen && w.spec.Pool != Prefork {
		return // Thaw makes the event anew.
	}
	if !r.over {
		r.over = true
		rec := r.msg.record
		r.delivery().Ended = m.now
		if r.msg.retries > 0 && m.writable() == nil {
			rec.retried++
			m.push(m.newMessage(rec, m.now.Add(rec.task.RetryIn), r.msg.retries-1), false)
		} else {
			rec.runs++
			if !rec.done {
				rec.done = true
				m.ledger.done++
			}
		}
	}
	if w.frozen {
		e.age = r.age
		w.deferred = append(w.deferred, e)
		return
	}
	m.noticed(r)
}

// noticed is the worker's noticing that an execution has ended.
func (m *Model) noticed(r *request) {
	w := r.worker
	i := slices.Index(w.running, r)
	if i < 0 {
		return
	}
	w.running = slices.Delete(w.running, i, i+1)
	r.age++
	r.msg.record.running--
	if w.spec.Pool == Solo && w.flight != nil {
		// Its loop first executes what lies in its socket, and only then acknowledges.
		w.owed = append(w.owed, r)
	} else {
		m.pay(w, len(w.owed))
		m.settle(r)
	}
	m.drop(r.msg.record)
	if w.phase == stopping {
		m.wind(w)
		return
	}
	if w.told && w.spec.Pool != Gevent {
		m.stop(w)
		return
	}
	m.begin(w)
	if len(w.running) == 0 {
		w.surplus = 0
	}
	if w.told { // Of Gevent: it fetches once more before it notices.
		m.fetch(w)
	}
	m.stop(w)
	m.awake(w)
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
