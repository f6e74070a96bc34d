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

// oneByOne makes the calls to broker and fleet one after the other.
func oneByOne(o *Options) {
	o.Together = func(calls ...func()) {
		for _, call := range calls {
			call()
		}
	}
}

// TestTheOrderOfAScaleIn is the protocol: every step that another rests on comes before it.
func TestTheOrderOfAScaleIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		keep int
		want []string
	}{
		{"to fewer", 1, []string{
			"lock",
			"tasks", "describe", "look", // The decision.
			"untracked worker0 worker1 worker2",              // Would it show if they were at work?
			"cancel worker0 worker1", "look", "look", "look", // The drain.
			"tasks", "protect worker2",
			"lock",                      // Is it still ours?
			"tasks", "describe", "look", // The last look.
			"untracked worker0 worker1 worker2",
			"lock", // Whoever got it in between may have had somebody fetch again.
			"set desired 1",
			"tasks", // Have they been stopped?
			"tasks", "release worker2",
			"unlock",
		}},
		{"to none", 0, []string{
			"lock",
			"tasks", "describe", "look",
			"untracked worker0 worker1 worker2",
			"cancel worker0 worker1 worker2", "look", "look", "look",
			"lock",
			"tasks", "describe", "look",
			"untracked worker0 worker1 worker2",
			"lock",
			"set desired 0",
			"tasks",
			"unlock",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(tt.keep))
			if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
				t.Fatalf("%+v, %v", change, err)
			}
			if diff := cmp.Diff(tt.want, w.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProtection lets go one of three workers: worker1, since worker0's task is protected by the application.
func TestProtection(t *testing.T) {
	t.Parallel()
	at := func(w *world, call string, do func()) {
		w.before = func(_ int, c string) {
			if strings.HasPrefix(c, call) {
				w.before = nil
				do()
			}
		}
	}
	protect := func(w *world, task string, d time.Duration) {
		w.fleet.change("worker-svc", task, func(t *policy.Task) { t.ProtectedUntil = w.now.Add(d) })
	}
	tests := []struct {
		name    string
		prepare func(w *world)
		app     time.Duration // For how long the application protects worker0.
		calls   []string      // Those that change something in ECS.
		left    []string      // Who is protected in the end.
		status  string
		kind    policy.Kind
		count   int
	}{
		{
			name: "the application's own is left alone", app: time.Hour,
			calls: []string{"protect worker2", "set desired 2", "release worker2"}, left: []string{"worker0"}, status: "scaled in", count: 2,
		},
		{
			name: "the application's own is about to end: nobody may stop, and nobody prolongs it", app: 2 * time.Minute,
			left: []string{"worker0"}, status: "draining", count: 3,
		},
		{
			name: "the application has prolonged ours: it is not ours any more", app: time.Hour,
			prepare: func(w *world) { at(w, "set desired", func() { protect(w, "worker2", time.Hour) }) },
			calls:   []string{"protect worker2", "set desired 2"}, left: []string{"worker0", "worker2"}, status: "scaled in", count: 2,
		},
		{
			name: "the application protects the one that is let go, at the last moment: the count is put back", app: time.Hour,
			prepare: func(w *world) { at(w, "set desired", func() { protect(w, "worker1", time.Hour) }) },
			calls:   []string{"protect worker2", "set desired 2", "set desired 3", "release worker2"},
			left:    []string{"worker0", "worker1"}, status: "draining", count: 3,
		},
		{
			name: "so it is, and somebody asks for more meanwhile: that is not lowered", app: time.Hour,
			prepare: func(w *world) {
				at(w, "set desired", func() {
					protect(w, "worker1", time.Hour)
					at(w, "describe", func() { w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 5 }) })
				})
			},
			calls: []string{"protect worker2", "set desired 2", "release worker2"},
			left:  []string{"worker0", "worker1"}, status: "draining", count: 5,
		},
		{
			name: "one that stays cannot be protected: what has been is released", app: 0,
			prepare: func(w *world) { w.fleet.protectErr = broken(policy.FleetUnavailable, "TASK_NOT_VALID") },
			calls:   []string{"protect worker1 worker2", "release worker1"}, status: "draining", kind: policy.FleetUnavailable, count: 3,
		},
		{
			name: "the count cannot be set: it may have been, so what stays is left protected", app: time.Hour,
			prepare: func(w *world) { w.fleet.setErr = broken(policy.FleetUnavailable, "503") },
			calls:   []string{"protect worker2", "set desired 2"}, left: []string{"worker0", "worker2"},
			status: "draining", kind: policy.FleetUnavailable, count: 3,
		},
		{
			name: "the count is set, and the answer is lost", app: time.Hour,
			prepare: func(w *world) { w.fleet.setErr, w.fleet.answerLost = broken(policy.FleetUnavailable, "EOF"), true },
			calls:   []string{"protect worker2", "set desired 2", "release worker2"}, left: []string{"worker0"},
			status: "scaled in", count: 2,
		},
		{
			name: "the count is not set", app: time.Hour,
			prepare: func(w *world) { w.fleet.setErr = broken(policy.FleetUnavailable, "EOF") },
			calls:   []string{"protect worker2", "set desired 2"}, left: []string{"worker0", "worker2"},
			status: "draining", kind: policy.FleetUnavailable, count: 3,
		},
		{
			name: "nobody knows whether they have been stopped: what stays is left protected", app: time.Hour,
			prepare: func(w *world) {
				at(w, "set desired", func() { w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down") })
			},
			calls: []string{"protect worker2", "set desired 2"}, left: []string{"worker0", "worker2"},
			status: "draining", kind: policy.FleetThrottled, count: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{shield: tt.app}, {}, {}}, keep(2))
			if tt.prepare != nil {
				tt.prepare(w)
			}
			app := w.fleet.tasks["worker-svc"][0].ProtectedUntil
			change, err := w.letGo(t)
			if change.Status != tt.status || kindOf(err) != tt.kind || w.desired("worker") != tt.count {
				t.Errorf("%+v, %v, count %d; want %s, kind %q, %d", change, err, w.desired("worker"), tt.status, tt.kind, tt.count)
			}
			if diff := cmp.Diff(tt.calls, w.made("protect", "release", "set")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			var left []string
			for _, task := range w.fleet.tasks["worker-svc"] {
				if task.ProtectedUntil.After(w.now) {
					left = append(left, task.ID)
				}
				if task.ID == "worker0" && !task.ProtectedUntil.Equal(app) {
					t.Errorf("the application's protection until %v is now until %v", app, task.ProtectedUntil)
				}
			}
			if diff := cmp.Diff(tt.left, left); diff != "" {
				t.Errorf("protected in the end (-want +got):\n%s", diff)
			}
			if len(w.broker.locks) != 0 {
				t.Errorf("the lock is held: %v", w.broker.locks)
			}
		})
	}
}

