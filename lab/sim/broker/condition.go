package broker

import (
	"slices"
	"time"
)

// Alive tells that the process has not ended.
func (w *Worker) Alive() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	return w.phase != gone
}

// Stopping tells that a warm stop is under way, or over.
func (w *Worker) Stopping() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	return w.phase >= stopping
}

// Ready tells that the worker has booted and consumes, or would if its connection stood.
func (w *Worker) Ready() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	return w.phase == ready || w.phase == cut
}

// Holding tells how many tasks the worker executes, and how many it has that it has not begun and that are due within the
// horizon: fetched, held by a rate, or on their way to it. A message that was restored behind its back since, past the visibility
// timeout, is elsewhere: to stop this worker costs it nothing.
func (w *Worker) Holding(horizon time.Duration) (executing, held int) {
	w.m.lock()
	defer w.m.mu.Unlock()
	due := w.m.now.Add(horizon)
	if w.phase == gone {
		return 0, 0
	}
	for _, r := range w.running {
		if !r.over {
			executing++
		}
	}
	for _, r := range w.unbegun() {
		if !r.msg.eta.After(due) && r.msg.place == unacked && r.msg.holder == w {
			held++
		}
	}
	if w.flight != nil && !w.flight.msg.eta.After(due) {
		held++
	}
	return executing, held
}

// unbegun are the requests in the worker's memory that have not begun.
func (w *Worker) unbegun() []*request {
	var held []*request
	for _, r := range w.fetched {
		if !r.over && !slices.Contains(w.running, r) {
			held = append(held, r)
		}
	}
	return held
}
