package e2e_test

import (
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
)

// entered says that a sweep has come to a state.
func entered(state string) func(cloud.Happening) bool {
	return func(h cloud.Happening) bool {
		return h.Execution != nil && h.Execution.Event != nil && h.Execution.Event.State == state && h.Execution.Event.Type == asl.Entered
	}
}

// TestWorkAtTheWrongMoment tells of work that comes when nobody expects it: with no event, while a target settles, and
// right after the count was lowered. Each time one sweep makes it good, and at the end nothing is lost or doubled.
func TestWorkAtTheWrongMoment(t *testing.T) {
	t.Parallel()
	const queue = "video"
	// Between the first look of a sweep and the second there is time to freeze the function that looks.
	yaml := strings.Replace(one(worker(t, append(light, "--queues", queue)...), ""), "settle: 1s", "settle: 5s", 1)
	c := start(t, yaml, cloud.Options{})
	b := newBroker(t, c.RedisURL())
	outcome := func(s swept, what, want string) {
		t.Helper()
		outcome, then, _ := strings.Cut(want, ", then ")
		if r := (result{Target: "video", Outcome: outcome, Then: then}); s.Results["video"] != r || s.Status != asl.Succeeded {
			t.Fatalf("%s: %+v; want the outcome %q; decisions %v", what, s.Execution, want, s.Decisions["video"])
		}
	}

	// The event was lost, by EventBridge itself.
	c.Events().Drop(1)
	b.send(1, "hold", "gate", queue, nil)
	c.put(original(`{"scale_to": 1}`))
	c.await("the loss of the event", 0, func(h cloud.Happening) bool { return h.Delivery != nil && h.Delivery.Dropped })
	if n := c.service("workers").Desired; n != 0 {
		t.Fatalf("the lost event set the count to %d", n)
	}
	outcome(c.sweep(), "a sweep after a lost event", "scaled out")
	c.awaitCounts("workers", 1, 1)
	b.awaitStarted(1)
	b.open("gate", 1)
	b.awaitEnded()

	// Work comes while the idle target settles.
	then := c.now()
	end := c.beginSweep()
	c.await("settling", then, entered("Settle"))
	thaw := c.freeze(cloud.Check)
	b.send(1, "hold", "gate", queue, nil)
	b.awaitStarted(2)
	thaw()
	outcome(end(), "work while the target settles", "dropped")
	if n := c.service("workers").Desired; n != 1 {
		t.Fatalf("work while the target settles: the count is %d", n)
	}
	b.open("gate", 1)
	b.awaitEnded()

	// Work comes, with no event, when the count has just been lowered and the worker has gone. The verifying look is
	// held up until then: in the blink of an eye that lies between, no test could send anything. It is the next that the
	// function is asked for, since the scale-in has begun.
	then = c.now()
	end = c.beginSweep()
	c.await("the scale-in", then, entered("ScaleIn"))
	thaw = c.freeze(cloud.Check)
	c.await("the end of the worker", then, func(h cloud.Happening) bool { return h.Task != nil && h.Task.Status == "STOPPED" })
	b.send(1, "hold", "gate", queue, nil)
	thaw()
	outcome(end(), "work after the count was lowered", "scaled in, then scaled out")
	c.awaitCounts("workers", 1, 1)
	b.awaitStarted(3)
	b.open("gate", 1)
	b.awaitEnded()

	outcome(c.sweep(), "the last sweep", "scaled in")
	expectCleanExits(t, c, "workers", 2)
	b.expectNothingLostOrDoubled()
}

// TestKilledFunctions kills functions in the middle of their work, when they have decided and not yet written the count.
func TestKilledFunctions(t *testing.T) {
	t.Parallel()
	c := start(t, one(`["sleep", "1000"]`, idle), cloud.Options{})
	b := newBroker(t, c.RedisURL())
	// killed begins something of which the calls of an operation hang, and kills the function that makes one, so many times.
	killed := func(function, op string, times int, begin func()) {
		t.Helper()
		c.ECS().Fail(op, -1, ecs.Fault{Delay: time.Hour})
		before := c.ECS().Calls()[op]
		begin()
		for range times {
			c.awaitCall(op, before+1)
			c.kill(function)
			before = c.ECS().Calls()[op]
		}
		c.ECS().Fail(op, 0, ecs.Fault{})
	}
	// sweep is a sweep in which that happens.
	sweep := func(function, op string, times int) swept {
		t.Helper()
		var end func() swept
		killed(function, op, times, func() { end = c.beginSweep() })
		return end()
	}
	expect := func(what string, s swept, status asl.Status, r result) {
		t.Helper()
		if s.Status != status || s.Results["video"] != r {
			t.Errorf("%s: %+v; want %s and %+v", what, s.Execution, status, r)
		}
	}

	// The scale-out of an event: Lambda tries it again.
	killed(cloud.ScaleOut, "UpdateService", 1, func() { c.put(original(`{"scale_to": 1}`)) })
	c.awaitCounts("workers", 1, 1)

	// The look of a sweep, and the scale-in of another: the state machine tries them again.
	expect("a sweep whose look was killed", sweep(cloud.Check, "DescribeServices", 1),
		asl.Succeeded, result{Target: "video", Outcome: "scaled in"})
	c.awaitCounts("workers", 0, 0)
	c.setDesired("workers", 2)
	c.awaitCounts("workers", 2, 2)
	then := c.now()
	expect("a sweep whose scale-in was killed", sweep(cloud.ScaleIn, "UpdateService", 1),
		asl.Succeeded, result{Target: "video", Outcome: "scaled in"})
	c.awaitCounts("workers", 0, 0)
	if n := len(c.since(then, func(h cloud.Happening) bool { return h.Invocation != nil && h.Invocation.Function == cloud.ScaleIn })); n != 2 {
		t.Errorf("%d attempts of the killed scale-in, not 2", n)
	}

	// The scale-out of a sweep, killed as often as it is tried: the sweep fails under the name of what happened, and the
	// next one makes it good.
	if err := b.LPush(t.Context(), "video", "{}").Err(); err != nil {
		t.Fatal(err)
	}
	expect("a sweep whose scale-out was killed twice", sweep(cloud.ScaleOut, "UpdateService", 2),
		asl.Failed, result{Target: "video", Outcome: "failed", Failed: true, Error: "Runtime.ExitError"})
	c.awaitCounts("workers", 0, 0)
	expect("the next sweep", c.sweep(), asl.Succeeded, result{Target: "video", Outcome: "scaled out"})
	c.awaitCounts("workers", 1, 1)
}
