package scaler

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
)

// TestTheStoryOfAScaleIn goes the whole way: candidate, confirm, scale in; with what may come between.
func TestTheStoryOfAScaleIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		between func(w *world)
		confirm policy.Action
		status  string
		kind    policy.Kind
		desired int
	}{
		{"nothing happens", func(*world) {}, policy.ScaleIn, "scaled in", "", 0},
		{"messages come, for both", func(w *world) { w.setHeld("celery", 11) }, policy.Hold, "held", "", 2},
		{"messages come, for more than both: the sweep starts them", func(w *world) { w.setHeld("celery", 21) }, policy.ScaleOut, "held", "", 2},
		{"a message comes: one stays", func(w *world) { w.setHeld("celery", 1) }, policy.ScaleIn, "scaled in", "", 1},
		{"a message comes, and nobody takes it: not for long yet", func(w *world) {
			w.setBacklog("celery", 1)
		}, policy.Candidate, "held", "", 2},
		{"a worker becomes busy: it stays", func(w *world) {
			w.broker.look.Nodes[0].Active = policy.Known(1)
		}, policy.ScaleIn, "scaled in", "", 1},
		{"both become busy, and one would do", func(w *world) {
			w.broker.look.Nodes[0].Active, w.broker.look.Nodes[1].Active = policy.Known(1), policy.Known(1)
		}, policy.ScaleIn, "draining", "", 2},
		{"a task came and went: one stays", func(w *world) {
			w.broker.beats["celery@worker0"] = policy.Beat{Processed: 6}
		}, policy.ScaleIn, "scaled in", "", 1},
		{"a worker is silent now: it is busy, and stays", func(w *world) {
			w.broker.look.Nodes = w.broker.look.Nodes[:1]
		}, policy.ScaleIn, "scaled in", "", 1},
		{"heartbeats stop: one stays", func(w *world) { delete(w.broker.beats, "celery@worker1") }, policy.ScaleIn, "scaled in", "", 1},
		{"a name no longer tells its task, and a message comes", func(w *world) {
			w.broker.change("celery@worker0", func(n *policy.Node) { n.Name = "celery@somewhere" })
			w.setHeld("celery", 1)
		}, policy.Hold, "held", "", 2},
		{"the broker fails", func(w *world) {
			w.broker.err = broken(policy.BrokerUnavailable, "refused")
		}, policy.Hold, "held", policy.BrokerUnavailable, 2},
		{"a deployment begins", func(w *world) {
			svc := w.fleet.services["worker-svc"]
			svc.Deploying = true
			w.fleet.services["worker-svc"] = svc
		}, policy.Hold, "held", "", 2},
		{"a new task appears", func(w *world) {
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{State: policy.TaskPending, CreatedAt: w.now})
		}, policy.Hold, "held", "", 2},
		{"more tasks run than the service counts", func(w *world) {
			old := policy.Task{State: policy.TaskRunning, CreatedAt: start.Add(-time.Hour), StartedAt: start.Add(-time.Hour)}
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], old)
		}, policy.Hold, "held", "", 2},
		{"the tasks cannot be listed", func(w *world) {
			w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down")
		}, policy.Hold, "held", policy.FleetThrottled, 2},
		{"one task is protected", func(w *world) {
			w.fleet.tasks["worker-svc"][0].ProtectedUntil = w.now.Add(time.Hour)
		}, policy.ScaleIn, "scaled in", "", 1},
		{"a protection that has expired", func(w *world) {
			w.fleet.tasks["worker-svc"][0].ProtectedUntil = w.now
		}, policy.ScaleIn, "scaled in", "", 0},
		{"a protected task is stopping already", func(w *world) {
			w.fleet.tasks["worker-svc"][0].ProtectedUntil = w.now.Add(time.Hour)
			w.fleet.tasks["worker-svc"][0].State = policy.TaskStopping
		}, policy.ScaleIn, "scaled in", "", 0},
		{"the service vanishes", func(w *world) {
			w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone")
		}, policy.Hold, "", policy.ServiceMissing, 2},
		{"the update fails", func(w *world) {
			w.fleet.setErr = broken(policy.FleetUnavailable, "503")
		}, policy.ScaleIn, "draining", policy.FleetUnavailable, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run("worker", 2, "celery")
			first := w.one(t)
			if !first.ShouldScaleIn {
				t.Fatalf("no candidate: %+v", first.Decision)
			}
			w.now = w.now.Add(time.Duration(first.SettleSeconds) * time.Second)
			tt.between(w)
			confirm, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &first.Seen})
			if err != nil || confirm.Decision.Action != tt.confirm {
				t.Errorf("confirm: %+v, %v; want %s", confirm.Decision, err, tt.confirm)
			}
			// ScaleIn is called whatever the confirmation said: it has to find out by itself.
			change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &first.Seen})
			if change.Status != tt.status || kindOf(err) != tt.kind {
				t.Errorf("scale-in: %+v, %v; want %q, kind %q", change, err, tt.status, tt.kind)
			}
			if got := w.desired("worker"); got != tt.desired {
				t.Errorf("the count is %d, want %d", got, tt.desired)
			}
		})
	}
}

