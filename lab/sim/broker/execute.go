package broker

import (
	"slices"
)

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
		if !w.untracked(r) {
			w.processed++
		}
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
