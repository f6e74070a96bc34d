package scaler

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestWhoRescues has messages fetched that no worker holds any more and that cannot be told apart by queue: the first
// target that can be scaled out brings up a worker, just one.
func TestWhoRescues(t *testing.T) {
	t.Parallel()
	tag := func(key, value string) func(*world) {
		return func(w *world) {
			w.fleet.changeService("a-svc", func(s *policy.Service) { s.Tags = map[string]string{key: value} })
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		want    string
	}{
		{"the first", nil, "a"},
		{"the first, of one worker at most", tag(TagMax, "1"), "a"},
		{"a is paused", tag(TagPaused, ""), "b"},
		{"a is not to be scaled out", tag(TagPausedOut, ""), "b"},
		{"a is on a dry run", tag(TagDryRun, ""), "b"},
		{"a is to have no worker", tag(TagMax, "0"), "b"},
		{"a cannot be described", func(w *world) { w.fleet.errs["a-svc"] = broken(policy.FleetUnavailable, "503") }, "b"},
		{"none can", func(w *world) { tag(TagPaused, "")(w); w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503") }, ""},
		{"one listens: it may hold them", func(w *world) { w.broker.look.Listeners = policy.Known(1) }, ""},
		{"nothing is fetched", func(w *world) { w.broker.look.Loose = policy.Known(0) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) {
				o.Targets = []Target{target("a", "qa"), target("b", "qb")}
				for i := range o.Targets {
					o.Targets[i].Limits.MessagesPerWorker = 1
				}
			})
			w.broker.look = emptyLook("qa", "qb")
			w.broker.look.Loose = policy.Known(500)
			w.fleet.services = map[string]policy.Service{"a-svc": {}, "b-svc": {}}
			if tt.prepare != nil {
				tt.prepare(w)
			}
			got := ""
			for _, c := range w.CheckAll(t.Context(), Shard{}).Targets {
				if c.ShouldScaleOut {
					got += c.Target
					if c.Decision.Desired != 1 {
						t.Errorf("%s: %+v", c.Target, c.Decision)
					}
				}
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestOthersAreDescribedOnlyIfTheyMatter: a look at one target costs ECS nothing for the others of its broker while each worker answers.
func TestOthersAreDescribedOnlyIfTheyMatter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare   func(w *world)
		described int
	}{
		"all is well":          {func(*world) {}, 1},
		"one is silent":        {func(w *world) { w.broker.look.Listeners.N++ }, 2},
		"a worker serves both": {func(w *world) { w.broker.setQueues("celery@a0", []string{"qa", "qb"}) }, 2},
		"nobody holds what is loose": {func(w *world) {
			w.broker.look.Nodes, w.broker.look.Listeners, w.broker.look.Loose = nil, policy.Known(0), policy.Known(9)
		}, 2},
		"somebody holds what is loose": {func(w *world) { w.broker.look.Loose = policy.Known(9) }, 1},
	} {
		w := twoOnOneBroker(t)
		w.run("a", 1, "qa")
		w.run("b", 1, "qb")
		c.prepare(w)
		if _, err := w.CheckOne(t.Context(), Input{Target: "a"}); err != nil || w.fleet.described != c.described {
			t.Errorf("%s: %d are described, want %d: %v", name, w.fleet.described, c.described, err)
		}
	}
}

// TestWhoIsNotAskedIsNotMissed: the tasks of a target whose workers protect themselves need not be heard from, so that a silent worker is
// known to be the other's.
func TestWhoIsNotAskedIsNotMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		o.Targets = []Target{target("a", "qa"), target("b", "qb")}
		o.Targets[1].Source = SourceNone
	})
	w.fleet.services = map[string]policy.Service{"b-svc": {Desired: 2, Running: 2}}
	w.broker.look = emptyLook("qa", "qb")
	w.run("a", 1, "qa")
	w.broker.look.Nodes = nil
	if c, err := w.CheckOne(t.Context(), Input{Target: "a"}); err != nil || c.ActiveTasks == nil || *c.ActiveTasks != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestWhoIsNotDescribedMayBeSilent: without its count, a target may have a task that ECS does not list yet. A silent worker may be that
// task's, though the other target of the broker misses just one.
func TestWhoIsNotDescribedMayBeSilent(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.run("b", 1, "qb")
	w.broker.look.Nodes = nil
	w.fleet.errs["a-svc"] = broken(policy.FleetUnavailable, "503")
	sig, _ := w.observeClosely(t.Context(), w.Targets[0], &policy.Sighting{}).signals(w.now, 0)
	if want := policy.AtLeast(0, "1 workers of the broker listen and do not answer, perhaps this target's"); sig.Active != want {
		t.Errorf("%+v, want %+v", sig.Active, want)
	}
}

// TestWhoIsNeverMissed: neither the workers that are not asked are missed, nor any while the broker is out of reach; not even at a
// close look, which sees that more tasks run than the service counts, or where a worker serves another target as well.
func TestWhoIsNeverMissed(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(w *world){
		"workers protect themselves": func(w *world) { w.change(0, func(t *Target) { t.Source = SourceNone }) },
		"the application counts":     func(w *world) { w.change(0, func(t *Target) { t.Source = SourceCounter }) },
		"a worker serves both": func(w *world) {
			w.change(0, func(t *Target) { t.Source = SourceNone })
			w.broker.setQueues("celery@a0", []string{"qa", "qb"})
		},
		"the broker is lost": func(w *world) {
			w.broker.look, w.broker.err = policy.Look{}, broken(policy.BrokerUnavailable, "refused")
		},
	} {
		w := twoOnOneBroker(t)
		w.run("a", 2, "qa")
		w.run("b", 1, "qb")
		w.gone("celery@a1")
		w.fleet.tasks["a-svc"] = append(w.fleet.tasks["a-svc"], policy.Task{ID: "a2", State: policy.TaskRunning})
		prepare(w)
		closely, _ := w.observeClosely(t.Context(), w.Targets[0], &policy.Sighting{}).signals(w.now, 0)
		all, _ := w.observe(t.Context(), w.Targets, budget{})[0].signals(w.now, 0)
		if closely.Unheard != 0 || all.Unheard != 0 {
			t.Errorf("%s: %d are missed at a close look, %d in a sweep", name, closely.Unheard, all.Unheard)
		}
	}
}

// TestAnEventRescuesByItself: an event does not ask for the other targets, so that its own has to bring up the worker.
func TestAnEventRescuesByItself(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.fleet.services = map[string]policy.Service{"a-svc": {}, "b-svc": {}}
	w.broker.look.Loose = policy.Known(500)
	o := w.observe(t.Context(), w.Targets[1:], budget{alone: true})[0]
	if _, held := o.waiting(); held.N != 1 {
		t.Errorf("%+v", held)
	}
}

// TestWhatASweepCosts: targets are described once, whoever is silent; and heartbeats are waited for no longer than until each of the
// broker's workers has been heard, where all of them are the target's.
func TestWhatASweepCosts(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.run("a", 1, "qa")
	w.run("b", 1, "qb")
	w.broker.look.Listeners.N++
	w.CheckAll(t.Context(), Shard{})
	if n := w.fleet.count("describe"); n != 1 {
		t.Errorf("%d calls to describe, want 1", n)
	}

	for name, c := range map[string]struct {
		w    *world
		want []int
	}{"worker": {crew(t, []hand{{}, {}}), []int{2}}, "a": {w, []int{math.MaxInt}}} {
		beats := &expectant{fakeBroker: c.w.broker}
		c.w.Brokers["main"] = beats
		if _, err := c.w.CheckOne(t.Context(), Input{Target: name, Previous: &policy.Sighting{Heard: 2}}); err != nil || !slices.Equal(beats.expect, c.want) {
			t.Errorf("%s: expects %v, want %v: %v", name, beats.expect, c.want, err)
		}
	}
}

// expectant is a broker that notes for how many heartbeats it is to wait, and hears none.
type expectant struct {
	*fakeBroker
	expect []int
}

func (b *expectant) Beats(_ context.Context, expect int) (map[string]policy.Beat, error) {
	b.expect = append(b.expect, expect)
	return nil, broken(policy.BrokerUnavailable, "lost")
}

// TestHeartbeatsThatAreNotHeardAreLogged, and hold the scale-in.
func TestHeartbeatsThatAreNotHeardAreLogged(t *testing.T) {
	t.Parallel()
	w, _, log := logged(t)
	w.run("worker", 2, "celery")
	w.Brokers["main"] = &expectant{fakeBroker: w.broker}
	c, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-time.Hour), Heard: 2}})
	want := []map[string]any{{"broker": "main", "error": "lost"}}
	if diff := cmp.Diff(want, lines(t, log, "heartbeats not heard")); diff != "" || err != nil || c.Decision.Desired == 0 {
		t.Errorf("%+v, %v (-want +got):\n%s", c.Decision, err, diff)
	}
	heard, _, log := logged(t)
	heard.run("worker", 2, "celery")
	if _, err := heard.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-time.Hour), Heard: 2}}); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, log, "heartbeats not heard"); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// lostCounter is a broker that can be looked at, and whose counter cannot be read.
