package scaler

import (
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

func TestScaleInInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, payload := range []string{``, `[]`, `{}`, `{"target":"worker"}`, `{"previous":{}}`, `{"target":3,"previous":{}}`} {
		if _, err := ScaleInInput([]byte(payload)); kindOf(err) != policy.InvalidEvent {
			t.Errorf("%q: error %v", payload, err)
		}
	}
	if _, err := w.ScaleIn(t.Context(), Input{Target: "gone", Previous: &policy.Sighting{}}); kindOf(err) != policy.UnknownTarget {
		t.Errorf("unknown target: %v", err)
	}
}
