package celery

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// The contract with the newest Celery, on a real Redis. TestCompat holds the older ones to the same.
func TestContract(t *testing.T) {
	for _, pool := range []string{"prefork", "threads"} {
		t.Run(pool, func(t *testing.T) {
			t.Parallel()
			testContract(t, testenv.Python(t), pool, testenv.RedisServer(t))
		})
	}
	t.Run("embedded Redis", func(t *testing.T) {
		t.Parallel()
		testContract(t, testenv.Python(t), "prefork", miniredis.RunT(t).Addr())
	})
}

// TestCompat runs the contract with every supported Celery and pool, a few at a time (go test's -parallel).
func TestCompat(t *testing.T) {
	if os.Getenv("SLUICE_COMPAT") == "" {
		t.Skip("SKIPPED: set SLUICE_COMPAT=1 (`make test-compat` does)")
	}
	for _, series := range []string{"5.2", "5.3", "5.4", "5.5", "5.6"} {
		for _, pool := range []string{"prefork", "threads", "solo", "gevent"} {
			t.Run(series+"/"+pool, func(t *testing.T) {
				t.Parallel()
				testContract(t, testenv.PythonWithCelery(t, series), pool, testenv.RedisServer(t))
			})
			t.Run(series+"/"+pool+"/drain", func(t *testing.T) {
				t.Parallel()
				testDrain(t, testenv.PythonWithCelery(t, series), pool, true)
			})
		}
	}
}

// contract is one real worker, in an application that has every setting of ours different from its default, and the broker
// that looks at it.
type contract struct {
	*lab
	broker *Broker
	worker *worker
	pool   string

	video, mail policy.Queue // What earlier steps have left with the worker.
}

const contractWorker = "w1@ip-10-0-4-168.ec2.internal"

func testContract(t *testing.T, python, pool, addr string) {
	lab := newLab(t, python, addr, map[string]any{
		"broker_url": "redis://" + addr + "/3",
		"broker_transport_options": map[string]any{
			"global_keyprefix": "acme:", "priority_steps": []int{0, 5, 7}, "sep": ":", "visibility_timeout": 7200,
		},
		"control_exchange": "ops", "event_exchange": "ops-events",
	})
	c := &contract{
		lab:    lab,
		worker: lab.start(contractWorker, "-P", pool, "-c", "2", "--prefetch-multiplier", "2", "-Q", "video,mail"),
		pool:   pool,
		video:  none,
		mail:   none,
		broker: newBroker(t, Options{
			Addrs: []string{addr}, DB: 3, KeyPrefix: "acme:", PrioritySteps: []int{0, 5, 7}, Separator: ":",
			ControlExchange: "ops", EventExchange: "ops-events", VisibilityTimeout: 2 * time.Hour, Horizon: 30 * time.Minute,
		}),
	}
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"idle", c.idle},
		{"heartbeats", c.heartbeats},
		{"executing, prefetched and waiting", c.busy},
		{"acknowledged late", c.late},
		{"with an ETA", c.eta},
		{"rate limited", c.rateLimited},
		{"stopped", c.stopped},
		{"arguments that only pickle can carry", c.unsafeArguments},
	} {
		if !t.Run(step.name, step.run) {
			t.Fatalf("the steps that follow rest on this one; worker printed:\n%s", c.worker.log)
		}
	}
}

