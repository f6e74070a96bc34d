package sim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lab is a loop without a world.
func lab(t *testing.T) *loop {
	var pool coroutines
	l := newLoop(&pool)
	t.Cleanup(func() {
		l.close()
		pool.close()
	})
	return l
}

// runOut lets everything happen that is planned.
func runOut(l *loop) {
	for _, ok := l.next(); ok; _, ok = l.next() {
		l.step()
	}
}

func TestLoopOrder(t *testing.T) {
	l := lab(t)
	var got []int
	note := func(i int) func() { return func() { got = append(got, i) } }
	for i, d := range []time.Duration{5, 1, 3, 1, 0, 5} {
		l.after(d*time.Second, note(i))
	}
	l.after(2*time.Second, func() { l.at(epoch, note(9)) }) // What is past happens now.
	cancelled := l.after(time.Second, note(8))
	cancelled.do = nil
	runOut(l)
	if want := []int{4, 1, 3, 9, 2, 0, 5}; !slices.Equal(got, want) {
		t.Errorf("happened in the order %v, want %v", got, want)
	}
	if l.now != epoch.Add(5*time.Second) {
		t.Errorf("it is %v after the beginning, want 5 s", l.now.Sub(epoch))
	}
}

// Processes run one at a time; what they do together takes as long as the longest of it.
func TestTogether(t *testing.T) {
	l := lab(t)
	var story []string
	sleep := func(name string, d time.Duration) func() {
		return func() {
			story = append(story, name+" begins")
			l.current.sleepUntil(l.now.Add(d))
			story = append(story, name+" ends")
		}
	}
	l.spawn(nil, func() {
		l.together()
		l.together(sleep("alone", time.Second))
		l.together(sleep("a", 3*time.Second), sleep("b", time.Second), sleep("c", 2*time.Second))
		story = append(story, "all have ended")
	}, nil)
	runOut(l)
	want := []string{
		"alone begins", "alone ends", "a begins", "b begins", "c begins", "b ends", "c ends", "a ends", "all have ended",
	}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Error(diff)
	}
	if took := l.now.Sub(epoch); took != 4*time.Second {
		t.Errorf("took %v, want 4 s", took)
	}
}

// A process that is killed unwinds, reaches nothing more, and tells nobody; its coroutine is used again.
func TestKill(t *testing.T) {
	l := lab(t)
	var deferred, reached, told bool
	p := l.spawn(nil, func() {
		defer func() {
			deferred = true
			l.current.sleepUntil(l.now.Add(time.Second)) // As an unlock in a defer would.
			reached = true
		}()
		l.current.sleepUntil(l.now.Add(time.Hour))
		reached = true
	}, func(*process) { told = true })
	never := l.spawn(nil, func() { reached = true }, nil)
	never.kill()
	l.after(time.Minute, p.kill)
	runOut(l)
	if !deferred || reached || told || !p.ended {
		t.Errorf("deferred %v, reached more %v, told %v, ended %v", deferred, reached, told, p.ended)
	}
	if n := len(l.pool.idle); n != 1 {
		t.Errorf("%d coroutines are idle, want the one that was used", n)
	}
	again := false
	l.spawn(nil, func() { again = true }, nil)
	runOut(l)
	if !again || len(l.pool.idle) != 1 {
		t.Errorf("ran again: %v, on %d coroutines", again, len(l.pool.idle))
	}
}

func TestPanicIsTold(t *testing.T) {
	l := lab(t)
	var got string
	l.spawn(nil, func() {
		l.together(func() { panic("in a part of it") }, func() {})
	}, func(p *process) { got = p.crashed })
	runOut(l)
	if want := "panic: panic: in a part of it"; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("it ended with %q, want %q", got, want)
	}
}

// Contexts end in virtual time, and those of the standard library that are derived from them with them, at once.
func TestDeadlines(t *testing.T) {
	l := lab(t)
	c := clock{l}
	var errs []error
	var woke []time.Duration
	l.spawn(nil, func() {
		outer := newContext(context.Background(), l)
		outer.limit(epoch.Add(10 * time.Second))
		derived, cancel := context.WithTimeout(outer, time.Millisecond) // Of real time, which does not pass.
		defer cancel()
		errs = append(errs, c.Sleep(derived, 4*time.Second), derived.Err())
		woke = append(woke, l.now.Sub(epoch))
		errs = append(errs, c.Sleep(derived, time.Hour), derived.Err(), outer.Err(), c.Sleep(derived, time.Second))
		woke = append(woke, l.now.Sub(epoch))
		select {
		case <-derived.Done():
		default:
			t.Error("the derived context does not say that it is done")
		}
		inner, end := c.Within(context.Background(), time.Minute)
		end()
		errs = append(errs, inner.Err(), c.Sleep(inner, time.Second))
	}, nil)
	runOut(l)
	late, gone := context.DeadlineExceeded, context.Canceled
	want := []error{nil, nil, late, late, late, late, gone, gone}
	if !slices.EqualFunc(errs, want, errors.Is) {
		t.Errorf("errors %v, want %v", errs, want)
	}
	if want := []time.Duration{4 * time.Second, 10 * time.Second}; !slices.Equal(woke, want) {
		t.Errorf("woke after %v, want %v", woke, want)
	}
}
