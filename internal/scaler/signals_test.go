package scaler

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// gone has a worker be connected to nothing any more, while its task runs.
func (w *world) gone(node string) {
	w.broker.look.Nodes = slices.DeleteFunc(slices.Clone(w.broker.look.Nodes), func(n policy.Node) bool { return n.Name == node })
	w.broker.look.Listeners.N--
}

// change changes the i-th target, which is the i-th of its broker.
func (w *world) change(i int, change func(*Target)) {
	change(&w.Targets[i])
	change(&w.sharing["main"][i])
}

// TestSignals has two targets on one broker, a with two idle workers and b with one, and says what a's signals are.
func TestSignals(t *testing.T) {
	t.Parallel()
	zero := policy.Known(0)
	add := func(w *world, nodes ...policy.Node) {
		w.broker.look.Nodes = append(w.broker.look.Nodes, nodes...)
		w.broker.look.Listeners.N += len(nodes)
	}
	// A worker of nobody knows whom, without a queue, while one of a's is silent.
	stranger := func(active policy.Count) func(w *world) {
		return func(w *world) {
			w.gone("celery@a1")
			w.broker.look.Listeners.N++
			add(w, policy.Node{Name: "celery@x", Answers: 1, Active: active})
		}
	}
	source := func(w *world, s Source) { w.change(0, func(t *Target) { t.Source, t.CounterKey = s, "n" }) }
	waits := func(then func(w *world)) func(w *world) {
		return func(w *world) {
			w.setBacklog("qa", 3)
			then(w)
		}
	}
	twoQueues := func(w *world) {
		w.change(0, func(t *Target) { t.Queues = []string{"qa", "qc"} })
		w.setBacklog("qc", 3)
	}
	// The older of a's workers was not heard from, in contrast to the younger; whether b misses somebody is not known.
	oneSilent := func(w *world) {
		w.gone("celery@a1")
		w.broker.look.Listeners.N++
		w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503")
		w.fleet.change("a-svc", "a0", func(t *policy.Task) { t.StartedAt = start.Add(-2 * time.Minute) })
		w.fleet.change("a-svc", "a1", func(t *policy.Task) { t.StartedAt = start.Add(-bootPatience) })
		w.fleet.tasks["a-svc"] = append(w.fleet.tasks["a-svc"], policy.Task{ID: "old", State: policy.TaskStopping, StartedAt: start})
	}
	for _, tt := range []struct {
		name                  string
		prepare               func(w *world)
		alone                 bool // It is an event's look.
		backlog, held, active policy.Count
		unheard               int
		stuck                 bool
	}{
		{"nothing to do", func(*world) {}, false, zero, zero, zero, 0, false},
		{
			"a queue was not looked at", func(w *world) { delete(w.broker.look.Queues, "qa") }, false,
			policy.Unknown("queue qa was not looked at"), zero, zero, 0, false,
		},
		{
			"some that is fetched may be any target's", func(w *world) { w.broker.look.Loose = policy.Known(3) }, false,
			zero, policy.AtLeast(0, "3 fetched messages cannot be told apart by queue"), zero, 0, false,
		},
		{
			"what is fetched cannot be read", func(w *world) { w.broker.look.Loose = policy.Unknown("no hash") }, false,
			zero, policy.AtLeast(0, "no hash"), zero, 0, false,
		},
		{
			"its workers protect themselves: whether they work need not be known", func(w *world) {
				source(w, SourceNone)
				w.broker.err = broken(policy.BrokerUnavailable, "refused")
			}, false, policy.Unknown("refused"), policy.Unknown("refused"), zero, 0, false,
		},
		{
			"the counter is not known, and a worker executes", func(w *world) {
				source(w, SourceCounter)
				w.broker.counter = policy.Unknown("no number")
				w.broker.change("celery@a0", func(n *policy.Node) { n.Active = policy.Known(1) })
			}, false, zero, zero, policy.Unknown("no number"), 0, false,
		},
		{
			"a drained worker that is known to be a's is counted once, though another is not heard from", func(w *world) {
				w.fleet.changeService("a-svc", func(s *policy.Service) { s.Desired, s.Running = 3, 3 })
				w.fleet.tasks["a-svc"] = append(w.fleet.tasks["a-svc"], policy.Task{ID: "a2", State: policy.TaskRunning})
				w.broker.look.Listeners.N++
				w.broker.change("celery@a1", func(n *policy.Node) { n.Queues, n.Active = nil, policy.Known(2) })
			}, false, zero, zero, policy.Known(3), 1, false,
		},
		{
			"a worker that fetches two of its queues is one", func(w *world) {
				w.change(0, func(t *Target) { t.Queues = []string{"qa", "qb"} })
				w.broker.change("celery@a0", func(n *policy.Node) { n.Queues, n.Active = []string{"qa", "qb"}, policy.Known(1) })
			}, false, zero, zero, policy.Known(1), 0, false,
		},
		{"a drained stranger is idle", stranger(zero), false, zero, zero, policy.Known(1), 1, false},
		{
			"a drained stranger is busy: it may be a's", stranger(policy.Known(1)), false, zero, zero,
			policy.AtLeast(1, "worker celery@x has no queue and is busy, perhaps for this target"), 1, false,
		},
		{
			"a stranger's answer cannot be read: it may be a's", stranger(policy.Unknown("pickle")), false, zero, zero,
			policy.AtLeast(1, "pickle"), 1, false,
		},
		{
			"a drained stranger is busy, and nobody is missing", func(w *world) {
				add(w, policy.Node{Name: "celery@x", Answers: 1, Active: policy.Known(2)})
			}, false, zero, zero, zero, 0, false,
		},
		{
			"one too many listens", func(w *world) { w.broker.look.Listeners.N++ }, false, zero, zero,
			policy.AtLeast(0, "1 workers of the broker listen and do not answer, perhaps this target's"), 0, false,
		},
		{
			"one too many listens, and nobody else is on the broker", func(w *world) {
				w.broker.look.Listeners.N++
				w.Targets, w.sharing["main"] = w.Targets[:1], w.sharing["main"][:1]
			}, false, zero, zero,
			policy.AtLeast(0, "1 workers listen and do not answer, and 0 running tasks are not heard from"), 0, false,
		},
		{
			"two are silent, perhaps b's, and a's may not have come up yet", func(w *world) {
				w.broker.look.Nodes, w.broker.look.Listeners = nil, policy.Known(2)
				w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503")
				for i := range w.fleet.tasks["a-svc"] {
					w.fleet.tasks["a-svc"][i].StartedAt = start.Add(-2 * time.Minute)
				}
			}, false, zero, zero,
			policy.AtLeast(0, "2 workers of the broker listen and do not answer, perhaps this target's"), 2, false,
		},
		{
			"one is silent, perhaps b's, and a worker of a's must have come up", oneSilent, false, zero, zero,
			policy.AtLeast(1, "1 workers of the broker listen and do not answer, perhaps this target's"), 1, false,
		},
		{
			"the same, but no name tells which of a's has come up", func(w *world) {
				oneSilent(w)
				w.broker.change("celery@a0", func(n *policy.Node) { n.Name = "celery@x" })
			}, false, zero, zero,
			policy.AtLeast(0, "1 workers of the broker listen and do not answer, perhaps this target's"), 1, false,
		},
		{
			"an event does not ask whether b misses somebody", func(w *world) { w.gone("celery@a1"); w.broker.look.Listeners.N++ }, true, zero, zero,
			policy.AtLeast(0, "1 workers of the broker listen and do not answer, perhaps this target's"), 1, false,
		},
		{
			"an event does not ask how many tasks b has, whose workers serve a too", func(w *world) {
				w.broker.setQueues("celery@b0", []string{"qa", "qb"})
				for i, name := range []string{"task0", "task1"} {
					w.fleet.tasks["a-svc"][i].ID = name // Else names would tell.
				}
			}, true, zero, zero, policy.Unknown("2 of 2 running tasks are not heard from"), 2, false,
		},

		{"messages wait, and nobody takes them", waits(func(*world) {}), false, policy.Known(3), zero, zero, 0, true},
		{
			"somebody is silent who may take them", waits(func(w *world) { w.broker.look.Listeners.N++ }), false, policy.Known(3), zero,
			policy.AtLeast(0, "1 workers of the broker listen and do not answer, perhaps this target's"), 0, false,
		},
		{"the workers are not asked", waits(func(w *world) { source(w, SourceNone) }), false, policy.Known(3), zero, zero, 0, false},
		{"nobody is there yet", waits(func(w *world) {
			w.fleet.changeService("a-svc", func(s *policy.Service) { s.Desired, s.Running = 0, 0 })
			w.gone("celery@a0")
			w.gone("celery@a1")
			w.fleet.tasks["a-svc"] = nil
		}), false, policy.Known(3), zero, zero, 0, false},
		{"only some of the queue could be read", func(w *world) {
			w.broker.look.Queues["qa"] = policy.Queue{Backlog: policy.AtLeast(3, "in part"), Held: zero}
		}, false, policy.AtLeast(3, "in part"), zero, zero, 0, false},
		{"as many are fetched, and in time", waits(func(w *world) {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "1"}, {Tag: "2"}, {Tag: "3"}}
		}), false, policy.Known(3), zero, zero, 0, true},
		{
			"one is not heard from, and the other cannot do it all", func(w *world) { w.setBacklog("qa", 30); w.gone("celery@a1") }, false,
			policy.Known(30), zero, policy.Unknown("1 of 2 running tasks are not heard from"), 1, true,
		},
		{
			"the same, and messages are fetched that may be its own", func(w *world) {
				w.setBacklog("qa", 30)
				w.gone("celery@a1")
				w.broker.look.Loose = policy.Known(1)
			}, false, policy.Known(30), policy.AtLeast(0, "1 fetched messages cannot be told apart by queue"),
			policy.Unknown("1 of 2 running tasks are not heard from"), 1, false,
		},
		{"it is not known for how long it has run", waits(func(w *world) {
			w.gone("celery@a1")
			w.fleet.tasks["a-svc"], w.fleet.tasksErr = nil, broken(policy.FleetUnavailable, "503")
		}), false, policy.Known(3), zero, policy.Unknown("1 of 2 running tasks are not heard from"), 1, false},
		{"the queue is one that nobody fetches", twoQueues, false, policy.Known(3), zero, zero, 0, false},
		{
			"the queue is one that only the lost worker may fetch", func(w *world) { twoQueues(w); w.gone("celery@a1") }, false,
			policy.Known(3), zero, policy.Unknown("1 of 2 running tasks are not heard from"), 1, true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := twoOnOneBroker(t)
			w.run("a", 2, "qa")
			w.run("b", 1, "qb")
			tt.prepare(w)
			targets := w.Targets
			if tt.alone {
				targets = targets[:1]
			}
			sig, _ := w.observe(t.Context(), targets, budget{look: checkLook, patience: checkPatience, alone: tt.alone})[0].signals(w.now, 0)
			for what, c := range map[string]struct{ want, got policy.Count }{
				"backlog": {tt.backlog, sig.Backlog}, "held": {tt.held, sig.Held}, "active": {tt.active, sig.Active},
			} {
				if c.got != c.want {
					t.Errorf("%s is %+v, want %+v", what, c.got, c.want)
				}
			}
			if sig.Unheard != tt.unheard || sig.Stuck != tt.stuck {
				t.Errorf("%d are not heard from, stuck %v; want %d, %v", sig.Unheard, sig.Stuck, tt.unheard, tt.stuck)
			}
		})
	}
}

