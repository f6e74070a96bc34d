package main

import (
	"cmp"
	"slices"
	"time"
)

// chronicle keeps what the local cloud saw, as far as the promises are about it: the events and what came of them, the
// counts and the sweeps. Times are since the start.
type chronicle struct {
	desired, peak int
	alive         map[string]bool // The ECS tasks that have not stopped.
	zeroAt        time.Duration   // When no worker was wanted and none was left; negative while that is not so.

	events, dropped  int
	open             []openEvent // Found no worker wanted, and have had no answer yet.
	answers, repairs []answer
	firstEvent       time.Duration // Negative before the first one.

	sweeps, failedSweeps int
	settling             map[string]bool // The sweeps that have found an idle target and wait.

	denied []string // The calls of functions that their roles do not allow.
}

type openEvent struct {
	at   time.Duration
	lost bool
}

func newChronicle() *chronicle {
	return &chronicle{alive: map[string]bool{}, settling: map[string]bool{}, zeroAt: 0, firstEvent: -1}
}

// event is an entry that PutEvents took; lost says that the cloud dropped it on purpose.
func (c *chronicle) event(at time.Duration, lost bool) {
	c.events++
	if lost {
		c.dropped++
	}
	if c.firstEvent < 0 {
		c.firstEvent = at
	}
	// While workers are wanted already there may be nothing to raise, so nothing is owed.
	if c.desired == 0 {
		c.open = append(c.open, openEvent{at, lost})
	}
}

// count is a new desired count.
func (c *chronicle) count(at time.Duration, desired int) {
	if desired > c.desired {
		for _, e := range c.open {
			c.settle(e, at-e.at)
		}
		c.open = nil
	}
	c.desired = desired
	c.peak = max(c.peak, desired)
	c.atZero(at)
}

func (c *chronicle) settle(e openEvent, took time.Duration) {
	if e.lost {
		c.repairs = append(c.repairs, answer{e.at, took})
	} else {
		c.answers = append(c.answers, answer{e.at, took})
	}
}

// task is an ECS task that lives, or that has stopped.
func (c *chronicle) task(at time.Duration, id string, stopped bool) {
	if stopped {
		delete(c.alive, id)
	} else {
		c.alive[id] = true
	}
	c.atZero(at)
}

// atZero keeps the time since which there has been no worker.
func (c *chronicle) atZero(at time.Duration) {
	switch {
	case c.desired > 0 || len(c.alive) > 0:
		c.zeroAt = -1
	case c.zeroAt < 0:
		c.zeroAt = at
	}
}

// sweepEnded is the end of one execution of the state machine.
func (c *chronicle) sweepEnded(id string, failed bool) {
	delete(c.settling, id)
	c.sweeps++
	if failed {
		c.failedSweeps++
	}
}

// tell fills in what the chronicle knows.
func (c *chronicle) tell(f *facts) {
	f.answers, f.repairs = slices.Clone(c.answers), slices.Clone(c.repairs)
	for _, e := range c.open {
		if e.lost {
			f.repairs = append(f.repairs, answer{e.at, -1})
		} else {
			f.answers = append(f.answers, answer{e.at, -1})
		}
	}
	byTime := func(a, b answer) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(f.answers, byTime)
	slices.SortStableFunc(f.repairs, byTime)
	f.peak, f.zeroAt = c.peak, c.zeroAt
	f.denied = c.denied
	f.events, f.dropped, f.sweeps, f.failedSweep = c.events, c.dropped, c.sweeps, c.failedSweeps
}
