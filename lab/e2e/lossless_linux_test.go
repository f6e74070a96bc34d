package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// crew is a service, workers, with running workers, and its broker, a real Redis.
type crew struct {
	*system
	b *broker
	// ahead is how far ECS's clock is ahead of ours, so that the test need not wait for a time-out of ECS's.
	ahead *atomic.Int64
}

// stopTimeout is how long ECS gives a worker to end.
const stopTimeout = 2 * time.Minute

// startCrew starts so many workers for the queue video. Each fetches one message and no other until that is done, so that the
// test knows who has what.
func startCrew(t *testing.T, workers int) crew {
	t.Helper()
	yaml := one(worker(t, append(light, "--queues", "video")...), "")
	yaml = strings.Replace(yaml, "start_delay: 10ms", `start_delay: 10ms, env: {CELERY: '{"task_acks_late": true, "worker_prefetch_multiplier": 1}'}`, 1)
	ahead := new(atomic.Int64)
	c := start(t, yaml, cloud.Options{
		RedisURL: "redis://" + testenv.RedisServer(t) + "/0",
		ECS:      ecs.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }},
	})
	c.setDesired("workers", int32(workers))
	c.awaitCounts("workers", workers, workers)
	k := crew{c, newBroker(t, c.RedisURL()), ahead}
	k.b.awaitWorkers(workers)
	return k
}

// expectSweep sweeps, and expects an outcome and a count. "" is that there was nothing to do.
func (k crew) expectSweep(what, outcome string, count int) {
	k.t.Helper()
	s := k.sweep()
	// A scale-in that did not see in time that its workers were empty leaves them to the next sweep, drained or told to fetch again; its
	// own looks stand in no decision.
	unfinished := func() bool {
		got := s.Results["video"].Outcome
		return outcome == "scaled in" && slices.Contains([]string{"draining", "held", "resumed"}, got)
	}
	for try := 1; try < 5 && (s.starved() || unfinished()) && !cmp.Equal(wanted(outcome), s.Results); try++ {
		k.t.Logf("%s: not all could be looked at in time, so once more: %+v", what, s.Execution)
		s = k.sweep()
	}
	k.expect(s, what, outcome, count)
}

// wanted are the results of a sweep with that outcome.
func wanted(outcome string) map[string]result {
	results := map[string]result{}
	if outcome != "" {
		outcome, then, _ := strings.Cut(outcome, ", then ")
		results["video"] = result{Target: "video", Outcome: outcome, Then: then}
	}
	return results
}

func (k crew) expect(s swept, what, outcome string, count int) {
	k.t.Helper()
	want := wanted(outcome)
	if diff := cmp.Diff(want, s.Results); diff != "" || s.Status != asl.Succeeded {
		k.t.Fatalf("%s: %s (-want +got):\n%s\ndecisions %v", what, s.Status, diff, s.Decisions["video"])
	}
	if n := k.service("workers").Desired; n != count {
		k.t.Fatalf("%s: the count is %d, not %d", what, n, count)
	}
}

// awaitDrained waits until so many workers fetch nothing, and so many of them are at work all the same.
func (k crew) awaitDrained(drained, busy int) {
	k.t.Helper()
	k.b.awaitLook(func(seen policy.Look) error {
		nodes := slices.DeleteFunc(seen.Nodes, func(n policy.Node) bool { return !n.Active.Known || len(n.Queues) > 0 })
		working := 0
		for _, n := range nodes {
			working += n.Active.N
		}
		if len(nodes) != drained || working != busy {
			return fmt.Errorf("%d workers are drained, of which %d work; want %d and %d", len(nodes), working, drained, busy)
		}
		return nil
	})
}

// awaitDone waits until so many tasks have ended and their messages are acknowledged, the last thing that a worker does with them.
func (k crew) awaitDone(n int) {
	k.t.Helper()
	eventually(k.t, func() error {
		if _, ended := k.b.ledger(); len(ended) != n {
			return fmt.Errorf("%d tasks have ended, not %d", len(ended), n)
		}
		if left := int(k.b.HLen(k.t.Context(), "unacked").Val()); left > len(k.b.sent)-n {
			return fmt.Errorf("%d messages are not acknowledged", left)
		}
		return nil
	})
}

// end lets the last workers go, and holds against each other all that was sent and done.
func (k crew) end(workers int) {
	k.t.Helper()
	k.b.awaitEnded()
	k.awaitDone(len(k.b.sent))
	k.expectSweep("the last sweep", "scaled in", 0)
	expectCleanExits(k.t, k.system, "workers", workers)
	k.b.expectNothingLostOrDoubled()
}

