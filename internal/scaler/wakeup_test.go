package scaler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestWorkComesWhenWorkersAreDrained has a sweep's scale-out meet workers that somebody has drained and left.
func TestWorkComesWhenWorkersAreDrained(t *testing.T) {
	t.Parallel()
	gone := hand{drained: true}
	busy := hand{drained: true, active: 1}
	tests := []struct {
		name    string
		hands   []hand
		backlog int // Ten of them are work for one.
		most    int // max; 0 is ten.
		prepare func(w *world)
		calls   []string
		status  string
		count   int
	}{
		{
			name: "who is idle fetches again", hands: []hand{gone, gone, {}}, backlog: 15,
			calls: []string{"consume worker0"}, status: "resumed", count: 3,
		},
		{
			name: "the rest are new", hands: []hand{gone, gone}, backlog: 45,
			calls: []string{"set desired 5", "consume worker0 worker1"}, status: "scaled out", count: 5,
		},
		{
			name: "who is busy is replaced", hands: []hand{busy, gone}, backlog: 15,
			calls: []string{"set desired 3", "consume worker1"}, status: "scaled out", count: 3,
		},
		{
			name: "where max allows nobody new, who is busy fetches again too", hands: []hand{busy, gone}, backlog: 15, most: 2,
			calls: []string{"consume worker0 worker1"}, status: "resumed", count: 2,
		},
		{
			name: "another has the lock, and may let them go: new ones come", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
			},
			calls: []string{"set desired 3"}, status: "scaled out", count: 3,
		},
		{
			name: "the lock cannot be had: new ones come", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) { w.broker.lockErr = broken(policy.BrokerRefused, "NOPERM") },
			calls:   []string{"set desired 3"}, status: "scaled out", count: 3,
		},
		{
			name: "another has the lock, and max allows nobody new: whoever has it sees the work", hands: []hand{gone, gone}, backlog: 1, most: 2,
			prepare: func(w *world) {
				w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
			},
			status: "unchanged", count: 2,
		},
		{
			name: "they are being stopped, and answer still: new ones come", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				for i := range w.fleet.tasks["worker-svc"] {
					w.fleet.tasks["worker-svc"][i].State = policy.TaskStopping
				}
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 0 })
			},
			calls: []string{"set desired 1"}, status: "scaled out", count: 1,
		},
		{
			name: "one of them is being stopped, and answers still: the other fetches again", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				w.fleet.tasks["worker-svc"][0].State = policy.TaskStopping
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 1 })
			},
			calls: []string{"consume worker1"}, status: "resumed", count: 1,
		},
		{
			name: "they are let go while it looks: new ones come", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				w.before = func(_ int, call string) {
					if call == "lock" {
						w.before = nil
						w.fleet.onStop = func(string) {}
						w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 0 })
						w.fleet.stopExcess("worker-svc")
					}
				}
			},
			calls: []string{"set desired 1"}, status: "scaled out", count: 1,
		},
		{
			name: "they have one name: what is told reaches both", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				w.broker.look.Nodes = w.broker.look.Nodes[:1]
				w.broker.look.Nodes[0].Answers = 2
			},
			calls: []string{"consume worker0"}, status: "resumed", count: 2,
		},
		{
			name: "their names tell nothing: they can only be this target's", hands: []hand{gone, gone}, backlog: 1,
			prepare: func(w *world) {
				for i := range w.fleet.tasks["worker-svc"] {
					w.fleet.tasks["worker-svc"][i].ID = fmt.Sprint("task", i)
				}
			},
			calls: []string{"consume worker0"}, status: "resumed", count: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, oneByOne, func(o *Options) {
				if tt.most > 0 {
					o.Targets[0].Limits.Max = tt.most
				}
			})
			w.setBacklog("celery", tt.backlog)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			change, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true})
			if err != nil || change.Status != tt.status || w.desired("worker") != tt.count || change.DesiredCount != tt.count {
				t.Errorf("%+v, %v, count %d; want %s, %d", change, err, w.desired("worker"), tt.status, tt.count)
			}
			if diff := cmp.Diff(tt.calls, w.made("consume", "cancel", "set")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			for _, n := range w.broker.look.Nodes {
				if strings.Contains(strings.Join(tt.calls, ""), strings.TrimPrefix(n.Name, "celery@")) && !slices.Equal(n.Queues, []string{"celery"}) {
					t.Errorf("%s fetches from %v", n.Name, n.Queues)
				}
			}
			if lock := w.broker.locks["prod/worker-svc"]; lock.token != "" && lock.token != "another" {
				t.Errorf("the lock is held")
			}
		})
	}
}

