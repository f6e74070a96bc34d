package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// crashes are the scale-ins that die in the tests below, at each of their calls.
var crashes = []struct {
	name    string
	workers int
	work    []time.Duration // What is being executed when the scale-in begins.
	between []time.Duration // What comes in the moment in which it dies.
	rest    int             // The count in the end.
	untold  bool            // The workers' names do not tell their tasks.
	slow    bool            // The workers obey 2.7 s after they have answered, as on gevent.
}{
	{"to none", 3, nil, nil, 0, false, false},
	{"to none, and a message comes", 3, nil, []time.Duration{30 * time.Second}, 0, false, false},
	{"to none, and more come than there are workers", 2, nil, []time.Duration{time.Hour, time.Hour, time.Hour}, 3, false, false},
	{"to none, of workers whose names tell nothing", 3, nil, nil, 0, true, false},
	{"to none, of workers whose names tell nothing, and a message comes", 3, nil, []time.Duration{30 * time.Second}, 0, true, false},
	{"to one that works for long", 3, []time.Duration{2 * time.Hour}, nil, 1, false, false},
	{"to one that works for long, and a message comes", 3, []time.Duration{2 * time.Hour}, []time.Duration{2 * time.Hour}, 2, false, false},
	{"to one that works for long, of workers that obey late, and messages come", 3, []time.Duration{2 * time.Hour}, []time.Duration{2 * time.Hour, 3 * time.Hour}, 3, false, true},
	{"to none, of workers that obey late, and a message comes", 3, nil, []time.Duration{30 * time.Second}, 0, false, true},
	{"of workers that are busy for a moment", 4, []time.Duration{2 * time.Hour, 3 * time.Second, 6 * time.Second}, nil, 1, false, false},
}

// TestAScaleInMayDieAtAnyCall kills a scale-in before, or after, each of its calls to broker and fleet. Whoever comes first afterwards,
// the sweeps bring the world to rest: nothing that was being executed is stopped, what waits is executed, and in the end as many
// workers run as there is work for, none of them drained and idle.
func TestAScaleInMayDieAtAnyCall(t *testing.T) {
	t.Parallel()
	firsts := []struct {
		name string
		call func(t *testing.T, l *living)
	}{
		{"the next sweep comes", func(t *testing.T, l *living) { l.pass(3 * time.Minute) }},
		{"an event comes at once", func(t *testing.T, l *living) { l.scaleOut(t) }},
		{"the state machine tries again", func(t *testing.T, l *living) { l.pass(2 * time.Second); l.scaleIn(t, l.settled(0)); l.check(t, nil) }},
		{"the state machine tries again when the lock has expired", func(t *testing.T, l *living) { l.pass(lockTTL); l.scaleIn(t, l.settled(0)) }},
	}
	for _, c := range crashes {
		for _, first := range firsts {
			t.Run(c.name+", "+first.name, func(t *testing.T) {
				t.Parallel()
				for _, after := range []bool{false, true} {
					for at := 1; ; at++ {
						l := newLiving(t, c.workers, c.untold)
						if c.slow {
							l.broker.obeyAfter = 2700 * time.Millisecond
						}
						l.come(c.work...)
						l.diesAt, l.after = at, after
						if l.scaleIn(t, l.settled(0)) != "died" {
							break // It has fewer calls.
						}
						where := l.calls[at-1]
						l.come(c.between...)
						first.call(t, l)
						l.comesToRest(t, c.rest)
						if t.Failed() {
							t.Fatalf("it died at call %d (%s), after its effect: %v: %s", at, where, after, l)
						}
					}
				}
			})
		}
	}
}

// comesToRest lets sweeps come until the world is at rest, and fails if it is not what it should be.
func (l *living) comesToRest(t *testing.T, want int) {
	t.Helper()
	var log []string
	for range 9 {
		log = append(log, strings.Join(l.sweep(t), ", "))
		l.checkServed(t)
		l.pass(5 * time.Minute)
	}
	l.checkNothingLost(t)
	if got := l.desired("worker"); got != want {
		t.Errorf("in the end the count is %d, want %d: %v: %s", got, want, log, l)
	}
	if len(l.waiting) > 0 {
		t.Errorf("in the end messages wait: %s", l)
	}
	for _, n := range l.broker.look.Nodes {
		if len(n.Queues) == 0 && n.Active.N == 0 {
			t.Errorf("in the end %s is drained and idle: %v", n.Name, log)
		}
	}
	for _, task := range l.fleet.tasks["worker-svc"] {
		if task.ProtectedUntil.After(l.now) {
			t.Errorf("in the end task %s is protected", task.ID)
		}
	}
	for name, lock := range l.broker.locks {
		if lock.until.After(l.now) {
			t.Errorf("in the end somebody holds lock %s", name)
		}
	}
}

// TestWorkMayComeAtAnyCall has messages come before each call of a scale-in that goes on. When it and what follows it in the state
// machine are over, somebody takes them.
func TestWorkMayComeAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, c := range crashes {
		if c.between == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for at, last := 1, false; !last; at++ {
				l := newLiving(t, c.workers, c.untold)
				if c.slow {
					l.broker.obeyAfter = 2700 * time.Millisecond
				}
				l.come(c.work...)
				l.onCall[at] = func() { l.come(c.between...) }
				got := l.scaleIn(t, l.settled(0))
				if len(l.calls) < at {
					last = true
					l.come(c.between...)
				}
				delete(l.onCall, at)
				if l.check(t, nil).ShouldScaleOut {
					got = fmt.Sprintf("%s, then %s", got, l.scaleOut(t))
				}
				l.checkServed(t)
				l.comesToRest(t, c.rest)
				if t.Failed() {
					t.Fatalf("the messages came before call %d; %s: %s", at, got, l)
				}
			}
		})
	}
}

// TestAReplacementMayDieAtAnyCall kills a scale-in that replaces a worker which has nothing to do though messages wait, at each of its
// calls. The sweeps that follow replace all that are broken, and what waits is executed.
func TestAReplacementMayDieAtAnyCall(t *testing.T) {
	t.Parallel()
	for workers := 1; workers <= 2; workers++ {
		t.Run(fmt.Sprintf("of %d", workers), func(t *testing.T) {
			t.Parallel()
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					l := newLiving(t, workers, false)
					for i := range workers {
						l.broken[fmt.Sprintf("celery@worker%d", i)] = true
					}
					l.come(make([]time.Duration, workers)...)
					l.diesAt, l.after = at, after
					prior := l.settled(0)
					prior.Stuck = true
					if got := l.scaleIn(t, prior); got != "died" {
						if want := fmt.Sprintf("replaced %d->%d", workers, workers); got != want {
							t.Errorf("it lived, and %s, want %s", got, want)
						}
						break
					}
					where := l.calls[at-1]
					for range 9 {
						l.pass(5 * time.Minute)
						l.sweep(t)
					}
					l.checkNothingLost(t)
					if len(l.waiting) > 0 || len(l.done) != workers || l.desired("worker") != 0 {
						t.Fatalf("it died at call %d (%s), after its effect: %v: %s", at, where, after, l)
					}
				}
			}
		})
	}
}