// TestQueuesThatDoNotFit has workers and sluice.yaml differ over the queues.
func TestQueuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Targets = []Target{target("worker", "celery", "mail", "empty")} })
	w.broker.look = emptyLook("celery", "mail", "empty")
	w.setBacklog("mail", 1)
	see := func() observation { return w.observe(t.Context(), w.Targets, budget{})[0] }
	if got := see().unfetched(); got != nil {
		t.Errorf("nobody is there who could fetch, and %v are not fetched", got)
	}
	w.run("worker", 1, "video", "audio", "celery")
	o := see()
	if diff := cmp.Diff([]string{"mail"}, o.unfetched()); diff != "" {
		t.Errorf("not fetched (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"audio", "video"}, o.unlisted()); diff != "" {
		t.Errorf("not listed (-want +got):\n%s", diff)
	}
}

func TestCountTasks(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return start.Add(-d) }
	got := countTasks([]policy.Task{
		{State: policy.TaskRunning, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour)},
		{State: policy.TaskRunning, CreatedAt: ago(time.Hour), StartedAt: ago(30 * time.Second)},
		{State: policy.TaskPending, CreatedAt: ago(time.Hour)},
		{State: policy.TaskRunning, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour), ProtectedUntil: start.Add(1)},
		{State: policy.TaskRunning, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour), ProtectedUntil: start},
		{State: policy.TaskStopping, StartedAt: ago(time.Second), ProtectedUntil: start.Add(time.Hour)},
	}, time.Minute, start)
	if want := (policy.TaskCounts{Known: true, Young: 2, Live: 5, Protected: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
