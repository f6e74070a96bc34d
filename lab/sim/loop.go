package sim

import (
	"time"
)

// epoch is when every history begins. It is before the time of any wall clock that runs this, and that matters: the
// production code bounds its calls with context.WithTimeout, which makes no timer where the outer context ends sooner, as
// one with a deadline in virtual time then always does. So no timer of the real clock ever runs in a history.
var epoch = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// loop is the time line of one history: what is to happen, in order of time, and among equals in the order in which it was
// planned. Everything in a history happens in one of its steps, one at a time.
type loop struct {
	now     time.Time
	seq     uint64
	queue   []*event
	current *process // The one that runs, if it is a process that runs.
	pool    *coroutines
	alive   []*process // And some that have ended: see living.
	buried  int        // How many of them have.
}

// event is something that is to happen.
type event struct {
	at  time.Time
	seq uint64
	do  func() // Nil if it has been cancelled.
}

func newLoop(pool *coroutines) *loop { return &loop{now: epoch, pool: pool} }

// at plans something. What lies in the past happens now.
func (l *loop) at(t time.Time, do func()) *event {
	if t.Before(l.now) {
		t = l.now
	}
	l.seq++
	e := &event{at: t, seq: l.seq, do: do}
	l.queue = append(l.queue, e)
	l.up(len(l.queue) - 1)
	return e
}

func (l *loop) after(d time.Duration, do func()) *event { return l.at(l.now.Add(d), do) }

// every plans something again and again, from first on, until it returns false.
func (l *loop) every(first time.Time, interval func() time.Duration, do func() bool) {
	l.at(first, func() {
		if do() {
			l.every(l.now.Add(interval()), interval, do)
		}
	})
}

// next is when the next step is; false if nothing is planned.
func (l *loop) next() (time.Time, bool) {
	for len(l.queue) > 0 && l.queue[0].do == nil {
		l.pop()
	}
	if len(l.queue) == 0 {
		return time.Time{}, false
	}
	return l.queue[0].at, true
}

// step does the next thing.
func (l *loop) step() {
	e := l.pop()
	if e.do == nil {
		return
	}
	l.now = e.at
	do := e.do
	e.do = nil
	do()
}

func less(a, b *event) bool {
	if a.at.Equal(b.at) {
		return a.seq < b.seq
	}
	return a.at.Before(b.at)
}

func (l *loop) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !less(l.queue[i], l.queue[parent]) {
			return
		}
		l.queue[i], l.queue[parent] = l.queue[parent], l.queue[i]
		i = parent
	}
}

func (l *loop) pop() *event {
	top, last := l.queue[0], len(l.queue)-1
	l.queue[0] = l.queue[last]
	l.queue[last] = nil
	l.queue = l.queue[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && less(l.queue[child+1], l.queue[child]) {
			child++
		}
		if !less(l.queue[child], l.queue[i]) {
			break
		}
		l.queue[i], l.queue[child] = l.queue[child], l.queue[i]
		i = child
	}
	return top
}
