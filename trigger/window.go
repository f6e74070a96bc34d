package trigger

import (
	"context"
	"time"
)

// window is the time after an event was sent, in which further ones for the same key are gathered.
type window struct {
	sent    *Event        // What was sent last; nil before the first event has arrived.
	pending *Event        // What is still to be asked for.
	flying  chan struct{} // Closed when the event on its way has arrived, or failed; nil if none is.
	timer   *time.Timer   // Ends the window; nil while an event is on its way.
	pause   time.Duration // The last pause after a failure; 0 after a success.
}

// add gathers an event. While one is on its way nobody knows whether it will arrive, so that all are kept.
func (w *window) add(e Event) {
	if w.flying == nil && w.sent != nil && w.sent.covers(e) {
		return
	}
	if w.pending != nil {
		e = merge(*w.pending, e)
	}
	w.pending = &e
}

// landed notes that the event on its way has arrived or failed, and sets the end of the window. It is called with the lock
// held.
func (t *Trigger) landed(k key, w *window, e Event, err error) {
	close(w.flying)
	w.flying = nil
	if err == nil {
		w.sent, w.pause = &e, 0
		if w.pending != nil && e.covers(*w.pending) {
			w.pending = nil
		}
	} else {
		w.sent = nil
		w.pause = min(max(2*w.pause, t.opts.Window), maxPause)
	}
	if t.keys[k] != w {
		return // Closed meanwhile.
	}
	if err != nil && w.pending == nil {
		delete(t.keys, k) // The caller has the error, and the next call begins anew.
		return
	}
	t.wg.Add(1)
	w.timer = time.AfterFunc(max(w.pause, t.opts.Window), func() {
		defer t.wg.Done()
		ctx, cancel := context.WithTimeout(t.ctx, sendLimit)
		defer cancel()
		if err := t.finish(ctx, k, w); err != nil {
			t.opts.OnError(err)
		}
	})
}

// finish ends a window: it sends what is pending, which begins the next one.
func (t *Trigger) finish(ctx context.Context, k key, w *window) error {
	t.mu.Lock()
	if w.flying != nil || t.keys[k] != w {
		t.mu.Unlock()
		return nil // Flush was faster.
	}
	w.timer = nil
	if w.pending == nil {
		delete(t.keys, k)
		t.mu.Unlock()
		return nil
	}
	e := *w.pending
	w.pending, w.flying = nil, make(chan struct{})
	t.mu.Unlock()
	err := t.send(ctx, e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		// Back with it, under what has been asked for meanwhile.
		if w.pending != nil {
			e = merge(e, *w.pending)
		}
		w.pending = &e
	}
	t.landed(k, w, e, err)
	return err
}

// flush waits for the event of a key that is on its way, and then sends what is pending.
func (t *Trigger) flush(ctx context.Context, k key) error {
	for {
		t.mu.Lock()
		w := t.keys[k]
		if w == nil || w.flying == nil && w.pending == nil {
			t.mu.Unlock()
			return nil
		}
		if flying := w.flying; flying != nil {
			t.mu.Unlock()
			select {
			case <-flying:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if w.timer.Stop() {
			t.wg.Done()
		}
		t.mu.Unlock()
		return t.finish(ctx, k, w)
	}
}
