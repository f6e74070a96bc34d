package scaler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// seenCrew is what an observation tells of a target's workers.
type seenCrew struct {
	Active  string // A number, "N?" for a lower bound.
	Drained policy.Drained
	Told    bool
	Missing int
}

func (w *world) see(t *testing.T, target string) seenCrew {
	t.Helper()
	for _, o := range w.observe(t.Context(), w.Targets, budget{look: checkLook, patience: checkPatience}) {
		if o.target.Name != target {
			continue
		}
		sig, _ := o.signals(w.now, 0)
		active := fmt.Sprint(sig.Active.N)
		if !sig.Active.Known {
			active += "?"
		}
		return seenCrew{active, sig.Drained, sig.Tasks.Known && sig.Tasks.Told, sig.Unheard}
	}
	t.Fatalf("no target %s", target)
	return seenCrew{}
}

// TestWhoseWorkersAreDrained has two targets on one broker, a with two tasks and b with one.
func TestWhoseWorkersAreDrained(t *testing.T) {
	t.Parallel()
	rename := func(w *world, from, to string) {
		w.broker.change("celery@"+from, func(n *policy.Node) { n.Name = to })
	}
	drain := func(w *world, nodes ...string) {
		for _, n := range nodes {
			w.broker.setQueues(n, nil)
		}
	}
	work := func(w *world, node string, n int) {
		w.broker.change(node, func(node *policy.Node) { node.Active = policy.Known(n) })
	}
	tests := []struct {
		name    string
		prepare func(w *world)
		a, b    seenCrew
	}{
		{
			"nobody is drained: the tasks are not even looked at",
			func(*world) {},
			seenCrew{"0", policy.Drained{}, false, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the name tells",
			func(w *world) { drain(w, "celery@a1") },
			seenCrew{"0", policy.Drained{Tasks: 1, Idle: 1}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the name tells, and it is at work",
			func(w *world) {
				drain(w, "celery@a1")
				work(w, "celery@a1", 3)
			},
			seenCrew{"3", policy.Drained{Tasks: 1, Executing: 3}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"what it answers cannot be read: it may fetch or not",
			func(w *world) {
				drain(w, "celery@a1")
				w.broker.change("celery@a1", func(n *policy.Node) { n.Active = policy.Unknown("pickle") })
			},
			seenCrew{"0?", policy.Drained{}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"each target has one",
			func(w *world) { drain(w, "celery@a0", "celery@b0") },
			seenCrew{"0", policy.Drained{Tasks: 1, Idle: 1}, true, 0},
			seenCrew{"0", policy.Drained{Tasks: 1, Idle: 1}, true, 0},
		},
		{
			"the name tells nothing, and only a misses somebody: it would be a guess all the same",
			func(w *world) {
				rename(w, "a1", "celery@x")
				rename(w, "a0", "celery@y")
				drain(w, "celery@x")
				work(w, "celery@x", 2)
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the names tell nothing, and both targets miss somebody: they are nobody's",
			func(w *world) {
				for _, n := range []string{"a0", "a1", "b0"} {
					rename(w, n, "celery@"+n+"x")
				}
				drain(w, "celery@a1x", "celery@b0x")
				work(w, "celery@b0x", 1)
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0?", policy.Drained{}, true, 1}, // Of none at all each is known.
		},
		{
			"the name tells nothing, and each target misses one: it may be either's",
			func(w *world) {
				for _, n := range []string{"a0", "a1"} {
					rename(w, n, "celery@"+n+"x")
				}
				drain(w, "celery@a1x")
				w.broker.look.Nodes = w.broker.look.Nodes[:2]
				w.broker.look.Listeners.N--
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0?", policy.Drained{}, true, 1},
		},
		{
			"the names tell nothing, and more are drained than are missed",
			func(w *world) {
				rename(w, "a0", "celery@x")
				rename(w, "a1", "celery@y")
				drain(w, "celery@y")
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "celery@z", Answers: 1, Active: policy.Known(0)})
				w.broker.look.Listeners.N++
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the name tells nothing, and one of a's tasks is being stopped: it may be that one's",
			func(w *world) {
				rename(w, "a0", "celery@x")
				rename(w, "a1", "celery@y")
				drain(w, "celery@y")
				w.fleet.tasks["a-svc"][1].State = policy.TaskStopping
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the other target cannot be described: it may be that one's",
			func(w *world) {
				rename(w, "a0", "celery@x")
				rename(w, "a1", "celery@y")
				drain(w, "celery@y")
				w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503")
			},
			seenCrew{"0?", policy.Drained{}, false, 1},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"equal names tell nothing",
			func(w *world) {
				w.broker.look.Nodes = w.broker.look.Nodes[1:]
				w.broker.change("celery@a1", func(n *policy.Node) { n.Answers = 2 })
				drain(w, "celery@a1")
			},
			seenCrew{"0?", policy.Drained{}, true, 2},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"an outsider on a's queue: not every worker is in a task",
			func(w *world) {
				drain(w, "celery@a1")
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{
					Name: "celery@laptop", Answers: 1, Queues: []string{"qa"}, Active: policy.Known(1),
				})
				w.broker.look.Listeners.N++
				// Else its answer would stand for that of a1, and nobody would be missed.
				w.fleet.changeService("a-svc", func(s *policy.Service) { s.Running = 3 })
			},
			seenCrew{"1", policy.Drained{Tasks: 1, Idle: 1}, false, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"a task has two workers, and one of them still fetches",
			func(w *world) {
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@a1", Answers: 1, Active: policy.Known(1)})
				w.broker.look.Listeners.N++
				w.fleet.changeService("a-svc", func(s *policy.Service) { s.Running = 3 })
			},
			seenCrew{"1", policy.Drained{Executing: 1}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"a task has two workers, and both are drained: it is one",
			func(w *world) {
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@a1", Answers: 1, Active: policy.Known(1)})
				w.broker.look.Listeners.N++
				drain(w, "celery@a1")
			},
			seenCrew{"1", policy.Drained{Tasks: 1, Executing: 1}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"the drained worker of a task that is being stopped is no capacity, and is not missed either",
			func(w *world) {
				drain(w, "celery@a1")
				w.fleet.tasks["a-svc"][1].State = policy.TaskStopping
			},
			seenCrew{"0", policy.Drained{}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"a worker serves both targets, and is drained: its name tells",
			func(w *world) {
				w.broker.setQueues("celery@a0", []string{"qa", "qb"})
				drain(w, "celery@a1")
			},
			seenCrew{"0", policy.Drained{Tasks: 1, Idle: 1}, true, 0},
			seenCrew{"0", policy.Drained{}, false, 0},
		},
		{
			"more tasks run than were asked for: they are looked at",
			func(w *world) { w.fleet.changeService("b-svc", func(s *policy.Service) { s.Desired = 0 }) },
			seenCrew{"0", policy.Drained{}, false, 0},
			seenCrew{"0", policy.Drained{}, true, 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := twoOnOneBroker(t)
			w.run("a", 2, "qa")
			w.run("b", 1, "qb")
			tt.prepare(w)
			if diff := cmp.Diff(tt.a, w.see(t, "a")); diff != "" {
				t.Errorf("a (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.b, w.see(t, "b")); diff != "" {
				t.Errorf("b (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAWorkerThatServesTwoTargetsStandsForOneTask has a target a with two tasks and b with one, whose names tell nothing. One answer
// vouches for one task, whosever it is, so that both targets miss what is missing; a third beside them misses nothing.
func TestAWorkerThatServesTwoTargetsStandsForOneTask(t *testing.T) {
	t.Parallel()
	answer := func(w *world, nodes ...policy.Node) {
		for i := range nodes {
			nodes[i].Answers, nodes[i].Active = max(1, nodes[i].Answers), policy.Known(0)
		}
		w.broker.look.Nodes, w.broker.look.Listeners = nodes, policy.Known(policy.Look{Nodes: nodes}.Heard())
	}
	both, own := []string{"qa", "qb"}, []string{"qa"}
	tests := []struct {
		name    string
		prepare func(w *world)
		a, b    int // How many of its tasks are not heard from.
	}{
		{"it is all that answers", func(w *world) { answer(w, policy.Node{Name: "celery@1", Queues: both}) }, 2, 1},
		{"each task has one", func(w *world) {
			answer(w, policy.Node{Name: "celery@1", Queues: both}, policy.Node{Name: "celery@2", Queues: both}, policy.Node{Name: "celery@3", Queues: both})
		}, 0, 0},
		{"a has one of its own, and one is lacking", func(w *world) {
			answer(w, policy.Node{Name: "celery@1", Queues: both}, policy.Node{Name: "celery@2", Queues: own})
		}, 1, 1},
		{"three of one name", func(w *world) { answer(w, policy.Node{Name: "celery@1", Queues: both, Answers: 3}) }, 0, 0},
		{"b cannot be described: its tasks may be any number", func(w *world) {
			answer(w, policy.Node{Name: "celery@1", Queues: both, Answers: 3})
			w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503")
		}, 2, 0},
		{"a worker of neither stands for none", func(w *world) {
			answer(w, policy.Node{Name: "celery@1", Queues: both}, policy.Node{Name: "celery@2", Queues: own}, policy.Node{Name: "celery@3", Queues: []string{"others"}})
		}, 1, 1},
		{"nobody serves both: each is counted by itself", func(w *world) {
			answer(w, policy.Node{Name: "celery@1", Queues: own, Answers: 2}, policy.Node{Name: "celery@2", Queues: []string{"others"}})
		}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) { o.Targets = []Target{target("a", "qa"), target("b", "qb"), target("c", "qc")} })
			w.broker.look = emptyLook("qa", "qb", "qc")
			delete(w.fleet.services, "worker-svc")
			w.run("a", 2, "qa")
			w.run("b", 1, "qb")
			w.run("c", 1, "qc")
			for _, service := range []string{"a-svc", "b-svc", "c-svc"} {
				for i := range w.fleet.tasks[service] {
					w.fleet.tasks[service][i].ID = fmt.Sprint(service, "-task-", i)
				}
			}
			tt.prepare(w)
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "celery@4", Answers: 1, Queues: []string{"qc"}, Active: policy.Known(0)})
			w.broker.look.Listeners.N++
			if a, b, c := w.see(t, "a").Missing, w.see(t, "b").Missing, w.see(t, "c").Missing; a != tt.a || b != tt.b || c != 0 {
				t.Errorf("of a %d are missing, want %d; of b %d, want %d; of c, which has its own, %d", a, tt.a, b, tt.b, c)
			}
		})
	}
}

// TestAllOfTheTargetsWorkersGo has a target go to none that does not have its workers to itself.
func TestAllOfTheTargetsWorkersGo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(w *world)
		cancels []string
		status  string
		reason  policy.Reason
	}{
		{
			"an outsider on its queue is in none of its tasks, and stays",
			func(w *world) {
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{
					Name: "celery@laptop", Answers: 1, Queues: []string{"qa"}, Active: policy.Known(0),
				})
				w.broker.look.Listeners.N++
			},
			[]string{"cancel a0 a1"},
			"scaled in", policy.ReasonIdle,
		},
		{
			"equal names are told at once",
			func(w *world) {
				w.broker.look.Nodes = w.broker.look.Nodes[1:]
				w.broker.change("celery@a1", func(n *policy.Node) { n.Answers = 2 })
			},
			[]string{"cancel a1"},
			"scaled in", policy.ReasonIdle,
		},
		{
			"names that tell nothing: all of its queue",
			func(w *world) {
				w.broker.change("celery@a0", func(n *policy.Node) { n.Name = "celery@x" })
				w.broker.change("celery@a1", func(n *policy.Node) { n.Name = "celery@y" })
			},
			[]string{"cancel x y"},
			"scaled in", policy.ReasonIdle,
		},
		{
			"a worker that serves b too, and its name tells that it is a's",
			func(w *world) { w.broker.setQueues("celery@a0", []string{"qa", "qb"}) },
			[]string{"cancel a0 a1"},
			"scaled in", policy.ReasonIdle,
		},
		{
			"a worker that serves b too, and its name tells nothing: it may be b's",
			func(w *world) {
				w.broker.change("celery@a0", func(n *policy.Node) { n.Name, n.Queues = "celery@x", []string{"qa", "qb"} })
				w.broker.change("celery@a1", func(n *policy.Node) { n.Name = "celery@y" })
			},
			nil,
			"held", policy.ReasonUntold,
		},
		{
			"names that tell nothing, and an outsider on its queue: one of them is not a's",
			func(w *world) {
				for _, n := range []string{"a0", "a1"} {
					w.broker.change("celery@"+n, func(n *policy.Node) { n.Name += "x" })
				}
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{
					Name: "celery@laptop", Answers: 1, Queues: []string{"qa"}, Active: policy.Known(0),
				})
				w.broker.look.Listeners.N++
			},
			nil,
			"held", policy.ReasonUntold,
		},
		{
			"no worker is wanted, and one whose name tells nothing is too busy to answer: it cannot be told",
			func(w *world) {
				w.broker.change("celery@a0", func(n *policy.Node) { n.Name = "celery@x" })
				w.gone("celery@a1")
				w.broker.look.Listeners.N++
				w.fleet.changeService("a-svc", func(s *policy.Service) { s.Tags = map[string]string{TagMax: "0"} })
			},
			nil,
			"held", policy.ReasonUntold,
		},
		{
			"no worker is wanted, one name tells its task, and another does not: it is told, and goes with none while one is silent",
			func(w *world) {
				w.broker.change("celery@a1", func(n *policy.Node) { n.Name = "celery@x" })
				w.broker.look.Listeners.N++
				w.fleet.changeService("a-svc", func(s *policy.Service) { s.Tags = map[string]string{TagMax: "0"} })
			},
			[]string{"cancel a0 x"},
			"draining", policy.ReasonWork,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := twoOnOneBroker(t)
			w.run("a", 2, "qa")
			w.run("b", 1, "qb")
			tt.prepare(w)
			change, err := w.ScaleIn(t.Context(), Input{Target: "a", Previous: &policy.Sighting{At: start.Add(-time.Hour)}})
			if err != nil || change.Status != tt.status || len(change.Reasons) != 1 || change.Reasons[0] != tt.reason {
				t.Errorf("%+v, %v; want %s, %s", change, err, tt.status, tt.reason)
			}
			if diff := cmp.Diff(tt.cancels, w.made("cancel")); diff != "" {
				t.Errorf("who is told (-want +got):\n%s", diff)
			}
			if w.desired("b") != 1 {
				t.Errorf("the other target has %d", w.desired("b"))
			}
		})
	}
}

// TestWhoseTasksAreLookedAt: to look at the tasks of a service costs two calls, so it is done only where the counts do not tell enough.
func TestWhoseTasksAreLookedAt(t *testing.T) {
	t.Parallel()
	gone := func(w *world) { w.gone("celery@a1") }
	silent := func(n int) func(w *world) {
		return func(w *world) {
			gone(w)
			w.broker.look.Listeners.N += n
		}
	}
	pending := func(w *world) {
		gone(w)
		w.fleet.changeService("a-svc", func(s *policy.Service) { s.Pending = 1 })
	}
	surplus := func(w *world) { w.fleet.changeService("a-svc", func(s *policy.Service) { s.Desired = 1 }) }
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		alone   bool // It is an event's look.
		looks   int
		known   bool
	}{
		{"each was heard from", func(*world) {}, false, 0, false},
		{"one is connected to nothing: it is to be named", gone, false, 1, true},
		{"the same, at an event", gone, true, 1, true},
		{"one may not have come up yet", pending, false, 0, false},
		{"the same, and a worker is drained: it may be that one's", func(w *world) {
			pending(w)
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "celery@x", Answers: 1, Active: policy.Known(0)})
			w.broker.look.Listeners.N++
		}, false, 1, true},
		{"one is silent, and it is known which", silent(1), false, 0, false},
		{"two are silent, and it is not known which", silent(2), false, 1, true},
		{"the same, at an event, which does not pay for it", silent(2), true, 0, false},
		{"more run than were asked for", surplus, false, 1, true},
		{"the same, and the workers protect themselves", func(w *world) {
			surplus(w)
			w.change(0, func(t *Target) { t.Source = SourceNone })
		}, false, 0, false},
		{"ECS does not answer", func(w *world) {
			gone(w)
			w.fleet.tasksErr = broken(policy.FleetUnavailable, "503")
		}, false, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := twoOnOneBroker(t)
			w.run("a", 2, "qa")
			w.run("b", 1, "qb")
			tt.prepare(w)
			o := w.observe(t.Context(), w.Targets[:1], budget{look: checkLook, patience: checkPatience, alone: tt.alone})[0]
			if looks := w.fleet.count("tasks"); looks != tt.looks || o.tasksKnown != tt.known {
				t.Errorf("%d looks, known %v; want %d, %v", looks, o.tasksKnown, tt.looks, tt.known)
			}
		})
	}
}

// TestTasksAreAskedForOnce: a confirmation that could not see the tasks does not ask again within the same look.
func TestTasksAreAskedForOnce(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.gone("celery@worker1")
	w.fleet.tasksErr = broken(policy.FleetUnavailable, "503")
	c, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-time.Hour)}})
	if err != nil || !c.Failed || w.fleet.count("tasks") != 1 {
		t.Errorf("%+v, %v; calls %v", c, err, w.calls)
	}
}