// expectUnprotected expects that no protection is left on the tasks that run.
func (k crew) expectUnprotected() {
	k.t.Helper()
	for _, task := range k.tasks("workers") {
		if task.Status == "RUNNING" && task.ProtectedUntil.After(time.Now()) {
			k.t.Errorf("task %s is protected until %v", task.ID, task.ProtectedUntil)
		}
	}
}

// TestSomeAreLetGoWhileOneWorks has three workers, of which one has a task that outlasts ECS's patience. The other two go at once,
// and that one is not even asked to.
func TestSomeAreLetGoWhileOneWorks(t *testing.T) {
	t.Parallel()
	k := startCrew(t, 3)
	k.b.send(1, "hold", "gate", "video", nil)
	k.b.awaitStarted(1)
	k.expectSweep("a sweep while one works", "scaled in", 1)
	k.awaitCounts("workers", 1, 1)
	k.expectUnprotected()
	k.expectSweep("another", "", 1)
	eventually(t, func() error {
		stopped := slices.DeleteFunc(k.tasks("workers"), func(s ecs.TaskState) bool { return s.Status != "STOPPED" })
		if len(stopped) != 2 {
			return fmt.Errorf("%d of 2 workers have ended", len(stopped))
		}
		return nil
	})
	k.ahead.Store(int64(stopTimeout + time.Second)) // Had it been asked to end, it would be killed now.
	k.ECS().Tick()
	k.b.open("gate", 1)
	k.end(3)
}

// TestABusyWorkerEndsInItsOwnTime has two workers at work where one would do. The one that began later fetches no more, finishes
// what it has in peace, and is let go by the sweep that finds it done.
func TestABusyWorkerEndsInItsOwnTime(t *testing.T) {
	t.Parallel()
	k := startCrew(t, 2)
	for i, gate := range []string{"first", "second"} {
		k.b.send(1, "hold", gate, "video", nil)
		k.b.awaitStarted(i + 1)
	}
	k.expectSweep("both work", "draining", 2)
	k.awaitDrained(1, 1)
	k.expectSweep("both still work", "", 2)
	k.b.open("second", 1)
	k.awaitDone(1)
	k.awaitDrained(1, 0)
	k.expectSweep("the drained one is done", "scaled in", 1)
	k.awaitCounts("workers", 1, 1)
	k.awaitDrained(0, 0)
	k.expectUnprotected()
	k.b.open("first", 1)
	k.end(2)
}

// TestWorkInTheMiddleOfADrain has work come when all workers have just been told to fetch no more: they fetch again.
func TestWorkInTheMiddleOfADrain(t *testing.T) {
	t.Parallel()
	k := startCrew(t, 2)
	end := k.beginSweep()
	k.awaitDrained(2, 0)
	thaw := k.freeze(cloud.ScaleIn) // Or it might let them go before the work has come.
	k.b.send(1, "hold", "gate", "video", nil)
	thaw()
	k.b.awaitStarted(1) // Nobody but a sweep could have it begin, and nothing was started.
	k.expect(end(), "work in the middle of a drain", "resumed", 2)
	k.awaitDrained(0, 0)
	if n := k.ECS().Calls()["UpdateService"]; n != 1 {
		t.Errorf("%d calls of UpdateService; want none but the test's", n)
	}
	k.b.open("gate", 1)
	k.end(2)
}

// TestKilledWhileItDrains kills ScaleIn when it has drained all workers. Whether its lock is still there or not, work that comes
// then does not wait, and a later sweep ends what it began.
func TestKilledWhileItDrains(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		expired bool   // Its lock has.
		outcome string // Of the sweep that finds work.
		count   int
	}{
		{"the lock is still there: new workers are started", false, "scaled out", 3},
		{"the lock has expired: the workers are resumed", true, "resumed", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := startCrew(t, 2)
			end := k.beginSweep()
			k.awaitDrained(2, 0)
			k.kill(cloud.ScaleIn)
			// The state machine tries again, and finds the lock of the dead.
			s := end()
			k.expect(s, "a sweep whose scale-in was killed", "held", 2)
			k.awaitDrained(2, 0)

			if tt.expired {
				k.expireLock()
			}
			k.b.send(1, "hold", "gate", "video", nil)
			k.expectSweep("work comes", tt.outcome, tt.count)
			k.b.awaitStarted(1)
			if !tt.expired {
				k.expireLock()
			}
			k.expectSweep("the next sweep", "scaled in", 1)
			k.awaitCounts("workers", 1, 1)
			k.b.open("gate", 1)
			k.end(tt.count)
		})
	}
}

// expireLock has the lock expire, which takes three minutes by itself.
func (k crew) expireLock() {
	k.t.Helper()
	if n := k.b.Del(k.t.Context(), "sluice:lock:media/workers").Val(); n != 1 {
		k.t.Fatal("there is no lock")
	}
}