// TestTheWorldChangesBeforeTheAct has something happen when all is drained, right before the tasks that stay are protected.
func TestTheWorldChangesBeforeTheAct(t *testing.T) {
	t.Parallel()
	service := func(change func(*policy.Service)) func(*world) {
		return func(w *world) { w.fleet.changeService("worker-svc", change) }
	}
	tag := func(key, value string) func(*world) {
		return service(func(s *policy.Service) { s.Tags = map[string]string{key: value} })
	}
	tests := []struct {
		name    string
		change  func(w *world)
		status  string
		reasons []policy.Reason
		kind    policy.Kind
		count   int
		again   string // Who fetches again.
	}{
		{"nothing", func(*world) {}, "scaled in", []policy.Reason{policy.ReasonIdle}, "", 1, ""},
		{
			"somebody has raised the count", service(func(s *policy.Service) { s.Desired = 5 }),
			"draining",
			[]policy.Reason{policy.ReasonIdle},
			"", 5, "",
		},
		{
			"a deployment begins", service(func(s *policy.Service) { s.Deploying = true }),
			"draining",
			[]policy.Reason{policy.ReasonDeployment},
			"", 3, "",
		},
		{
			"somebody pauses it, and no sweep would have them fetch again", tag(TagPaused, "true"),
			"resumed",
			[]policy.Reason{policy.ReasonPaused, policy.ReasonResume},
			"", 3, "worker0 worker1",
		},
		{"a tag cannot be understood", tag(TagMax, "many"), "draining", []policy.Reason{policy.ReasonOverride}, policy.InvalidConfig, 3, ""},
		{
			"an event asks for a floor", tag(TagFloor, "3@2026-11-21T13:00:00Z"),
			"resumed",
			[]policy.Reason{policy.ReasonFloor, policy.ReasonResume},
			"", 3, "worker0 worker1",
		},
		{"min is raised", tag(TagMin, "3"), "resumed", []policy.Reason{policy.ReasonMin, policy.ReasonResume}, "", 3, "worker0 worker1"},
		{"messages come", func(w *world) { w.setBacklog("celery", 21) }, "resumed", []policy.Reason{policy.ReasonBacklog, policy.ReasonResume}, "", 3, "worker0 worker1"},
		{"a new task appears", func(w *world) {
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "new", State: policy.TaskPending, CreatedAt: w.now})
		}, "resumed", []policy.Reason{policy.ReasonBlocked}, "", 3, "worker0 worker1"},
		{"a task has been replaced by one that is up already", func(w *world) {
			w.fleet.change("worker-svc", "worker2", func(t *policy.Task) { t.ID = "other" })
			w.broker.change("celery@worker2", func(n *policy.Node) { n.Name = "celery@other" })
		}, "draining", []policy.Reason{policy.ReasonProtected}, "", 3, ""},
		{"the application protects one of those that go", func(w *world) {
			w.before = nil
			w.once(1, "lock", func() { w.protect("worker0", time.Hour) })
		}, "draining", []policy.Reason{policy.ReasonIdle, policy.ReasonProtected}, "", 3, ""},
		{"a worker can no longer be told by its name", func(w *world) {
			w.broker.change("celery@worker2", func(n *policy.Node) { n.Name = "celery@somewhere" })
		}, "draining", []policy.Reason{policy.ReasonUnknown, policy.ReasonUntold}, "", 3, ""},
		{"one of those that go has begun to work", func(w *world) {
			w.broker.change("celery@worker0", func(n *policy.Node) { n.Active = policy.Known(1) })
		}, "draining", nil, "", 3, ""},
		{"one of those that go fetches again", func(w *world) {
			w.broker.setQueues("celery@worker0", []string{"celery"})
		}, "draining", nil, "", 3, ""},
		{"the tasks cannot be listed", func(w *world) {
			w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down")
		}, "draining", nil, policy.FleetThrottled, 3, ""},
		{"another has the lock: Redis has lost ours", func(w *world) {
			w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Hour)}}
		}, "draining", []policy.Reason{policy.ReasonOverlap}, "", 3, ""},
		{"the lock cannot be asked for", func(w *world) {
			w.broker.lockErr = broken(policy.BrokerUnavailable, "READONLY")
		}, "draining", nil, policy.BrokerUnavailable, 3, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}, {}}, keep(1))
			w.before = func(_ int, call string) {
				if strings.HasPrefix(call, "protect") {
					tt.change(w)
				}
			}
			change, err := w.letGo(t)
			if change.Status != tt.status || kindOf(err) != tt.kind || w.desired("worker") != tt.count {
				t.Errorf("%+v, %v, count %d; want %s, kind %q, %d", change, err, w.desired("worker"), tt.status, tt.kind, tt.count)
			}
			if tt.reasons != nil {
				if diff := cmp.Diff(tt.reasons, change.Reasons); diff != "" {
					t.Errorf("reasons (-want +got):\n%s", diff)
				}
			}
			if again := strings.TrimPrefix(strings.Join(w.made("consume"), ", "), "consume "); again != tt.again {
				t.Errorf("fetch again: %q, want %q", again, tt.again)
			}
			if len(w.made("protect")) != 1 {
				t.Errorf("protected: %v", w.made("protect"))
			}
			w.fleet.tasksErr = nil
			for _, task := range w.fleet.tasks["worker-svc"] {
				if task.ProtectedUntil.After(w.now) && tt.kind != policy.FleetThrottled && task.ID != "worker0" {
					t.Errorf("task %s is left protected", task.ID)
				}
			}
		})
	}
}

