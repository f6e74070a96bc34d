package scaler

import (
	stdcmp "cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// nth does something before the n-th call (from 1) that begins with a word.
func (w *world) nth(n int, word string, do func()) {
	before := w.before
	w.before = func(i int, call string) {
		if before != nil {
			before(i, call)
		}
		if strings.HasPrefix(call, word) {
			if n--; n == 0 {
				do()
			}
		}
	}
}

// TestNoneOfThoseThatCannotBeToldApart has somebody want no worker at all while messages wait, of workers whose names
// tell nothing: ECS would choose among all, so they go together, once each has been seen empty to the end.
func TestNoneOfThoseThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		hands  []hand
		change func(w *world) // Before the last look.
		status string
		reason policy.Reason
		count  int
	}{
		{"both are empty", []hand{{}, {}}, nil, "scaled in", policy.ReasonSurplus, 0},
		{"the only one is at work", []hand{{active: 1}}, nil, "draining", policy.ReasonSurplus, 1},
		{"one is at work", []hand{{active: 1}, {}}, nil, "draining", policy.ReasonSurplus, 2},
		{"the other is", []hand{{}, {active: 1}}, nil, "draining", policy.ReasonSurplus, 2},
		{"one more has come, and is silent", []hand{{}, {}}, func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = 3 })
			w.broker.look.Listeners = policy.Known(3)
		}, "draining", policy.ReasonWork, 2},
		{"one more has come, and answers", []hand{{}, {}}, func(w *world) {
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "celery@new", Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0)})
			w.broker.look.Listeners = policy.Known(3)
		}, "draining", policy.ReasonGrace, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, oneByOne, func(o *Options) { o.Targets[0].Limits.Max = 0 })
			w.setBacklog("celery", 50)
			for i := range w.fleet.tasks["worker-svc"] {
				w.fleet.tasks["worker-svc"][i].ID = "task" + string(rune('0'+i))
			}
			if tt.change != nil {
				w.nth(2, "describe", func() { tt.change(w) })
			}
			change, err := w.letGo(t)
			if err != nil || change.Status != tt.status || w.desired("worker") != tt.count || !cmp.Equal(change.Reasons, []policy.Reason{tt.reason}) {
				t.Errorf("%+v, %v, count %d; want %s, %s, %d", change, err, w.desired("worker"), tt.status, tt.reason, tt.count)
			}
			if again := w.made("consume"); len(again) > 0 {
				t.Errorf("nobody is to fetch again: %v", again)
			}
		})
	}
}

// TestNoneOfThoseThatAreTold has the same of workers that each are known by their tasks: each goes when it is done
// itself.
func TestNoneOfThoseThatAreTold(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {active: 1}}, oneByOne, func(o *Options) { o.Targets[0].Limits.Max = 0 })
	w.setBacklog("celery", 50)
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.desired("worker") != 1 || !cmp.Equal(w.fleet.stopped, []string{"worker0"}) {
		t.Errorf("%+v, %v, stopped %v", change, err, w.fleet.stopped)
	}
}

// TestNoneOfThoseThatMayHoldAMessage has the same of workers whose names tell nothing, one of which has fetched a message that is due
// soon.
func TestNoneOfThoseThatMayHoldAMessage(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, oneByOne, func(o *Options) { o.Targets[0].Limits.Max = 0 })
	for i := range w.fleet.tasks["worker-svc"] {
		w.fleet.tasks["worker-svc"][i].ID = "task" + string(rune('0'+i))
	}
	w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Due: start.Add(time.Minute)}}
	w.setHeld("celery", 1)
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 2 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
}

// TestAMessageComesWhileNoneIsWanted has somebody want no worker where nothing is to be done, and a message with an ETA come while they are
// being drained: one of them has it.
func TestAMessageComesWhileNoneIsWanted(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, oneByOne, func(o *Options) { o.Targets[0].Limits.Max = 0 })
	w.broker.onLook = func() {
		if w.broker.looks == 2 {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Due: start.Add(time.Minute)}}
			w.setHeld("celery", 1)
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 2 {
		t.Errorf("%+v, %v, count %d; want them to stay", change, err, w.desired("worker"))
	}
}