// expect looks until a look is as wanted, with n tasks active: work needs a moment to get to where the test has sent it. What
// earlier steps have left with the worker is added.
func (c *contract) expect(t *testing.T, n int, video, mail policy.Queue) {
	t.Helper()
	want := policy.Look{
		Queues: map[string]policy.Queue{"video": sum(video, c.video), "mail": sum(mail, c.mail)},
		Loose:  policy.Known(0), FetchedKnown: true,
		Listeners: policy.Known(1),
		Nodes:     []policy.Node{{Name: contractWorker, Answers: 1, Queues: []string{"mail", "video"}, Active: policy.Known(n)}},
	}
	if c.pool == "solo" && n > 0 {
		want.Nodes = nil // It answers when its task is through.
	}
	patience := testPatience
	if want.Nodes == nil {
		patience = 100 * time.Millisecond
	}
	err := testenv.WaitFor(t.Context(), func() error {
		look, err := c.broker.Look(t.Context(), []string{"video", "mail"}, patience)
		if err != nil {
			return err
		}
		diff := cmp.Diff(want, look, ignoreTimes)
		if diff != "" && c.pool == "gevent" && n == 2 {
			// With its pool full, gevent up to Celery 5.6 owes the last acknowledgement until a task ends: that one is held as well.
			owed := want
			owed.Queues = map[string]policy.Queue{"video": sum(want.Queues["video"], queue(0, 1, 0)), "mail": want.Queues["mail"]}
			if cmp.Diff(owed, look, ignoreTimes) == "" {
				return nil
			}
		}
		if diff != "" {
			return fmt.Errorf("look (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sum(a, b policy.Queue) policy.Queue {
	return policy.Queue{Backlog: a.Backlog.Add(b.Backlog), Held: a.Held.Add(b.Held), Later: a.Later + b.Later}
}

var ignoreTimes = cmp.Options{
	cmpopts.IgnoreFields(policy.Look{}, "At", "Fetched"),
	cmpopts.IgnoreFields(policy.Node{}, "OldestStart"),
	cmpopts.IgnoreFields(policy.Queue{}, "NextDue", "HeadSince"),
}

func queue(backlog, held, later int) policy.Queue {
	return policy.Queue{Backlog: policy.Known(backlog), Held: policy.Known(held), Later: later}
}

var none = queue(0, 0, 0)

func (c *contract) idle(t *testing.T) { c.expect(t, 0, none, none) }

func (c *contract) heartbeats(t *testing.T) {
	beats, err := c.broker.Beats(t.Context(), 1)
	if err != nil || len(beats) != 1 {
		t.Fatalf("heartbeats %v, %v; want one", beats, err)
	}
	beat := beats[contractWorker]
	if tooOld(beat.Version) || beat.Version == "" || beat.Active != 0 || time.Since(beat.At).Abs() > time.Minute {
		t.Errorf("heartbeat %+v", beat)
	}
}

func (c *contract) busy(t *testing.T) {
	c.send(order{Task: "hold", Args: []string{"busy"}, Count: 2, Options: map[string]any{"queue": "video"}})
	if c.pool == "solo" {
		// It acknowledges the one that it executes only when its loop runs again: until then that is held.
		c.expect(t, 1, queue(1, 1, 0), none)
		c.open("busy", 2)
		c.settle(t, "busy", 2)
		return
	}
	c.expect(t, 2, none, none)
	c.send(order{Task: "hold", Args: []string{"busy"}, Count: 4, Options: map[string]any{"queue": "video"}})
	ahead := c.ahead()
	c.expect(t, 2, queue(4-ahead, ahead, 0), none)
	for _, priority := range []int{0, 5, 6, 9} {
		c.send(order{Task: "hold", Args: []string{"busy"}, Options: map[string]any{"queue": "video", "priority": priority}})
	}
	c.send(order{Task: "hold", Args: []string{"busy"}, Count: 2, Options: map[string]any{"queue": "mail"}})
	c.expect(t, 2, queue(8-ahead, ahead, 0), queue(2, 0, 0))
	look, err := c.broker.Look(t.Context(), []string{"video"}, testPatience)
	if err != nil || len(look.Nodes) != 1 || time.Since(look.Nodes[0].OldestStart).Abs() > time.Minute {
		t.Errorf("look at executing tasks: %+v, %v; want the time of their start", look, err)
	}
	c.open("busy", 12)
	c.settle(t, "busy", 12)
}

// ahead is how many tasks the worker fetches beyond the two that it executes: two for each, as its prefetch multiplier says;
// a gevent worker stops fetching at the first that finds its pool full.
func (c *contract) ahead() int {
	if c.pool == "gevent" {
		return 1
	}
	return 4
}

// settle waits until n tasks have ended behind the gate and the worker is idle.
func (c *contract) settle(t *testing.T, gate string, n int) {
	t.Helper()
	c.until("tasks end", func() error {
		if got := c.ended(gate); got != n {
			return fmt.Errorf("%d of %d tasks have ended", got, n)
		}
		return nil
	})
	c.idle(t)
}

// A task that is acknowledged late is among the unacked while it executes: it is active, and not held as well.
func (c *contract) late(t *testing.T) {
	c.send(order{Task: "hold_late", Args: []string{"late"}, Options: map[string]any{"queue": "video"}})
	if c.pool == "solo" {
		c.expect(t, 1, queue(0, 1, 0), none) // Nobody says that it is active.
	} else {
		c.expect(t, 1, none, none)
	}
	c.open("late", 1)
	c.settle(t, "late", 1)
}

// A worker takes every message with an ETA and holds it until it is due.
func (c *contract) eta(t *testing.T) {
	c.send(order{Task: "quick", Args: []string{"eta"}, Count: 2, Options: map[string]any{"queue": "mail", "countdown": 3600}})
	c.send(order{Task: "quick", Args: []string{"eta"}, Options: map[string]any{"queue": "video", "countdown": 900}})
	c.video, c.mail = sum(c.video, queue(0, 1, 0)), sum(c.mail, queue(0, 0, 2))
	c.idle(t)
	look, err := c.broker.Look(t.Context(), []string{"mail"}, testPatience)
	if ahead := time.Until(look.Queues["mail"].NextDue); err != nil || ahead < 50*time.Minute || ahead > time.Hour {
		t.Errorf("the next is due in %v, %v; want about an hour", ahead, err)
	}
}

// A worker holds rate-limited tasks where none of its own lists shows them.
func (c *contract) rateLimited(t *testing.T) {
	c.send(order{Task: "seldom", Args: []string{"seldom"}, Count: 3, Options: map[string]any{"queue": "mail"}})
	c.mail = sum(c.mail, queue(0, 2, 0))
	c.settle(t, "seldom", 1)
}

// A worker that does not answer is a listener that has not been heard, after no more than the patience.
func (c *contract) stopped(t *testing.T) {
	if err := c.worker.proc.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	look, err := c.broker.Look(t.Context(), []string{"video", "mail"}, 300*time.Millisecond)
	took := time.Since(begin)
	if err := c.worker.proc.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err != nil || look.Listeners != policy.Known(1) || look.Heard() != 0 || took > time.Minute {
		t.Errorf("look at a stopped worker took %v: %+v, %v", took, look, err)
	}
	c.idle(t)
}

// Tasks with arguments that the application's serializer cannot carry execute and are prefetched: what the other inspect
// commands would wedge a worker with (TestOthersWedge).
func (c *contract) unsafeArguments(t *testing.T) {
	c.send(order{Task: "hold", Args: []string{"pickled"}, Count: 4, Set: true, Options: map[string]any{"queue": "video", "serializer": "pickle"}})
	if c.pool == "solo" {
		c.expect(t, 1, queue(3, 1, 0), none)
	} else {
		for range 10 {
			ahead := min(2, c.ahead())
			c.expect(t, 2, queue(2-ahead, ahead, 0), none)
		}
	}
	c.open("pickled", 4)
	c.settle(t, "pickled", 4)
	c.send(order{Task: "quick", Args: []string{"after"}, Options: map[string]any{"queue": "mail"}})
	c.settle(t, "after", 1)
}
