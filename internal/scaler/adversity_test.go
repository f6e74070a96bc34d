package scaler

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/policy"
)

// What stands here went wrong once, or nearly: each test tells of a world in which things come at a bad moment.

// orderedBroker hears heartbeats in an order, and stops when it has heard as many workers as are expected.
type orderedBroker struct {
	*fakeBroker
	order []string
}

func (b *orderedBroker) Beats(_ context.Context, expect int) (map[string]policy.Beat, error) {
	out := map[string]policy.Beat{}
	for _, name := range b.order {
		if len(out) >= expect {
			break
		}
		out[name] = b.beats[name]
	}
	return out, nil
}

func twoOnOneBroker(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(o *Options) { o.Targets = []Target{target("a", "qa"), target("b", "qb")} })
	w.fleet.services = map[string]policy.Service{}
	w.broker.look = emptyLook("qa", "qb")
	return w
}

func TestHeartbeatsOfOthersDoNotCrowdOutOurs(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.run("a", 1, "qa")
	w.run("b", 3, "qb")
	w.Brokers["main"] = &orderedBroker{w.broker, []string{"celery@b0", "celery@b1", "celery@b2", "celery@a0"}}
	first, err := w.CheckOne(t.Context(), Input{Target: "a"})
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Minute)
	change, err := w.ScaleIn(t.Context(), Input{Target: "a", Previous: &first.Seen})
	if err != nil || change.Status != "scaled in" {
		t.Errorf("an idle target is not let go: %+v, %v", change, err)
	}
}

func TestOneAnswerStandsForOneTask(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(w *world)
		status string
	}{
		{"a's worker serves both queues, and b's own is not heard", func(w *world) {
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
		}, "held"},
		{"both are heard", func(*world) {}, "scaled in"},
		{"both are heard, each name tells its task, and a cannot be described", func(w *world) {
			w.fleet.errs["a-svc"] = broken(policy.FleetUnavailable, "503")
		}, "scaled in"},
		{"both are heard, no name tells its task, and a cannot be described", func(w *world) {
			w.fleet.change("b-svc", "b0", func(t *policy.Task) { t.ID = "task" })
			w.fleet.errs["a-svc"] = broken(policy.FleetUnavailable, "503")
		}, "held"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := twoOnOneBroker(t)
			w.run("a", 1, "qa", "qb")
			w.run("b", 1, "qb")
			tt.change(w)
			w.now = w.now.Add(2 * time.Minute)
			change, err := w.ScaleIn(t.Context(), Input{Target: "b", Previous: &policy.Sighting{At: start}})
			if err != nil || change.Status != tt.status {
				t.Errorf("%+v, %v; want %s", change, err, tt.status)
			}
		})
	}
}

func TestACounterDoesNotOverruleTheWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Targets[0].Source, o.Targets[0].CounterKey = SourceCounter, "misspelt" })
	w.run("worker", 1, "celery")
	w.broker.look.Nodes[0].Active = policy.Known(1)
	w.broker.counter = policy.Known(0)
	w.now = w.now.Add(2 * time.Minute)
	change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start}})
	if err != nil || change.Status != "held" {
		t.Errorf("the look saw a task executing: %+v, %v", change, err)
	}
}

// lateFleet describes services only when late has passed, and something happens in the meantime.
type lateFleet struct {
	*fakeFleet
	late time.Duration
	then func()
}

func (f *lateFleet) Describe(ctx context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	time.Sleep(f.late)
	f.then()
	return f.fakeFleet.Describe(ctx, refs)
}

func TestTheLookAtTheBrokerComesLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run("worker", 1, "celery")
		w.Fleet = &lateFleet{w.fleet, 3 * time.Second, func() {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			w.broker.look.Nodes[0].Active = policy.Known(1)
		}}
		w.now = w.now.Add(2 * time.Minute)
		change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start}})
		if err != nil || change.Status != "held" {
			t.Errorf("ECS took 3 s to answer, and the worker is busy by then: %+v, %v", change, err)
		}
	})
}

// TestAnOldLookIsNotActedOn has ECS slow when it is asked whose the silent worker is, after the look.
func TestAnOldLookIsNotActedOn(t *testing.T) {
	t.Parallel()
	for late, kind := range map[time.Duration]policy.Kind{time.Second: "", 6 * time.Second: policy.FleetUnavailable} {
		t.Run(late.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := twoOnOneBroker(t)
				w.Now = time.Now
				w.run("a", 1, "qa")
				w.run("b", 1, "qb")
				w.broker.look.Nodes = w.broker.look.Nodes[:1] // B's worker is silent.
				w.Fleet = &lateFleet{w.fleet, late, func() {}}
				in := Input{Target: "a", Previous: &policy.Sighting{At: time.Now().Add(-time.Hour)}}
				for id := range w.fleet.tasks["a-svc"] {
					w.fleet.tasks["a-svc"][id].StartedAt = time.Now().Add(-time.Hour)
				}
				if change, err := w.ScaleIn(t.Context(), in); kindOf(err) != kind || (w.desired("a") == 0) != (kind == "") {
					t.Errorf("%+v, %v; count %d", change, err, w.desired("a"))
				}
			})
		})
	}
}