type lostCounter struct{ *fakeBroker }

func (lostCounter) Counter(context.Context, string) (policy.Count, error) {
	return policy.Known(0), broken(policy.BrokerUnavailable, "read counter n: lost")
}

func TestACounterThatIsNotReadIsUnknown(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}}, func(o *Options) { o.Targets[0].Source, o.Targets[0].CounterKey = SourceCounter, "n" })
	w.Brokers["main"] = lostCounter{w.broker}
	c := w.one(t)
	if c.ActiveTasks != nil || c.ShouldScaleIn || c.Error == nil || *c.Error != "read counter n: lost" {
		t.Errorf("%+v", c)
	}
}

// TestNoTaskIsMissedUnasked: while the broker is out of reach nobody is heard from, and a look at the single tasks
// would tell nothing.
func TestNoTaskIsMissedUnasked(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.broker.look = policy.Look{}
	w.broker.err = broken(policy.BrokerUnavailable, "refused")
	if c := w.one(t); !c.Failed || len(w.made("tasks")) > 0 {
		t.Errorf("%+v, %v", c, w.made("tasks"))
	}
}

// TestTheCountOfAServiceMayLag: of more tasks than the service counts each has to be heard from, where names tell nothing.
func TestTheCountOfAServiceMayLag(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		third  policy.TaskState
		reason policy.Reason
		cause  string
	}{
		{"one more runs", policy.TaskRunning, policy.ReasonUnknown, "1 of 2 running tasks are not heard from"},
		{"one more is on its way up: it cannot be heard from", policy.TaskPending, policy.ReasonGrace, ""},
		{"one more is being stopped", policy.TaskStopping, policy.ReasonIdle, ""},
	} {
		w, o, _ := logged(t)
		w.run("worker", 2, "celery")
		for i := range 2 {
			w.fleet.tasks["worker-svc"][i].ID = "task" + string(rune('0'+i))
		}
		w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{
			ID: "third", State: tt.third, CreatedAt: start.Add(-time.Hour), StartedAt: start.Add(-time.Hour),
		})
		c, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute)}})
		if err != nil || !cmp.Equal(c.Decision.Reasons, []policy.Reason{tt.reason}) || o.records[0].Cause != tt.cause {
			t.Errorf("%s: %+v, %v, cause %q", tt.name, c.Decision, err, o.records[0].Cause)
		}
	}
}