// TestNoneWaitsForProtectedTasks: the application protects one of two that are empty, and it stays until that is over.
func TestNoneWaitsForProtectedTasks(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{shield: time.Hour}, {}, {active: 1}}, oneByOne, func(o *Options) { o.Targets[0].Limits.Max = 0 })
	w.setBacklog("celery", 50)
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || change.DesiredCount != 2 || !cmp.Equal(w.fleet.stopped, []string{"worker1"}) {
		t.Errorf("%+v, %v, stopped %v", change, err, w.fleet.stopped)
	}
}

// TestAllFetchAgainIfSomeHaveTo: where all are to go at once, one that is needed keeps the others, since ECS would choose among all.
func TestAllFetchAgainIfSomeHaveTo(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, oneByOne)
	w.broker.onLook = func() {
		if w.broker.looks == 2 {
			w.setBacklog("celery", 1)
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "resumed" || w.desired("worker") != 2 || w.broker.looks != 4 {
		t.Errorf("%+v, %v, count %d after %d looks", change, err, w.desired("worker"), w.broker.looks)
	}
	if diff := cmp.Diff([]string{"consume worker1", "consume worker0"}, w.made("consume")); diff != "" {
		t.Errorf("who fetches again (-want +got):\n%s", diff)
	}
}

// TestWhoPausesWantsThemToWork: by a tag that comes before the last look, when some are about to go.
func TestWhoPausesWantsThemToWork(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{TagPaused, TagPausedIn, TagDryRun} {
		w := crew(t, []hand{{active: 1}, {}, {}}, oneByOne)
		w.nth(2, "describe", func() {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{tag: "true"} })
		})
		if change, err := w.letGo(t); err != nil || change.Status != "resumed" || w.desired("worker") != 3 {
			t.Errorf("%s: %+v, %v, count %d", tag, change, err, w.desired("worker"))
		}
		if diff := cmp.Diff([]string{"consume worker1 worker2"}, w.made("consume")); diff != "" {
			t.Errorf("%s: who fetches again (-want +got):\n%s", tag, diff)
		}
	}
}

// TestWhoCannotBeToldToFetchAgain: work comes for one of two that drain, and the order fails. Nobody is let go.
func TestWhoCannotBeToldToFetchAgain(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.broker.onLook = func() {
		if w.broker.looks == 2 {
			w.setHeld("celery", 20)
			w.broker.controlErr = broken(policy.BrokerUnavailable, "gone")
		}
	}
	if change, err := w.letGo(t); kindOf(err) != policy.BrokerUnavailable || w.desired("worker") != 3 || w.broker.looks != 2 {
		t.Errorf("%+v, %v, count %d after %d looks", change, err, w.desired("worker"), w.broker.looks)
	}
}

// TestTheAnswerOfSetDesiredIsLost: the count may have been lowered all the same. ECS is given a moment before its tasks are looked at.
func TestTheAnswerOfSetDesiredIsLost(t *testing.T) {
	t.Parallel()
	lost := broken(policy.FleetUnavailable, "no answer")
	for _, cut := range []bool{false, true} {
		w := crew(t, []hand{{active: 1}, {}}, oneByOne)
		w.fleet.setErr, w.fleet.answerLost = lost, true
		var asked time.Time
		w.nth(1, "set desired", func() {
			asked = w.now
			if cut {
				w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
			}
		})
		looked := w.now
		w.after = func(_ int, call string) {
			if call == "tasks" && !asked.IsZero() && looked.Equal(start) {
				looked = w.now
			}
		}
		change, err := w.letGo(t)
		switch {
		case cut && (!errors.Is(err, lost) || !looked.Equal(start)):
			t.Errorf("%+v, %v; want the first error, and no further look", change, err)
		case !cut && (err != nil || change.Status != "scaled in" || looked.Sub(asked) != stopPause):
			t.Errorf("%+v, %v, looked after %v; want %v", change, err, looked.Sub(asked), stopPause)
		}
	}
}