// TestAllFetchAgainIfTheyMayNotGo has something come in between when all workers are drained: they are all that there is.
func TestAllFetchAgainIfTheyMayNotGo(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world){
		"a message comes":          func(w *world) { w.setBacklog("celery", 1) },
		"the broker shows no more": func(w *world) { w.broker.look.Loose = policy.Known(1) },
		"a new task appears": func(w *world) {
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{State: policy.TaskPending})
		},
		"a worker begins to work": func(w *world) { w.broker.look.Nodes[0].Active = policy.Known(1) },
		"somebody pauses the service": func(w *world) {
			w.fleet.services["worker-svc"] = policy.Service{Desired: 3, Running: 3, Tags: map[string]string{TagPaused: ""}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}, {}}, oneByOne)
			w.before = func(_ int, call string) {
				if call == "tasks" && w.broker.looks == 4 { // The last look begins.
					change(w)
				}
			}
			change, err := w.letGo(t)
			if err != nil || change.Status != "resumed" || w.desired("worker") != 3 {
				t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
			}
			if diff := cmp.Diff([]string{"consume worker0 worker1 worker2"}, w.made("consume")); diff != "" {
				t.Errorf("who fetches again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnotherSweepIsAtIt(t *testing.T) {
	t.Parallel()
	o := &witness{}
	w := crew(t, []hand{{}, {}, {}}, func(options *Options) { options.Observer = o })
	w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
	change, err := w.letGo(t)
	want := Change{
		Status: "held", Target: "worker", Service: "worker-svc", DesiredCount: 3, Previous: 3, Reasons: []policy.Reason{policy.ReasonOverlap},
	}
	if diff := cmp.Diff(want, change); err != nil || diff != "" {
		t.Errorf("%v, change (-want +got):\n%s", err, diff)
	}
	if calls := w.made("cancel", "consume", "protect", "set", "look"); len(calls) > 0 {
		t.Errorf("calls beside the other's: %v", calls)
	}
	if diff := cmp.Diff([]Change{want}, o.changes); diff != "" {
		t.Errorf("told of (-want +got):\n%s", diff)
	}
	// It has died, and its lock expires.
	w.now = w.now.Add(time.Minute)
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
		t.Errorf("then %+v, %v", change, err)
	}
	w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone")
	w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
	if _, err := w.letGo(t); kindOf(err) != policy.ServiceMissing {
		t.Errorf("a service that is gone: %v", err)
	}
	if len(o.changes) != 2 {
		t.Errorf("told of %d results, of which one failed", len(o.changes))
	}
}

