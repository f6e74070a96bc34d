package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// one is a configuration with one target, video, whose workers run the command.
func one(command, target string) string {
	return fmt.Sprintf(`version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [video], max: 3, settle: 1s, grace: 0s%s}
local:
  services:
    - {cluster: media, service: workers, command: %s, dir: %q, start_delay: 10ms, stop_timeout: 2m}
`, target, command, app())
}

// idle is for a target that has no workers that could be asked, and says so: what the queue says is all that there is.
const idle = `, activity: {source: none}`

// TestMainWay is the product: a message and its event bring workers up from zero, they do the work undisturbed, and when
// it is all done they are let go, with nothing lost and nothing done twice.
func TestMainWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		redis   func(t *testing.T) string
		event   string
		target  string
		workers int
	}{
		{"embedded Redis", func(*testing.T) string { return "" }, `{"scale_to": 1}`, "", 1},
		{
			"real Redis", func(t *testing.T) string { return "redis://" + testenv.RedisServer(t) + "/0" }, `{"scale_to": 3}`,
			", messages_per_worker: 1", 3,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const queue = "video"
			c := start(t, one(worker(t, "--queues", queue, "--concurrency", "1"), tt.target), cloud.Options{RedisURL: tt.redis(t)})
			b := newBroker(t, c.RedisURL())
			c.put() // No event yet: only the client is made.
			b.send(3, "hold", "gate", queue, nil)

			// The event. The count is there at the first try, within a second of the event's acceptance; on a busy machine, as
			// soon as it has a moment.
			sent := time.Now()
			if codes := c.put(original(tt.event)); !cmp.Equal(codes, []string{""}) {
				t.Fatalf("put_events answered %q", codes)
			}
			raised := c.await("the new count", 0, func(h cloud.Happening) bool { return h.Task != nil && h.Task.Desired == tt.workers })
			t.Logf("from the event to the count it took %v", raised.At.Sub(sent))
			c.await("the end of the call", 0, func(h cloud.Happening) bool { return h.Invocation != nil && h.Invocation.Function == cloud.ScaleOut })
			if tries := c.since(0, func(h cloud.Happening) bool { return h.Invocation != nil }); len(tries) != 1 {
				t.Errorf("%d calls of functions for one event", len(tries))
			}

			// The work begins. A sweep in the midst of it takes nothing away.
			c.awaitCounts("workers", tt.workers, tt.workers)
			b.awaitWorkers(tt.workers)
			b.awaitLook(func(seen policy.Look) error {
				active, q := 0, seen.Queues[queue]
				for _, n := range seen.Nodes {
					active += n.Active.N
				}
				if active == 0 || active+q.Held.N != 3 || q.Backlog.N > 0 {
					return fmt.Errorf("%d tasks are executed and %d held, %d wait", active, q.Held.N, q.Backlog.N)
				}
				return nil
			})
			s := c.sweep()
			d := s.last(t, "video")
			active, _ := d.Fields["active"].(float64)
			held, _ := d.Fields["held"].(float64)
			if decided(d) != "hold steady" || active < 1 || active+held != 3 || s.Status != asl.Succeeded || len(s.Results) != 0 {
				t.Errorf("a sweep amid work: %v and %+v; want hold steady, and 3 tasks active or held", d.Fields, s.Execution)
			}
			if n := c.service("workers").Desired; n != tt.workers {
				t.Errorf("a sweep amid work left %d workers", n)
			}

			// The work ends, and the next sweep lets all workers go.
			b.open("gate", 3)
			b.awaitEnded()
			s = c.sweep()
			if want := (result{Target: "video", Outcome: "scaled in"}); s.Results["video"] != want || s.Status != asl.Succeeded {
				t.Errorf("a sweep after the work: %+v; decisions %v", s.Execution, s.Decisions["video"])
			}
			states := []string{"Decide", "Settle", "Confirm", "StillIdle", "ScaleIn", "Verify", "WorkCame", "ScaledIn"}
			if diff := cmp.Diff([][]string{states}, s.Items["Sweep"]); diff != "" {
				t.Errorf("the way through the state machine (-want +got):\n%s", diff)
			}
			expectCleanExits(t, c, "workers", tt.workers)
			b.expectNothingLostOrDoubled()
			if n := c.ECS().Calls()["UpdateService"]; n != 2 {
				t.Errorf("%d calls of UpdateService; want one up and one down", n)
			}
			if l := c.Functions().DeadLetters(); len(l) > 0 {
				t.Errorf("dead letters: %+v", l)
			}
		})
	}
}

// expectCleanExits waits until the service is empty, and expects that so many workers ran, were asked to stop, and ended of
// themselves with exit status 0.
func expectCleanExits(t *testing.T, c *system, service string, workers int) {
	t.Helper()
	c.awaitCounts(service, 0, 0)
	eventually(t, func() error {
		for _, task := range c.tasks(service) {
			if task.Status != "STOPPED" {
				return fmt.Errorf("task %s is %s", task.ID, task.Status)
			}
		}
		return nil
	})
	tasks := c.tasks(service)
	if len(tasks) != workers {
		t.Errorf("%d workers ran, not %d", len(tasks), workers)
	}
	for _, task := range tasks {
		if task.Exit == nil || *task.Exit != (ecs.Exit{}) || task.StopCode != "ServiceSchedulerInitiated" {
			t.Errorf("worker %s ended with %+v, %s: %s", task.ID, task.Exit, task.StopCode, task.Reason)
		}
	}
}