// TestDrainedAndNameless has workers of the only target of a broker be drained, whose names do not tell their tasks.
func TestDrainedAndNameless(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		drained policy.Drained
		unheard int
	}{
		{"one is missed", func(*world) {}, policy.Drained{Tasks: 1, Idle: 1}, 0},
		{"two are missed: the one that is known to be ours is counted once", func(w *world) {
			w.broker.setQueues("celery@worker0", nil)
		}, policy.Drained{Tasks: 2, Idle: 2}, 0},
		{"another task is being stopped: it may be that one's, unless it is known to be ours", func(w *world) {
			w.broker.setQueues("celery@worker0", nil)
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "old", State: policy.TaskStopping})
		}, policy.Drained{Tasks: 1, Idle: 1}, 1},
		{"names tell after all, and it is in the task that is being stopped", func(w *world) {
			w.fleet.tasks["worker-svc"][0].ID, w.fleet.tasks["worker-svc"][1].ID = "worker0", "worker1"
			w.fleet.tasks["worker-svc"][1].State = policy.TaskStopping
		}, policy.Drained{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {drained: true}})
			for i := range 2 {
				w.fleet.tasks["worker-svc"][i].ID = fmt.Sprint("task", i)
			}
			tt.prepare(w)
			sig, _ := w.observeClosely(t.Context(), w.Targets[0], &policy.Sighting{}, "celery@worker1").signals(w.now, 0)
			if sig.Drained != tt.drained || sig.Unheard != tt.unheard {
				t.Errorf("drained %+v, %d not heard from; want %+v, %d", sig.Drained, sig.Unheard, tt.drained, tt.unheard)
			}
		})
	}

	w := crew(t, []hand{{}, {drained: true}})
	for i := range 2 {
		w.fleet.tasks["worker-svc"][i].ID = fmt.Sprint("task", i)
	}
	w.fleet.tasksErr = broken(policy.FleetUnavailable, "503")
	sig, _ := w.observe(t.Context(), w.Targets, budget{})[0].signals(w.now, 0)
	if sig.Drained != (policy.Drained{}) || sig.Unheard != 1 {
		t.Errorf("its tasks could not be looked at, one of them may be being stopped: %+v, %d not heard from", sig.Drained, sig.Unheard)
	}
}

