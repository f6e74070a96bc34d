package broker

import (
	"slices"
	"time"
)

// Terminate is SIGTERM to the main process: a warm stop (section 6.1). The worker answers nobody from then on, finishes what
// executes (Threads up to Celery 5.6 also what it has reserved), then gives back what it has not begun, and exits with 0. One
// that boots exits at once. One whose loop stands still, frozen or blocked, begins with it when that is over, and listens until
// then.
func (w *Worker) Terminate() {
	w.m.lock()
	defer w.m.mu.Unlock()
	if w.phase < stopping && !w.spec.StopsNot {
		w.told = true
		w.m.stop(w)
	}
}

// stop begins a warm stop that the worker was told, if its loop can notice.
func (m *Model) stop(w *Worker) {
	if w.told && !w.frozen && w.spec.Version == V52 && w.spec.Pool == Solo {
		m.interrupt(w)
	}
	switch {
	case !w.told || w.phase >= stopping || w.frozen || w.blocked() && w.spec.Version != V52:
		return
	case w.phase == booting:
		m.exit(w, 0)
		return
	}
	if w.room() {
		w.stray()
	}
	// Celery 5.2 sometimes gives nothing back if it was fetching as it was told to stop (section 6.3).
	w.keeps = w.spec.Version == V52 && w.flight != nil && m.opts.Rand.IntN(3) == 0
	w.phase = stopping
	w.age++ // Its pop does not arrive any more.
	w.inbox = nil
	m.wind(w)
}

// interrupt cuts off what a Solo worker of Celery 5.2 executes: with no other thread, it ends by an exception, wherever it is. With
// late acknowledgement the message goes back, else it is lost.
func (m *Model) interrupt(w *Worker) {
	for _, r := range w.running {
		rec := r.msg.record
		r.age++
		rec.cut++
		rec.running--
		rec.fetched++
		if !r.late() {
			m.settle(r)
			m.forget(r)
		}
	}
	w.running = nil
}

// unfly takes a message that was on its way: to the back of its list, or lost.
func (m *Model) unfly(r *request, lost bool) {
	rec := r.msg.record
	rec.flying--
	if !lost && m.writable() == nil {
		r.delivery().Back = m.now
		m.push(r.msg, false)
	}
	m.drop(rec)
}

// wind goes on with a warm stop: when nothing executes any more, what has not begun goes back, and the process ends.
func (m *Model) wind(w *Worker) {
	if w.frozen {
		return
	}
	if w.spec.Pool == Threads && w.spec.Version != V57 {
		m.begin(w)
	}
	if n := min(w.surplus, len(w.reserved)); n > 0 && w.spec.Pool == Prefork {
		rest := w.reserved[n:]
		// What its end calls up finds a pool that takes nothing more, and then the worker waits for that for ever.
		w.hangs = w.hangs || len(rest) > 0
		w.reserved = slices.Clone(w.reserved[:n])
		m.begin(w)
		w.surplus = len(w.reserved)
		w.reserved = append(w.reserved, rest...)
	}
	if len(w.running) > 0 || w.hangs {
		return
	}
	w.strayTo = time.Time{}
	if r := w.flight; r != nil {
		// What its last pop brought has been in its socket since: kombu reads it now and gives it back, before 5.3 it was lost.
		w.flight = nil
		m.unfly(r, w.spec.Version == V52)
	}
	m.pay(w, len(w.owed))
	for _, r := range slices.Clone(w.fetched) {
		switch {
		case r.mute:
			m.restore(r.msg, true)
		case w.keeps:
			m.forget(r)
		default:
			m.giveBack(r, true)
		}
	}
	w.fetched, w.reserved = nil, nil
	m.exit(w, 0)
}

// exit ends a worker's process after it has nothing more to do.
func (m *Model) exit(w *Worker, code int) {
	w.phase, w.exitCode = exiting, code
	w.age++
	m.at(w.spec.ExitAfterStop, workerEnded, w, nil)
}

// Kill is SIGKILL to the whole task. What executes and was acknowledged early is lost, as is what is on its way; all else stays
// in unacked (section 6.2).
func (w *Worker) Kill() { w.end(137, true) }

// Crash ends the main process with a status, and its pool with it: the OOM killer, a fault. Work fares as with Kill.
func (w *Worker) Crash(code int) { w.end(code, false) }

func (w *Worker) end(code int, killed bool) {
	w.m.lock()
	defer w.m.mu.Unlock()
	if w.phase != gone {
		w.m.gone(w, code, killed)
	}
}

func (m *Model) gone(w *Worker, code int, killed bool) {
	w.phase = gone
	w.age++
	m.workers = slices.DeleteFunc(m.workers, func(o *Worker) bool { return o == w })
	for _, r := range w.running {
		r.age++
		r.msg.record.running--
		if !r.over {
			r.msg.record.cut++
		}
		m.drop(r.msg.record)
	}
	held := w.unbegun()
	w.fetched, w.reserved, w.running = nil, nil, nil
	for _, r := range held {
		m.forget(r)
	}
	if r := w.flight; r != nil {
		w.flight = nil
		m.unfly(r, true)
	}
	w.inbox, w.deferred, w.rates, w.owed = nil, nil, nil, nil
	if ended := w.spec.Ended; ended != nil {
		m.ended = append(m.ended, func() { ended(code, killed) })
	}
}
