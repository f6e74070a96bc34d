package scaler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

const batches = "worker celery@worker0 runs task shop.batch with a strategy of its own (as celery-batches does), so what it executes " +
	"cannot be seen: set activity: counter or none for this target"

// A worker that may execute what no look shows is never taken for idle, whoever asks.
func TestWhatNoLookShowsIsUnknown(t *testing.T) {
	t.Parallel()
	batch := map[string][]string{"celery@worker0": {"shop.batch"}}
	tests := []struct {
		name    string
		prepare func(w *world)
		cause   string // "" if it is a candidate all the same.
	}{
		{"no such task", func(*world) {}, ""},
		{"one worker has one", func(w *world) { w.broker.untracked = batch }, batches},
		{"it has two", func(w *world) {
			w.broker.untracked = map[string][]string{"celery@worker0": {"shop.batch", "shop.mail"}}
		}, strings.Replace(batches, "shop.batch", "shop.batch and 1 more", 1)},
		{"it is the only worker", func(w *world) {
			w.gone("celery@worker1")
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired, s.Running = 1, 1 })
			w.fleet.tasks["worker-svc"] = w.fleet.tasks["worker-svc"][:1]
			w.broker.untracked = batch
		}, batches},
		{"another target's worker has one", func(w *world) {
			w.broker.untracked = map[string][]string{"celery@video0": {"video.batch"}}
		}, ""},
		{
			"one does not say", func(w *world) { w.broker.untracked = map[string][]string{"celery@worker1": {}} },
			"worker celery@worker1 does not say which tasks it has, so that it may execute one that cannot be seen",
		},
		{"another target's worker does not say", func(w *world) { w.broker.untracked = map[string][]string{"celery@video0": {}} }, ""},
		{"nobody could be asked", func(w *world) {
			w.broker.untrackedErr = broken(policy.BrokerUnavailable, "ask nodes: timeout")
		}, "ask nodes: timeout"},
		{"drained by an earlier sweep", func(w *world) {
			w.broker.setQueues("celery@worker0", nil)
			w.broker.untracked = batch
		}, batches},
		{"messages wait, and it has nothing to do: it is not stuck", func(w *world) {
			w.setBacklog("celery", 3)
			w.broker.untracked = batch
		}, batches},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}})
			tt.prepare(w)
			prior := &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}
			check := w.one(t)
			confirm, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: prior})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := w.Plan(t.Context(), PlanInput{Close: true})
			if err != nil {
				t.Fatal(err)
			}
			change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: prior})
			if err != nil {
				t.Fatal(err)
			}
			record, task := plan.Targets[0].Record, plan.Targets[0].Tasks[0]
			if diff := cmp.Diff(tt.cause, record.Cause); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
			unknown := tt.cause != ""
			for what, got := range map[string]bool{
				"check": !check.ShouldScaleIn, "confirm": !confirm.ShouldScaleIn, "plan": record.Action == policy.Hold, "scale-in": change.Status == "held",
				"check's count of active tasks": check.ActiveTasks == nil, "plan's of a task": task.Active == nil,
			} {
				if got != unknown {
					t.Errorf("%s holds: %v, want %v", what, got, unknown)
				}
			}
			if unknown && (len(w.fleet.stopped) > 0 || len(w.made("cancel", "consume")) > 0) {
				t.Errorf("stopped %v, calls %v", w.fleet.stopped, w.calls)
			}
		})
	}
}

// It is asked of candidates only, and seen also where a worker shows it only at the last look.
func TestWhoIsAskedWhatNoLookShows(t *testing.T) {
	t.Parallel()
	busy := crew(t, []hand{{active: 1}})
	busy.one(t)
	counted := crew(t, []hand{{}}, func(o *Options) { o.Targets[0].Source, o.Targets[0].CounterKey = SourceCounter, "active" })
	counted.broker.counter = policy.Known(0)
	counted.broker.untracked = map[string][]string{"celery@worker0": {"shop.batch"}}
	if c := counted.one(t); !c.ShouldScaleIn {
		t.Errorf("the application counts itself: %+v", c.Decision)
	}
	empty := crew(t, []hand{{}, {}})
	empty.broker.look.Nodes, empty.broker.look.Listeners = nil, policy.Known(0)
	empty.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = 0 })
	if c := empty.one(t); !c.ShouldScaleIn {
		t.Errorf("no task has come up, and none is wanted any more: %+v", c.Decision)
	}
	for name, w := range map[string]*world{"busy": busy, "counted": counted, "nobody answers": empty} {
		if asked := w.made("untracked"); len(asked) > 0 {
			t.Errorf("%s: asked %v", name, asked)
		}
	}

	both := twoOnOneBroker(t)
	both.run("a", 2, "qa")
	both.run("b", 1, "qb")
	both.broker.setQueues("celery@a0", []string{"qa", "qb"})
	both.CheckAll(t.Context(), Shard{})
	if diff := cmp.Diff([]string{"untracked a0 a1 b0"}, both.made("untracked")); diff != "" {
		t.Errorf("one that serves two targets is asked once (-want +got):\n%s", diff)
	}

	late := crew(t, []hand{{}, {}}, oneByOne)
	late.before = func(_ int, call string) {
		if strings.HasPrefix(call, "untracked") && len(late.made("untracked")) == 2 {
			late.broker.untracked = map[string][]string{"celery@worker1": {"shop.batch"}}
		}
	}
	if change, err := late.letGo(t); err != nil || change.Status == "scaled in" || len(late.fleet.stopped) > 0 {
		t.Errorf("%+v, %v; stopped %v", change, err, late.fleet.stopped)
	}
}
