package asl

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// VirtualClock is a time that passes only by sleeping, and in which just one goroutine runs at any moment: the one that
// uses it from outside, or one of those that Join has started. Who sleeps, joins or ends hands over to the one whose time
// is next; among equals, to the one that has waited longest. So the same programme always runs in the same order, and
// never waits for real.
//
// Goroutines that use one clock must come from its Join, and may wait for each other only through it. A context that
// Within has made does not close its Done channel when its time is over: only Sleep, Err and Deadline know of it.
type VirtualClock struct {
	mu    sync.Mutex
	now   time.Time
	seq   int
	queue sleepers
}

// NewVirtualClock returns a clock that stands at the given time.
func NewVirtualClock(start time.Time) *VirtualClock { return &VirtualClock{now: start} }

// Now returns the virtual time.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep lets d pass, or what is left until the context's deadline.
func (c *VirtualClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	until := c.now.Add(max(d, 0))
	deadline, limited := ctx.Deadline()
	expires := limited && deadline.Before(until)
	if expires {
		until = deadline
	}
	mine := c.enqueue(ctx, until)
	c.dispatch()
	c.mu.Unlock()
	<-mine.wake
	if err := ctx.Err(); err != nil {
		return err
	}
	if expires {
		return context.DeadlineExceeded // The deadline of an outer context, of which ctx.Err need not know.
	}
	return nil
}

// Within returns a context with a virtual deadline. To cancel it wakes those who sleep in it.
func (c *VirtualClock) Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(ctx)
	out := &virtualContext{Context: inner, clock: c}
	if d > 0 {
		out.deadline = c.Now().Add(d)
	}
	if outer, ok := ctx.Deadline(); ok && (out.deadline.IsZero() || outer.Before(out.deadline)) {
		out.deadline = outer
	}
	return out, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.queue {
			select {
			case <-s.ctx.Done():
				s.at = c.now
			default:
			}
		}
		heap.Init(&c.queue)
	}
}

// Join runs the functions, one at a time, in the order in which their times come.
func (c *VirtualClock) Join(fs ...func()) {
	if len(fs) == 0 {
		return
	}
	c.mu.Lock()
	left := len(fs)
	me := &sleeper{ctx: context.Background(), wake: make(chan struct{})}
	for _, f := range fs {
		started := c.enqueue(context.Background(), c.now)
		go func() {
			<-started.wake
			f()
			c.mu.Lock()
			defer c.mu.Unlock()
			if left--; left == 0 {
				c.push(me, c.now)
			}
			c.dispatch()
		}()
	}
	c.dispatch()
	c.mu.Unlock()
	<-me.wake
}

// enqueue makes an entry for a goroutine that is to wait until the given time. The lock is held.
func (c *VirtualClock) enqueue(ctx context.Context, at time.Time) *sleeper {
	s := &sleeper{ctx: ctx, wake: make(chan struct{})}
	c.push(s, at)
	return s
}

func (c *VirtualClock) push(s *sleeper, at time.Time) {
	c.seq++
	s.at, s.seq = at, c.seq
	heap.Push(&c.queue, s)
}

// dispatch wakes the goroutine whose time is next. The lock is held, and the caller runs on only if it is that one.
func (c *VirtualClock) dispatch() {
	next := heap.Pop(&c.queue).(*sleeper) // There always is one: whoever dispatches has queued itself, or its joiner waits.
	if next.at.After(c.now) {
		c.now = next.at
	}
	close(next.wake)
}

// virtualContext has a deadline in virtual time.
type virtualContext struct {
	context.Context
	clock    *VirtualClock
	deadline time.Time // Zero for none.
}

func (v *virtualContext) Deadline() (time.Time, bool) { return v.deadline, !v.deadline.IsZero() }

func (v *virtualContext) Err() error {
	if err := v.Context.Err(); err != nil {
		return err
	}
	if !v.deadline.IsZero() && !v.clock.Now().Before(v.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// sleeper is a goroutine that waits for its time.
type sleeper struct {
	at   time.Time
	seq  int
	ctx  context.Context
	wake chan struct{}
}

// sleepers is a heap by time, then by order of arrival.
type sleepers []*sleeper

func (s sleepers) Len() int { return len(s) }
func (s sleepers) Less(i, j int) bool {
	if !s[i].at.Equal(s[j].at) {
		return s[i].at.Before(s[j].at)
	}
	return s[i].seq < s[j].seq
}
func (s sleepers) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *sleepers) Push(x any)   { *s = append(*s, x.(*sleeper)) }
func (s *sleepers) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