func TestCoalescingLosesNoFloor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		first, second Demand
		want          Floor
	}{
		{
			"a longer hold",
			Demand{ScaleTo: 3, Hold: time.Minute},
			Demand{ScaleTo: 3, Hold: time.Hour},
			Floor{3, start.Add(time.Hour)},
		},
		{
			"a higher count, which is running already",
			Demand{ScaleTo: 2, Hold: time.Hour},
			Demand{ScaleTo: 5, Hold: time.Hour},
			Floor{5, start.Add(time.Hour)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run("worker", 8, "celery")
			for _, d := range []Demand{tt.first, tt.second} {
				d.Target = w.Targets[0]
				if _, err := w.ScaleOut(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.fleet.services["worker-svc"].Tags[TagFloor]; got != tt.want.String() {
				t.Errorf("floor %q, want %q", got, tt.want)
			}
		})
	}
}

// untaggable is a fleet whose tags we may not set.
type untaggable struct{ *fakeFleet }

func (untaggable) SetTags(context.Context, string, map[string]string) error {
	return broken(policy.FleetDenied, "no ecs:TagResource")
}

func TestAFloorThatCannotBeKeptKeepsNoWorkerFromComing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fleet = untaggable{w.fleet}
	_, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], ScaleTo: 2, Hold: time.Hour})
	if kindOf(err) != policy.FleetDenied || w.desired("worker") != 2 {
		t.Errorf("error %v, count %d: want FleetDenied and 2", err, w.desired("worker"))
	}
}

func TestEventsThatKeepNoFloorAreCoalescedToo(t *testing.T) {
	t.Parallel()
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused %v", paused), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) { o.Targets[0].FloorHold = 5 * time.Minute })
			d := Demand{Target: w.Targets[0]}
			if paused {
				w.fleet.services["worker-svc"] = policy.Service{ARN: "arn:worker", Tags: map[string]string{TagPaused: "true"}}
				d.ScaleTo = 1
			}
			for range 100 {
				if _, err := w.ScaleOut(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.fleet.count("describe"); n != 1 {
				t.Errorf("%d DescribeServices for 100 events within the window", n)
			}
		})
	}
}

func TestAnEventDescribesOneService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		for i := range 1000 {
			o.Targets = append(o.Targets, target(fmt.Sprintf("t%d", i), fmt.Sprintf("q%d", i)))
		}
	})
	w.run("worker", 1, "celery")
	w.broker.look.Listeners.N++ // One silent worker, somewhere.
	if _, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], ScaleTo: 2}); err != nil {
		t.Fatal(err)
	}
	if w.fleet.described != 1 {
		t.Errorf("one event had %d services described", w.fleet.described)
	}
}

func TestOrphansAreRescuedByATargetThatCan(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.broker.look.Loose = policy.Known(3)
	w.fleet.services = map[string]policy.Service{
		"a-svc": {ARN: "a", Tags: map[string]string{TagPaused: "true"}}, "b-svc": {ARN: "b"},
	}
	got := w.CheckAll(t.Context(), Shard{}).Targets
	if len(got) != 1 || got[0].Target != "b" || !got[0].ShouldScaleOut {
		t.Errorf("for 3 messages that nobody holds any more: %+v", got)
	}
}

// TestALookAsksForTheQueuesOfItsNeighbours holds that fetched messages of the other targets of a broker can be told apart, also
// when one target is confirmed alone; and that an event asks for its own queues only.
func TestALookAsksForTheQueuesOfItsNeighbours(t *testing.T) {
	t.Parallel()
	w := twoOnOneBroker(t)
	w.fleet.services["a-svc"] = policy.Service{ARN: "a"}
	if _, err := w.CheckOne(t.Context(), Input{Target: "a"}); err != nil || !slices.Equal(w.broker.asked, []string{"qa", "qb"}) {
		t.Errorf("a check of a asked for %v, %v", w.broker.asked, err)
	}
	if _, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], ScaleTo: 1}); err != nil || !slices.Equal(w.broker.asked, []string{"qa"}) {
		t.Errorf("an event for a asked for %v, %v", w.broker.asked, err)
	}
}

// slowBroker takes its time for a look.
type slowBroker struct {
	*fakeBroker
	takes time.Duration
}

func (b slowBroker) Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	select {
	case <-time.After(b.takes):
		return b.fakeBroker.Look(ctx, queues, patience)
	case <-ctx.Done():
		return policy.Look{}, broken(policy.BrokerUnavailable, "deadline")
	}
}

// TestOnlyADemandThatSaysHowManyIsInAHurry has a broker that answers later than a scale-out waits for it, unless it has to.
func TestOnlyADemandThatSaysHowManyIsInAHurry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		demand Demand
		want   int
	}{
		{"the sweep's repair waits", Demand{Direct: true}, 1},
		{"an event without scale_to waits", Demand{}, 1},
		{"an event with scale_to is obeyed", Demand{ScaleTo: 3}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.setBacklog("celery", 5)
				w.Brokers["main"] = slowBroker{w.broker, 600 * time.Millisecond}
				tt.demand.Target = w.Targets[0]
				change, err := w.ScaleOut(t.Context(), tt.demand)
				if err != nil || w.desired("worker") != tt.want {
					t.Errorf("%+v, %v; want %d", change, err, tt.want)
				}
			})
		})
	}
}
