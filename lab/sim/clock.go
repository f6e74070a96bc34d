package sim

import (
	"context"
	"time"
)

// clock is the loop's time as the state machine's interpreter and the scaler want it (asl.Clock, scaler.Options).
type clock struct{ loop *loop }

// Now returns the virtual time.
func (c clock) Now() time.Time { return c.loop.now }

// Sleep lets d pass, or what is left until the context's deadline.
func (c clock) Sleep(ctx context.Context, d time.Duration) error {
	p := c.loop.current
	p.live()
	if err := ctx.Err(); err != nil {
		return err
	}
	until, late := c.loop.now.Add(max(d, 0)), false
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until, late = deadline, true
	}
	p.sleepUntil(until)
	if late {
		expire(ctx)
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// Within returns a context that ends after d in this time, or never by itself if d is 0.
func (c clock) Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	v := newContext(ctx, c.loop)
	if d > 0 {
		v.limit(c.loop.now.Add(d))
	}
	return v, func() { v.end(context.Canceled) }
}

// Join runs the functions side by side.
func (c clock) Join(fs ...func()) {
	if len(fs) > 0 {
		c.loop.together(fs...)
	}
}

// virtual is a context with a deadline in virtual time. Nothing watches the clock for it: it has ended from the moment on
// at which somebody who waits in it is woken at its deadline, or asks. Contexts of the standard library that are derived
// from it end with it, at once and in order, since it offers them AfterFunc: no goroutine is needed.
type virtual struct {
	context.Context
	loop     *loop
	deadline time.Time // Zero for none.
	done     chan struct{}
	err      error
	after    []func()
}

func newContext(parent context.Context, l *loop) *virtual {
	v := &virtual{Context: parent, loop: l, done: make(chan struct{})}
	if d, ok := parent.Deadline(); ok {
		v.deadline = d
	}
	return v
}

func (v *virtual) limit(t time.Time) {
	if v.deadline.IsZero() || t.Before(v.deadline) {
		v.deadline = t
	}
}

// Deadline returns the virtual deadline.
func (v *virtual) Deadline() (time.Time, bool) { return v.deadline, !v.deadline.IsZero() }

// Done returns a channel that is closed when somebody has noticed the end.
func (v *virtual) Done() <-chan struct{} { return v.done }

// Err says why the context has ended; nil if it has not.
func (v *virtual) Err() error {
	if v.err != nil {
		return v.err
	}
	if err := v.Context.Err(); err != nil {
		v.end(err)
	} else if !v.deadline.IsZero() && !v.loop.now.Before(v.deadline) {
		v.end(context.DeadlineExceeded)
	}
	return v.err
}

// AfterFunc calls f when the context ends: at once, and not on a goroutine of its own.
func (v *virtual) AfterFunc(f func()) func() bool {
	at := len(v.after)
	v.after = append(v.after, f)
	return func() bool {
		was := at < len(v.after) && v.after[at] != nil
		if was {
			v.after[at] = nil
		}
		return was
	}
}

// Value finds the context itself under its own key, beside what the outer ones hold.
func (v *virtual) Value(key any) any {
	if key == (virtualKey{}) {
		return v
	}
	return v.Context.Value(key)
}

type virtualKey struct{}

func (v *virtual) end(err error) {
	if v.err != nil {
		return
	}
	v.err = err
	close(v.done)
	after := v.after
	v.after = nil
	for _, f := range after {
		if f != nil {
			f()
		}
	}
}

// expire notices that the deadline of the context has come, so that contexts derived from it end.
func expire(ctx context.Context) {
	if v, ok := ctx.Value(virtualKey{}).(*virtual); ok {
		_ = v.Err()
	}
}
