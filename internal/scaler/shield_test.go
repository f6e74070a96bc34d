package scaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestShield has a check of a target that wants its long tasks protected, for half an hour at a time.
func TestShield(t *testing.T) {
	t.Parallel()
	long, short := hand{active: 1, began: time.Hour}, hand{active: 1, began: time.Minute}
	ours := func(w *world, task string, d time.Duration) {
		w.fleet.change("worker-svc", task, func(t *policy.Task) {
			t.ProtectedUntil = w.now.Add(d)
			t.Tags = map[string]string{tagShield: shieldMark(t.ProtectedUntil)}
		})
	}
	tests := []struct {
		name    string
		hands   []hand
		prepare func(w *world)
		calls   []string
	}{
		{"who works for long on one message", []hand{long, short, {}}, nil, []string{"protect worker0", "set tags"}},
		{"nobody does", []hand{short, {}}, nil, nil},
		{"ours is prolonged", []hand{long}, func(w *world) { ours(w, "worker0", time.Minute) }, []string{"protect worker0", "set tags"}},
		{"ours is released when it is done", []hand{{}, long}, func(w *world) {
			ours(w, "worker0", time.Minute)
		}, []string{"protect worker1", "set tags", "release worker0"}},
		{"the application's own is left alone", []hand{{shield: time.Minute}, {active: 1, began: time.Hour, shield: time.Minute}}, nil, nil},
		{"the application has prolonged ours: it is not ours any more", []hand{{}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.ProtectedUntil = w.now.Add(time.Hour) })
		}, nil},
		{"ours that has expired is nobody's", []hand{{}}, func(w *world) { ours(w, "worker0", -time.Second) }, nil},
		{"a deployment begins no new one, and prolongs what is there", []hand{long, long}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Deploying = true })
		}, []string{"protect worker0", "set tags"}},
		{"a task that is being stopped cannot be helped", []hand{long}, func(w *world) {
			w.fleet.tasks["worker-svc"][0].State = policy.TaskStopping
		}, nil},
		{"ours is kept while another lets workers go, and needs it", []hand{{}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
		}, nil},
		{"ours is kept while ECS would stop somebody for want of it", []hand{{}, {}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 1 })
		}, nil},
		{"ours is the application's by the time that it would be released", []hand{{}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.once(1, "lock", func() { w.protect("worker0", time.Hour) })
		}, nil},
		{"ours is kept where the lock cannot be asked for", []hand{{}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.broker.lockErr = broken(policy.BrokerRefused, "NOPERM")
		}, nil},
		{"who does not answer is left as it is", []hand{{}}, func(w *world) {
			ours(w, "worker0", time.Minute)
			w.broker.look.Nodes = nil
		}, nil},
		{"a drained one too", []hand{{active: 1, began: time.Hour, drained: true}}, nil, []string{"protect worker0", "set tags"}},
		{"what cannot be protected does not spoil the check", []hand{long}, func(w *world) {
			w.fleet.protectErr = broken(policy.FleetDenied, "no ecs:UpdateTaskProtection")
		}, []string{"protect worker0"}},
		{"the tasks cannot be listed", []hand{long}, func(w *world) { w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down") }, nil},
		{"the broker is out of reach", []hand{long}, func(w *world) { w.broker.err = broken(policy.BrokerUnavailable, "refused") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, oneByOne, func(o *Options) { o.Targets[0].Shield = 30 * time.Minute })
			if tt.prepare != nil {
				tt.prepare(w)
			}
			if got := w.CheckAll(t.Context(), Shard{}); got.Checked != 1 {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(tt.calls, w.made("protect", "set", "release")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			// What a check has protected, the next one knows for its own.
			w.now = w.now.Add(5 * time.Minute)
			for _, task := range w.fleet.tasks["worker-svc"] {
				if task.ProtectedUntil.Equal(start.Add(30*time.Minute)) && task.Tags[tagShield] != shieldMark(task.ProtectedUntil) {
					t.Errorf("task %s is protected by us, and its tag says %v", task.ID, task.Tags)
				}
			}
		})
	}
}

// TestWhatShieldingAsks: of whom there is nothing to protect nothing is asked, and the lock is taken only to end a protection.
func TestWhatShieldingAsks(t *testing.T) {
	t.Parallel()
	long := hand{active: 1, began: time.Hour}
	for _, tt := range []struct {
		name    string
		hands   []hand
		prepare func(w *world)
		calls   []string // Beside those of the check.
		warned  bool
	}{
		{"somebody is protected", []hand{long}, nil, []string{"tasks", "protect worker0", "set tags"}, false},
		{"nobody needs it", []hand{{}}, nil, []string{"tasks"}, false},
		{"nothing runs", []hand{long}, func(w *world) { w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = 0 }) }, nil, false},
		{"the service cannot be described", []hand{long}, func(w *world) { w.fleet.errs["worker-svc"] = broken(policy.FleetUnavailable, "503") }, nil, false},
		{"workers that are not asked protect themselves", []hand{long}, func(w *world) {
			w.Targets[0].Source = SourceNone
		}, nil, false},
		{"the tasks cannot be listed", []hand{long}, func(w *world) { w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down") }, []string{"tasks"}, true},
		{"a protection is ended", []hand{{}}, func(w *world) { w.shieldOurs("worker0") }, []string{"tasks", "lock", "tasks", "release worker0", "unlock"}, false},
		{"the lock cannot be asked for", []hand{{}}, func(w *world) {
			w.shieldOurs("worker0")
			w.broker.lockErr = broken(policy.BrokerRefused, "NOPERM")
		}, []string{"tasks", "lock", "unlock"}, true},
		{"the service is gone meanwhile", []hand{{}}, func(w *world) {
			w.shieldOurs("worker0")
			w.once(1, "lock", func() { w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone") })
		}, []string{"tasks", "lock", "unlock"}, true},
		{"the tasks cannot be listed again", []hand{{}}, func(w *world) {
			w.shieldOurs("worker0")
			w.once(1, "lock", func() { w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down") })
		}, []string{"tasks", "lock", "tasks", "unlock"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _, log := logged(t, oneByOne, func(o *Options) { o.Targets[0].Shield = 30 * time.Minute })
			w.run("worker", len(tt.hands), "celery")
			for i, h := range tt.hands {
				w.broker.look.Nodes[i].Active = policy.Known(h.active)
				if h.active > 0 {
					w.broker.look.Nodes[i].OldestStart = start.Add(-h.began)
				}
			}
			if tt.prepare != nil {
				tt.prepare(w)
			}
			w.CheckAll(t.Context(), Shard{})
			if diff := cmp.Diff(tt.calls, w.made("tasks", "protect", "set", "release", "lock", "unlock")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if warned := len(lines(t, log, "long tasks not shielded")) > 0; warned != tt.warned {
				t.Errorf("warned: %v, want %v", warned, tt.warned)
			}
		})
	}
}

// shieldOurs protects a task for a minute, as an earlier check has.
func (w *world) shieldOurs(task string) {
	w.fleet.change("worker-svc", task, func(t *policy.Task) {
		t.ProtectedUntil = w.now.Add(time.Minute)
		t.Tags = map[string]string{tagShield: shieldMark(t.ProtectedUntil)}
	})
}

func TestNobodyIsShieldedUnasked(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{active: 1, began: time.Hour}})
	w.CheckAll(t.Context(), Shard{})
	if calls := w.made("protect", "tasks"); len(calls) > 0 {
		t.Errorf("calls: %v", calls)
	}
}
