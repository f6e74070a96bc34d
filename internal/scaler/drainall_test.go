package scaler

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/policy"
)

// tag sets the only tag of the service.
func (l *living) tag(key, value string) {
	l.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{key: value} })
}

// drains are the targets that are drained to none in the tests below, while more messages wait than there are workers.
var drains = []struct {
	name   string
	work   []time.Duration // What is being executed; as many workers, and one without.
	untold bool
	slow   bool
}{
	{"an idle one", nil, false, false},
	{"one that works, and two", []time.Duration{3 * time.Minute, 20 * time.Minute}, false, false},
	{"of which each ends while others are watched", []time.Duration{64 * time.Second, 68 * time.Second, 75 * time.Second}, false, false},
	{"that obey late", []time.Duration{time.Second, 10 * time.Minute}, false, true},
	{"whose names tell nothing", []time.Duration{3 * time.Minute, 20 * time.Minute}, true, false},
}

// TestMaxOfNoneLetsEveryWorkerGo has somebody want no worker at all while messages wait: each is let go when it has done what it had,
// and takes nothing more. When that is over, workers come for what waited.
func TestMaxOfNoneLetsEveryWorkerGo(t *testing.T) {
	t.Parallel()
	for _, c := range drains {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLiving(t, len(c.work)+1, c.untold)
			if c.slow {
				l.broker.obeyAfter = 2700 * time.Millisecond
			}
			l.come(c.work...)
			l.tag(TagMax, TagValue("0", start.Add(3*time.Hour)))
			l.come(manyMessages()...)
			l.drainsTo(t, 0)
			l.pass(3 * time.Hour)
			l.sweep(t)
			l.checkServed(t)
			if l.desired("worker") == 0 {
				t.Error("nobody comes when the time is over")
			}
		})
	}
}

// TestMaxOfNoneTellsShieldedWorkersToo has somebody want no worker while each is shielded over long work: none takes another message.
func TestMaxOfNoneTellsShieldedWorkersToo(t *testing.T) {
	t.Parallel()
	l := newLiving(t, 3, false, func(o *Options) { o.Targets[0].Shield, o.Targets[0].Limits.Max = 15*time.Minute, 3 })
	l.come(30*time.Minute, 25*time.Minute, 20*time.Minute)
	l.come(manyMessages()...)
	l.pass(5 * time.Minute)
	l.sweep(t)
	for _, task := range l.fleet.tasks["worker-svc"] {
		if !task.ProtectedUntil.After(l.now) {
			t.Fatalf("not shielded: %s", l)
		}
	}
	l.tag(TagMax, "0")
	l.drainsTo(t, 0)
	if len(l.done) != 3 {
		t.Errorf("%d messages were executed, want those 3 that were under way: %s", len(l.done), l)
	}
}

// manyMessages are more than all workers will have taken when they are told to fetch no more.
func manyMessages() []time.Duration {
	takes := []time.Duration{15 * time.Second}
	for range 12 {
		takes = append(takes, 40*time.Minute)
	}
	return takes
}

// drainsTo sweeps until the count is reached, in less than an hour of sweeps after the longest work.
func (l *living) drainsTo(t *testing.T, want int) {
	t.Helper()
	var log []string
	for range 25 {
		log = append(log, fmt.Sprint(l.sweep(t)))
		if l.desired("worker") == want {
			break
		}
		l.pass(4 * time.Minute)
	}
	l.pass(time.Minute)
	l.checkNothingLost(t)
	if n := len(l.fleet.tasks["worker-svc"]); n != want || len(l.hands) > 0 || len(l.waiting) == 0 {
		t.Errorf("in the end %d tasks run, want %d: %v: %s", n, want, log, l)
	}
}

// TestADrainToNoneMayDieAtAnyCall kills a scale-in of such a drain before, or after, each of its calls.
func TestADrainToNoneMayDieAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, c := range drains {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					l := newLiving(t, len(c.work)+1, c.untold)
					if c.slow {
						l.broker.obeyAfter = 2700 * time.Millisecond
					}
					l.come(c.work...)
					l.tag(TagMax, "0")
					l.come(manyMessages()...)
					l.pass(time.Minute)
					l.diesAt, l.after = at, after
					if l.scaleIn(t, l.settled(0)) != "died" {
						break
					}
					where := l.calls[at-1]
					l.pass(4 * time.Minute)
					l.drainsTo(t, 0)
					if t.Failed() {
						t.Fatalf("it died at call %d (%s), after its effect: %v: %s", at, where, after, l)
					}
				}
			}
		})
	}
}