// TestAnEventMeetsDrainedWorkers has the event itself ask for workers, of which some are drained.
func TestAnEventMeetsDrainedWorkers(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{drained: true}, {drained: true}, {}})
	change, err := w.scaleOut(t, event(`{"scale_to": 2}`))
	if err != nil || change.Status != "resumed" || change.DesiredCount != 3 {
		t.Errorf("%+v, %v", change, err)
	}
	if diff := cmp.Diff([]string{"consume worker0"}, w.made("consume", "set")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestWorkersThatCannotBeToldToFetchAgain(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{drained: true}})
	w.setBacklog("celery", 1)
	w.broker.controlErr = broken(policy.BrokerUnavailable, "connection lost")
	if change, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true}); kindOf(err) != policy.BrokerUnavailable {
		t.Errorf("%+v, %v", change, err)
	}
}

// TestLongWorkEndsInItsOwnTime has four workers, each with work that takes longer than ECS would wait for it, and two too many. Over
// hours of sweeps each of the two is told once to fetch no more, is let go when it is done, and nobody else is touched.
func TestLongWorkEndsInItsOwnTime(t *testing.T) {
	t.Parallel()
	l := newLiving(t, 4, false, func(o *Options) { o.Targets[0].Limits.MessagesPerWorker = 2 })
	l.come(5*time.Hour, 6*time.Hour, 2*time.Hour, 3*time.Hour)
	l.calls = nil
	var counts []int
	var story []string
	for range 12 * 7 {
		l.watch(&story, func() { l.sweep(t) })
		if n := l.desired("worker"); len(counts) == 0 || counts[len(counts)-1] != n {
			counts = append(counts, n)
		}
		l.pass(5 * time.Minute)
	}
	if diff := cmp.Diff([]int{4, 3, 2, 1, 0}, counts); diff != "" {
		t.Errorf("the count over time (-want +got):\n%s", diff)
	}
	l.checkNothingLost(t)
	if len(l.done) != 4 {
		t.Errorf("done: %v", l.done)
	}
	told := map[string]int{}
	for _, call := range story {
		if nodes, ok := strings.CutPrefix(call, "cancel "); ok {
			for _, node := range strings.Fields(nodes) {
				told[node]++
			}
		}
		if strings.HasPrefix(call, "consume") {
			t.Errorf("%s, though no work came", call)
		}
	}
	if diff := cmp.Diff(map[string]int{"worker0": 1, "worker1": 1, "worker2": 1, "worker3": 1}, told); diff != "" {
		t.Errorf("how often each was told to fetch no more (-want +got):\n%s", diff)
	}
}

// TestWorkComesBesideLongWork has messages come and go while drained workers finish theirs: they are no capacity.
func TestWorkComesBesideLongWork(t *testing.T) {
	t.Parallel()
	l := newLiving(t, 4, false, func(o *Options) { o.Targets[0].Limits.MessagesPerWorker = 2 })
	l.come(5*time.Hour, 6*time.Hour, 2*time.Hour, 3*time.Hour)
	for range 12 * 8 {
		l.sweep(t)
		l.come(time.Minute, time.Minute, 3*time.Minute)
		if c := l.check(t, nil); c.ShouldScaleOut {
			l.scaleOut(t)
		}
		l.checkServed(t)
		l.pass(5 * time.Minute)
	}
	l.checkNothingLost(t)
	l.comesToRest(t, 0)
}
