package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// load is a shape of load.
type load string

const (
	idleLoad  load = "idle"      // Single short tasks with long pauses: the workers come and go.
	trickle   load = "trickle"   // Short tasks one after the other: the list is empty nearly always, the workers never are for long.
	bursts    load = "bursts"    // Many short tasks at once, and the next burst while the workers are about to be let go.
	saturated load = "saturated" // More than the workers can do, all the time.
	tail      load = "tail"      // Many short tasks and a few long ones, which go on when most workers have nothing to do any more.
	mixed     load = "mixed"     // All of that, and tasks with an ETA, with retries, and with a limited rate.
	everyday  load = "everyday"  // For the comparison: bursts with now a long task, now one with an ETA, some retries, and pauses.
)

// batches makes the load of a plan.
func (l load) batches(r *rand.Rand, p plan) []batch {
	s := &sender{r: r}
	slots := p.max * p.concurrency // Tasks that can be executed at a time.
	switch l {
	case idleLoad:
		for at := 0.5; at < p.window.Seconds(); at += 3 + 7*r.Float64() {
			s.send(at, true, s.some(1+r.IntN(3), 0.01, 1)...)
		}
	case trickle:
		for at := 0.5; at < p.window.Seconds(); at += 0.1 + 0.9*r.Float64() {
			s.send(at, r.IntN(10) == 0, s.work(0.01, 0.6))
		}
	case bursts:
		for at := 0.5; at < p.window.Seconds(); at += 5 + 5*r.Float64() {
			s.send(at, true, s.some(20+r.IntN(30), 0.01, 0.2)...)
		}
	case saturated:
		// A tenth more than can be done, until three quarters of the time have passed.
		for at := 0.5; at < 0.75*p.window.Seconds(); at++ {
			s.send(at, at < 1, s.some(max(1, slots*2), 0.2, 0.9)...)
		}
	case tail:
		s.send(0.5, true, append(s.some(6*slots, 0.05, 0.3), s.long(2))...)
		s.send(1, true, s.some(4*slots, 0.05, 0.3)...)
		s.send(3, false, s.long(1))
		for at := 8.0; at < 0.8*p.window.Seconds(); at += 1.5 + 2*r.Float64() {
			s.send(at, false, s.work(0.05, 1))
		}
		s.send(0.7*p.window.Seconds(), true, append(s.some(3*slots, 0.05, 0.3), s.long(0.5))...)
	case everyday:
		for n, at := 0, 0.5; at < p.window.Seconds(); n, at = n+1, at+9+2*r.Float64() {
			odd := s.long(0.4)
			if n%2 == 1 {
				odd = s.work(0.1, 0.5)
				odd.countdown = 9 + 4*r.Float64()
			}
			again := s.work(0.1, 0.5)
			again.retries = 1
			s.send(at, true, append(s.some(3*slots, 0.02, 0.3), odd, again)...)
			s.send(at+1+2*r.Float64(), true, s.some(1+r.IntN(3), 0.02, 0.3)...)
		}
	case mixed:
		s.send(0.5, true, append(s.some(2*slots, 0.01, 1), s.long(0.5))...)
		for at := 2.0; at < p.window.Seconds(); at += 1 + 3*r.Float64() {
			switch r.IntN(7) {
			case 0:
				s.send(at, true, s.some(10+r.IntN(20), 0.01, 0.2)...)
			case 1:
				j := s.work(0.05, 0.5)
				j.retries = 1 + r.IntN(2)
				s.send(at, false, j)
			case 2, 3:
				j := s.work(0.05, 1)
				j.countdown = 1 + 14*r.Float64()
				s.send(at, false, j)
			case 4:
				s.send(at, true, s.limited(), s.limited(), s.limited())
			case 5:
				s.send(at, false, s.work(2, 6))
			default:
				s.send(at, r.IntN(2) == 0, s.some(1+r.IntN(4), 0.01, 1)...)
			}
		}
	}
	return s.batches
}

// sender makes messages with ids in the order in which they are sent.
type sender struct {
	r       *rand.Rand
	n       int
	batches []batch
}

// send adds a batch at so many seconds.
func (s *sender) send(at float64, event bool, jobs ...job) {
	s.batches = append(s.batches, batch{at: time.Duration(at * float64(time.Second)), jobs: jobs, event: event})
}

// work makes a task that takes between so many seconds and so many.
func (s *sender) work(least, most float64) job {
	s.n++
	j := job{id: fmt.Sprintf("t%04d", s.n), name: "work", seconds: round(least + (most-least)*s.r.Float64())}
	if s.r.IntN(8) == 0 {
		j.priority = 6
	}
	return j
}

// long makes a task that takes longer than the stop timeout, by a part of what is left to the longest.
func (s *sender) long(part float64) job {
	most := longest.Seconds()
	least := stopTimeout.Seconds() + 2
	return s.work(least, least+min(1, part)*(most-least))
}

// limited makes a task of which a worker begins one each two seconds.
func (s *sender) limited() job {
	j := s.work(0.05, 0.2)
	j.name = "limited"
	return j
}

func (s *sender) some(n int, least, most float64) []job {
	jobs := make([]job, n)
	for i := range jobs {
		jobs[i] = s.work(least, most)
	}
	return jobs
}

// round keeps plans readable.
func round(seconds float64) float64 { return float64(int(seconds*1000)) / 1000 }
