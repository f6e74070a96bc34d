package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sluice/internal/celery"
	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// app is the folder of the application.
func app() string { return filepath.Join(testenv.Root(), "lab", "e2e", "testdata") }

// worker is the command of a real Celery worker, as a list in YAML. It is named after its task as on Fargate, also where this
// machine allows no namespaces and all workers find the same host name.
func worker(t *testing.T, args ...string) string {
	t.Helper()
	return workerOf(t, testenv.Python(t), args...)
}

// workerOf is the same with another Python.
func workerOf(t *testing.T, python string, args ...string) string {
	t.Helper()
	argv := append([]string{python, "-B", "-m", "celery", "-A", "app", "worker", "--loglevel", "WARNING", "--hostname", "celery@{hostname}"}, args...)
	text, err := json.Marshal(argv)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// light are the arguments of a worker that starts soon: one thread, and nothing said to other workers. Without heartbeats
// there is one witness less of what it did, which many real workers lack, too.
var light = []string{"--pool", "threads", "--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"}

// A producer process serves all tests, for Python takes a second to start.
var python struct {
	sync.Mutex
	cmd *exec.Cmd
	in  *json.Encoder
	out *bufio.Scanner
}

// order has the producer do something.
func order(t *testing.T, what map[string]any, answer any) {
	t.Helper()
	interpreter := testenv.Python(t)
	python.Lock()
	defer python.Unlock()
	if python.cmd == nil {
		cmd := exec.Command(interpreter, "-B", filepath.Join(app(), "producer.py"))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatalf("start the producer: %v", err)
		}
		python.cmd, python.in, python.out = cmd, json.NewEncoder(in), bufio.NewScanner(out)
	}
	if err := python.in.Encode(what); err != nil {
		t.Fatalf("order %v: %v", what, err)
	}
	if !python.out.Scan() {
		t.Fatalf("order %v: the producer has ended: %v", what, python.out.Err())
	}
	if err := json.Unmarshal(python.out.Bytes(), answer); err != nil {
		t.Fatalf("order %v: %v", what, err)
	}
}

func endProducer() {
	if python.cmd != nil {
		_ = python.cmd.Process.Kill()
		_ = python.cmd.Wait()
	}
}

// event is an entry of PutEvents.
type event struct{ Source, DetailType, Detail string }

// original is the event that applications send today.
func original(detail string) event {
	return event{"custom.celery.monitor", "celery.task.queue_full", detail}
}

// put sends events by boto3 and returns the error codes of the entries; empty where one was taken. Without events it
// only makes the client.
func (c *system) put(events ...event) []string {
	c.t.Helper()
	var codes []string
	order(c.t, map[string]any{"put": append([]event{}, events...), "endpoint": c.Endpoint()}, &codes)
	return codes
}

// broker is a Redis as the application uses it.
type broker struct {
	t   *testing.T
	url string
	*redis.Client
	sent   []string        // The ids of the tasks that were sent.
	queues map[string]bool // Those that they were sent to, and one that is always empty.
}

func newBroker(t *testing.T, url string) *broker {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, url: url, Client: redis.NewClient(options), queues: map[string]bool{"none": true}}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// send has the application enqueue tasks.
func (b *broker) send(count int, task, gate, queue string, options map[string]any) {
	b.t.Helper()
	all := map[string]any{"queue": queue}
	for k, v := range options {
		all[k] = v
	}
	var ids []string
	order(b.t, map[string]any{
		"send": task, "broker": b.url, "args": []string{gate}, "count": count, "options": all,
		"set": all["serializer"] == "pickle",
	}, &ids)
	b.sent = append(b.sent, ids...)
	b.queues[queue] = true
}

// open lets so many tasks through the gate.
func (b *broker) open(gate string, n int) {
	b.t.Helper()
	for range n {
		if err := b.LPush(b.t.Context(), gate, 1).Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// ledger is how often each task started and ended.
func (b *broker) ledger() (started, ended map[string]int) {
	b.t.Helper()
	rows, err := b.LRange(b.t.Context(), "ledger", 0, -1).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	started, ended = map[string]int{}, map[string]int{}
	for _, row := range rows {
		var r struct{ Task, Event string }
		if err := json.Unmarshal([]byte(row), &r); err != nil {
			b.t.Fatal(err)
		}
		if r.Event == "started" {
			started[r.Task]++
		} else {
			ended[r.Task]++
		}
	}
	return started, ended
}

// awaitStarted waits until so many tasks have started in all.
func (b *broker) awaitStarted(n int) {
	b.t.Helper()
	eventually(b.t, func() error {
		if started, _ := b.ledger(); len(started) != n {
			return fmt.Errorf("%d tasks have started, not %d", len(started), n)
		}
		return nil
	})
}

// awaitEnded waits until all tasks that were sent have ended, and their workers know it: a task writes that it ends a moment
// before it has ended.
func (b *broker) awaitEnded() {
	b.t.Helper()
	eventually(b.t, func() error {
		if _, ended := b.ledger(); len(ended) != len(b.sent) {
			return fmt.Errorf("%d of %d tasks have ended", len(ended), len(b.sent))
		}
		return nil
	})
	b.awaitLook(func(seen policy.Look) error {
		for _, n := range seen.Nodes {
			if n.Active != policy.Known(0) {
				return fmt.Errorf("%s executes %+v", n.Name, n.Active)
			}
		}
		for name, q := range seen.Queues {
			if q.Held.N > 0 { // A worker acknowledges a moment after it has begun, or ended.
				return fmt.Errorf("%d messages of %s are not acknowledged", q.Held.N, name)
			}
		}
		return nil
	})
}

// expectNothingLostOrDoubled holds the ledger against what was sent.
func (b *broker) expectNothingLostOrDoubled() {
	b.t.Helper()
	want := map[string]int{}
	for _, id := range b.sent {
		want[id] = 1
	}
	started, ended := b.ledger()
	if diff := cmp.Diff(want, started); diff != "" {
		b.t.Errorf("tasks started (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, ended); diff != "" {
		b.t.Errorf("tasks ended (-want +got):\n%s", diff)
	}
}

// awaitWorkers waits until so many workers listen for broadcasts, and answer them.
func (b *broker) awaitWorkers(n int) {
	b.t.Helper()
	b.awaitLook(func(seen policy.Look) error {
		if seen.Listeners.N != n {
			return fmt.Errorf("%d workers listen, not %d", seen.Listeners.N, n)
		}
		return nil
	})
}

// awaitLook waits until a look at the workers, all of whom have answered, shows what is waited for: of one that has not,
// nothing is known.
func (b *broker) awaitLook(ready func(policy.Look) error) {
	b.t.Helper()
	b.awaitAnyLook(10*time.Second, func(seen policy.Look) error {
		if seen.Heard() != seen.Listeners.N {
			return fmt.Errorf("%d workers listen, and %d answer", seen.Listeners.N, seen.Heard())
		}
		return ready(seen)
	})
}

// awaitAnyLook is awaitLook where some may not answer: each look waits for them for so long.
func (b *broker) awaitAnyLook(patience time.Duration, ready func(policy.Look) error) {
	b.t.Helper()
	eyes, err := celery.New(celery.Options{Addrs: []string{b.Options().Addr}, Password: b.Options().Password, DB: b.Options().DB})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = eyes.Close() }()
	eventually(b.t, func() error {
		seen, err := eyes.Look(b.t.Context(), slices.Collect(maps.Keys(b.queues)), patience)
		if err != nil {
			return err
		}
		return ready(seen)
	})
}
