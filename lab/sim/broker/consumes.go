package broker

import "slices"

// Consumes returns the queues that the worker fetches from: none if it has been drained, is deaf, or is on its way up or out. One
// that is frozen or blocked, or whose window is full, fetches from them when it is free again.
func (w *Worker) Consumes() []string {
	w.m.lock()
	defer w.m.mu.Unlock()
	if w.phase != ready || w.wedged || w.starved {
		return nil
	}
	return slices.Clone(w.consuming)
}

// Obeys tells that what the worker is told takes effect soon: its loop runs. One that is blocked by a task obeys when that ends.
func (w *Worker) Obeys() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	return w.loops()
}

// Answers tells that the worker answers what it is asked.
func (w *Worker) Answers() bool {
	w.m.lock()
	defer w.m.mu.Unlock()
	return w.speaks()
}
