package broker

import (
	"slices"
	"time"
)

// Freeze is SIGSTOP to the main process: it listens and does nothing, and a pop that is outstanding may take one message more.
// The children of a Prefork pool go on.
func (w *Worker) Freeze() {
	w.m.lock()
	defer w.m.mu.Unlock()
	if w.frozen || w.phase == gone {
		return
	}
	if w.room() {
		w.stray()
	}
	w.frozen, w.frozenAt = true, w.m.now
}

// Thaw is SIGCONT: the worker goes on with all that waited for it.
func (w *Worker) Thaw() {
	w.m.lock()
	defer w.m.mu.Unlock()
	if !w.frozen || w.phase == gone {
		return
	}
	m := w.m
	w.frozen = false
	if w.spec.Pool != Prefork {
		for _, r := range w.running {
			if !r.ends.IsZero() {
				r.ends = r.ends.Add(m.now.Sub(w.frozenAt))
				r.age++
				m.at(r.ends.Sub(m.now), taskEnds, w, r)
			}
		}
	}
	for _, r := range slices.Clone(w.running) {
		if r.over {
			m.noticed(r)
		}
	}
	if w.phase == stopping {
		m.wind(w)
		return
	}
	m.stop(w)
	m.awake(w)
}

// Reconnect cuts the worker's connections, as a failover, a proxy or CLIENT KILL does. It is back after Options.Reconnect. What it
// had fetched it then gives back, what executes with late acknowledgement included, which so runs twice (section 2.4), and
// forgets what it had not begun.
func (w *Worker) Reconnect() {
	w.m.lock()
	defer w.m.mu.Unlock()
	w.m.cut(w)
}

func (m *Model) cut(w *Worker) {
	if r := w.flight; r != nil {
		w.flight = nil
		m.unfly(r, true)
	}
	w.strayTo = time.Time{}
	if w.phase != ready {
		return
	}
	w.phase = cut
	w.age++
	w.inbox, w.deferred = nil, nil
	for _, r := range w.unbegun() {
		if !slices.Contains(w.reserved, r) || w.spec.Pool == Prefork {
			m.forget(r)
		}
	}
	if w.spec.Pool == Prefork {
		w.reserved = nil
		if w.spec.Version != V57 {
			// It counts anew how many its pool may take, and forgets what that executes: as many more go there, where a warm stop
			// executes them.
			w.surplus = len(w.running)
		}
	}
	for _, r := range w.fetched {
		w.orphans = append(w.orphans, r.msg)
	}
	w.fetched, w.owed, w.etas = nil, nil, 0
	for _, b := range w.rates {
		b.held = nil
	}
	m.at(m.opts.Reconnect, workerReady, w, nil)
}

// Wedge leaves the worker deaf: it answers nobody and fetches nothing until its connection is cut; what it has, it executes
// (section 4.6).
func (w *Worker) Wedge() {
	w.m.lock()
	defer w.m.mu.Unlock()
	w.wedged = true
	w.inbox = nil
}

// Starve has the worker fetch nothing, while it answers and claims its queues (kombu #2629), until its connection is cut.
func (w *Worker) Starve() {
	w.m.lock()
	defer w.m.mu.Unlock()
	w.starved = true
}

// CrashChild ends one child of a Prefork pool; false if none executes. Its task is lost, with late acknowledgement too
// (section 6.3), and another child takes its place.
func (w *Worker) CrashChild() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	m := w.m
	for _, r := range w.running {
		if r.over {
			continue
		}
		r.over = true
		r.age++
		r.msg.record.cut++
		if w.frozen {
			return true
		}
		m.noticed(r)
		return true
	}
	return false
}