// TestTheCountIsNotPutBackTwice: somebody has put it back already.
func TestTheCountIsNotPutBackTwice(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	r := &release{Scaler: w.Scaler, target: w.Targets[0]}
	if err := r.putBack(t.Context(), 2); err != nil || w.fleet.count("set desired") != 0 {
		t.Errorf("%v, calls %v", err, w.calls)
	}
	if err := r.putBack(t.Context(), 3); err != nil || w.desired("worker") != 3 {
		t.Errorf("%v, count %d", err, w.desired("worker"))
	}
}

// TestAllAreWaitedFor: where names tell no task, the lock is kept until ECS has begun to stop every one.
func TestAllAreWaitedFor(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, oneByOne)
	for i := range w.fleet.tasks["worker-svc"] {
		w.fleet.tasks["worker-svc"][i].ID = "task" + string(rune('0'+i))
	}
	w.fleet.idles = true
	set := false
	w.nth(1, "set desired 0", func() { set = true })
	left := 3 // So many looks until ECS has acted.
	w.before = func(before func(int, string)) func(int, string) {
		return func(n int, call string) {
			before(n, call)
			if set && call == "tasks" {
				if left--; left == 0 {
					w.fleet.tasks["worker-svc"] = nil
				}
			}
		}
	}(w.before)
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || left > 0 {
		t.Errorf("%+v, %v, %d looks too few", change, err, left)
	}
}