// TestEachServiceHasALockOfItsOwn has two targets of one broker scaled in at once.
func TestEachServiceHasALockOfItsOwn(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.run("a", 1, "qa")
	w.run("b", 1, "qb")
	w.broker.locks = map[string]fakeLock{"prod/a-svc": {"another", w.now.Add(time.Hour)}}
	prior := &policy.Sighting{At: start.Add(-time.Hour)}
	if change, err := w.ScaleIn(t.Context(), Input{Target: "a", Previous: prior}); err != nil || change.Status != "held" {
		t.Errorf("a: %+v, %v", change, err)
	}
	if change, err := w.ScaleIn(t.Context(), Input{Target: "b", Previous: prior}); err != nil || change.Status != "scaled in" {
		t.Errorf("b: %+v, %v", change, err)
	}
}

// TestWorkersThatCannotBeAskedAreNotDrained has the other sources of activity: nobody is told anything, and no lock is needed.
func TestWorkersThatCannotBeAskedAreNotDrained(t *testing.T) {
	t.Parallel()
	for _, source := range []Source{SourceCounter, SourceNone} {
		t.Run(string(source), func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}, {}}, keep(1), func(o *Options) { o.Targets[0].Source = source })
			w.broker.counter, w.broker.lockErr = policy.Known(0), broken(policy.BrokerRefused, "NOPERM")
			change, err := w.letGo(t)
			if err != nil || change.Status != "scaled in" || w.desired("worker") != 1 {
				t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
			}
			if calls := w.made("cancel", "lock", "protect"); len(calls) > 0 {
				t.Errorf("calls: %v", calls)
			}
		})
	}
}

