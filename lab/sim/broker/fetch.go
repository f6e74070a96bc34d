package broker

import (
	"slices"
	"time"
)

// window is how many messages the worker may have unacknowledged: the ETA messages do not count (section 2.2).
func (w *Worker) window() int { return w.spec.Prefetch*w.spec.Concurrency + w.etas }

// room tells that the worker has an outstanding pop: room in its window, and a loop that runs.
func (w *Worker) room() bool {
	return w.loops() && !w.starved && w.flight == nil && len(w.fetched) < w.window()
}

// takes tells that a message of the queue that comes now is popped for this worker, and whether it will be read soon.
func (w *Worker) takes(q string) bool {
	if w.room() && slices.Contains(w.consuming, q) {
		return true
	}
	return w.flight == nil && w.phase != cut && w.strayTo.After(w.m.now) && slices.Contains(w.strays, q)
}

// stray notes that the worker's pop is left outstanding: Redis keeps it until its time is over, and what comes meanwhile lies in
// the worker's socket.
func (w *Worker) stray() {
	if w.strayTo.After(w.m.now) {
		return // It has an older one outstanding.
	}
	pop := w.m.opts.Pop
	w.strays = append(w.strays[:0], w.consuming...)
	w.strayTo = w.m.now.Add(pop - w.m.now.Sub(w.asked)%pop)
}

// offer gives what waits in a queue to the workers that wait for it. Which of several Redis serves is chance here: they take
// turns by when each last asked.
func (m *Model) offer(q *queue) {
	if m.fault != well {
		return
	}
	for q.len() > 0 {
		var taker *Worker
		n := 0
		for _, w := range m.workers {
			if w.takes(q.name) {
				n++
				if n == 1 || m.opts.Rand.IntN(n) == 0 {
					taker = w
				}
			}
		}
		if taker == nil {
			return
		}
		m.pop(taker, q)
	}
}

// fetch pops the next message for a worker that has room. BRPOP asks for the first priority of all queues before the second of
// any, and the queue that gave one is asked last the next time (kombu's round robin).
func (m *Model) fetch(w *Worker) {
	if m.fault != well || !w.room() {
		return
	}
	w.asked = m.now
	for step := range steps {
		for _, name := range w.consuming {
			if q := m.queues[name]; q != nil && q.lists[step].len() > 0 {
				m.popFrom(w, q, step)
				return
			}
		}
	}
}

func (m *Model) pop(w *Worker, q *queue) {
	for step := range steps {
		if q.lists[step].len() > 0 {
			m.popFrom(w, q, step)
			return
		}
	}
}

// popFrom takes a message from its list. From now on no key has it, until it reaches its worker (section 2.3).
func (m *Model) popFrom(w *Worker, q *queue, step int) {
	msg := q.lists[step].pop()
	rec := msg.record
	rec.listed--
	rec.flying++
	msg.place = nowhere
	rec.deliveries = append(rec.deliveries, Delivery{Worker: w, Tag: msg.tag, Popped: m.now})
	w.flight = &request{worker: w, msg: msg, way: len(rec.deliveries) - 1}
	w.strayTo = time.Time{}
	if i := slices.Index(w.consuming, q.name); i >= 0 && i < len(w.consuming)-1 {
		copy(w.consuming[i:], w.consuming[i+1:])
		w.consuming[len(w.consuming)-1] = q.name
	}
	if w.phase < stopping { // One that stops reads it at its end.
		m.at(m.opts.Flight, popArrives, w, nil)
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

// leavesPop notes that a Solo worker is about to execute what it did not just pop: its pop is left outstanding (section 2.3).
func (m *Model) leavesPop(w *Worker) {
	if w.spec.Pool == Solo && w.room() {
		w.stray()
	}
}