// TestTasksThatECSIsAboutToStop: one that stops already needs no protection; and while more live than are asked for,
// letting one go may only bring that about.
func TestTasksThatECSIsAboutToStop(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "old", State: policy.TaskStopping, StartedAt: start.Add(-time.Hour)})
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
		t.Errorf("%+v, %v", change, err)
	}
	if diff := cmp.Diff([]string{"protect worker2"}, w.made("protect")); diff != "" {
		t.Errorf("protected (-want +got):\n%s", diff)
	}

	w = crew(t, []hand{{}, {}}, oneByOne)
	w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "old", State: policy.TaskStopping, StartedAt: start.Add(-time.Hour)})
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.now.Sub(start) > 10*time.Second {
		t.Errorf("its end is not waited for: %+v, %v after %v", change, err, w.now.Sub(start))
	}

	w = crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 2 })
	w.broker.onLook = func() {
		if w.broker.looks == 2 {
			w.broker.change("celery@worker1", func(n *policy.Node) { n.Active = policy.Known(1) })
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 2 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
	if calls := w.made("protect", "set"); len(calls) > 0 {
		t.Errorf("calls %v", calls)
	}
}

// TestTroubleInAScaleIn has something go wrong at each step of letting two of three workers go.
func TestTroubleInAScaleIn(t *testing.T) {
	t.Parallel()
	lost := broken(policy.BrokerUnavailable, "lost")
	slow := broken(policy.FleetThrottled, "slow down")
	service := func(w *world, change func(*policy.Service)) func() {
		return func() { w.fleet.changeService("worker-svc", change) }
	}
	tests := []struct {
		name    string
		prepare func(w *world)
		calls   []string
		want    Change
		kind    policy.Kind
		count   int
		warned  string        // What the log warns of.
		most    time.Duration // How long it may take; 0: the half of the function's 120 s.
	}{
		{
			name:    "more workers answer to a name than are known: nobody can be chosen by it",
			prepare: func(w *world) { w.broker.controlErr = errors.New("2 workers answered under this name, 1 known") },
			calls:   []string{"cancel worker0 worker1", "consume worker0 worker1"},
			want:    Change{Status: "resumed", Reasons: []policy.Reason{policy.ReasonUntold}}, count: 3, warned: "workers not drained",
		},
		{
			name:    "the broker is lost before they are told",
			prepare: func(w *world) { w.nth(1, "cancel", func() { w.broker.err = lost }) },
			calls:   []string{"cancel worker0 worker1"}, want: Change{Status: "held"}, kind: policy.BrokerUnavailable, count: 3,
		},
		{
			name: "the function ends while they are watched",
			prepare: func(w *world) {
				w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
			},
			calls: []string{"cancel worker0 worker1"}, want: Change{Status: "held"}, kind: policy.BrokerUnavailable, count: 3,
		},
		{
			name:    "the tasks that are to be protected cannot be listed",
			prepare: func(w *world) { w.nth(2, "tasks", func() { w.fleet.tasksErr = slow }) },
			calls:   []string{"cancel worker0 worker1"}, want: Change{Status: "draining"}, kind: policy.FleetThrottled, count: 3,
		},
		{
			name:    "the lock cannot be asked for before the last look",
			prepare: func(w *world) { w.nth(2, "lock", func() { w.broker.lockErr = lost }) },
			calls:   []string{"cancel worker0 worker1", "protect worker2", "release worker2"},
			want:    Change{Status: "draining", Reasons: []policy.Reason{policy.ReasonOverlap}}, kind: policy.BrokerUnavailable, count: 3,
		},
		{
			name:    "the lock cannot be asked for after the last look",
			prepare: func(w *world) { w.nth(3, "lock", func() { w.broker.lockErr = lost }) },
			calls:   []string{"cancel worker0 worker1", "protect worker2", "release worker2"},
			want:    Change{Status: "draining", Reasons: []policy.Reason{policy.ReasonOverlap}}, kind: policy.BrokerUnavailable, count: 3,
		},
		{
			name:    "ECS is slow, so that the last look is old",
			prepare: func(w *world) { w.nth(2, "describe", func() { w.now = w.now.Add(6 * time.Second) }) },
			calls:   []string{"cancel worker0 worker1", "protect worker2", "release worker2"},
			want:    Change{Status: "draining"}, kind: policy.FleetUnavailable, count: 3,
		},
		{
			name: "somebody keeps every worker at the last moment",
			prepare: func(w *world) {
				w.nth(2, "describe", service(w, func(s *policy.Service) { s.Tags = map[string]string{TagPausedIn: ""} }))
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "release worker2", "consume worker0 worker1"},
			want:  Change{Status: "resumed", Reasons: []policy.Reason{policy.ReasonPausedIn, policy.ReasonResume}}, count: 3,
		},
		{
			name: "and then the broker is lost, so that they cannot be told",
			prepare: func(w *world) {
				w.nth(2, "describe", service(w, func(s *policy.Service) { s.Tags = map[string]string{TagPausedIn: ""} }))
				w.nth(1, "consume", func() { w.broker.err = lost })
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "release worker2", "consume worker0 worker1"},
			want:  Change{Status: "draining", Reasons: []policy.Reason{policy.ReasonPausedIn, policy.ReasonResume}}, kind: policy.BrokerUnavailable, count: 3,
		},
		{
			name: "protection cannot be ended: it is left to expire",
			prepare: func(w *world) {
				w.nth(2, "lock", func() { w.broker.lockErr = lost; w.fleet.tasksErr = slow })
			},
			calls: []string{"cancel worker0 worker1", "protect worker2"},
			want:  Change{Status: "draining", Reasons: []policy.Reason{policy.ReasonOverlap}}, kind: policy.BrokerUnavailable, count: 3,
			warned: "protection left to expire",
		},
		{
			name: "ECS begins to stop them only a quarter of a minute later",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.nth(10, "tasks", func() { w.fleet.stopExcess("worker-svc") })
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1", "release worker2"},
			want:  Change{Status: "scaled in", DesiredCount: 1}, count: 1,
		},
		{
			name:    "ECS stops nobody: the count is put back",
			prepare: func(w *world) { w.fleet.idles = true },
			calls:   []string{"cancel worker0 worker1", "protect worker2", "set desired 1", "set desired 3", "release worker2"},
			want:    Change{Status: "draining"}, count: 3, warned: "tasks are not stopped",
		},
		{
			name: "ECS stops nobody, and somebody raises the count when it is about to be put back: that is not lowered",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.before = func(_ int, call string) {
					if call == "describe" && w.now.After(start.Add(stopPatience+4*time.Second)) {
						w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 5 })
					}
				}
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1", "release worker2"},
			want:  Change{Status: "draining"}, count: 5, warned: "tasks are not stopped",
		},
		{
			name: "ECS stops one: the count is put back to those that live, and nobody is started",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.nth(6, "tasks", func() {
					w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.State = policy.TaskStopping })
				})
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1", "set desired 2", "release worker2"},
			want:  Change{Status: "draining"}, count: 2, warned: "tasks are not stopped",
		},
		{
			name: "ECS stops nobody, since somebody has raised the count: seen twice, that is left as it is",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.nth(5, "tasks", service(w, func(s *policy.Service) { s.Desired = 3 }))
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1", "release worker2"},
			want:  Change{Status: "draining"}, count: 3, most: 10 * time.Second,
		},
		{
			name: "ECS stops nobody, and then the count cannot be asked for",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.nth(1, "set desired", func() { w.fleet.errs["worker-svc"] = slow })
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1"},
			want:  Change{Status: "draining"}, kind: policy.FleetThrottled, count: 1, warned: "tasks are not stopped",
		},
		{
			name: "the function ends while ECS is waited for: what stays is left protected",
			prepare: func(w *world) {
				w.fleet.idles = true
				w.nth(1, "set desired", func() {
					w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
				})
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1"},
			want:  Change{Status: "draining"}, kind: policy.BrokerUnavailable, count: 1,
		},
		{
			name: "the count cannot be set, and the function ends",
			prepare: func(w *world) {
				w.fleet.setErr = broken(policy.FleetUnavailable, "503")
				w.nth(1, "set desired", func() {
					w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
				})
			},
			calls: []string{"cancel worker0 worker1", "protect worker2", "set desired 1"},
			want:  Change{Status: "draining"}, kind: policy.FleetUnavailable, count: 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, o, log := logged(t, oneByOne, keep(1))
			w.run("worker", 3, "celery")
			tt.prepare(w)
			change, err := w.letGo(t)
			tt.want.Target, tt.want.Service, tt.want.Previous = "worker", "worker-svc", 3
			if tt.want.DesiredCount == 0 {
				tt.want.DesiredCount = 3
			}
			if tt.want.Reasons == nil {
				tt.want.Reasons = []policy.Reason{policy.ReasonIdle}
			}
			if diff := cmp.Diff(tt.want, change); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
			if kindOf(err) != tt.kind || (err == nil) != (tt.kind == "") || w.desired("worker") != tt.count {
				t.Errorf("got %v, count %d; want kind %q, %d", err, w.desired("worker"), tt.kind, tt.count)
			}
			if diff := cmp.Diff(tt.calls, w.made("cancel", "consume", "protect", "set", "release")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if took := w.now.Sub(start); took > stdcmp.Or(tt.most, time.Minute) {
				t.Errorf("it took %v", took)
			}
			if warned := tt.warned != "" && len(lines(t, log, tt.warned)) == 1; warned != (tt.warned != "") {
				t.Errorf("the log does not warn of %q: %s", tt.warned, log)
			}
			if len(o.records) != 1 || o.records[0].UseCase != "scale_in" || o.records[0].Desired != 1 {
				t.Errorf("records %+v", o.records)
			}
			if told := len(o.changes); told != 1 && err == nil || told > 0 && err != nil {
				t.Errorf("told of %d results, and the error is %v", told, err)
			}
		})
	}
}