// Of workers of one name it is chance whose heartbeat is heard: they would never be let go if it counted.
func TestHeartbeatsOfTwinsAreNoWitness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("worker", 2, "celery")
	w.broker.look.Nodes = w.broker.look.Nodes[:1]
	w.broker.look.Nodes[0].Answers = 2
	first := w.one(t)
	w.now = w.now.Add(time.Duration(first.SettleSeconds) * time.Second)
	w.broker.beats["celery@worker0"] = policy.Beat{Processed: 3} // The other twin's.
	change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &first.Seen})
	if err != nil || change.Status != "scaled in" || w.desired("worker") != 0 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
	// Where they had names of their own at first, it can no longer be told what they did since.
	w = newWorld(t)
	w.run("worker", 2, "celery")
	first = w.one(t)
	w.now = w.now.Add(time.Duration(first.SettleSeconds) * time.Second)
	w.broker.look.Nodes = w.broker.look.Nodes[:1]
	w.broker.look.Nodes[0].Answers = 2
	if change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &first.Seen}); err != nil || change.Status != "held" {
		t.Errorf("twins where there were none: %+v, %v", change, err)
	}
}

func TestScaleInTooEarlyHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("worker", 2, "celery")
	first := w.one(t)
	w.now = w.now.Add(59 * time.Second)
	change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &first.Seen})
	if err != nil || change.Status != "held" || w.desired("worker") != 2 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
}

// TestWhatCannotBeAskedFails has workers that protect themselves, or are counted by the application, and ECS out of order.
func TestWhatCannotBeAskedFails(t *testing.T) {
	t.Parallel()
	for _, source := range []Source{SourceCounter, SourceNone} {
		for name, prepare := range map[string]func(w *world){
			"ECS is slow": func(w *world) {
				w.before = func(_ int, call string) {
					if call == "describe" {
						w.now = w.now.Add(6 * time.Second)
					}
				}
			},
			"the count cannot be set": func(w *world) { w.fleet.setErr = broken(policy.FleetUnavailable, "503") },
		} {
			w := crew(t, []hand{{}, {}}, func(o *Options) { o.Targets[0].Source = source }, oneByOne)
			w.broker.counter = policy.Known(0)
			prepare(w)
			change, err := w.letGo(t)
			if kindOf(err) != policy.FleetUnavailable || change.Status != "held" || change.DesiredCount != 2 || w.desired("worker") != 2 {
				t.Errorf("%s, %s: %+v, %v", source, name, change, err)
			}
		}
	}
}

// TestADryRunToldOfABrokenBroker: nothing is done, and what could not be seen is an error all the same.
func TestADryRunToldOfABrokenBroker(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, func(o *Options) { o.Targets[0].DryRun = true })
	if change, err := w.letGo(t); err != nil || change.Status != "held" || w.desired("worker") != 2 {
		t.Errorf("%+v, %v", change, err)
	}
	w.broker.err = broken(policy.BrokerUnavailable, "refused")
	if _, err := w.letGo(t); kindOf(err) != policy.BrokerUnavailable {
		t.Errorf("%v", err)
	}
}

func TestScaleInInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for payload, says := range map[string]string{
		``: "unexpected end", `[]`: "cannot unmarshal", `{"target":3,"previous":{}}`: "cannot unmarshal",
		`{}`: "target is missing", `{"previous":{}}`: "target is missing", `{"target":"worker"}`: "previous is missing",
	} {
		if _, err := ScaleInInput([]byte(payload)); kindOf(err) != policy.InvalidEvent || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", payload, err, says)
		}
	}
	in, err := ScaleInInput([]byte(`{"target":"worker","previous":{"processed":7}}`))
	if err != nil || in.Target != "worker" || in.Previous.Processed != 7 {
		t.Errorf("%+v, %v", in, err)
	}
	if _, err := w.ScaleIn(t.Context(), Input{Target: "gone", Previous: &policy.Sighting{}}); kindOf(err) != policy.UnknownTarget {
		t.Errorf("unknown target: %v", err)
	}
}