// TestWhoIsUnheard: tasks are named only where the names of workers tell them, and where a worker must be there.
func TestWhoIsUnheard(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.gone("celery@worker1")
	w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "new", State: policy.TaskPending})
	if got := w.observe(t.Context(), w.Targets, budget{})[0].unheard(); !slices.Equal(got, []string{"worker1"}) {
		t.Errorf("%v", got)
	}
	w.broker.change("celery@worker0", func(n *policy.Node) { n.Name = "celery@x" })
	if got := w.observe(t.Context(), w.Targets, budget{})[0].unheard(); len(got) > 0 {
		t.Errorf("no name tells a task, and %v are named", got)
	}
}

// TestWhoIsResumed: of a task all workers fetch again, the idle tasks first; what it answers has to be known.
func TestWhoIsResumed(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{drained: true, active: 1}, {drained: true}, {drained: true}, {}})
	w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@worker1", Answers: 1, Active: policy.Known(1)})
	w.broker.look.Listeners.N++
	w.broker.change("celery@worker2", func(n *policy.Node) { n.Active = policy.Unknown("pickle") })
	o := w.observe(t.Context(), w.Targets, budget{})[0]
	for n, want := range []string{"", "second@worker1 worker1", "second@worker1 worker0 worker1", "second@worker1 worker0 worker1"} {
		if got := names(o.resumable(n)); got != want {
			t.Errorf("of %d tasks: %q, want %q", n, got, want)
		}
	}
}
