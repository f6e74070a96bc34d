package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/testenv"
)

// TestBatchesAreNotStopped has real celery-batches execute a batch. No answer, key or heartbeat shows it, with early acknowledgement
// not even its messages. The worker stays, and the log says why.
func TestBatchesAreNotStopped(t *testing.T) {
	t.Parallel()
	for _, pool := range []string{"prefork", "threads"} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late acknowledgement %v", pool, late), func(t *testing.T) {
				t.Parallel()
				testBatches(t, pool, late)
			})
		}
	}
}

func testBatches(t *testing.T, pool string, late bool) {
	command := workerOf(t, testenv.PythonWithCelery(t, "5.6"), "--pool", pool, "--concurrency", "1", "--queues", "video")
	yaml := strings.Replace(one(command, ""), "start_delay: 10ms", fmt.Sprintf(
		`start_delay: 10ms, env: {CELERY: '{"batches": true, "task_acks_late": %v, "worker_prefetch_multiplier": 2}'}`, late), 1)
	c := start(t, yaml, cloud.Options{RedisURL: "redis://" + testenv.RedisServer(t) + "/0"})
	k := crew{c, newBroker(t, c.RedisURL()), nil}
	workers := 1
	k.setDesired("workers", 1)
	k.b.awaitWorkers(1)
	k.b.send(2, "batch", "batch", "video", nil)
	k.b.awaitStarted(2)
	if late {
		// Its two messages fill the window of the first worker, so that the second one takes this.
		workers = 2
		k.setDesired("workers", 2)
		k.b.awaitWorkers(2)
		k.b.send(1, "hold", "gate", "video", nil)
		k.b.awaitStarted(3)
	}
	k.awaitCounts("workers", workers, workers)
	active := 0
	k.b.awaitLook(func(seen policy.Look) error {
		active = 0
		for _, n := range seen.Nodes {
			active += n.Active.N
		}
		if len(seen.Nodes) != workers || active != workers-1 {
			return fmt.Errorf("%d workers say that they execute %d tasks, want %d and no batch", len(seen.Nodes), active, workers)
		}
		return nil
	})

	eventually(t, func() error { // A worker of a busy machine may answer too late, and is then unknown for another cause.
		s := k.sweep()
		d := s.last(t, "video")
		if s.Status != asl.Succeeded || len(s.Results) > 0 || k.service("workers").Desired != workers {
			t.Fatalf("sweep: %s %+v, count %d; decision %+v", s.Status, s.Results, k.service("workers").Desired, d)
		}
		if cause := "runs task batch with a strategy of its own"; !strings.Contains(fmt.Sprint(d), cause) {
			return fmt.Errorf("decision %+v; want the cause %q", d, cause)
		}
		return nil
	})
	k.b.open("batch", 1)
	k.b.open("gate", 1)
	k.b.awaitEnded()
	k.b.expectNothingLostOrDoubled()
	// Nor is it idle now: nobody can tell.
	k.expectSweep("the batch has ended", "", workers)
}