// TestATaskThatNeverStartsIsLetGo has a count that ECS cannot reach.
func TestATaskThatNeverStartsIsLetGo(t *testing.T) {
	t.Parallel()
	for want, status := range map[int]string{0: "scaled in", 2: "scaled in"} {
		w := crew(t, []hand{{}, {}}, keep(want))
		w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 5 })
		change, err := w.letGo(t)
		if err != nil || change.Status != status || w.desired("worker") != want {
			t.Errorf("to %d: %+v, %v, count %d", want, change, err, w.desired("worker"))
		}
		if want == 2 && !slices.Equal(w.made("protect"), []string{"protect worker0 worker1"}) {
			t.Errorf("protected: %v", w.made("protect"))
		}
	}
}

// TestWhoIsChosen has one of several be let go.
func TestWhoIsChosen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		hands   []hand
		prepare func(w *world)
		cancels []string
		status  string
		reason  policy.Reason
	}{
		{
			"of the busy ones the one that fetches, though the drained one began last", []hand{
				{active: 1, began: time.Minute, drained: true}, {active: 1, began: time.Hour}, {active: 1, began: 2 * time.Hour},
			}, nil, []string{"cancel worker1"}, "draining", policy.ReasonSurplus,
		},
		{
			"not the one whose task is being stopped anyway", []hand{{}, {}, {active: 1}}, func(w *world) {
				w.fleet.tasks["worker-svc"][0].State = policy.TaskStopping
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired, s.Running = 2, 2 })
			}, []string{"cancel worker1"}, "scaled in", policy.ReasonSurplus,
		},
		{
			"nobody, where the only one that is not protected leaves a zone to itself",
			[]hand{{zone: "a", shield: time.Hour}, {zone: "a", shield: time.Hour}, {zone: "a", shield: time.Hour}, {zone: "b"}},
			func(w *world) { w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Rebalancing = true }) },
			nil, "held", policy.ReasonProtected,
		},
		{
			"of the fuller zone, without the tasks that are being stopped in the other", []hand{{zone: "a"}, {zone: "b"}, {zone: "b", active: 1}}, func(w *world) {
				for i := range 3 {
					w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: fmt.Sprint("old", i), Zone: "a", State: policy.TaskStopping})
				}
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Rebalancing, s.Tags = true, map[string]string{TagMin: "2"} })
			}, []string{"cancel worker1"}, "scaled in", policy.ReasonSurplus,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, oneByOne)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			change, err := w.letGo(t)
			if err != nil || change.Status != tt.status || !slices.Contains(change.Reasons, tt.reason) {
				t.Errorf("%+v, %v; want %s, %s", change, err, tt.status, tt.reason)
			}
			if diff := cmp.Diff(tt.cancels, w.made("cancel")); diff != "" {
				t.Errorf("who is told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBegan: of all that its workers execute the oldest counts; who executes nothing has begun nothing.
func TestBegan(t *testing.T) {
	t.Parallel()
	at := func(minutes int) policy.Node {
		if minutes == 0 {
			return policy.Node{}
		}
		return policy.Node{OldestStart: start.Add(time.Duration(minutes) * time.Minute)}
	}
	for _, nodes := range [][]policy.Node{{at(1)}, {at(1), at(2)}, {at(2), at(1)}, {at(1), at(0)}, {at(0), at(1)}, {at(2), at(0), at(1), at(0)}} {
		if got := (&victim{nodes: nodes}).began(); !got.Equal(start.Add(time.Minute)) {
			t.Errorf("%v: began %v", nodes, got)
		}
	}
	if got := (&victim{nodes: []policy.Node{at(0)}}).began(); !got.IsZero() {
		t.Errorf("it executes nothing, and began %v", got)
	}
}
