package celery

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// Draining with the newest Celery. TestCompat holds the older ones to the same.
func TestDrain(t *testing.T) {
	for _, pool := range []string{"prefork", "threads", "solo", "gevent"} {
		t.Run(pool, func(t *testing.T) {
			t.Parallel()
			testDrain(t, testenv.Python(t), pool, false)
		})
	}
}

// drain is one real worker that is drained and resumed. Its application has an object in the transport options, which leaves
// a worker deaf that is asked for the wrong thing.
type drain struct {
	*lab
	broker *Broker
	worker *worker
	pool   string
	// forgets says that the worker, of Celery 5.2 to 5.6, forgets a resumed queue when it connects anew.
	forgets bool
}

const drainWorker = "w1@ip-10-0-4-168.ec2.internal"

var drainQueues = []string{"mail", "video"}

func testDrain(t *testing.T, python, pool string, forgets bool) {
	addr := testenv.RedisServer(t)
	lab := newLab(t, python, addr, map[string]any{
		"transport_object": true,
		"task_annotations": map[string]any{"celery.chord_unlock": map[string]any{"rate_limit": "7/s"}},
	})
	d := &drain{
		lab:     lab,
		worker:  lab.start(drainWorker, "-P", pool, "-c", "2", "-Q", "video,mail"),
		pool:    pool,
		forgets: forgets,
		broker:  newBroker(t, Options{Addrs: []string{addr}, Horizon: 30 * time.Minute}),
	}
	d.broker.waits.control = 10 * time.Second // A solo worker that executes lets us wait for all of it.
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"rate limits, beside arguments that only pickle can carry", d.rates},
		{"idle", d.idle},
		{"resumed, and connected anew", d.reconnected},
		{"with a long task", d.long},
		{"under load", d.load},
		{"with what waits in the worker, and stopped", d.stopped},
	} {
		if !t.Run(step.name, step.run) {
			t.Fatalf("the steps that follow rest on this one; worker printed:\n%s", d.worker.log)
		}
	}
}

func (d *drain) look() (policy.Look, error) {
	return d.broker.Look(d.t.Context(), drainQueues, 10*time.Second)
}

// consumes waits until the worker says that it consumes from just these queues.
func (d *drain) consumes(t *testing.T, queues ...string) {
	t.Helper()
	begin := time.Now()
	d.until("the worker's queues change", func() error {
		look, err := d.look()
		if err != nil || len(look.Nodes) != 1 || !slices.Equal(look.Nodes[0].Queues, queues) {
			return fmt.Errorf("look %+v, %w; want the queues %q", look, err, queues)
		}
		return nil
	})
	t.Logf("the queues are %q after %v", queues, time.Since(begin).Round(time.Millisecond))
}

func (d *drain) cancel(t *testing.T) {
	t.Helper()
	if err := d.broker.Cancel(t.Context(), []policy.Node{node(drainWorker, drainQueues...)}); err != nil {
		t.Fatal(err)
	}
}

func (d *drain) consume(t *testing.T) {
	t.Helper()
	if err := d.broker.Consume(t.Context(), []policy.Node{node(drainWorker, drainQueues...)}); err != nil {
		t.Fatal(err)
	}
}

// empty looks until the worker has been seen with nothing active three times, 0.4 s apart, as the scaler does.
func (d *drain) empty(t *testing.T) {
	t.Helper()
	seen := 0
	d.until("the worker is empty", func() error {
		look, err := d.look()
		if err != nil || len(look.Nodes) != 1 || look.Nodes[0].Active != policy.Known(0) {
			seen = 0
			return fmt.Errorf("look %+v, %w", look, err)
		}
		if seen++; seen < 3 {
			time.Sleep(400 * time.Millisecond)
			return fmt.Errorf("seen empty %d times", seen)
		}
		return nil
	})
}

// waiting is how many messages wait in the video queue.
func (d *drain) waiting() int { return int(d.redis.LLen(d.t.Context(), "video").Val()) }

func (d *drain) video(task, gate string, n int, options map[string]any) {
	d.t.Helper()
	all := map[string]any{"queue": "video"}
	for name, value := range options {
		all[name] = value
	}
	d.send(order{Task: task, Args: []string{gate}, Count: n, Set: all["serializer"] == "pickle", Options: all})
}

// ends waits until n tasks have ended behind a gate.
func (d *drain) ends(gate string, n int) {
	d.t.Helper()
	d.until("tasks end", func() error {
		if got := d.ended(gate); got != n {
			return fmt.Errorf("%d of %d tasks have ended", got, n)
		}
		return nil
	})
}

// Asking for rate limits neither fails nor harms a worker, whatever it has in its hands.
func (d *drain) rates(t *testing.T) {
	d.video("hold", "pickled", 4, map[string]any{"serializer": "pickle"})
	d.until("a task executes", func() error {
		if n, _ := d.redis.Get(t.Context(), "started:pickled").Int(); n == 0 {
			return errors.New("none has begun")
		}
		return nil
	})
	nodes := []policy.Node{node(drainWorker)}
	if d.pool == "solo" {
		if _, err := d.broker.RateLimited(t.Context(), nodes); err == nil || !strings.Contains(err.Error(), "0 of 1 workers answered") {
			t.Errorf("rate limits of a solo worker that executes: %v", err)
		}
		d.open("pickled", 4)
		d.ends("pickled", 4)
	}
	for range 20 {
		got, err := d.broker.RateLimited(t.Context(), nodes)
		if want := map[string]bool{"seldom": true, "celery.chord_unlock": true}; err != nil || !cmp.Equal(got, want) {
			t.Fatalf("rate limits %v, %v; want %v", got, err, want)
		}
		// The application's tasks, and all of Celery's own, have Celery's strategy.
		if got, err := d.broker.Untracked(t.Context(), nodes); err != nil || len(got) > 0 {
			t.Fatalf("tasks with a strategy of their own: %v, %v; want none", got, err)
		}
	}
	if d.pool != "solo" {
		d.open("pickled", 4)
		d.ends("pickled", 4)
	}
	d.consumes(t, drainQueues...)
}

// A drained worker takes nothing; a resumed one does.
func (d *drain) idle(t *testing.T) {
	d.cancel(t)
	d.consumes(t)
	d.video("quick", "idle", 3, nil)
	d.empty(t)
	if got := d.waiting(); got != 3 || d.ended("idle") != 0 {
		t.Errorf("%d of 3 messages wait, %d have ended", got, d.ended("idle"))
	}
	d.cancel(t) // What is drained may be told again. Its log alone tells that it has been carried out.
	for _, queue := range drainQueues {
		d.until("the worker has cancelled again", func() error {
			if n := strings.Count(d.worker.log.String(), "Canceling queue "+queue); n != 2 {
				return fmt.Errorf("it has cancelled %s %d times", queue, n)
			}
			return nil
		})
	}
	d.consumes(t)
	d.consume(t)
	d.consumes(t, drainQueues...)
	d.ends("idle", 3)
}

// A drained worker stays so when it connects anew. A resumed one of Celery before 5.7 is deaf then, until it is told again.
func (d *drain) reconnected(t *testing.T) {
	d.cancel(t)
	d.consumes(t)
	d.reconnect(t)
	d.consumes(t)
	d.consume(t)
	d.consumes(t, drainQueues...)
	d.reconnect(t)
	if d.forgets {
		d.consumes(t)
		d.video("quick", "deaf", 2, nil)
		d.empty(t)
		if got := d.waiting(); got != 2 {
			t.Errorf("a deaf worker left %d of 2 messages", got)
		}
		d.consume(t)
		d.consumes(t, drainQueues...)
	} else {
		d.consumes(t, drainQueues...)
		d.video("quick", "deaf", 2, nil)
	}
	d.ends("deaf", 2)
}

// reconnect breaks all connections of the worker to the broker, and waits until it listens again.
func (d *drain) reconnect(t *testing.T) {
	t.Helper()
	listens := func() (ids []string) {
		list, err := d.redis.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(list, "\n") {
			if strings.Contains(line, " psub=1 ") || strings.Contains(line, " psub=2 ") {
				ids = append(ids, strings.Fields(line)[0])
			}
		}
		return ids
	}
	before := listens()
	if len(before) == 0 {
		t.Fatal("the worker listens on no connection")
	}
	for _, kind := range []string{"normal", "pubsub"} {
		if err := d.redis.ClientKillByFilter(t.Context(), "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
	}
	d.until("the worker connects anew", func() error {
		now := listens()
		if len(now) < len(before) || slices.ContainsFunc(now, func(id string) bool { return slices.Contains(before, id) }) {
			return fmt.Errorf("it listens on %q; before on %q", now, before)
		}
		look, err := d.look()
		if err != nil || look.Heard() != 1 {
			return fmt.Errorf("look %+v, %w", look, err)
		}
		return nil
	})
}

// What a drained worker executes, or has fetched, ends there in its own time; what waits goes on waiting.
func (d *drain) long(t *testing.T) {
	d.video("hold", "long", 3, nil)
	d.until("a task executes", func() error {
		if n, _ := d.redis.Get(t.Context(), "started:long").Int(); n == 0 {
			return errors.New("none has begun")
		}
		return nil
	})
	d.cancel(t) // A solo worker does not answer before its task ends, which is no error.
	opened := 0
	if d.pool == "gevent" {
		// Its loop is held up by the third task, for which the pool has no room: nothing changes before one has ended.
		d.open("long", 1)
		opened = 1
	}
	if d.pool != "solo" {
		d.consumes(t)
		look, err := d.look()
		if err != nil || look.Nodes[0].Active.N == 0 {
			t.Errorf("look at a drained worker with a long task: %+v, %v", look, err)
		}
	}
	d.open("long", 3-opened)
	d.consumes(t)
	d.empty(t)
	ended, waiting := d.ended("long"), d.waiting()
	if ended == 0 || ended+waiting != 3 {
		t.Errorf("of 3 tasks %d have ended, %d wait", ended, waiting)
	}
	d.until("nothing is held", func() error { // A gevent worker acknowledges within 2 s.
		if held := d.redis.HLen(t.Context(), "unacked").Val(); held != 0 {
			return fmt.Errorf("%d are held", held)
		}
		return nil
	})
	t.Logf("%d ended in the drained worker, %d wait", ended, waiting)
	d.consume(t)
	d.ends("long", 3)
	d.consumes(t, drainQueues...)
}

// While work pours in, a worker that has been seen drained, and then empty three times, begins nothing any more.
func (d *drain) load(t *testing.T) {
	sent := 0
	for range 2 {
		var stop atomic.Bool
		var stream sync.WaitGroup
		stream.Go(func() {
			for !stop.Load() {
				d.video("quick", "load", 5, nil)
				sent += 5
			}
		})
		before := d.ended("load")
		d.until("the worker works", func() error {
			if d.ended("load") < before+20 {
				return fmt.Errorf("%d tasks have ended", d.ended("load")-before)
			}
			return nil
		})
		d.cancel(t)
		d.consumes(t)
		d.empty(t)
		ended := d.ended("load")
		depth := d.waiting()
		d.until("more work waits", func() error {
			if d.waiting() < depth+20 {
				return errors.New("the stream has dried up")
			}
			return nil
		})
		stop.Store(true)
		stream.Wait()
		if late := d.ended("load") - ended; late != 0 {
			t.Errorf("%d tasks ended after the worker was seen empty", late)
		}
		if waiting := d.waiting(); ended+waiting != sent {
			t.Errorf("of %d tasks %d have ended and %d wait", sent, ended, waiting)
		}
		d.consume(t)
		d.ends("load", sent)
		d.consumes(t, drainQueues...)
	}
}

// Messages with an ETA, and those whose rate is limited, wait in a drained worker, where each can be seen, until it is stopped;
// then they are in the queue again.
func (d *drain) stopped(t *testing.T) {
	d.video("quick", "eta", 2, map[string]any{"countdown": 3600})
	d.video("seldom", "seldom", 3, nil)
	d.ends("seldom", 1)
	var fetched []policy.Fetched
	received := regexp.MustCompile(`Task seldom\[.*received`)
	d.until("all have been fetched, and four are held", func() error {
		if n := len(received.FindAllString(d.worker.log.String(), -1)); n != 3 {
			return fmt.Errorf("%d of 3 have been received", n)
		}
		look, err := d.look()
		if err != nil || len(look.Fetched) != 4 || !look.FetchedKnown {
			return fmt.Errorf("look %+v, %w", look, err)
		}
		fetched = look.Fetched
		return nil
	})
	d.cancel(t)
	d.consumes(t)
	d.empty(t)
	look, err := d.look()
	if err != nil || !look.FetchedKnown {
		t.Fatalf("look %+v, %v", look, err)
	}
	if diff := cmp.Diff(fetched, look.Fetched); diff != "" {
		t.Errorf("what is held by the drained worker (-before +after):\n%s", diff)
	}
	tasks := map[string]int{}
	for _, f := range look.Fetched {
		tasks[f.Task]++
		ahead := time.Until(f.Due)
		if f.Queue != "video" || f.Tag == "" || f.Expired || f.Later != (f.Task == "quick") || f.Task == "quick" && (ahead < 50*time.Minute || ahead > time.Hour) {
			t.Errorf("fetched: %+v", f)
		}
	}
	if want := map[string]int{"quick": 2, "seldom": 2}; !cmp.Equal(tasks, want) {
		t.Errorf("fetched tasks %v, want %v", tasks, want)
	}
	if err := d.worker.proc.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.until("the worker ends", func() error {
		select {
		case <-d.worker.done:
			return nil
		default:
			return errors.New("it runs")
		}
	})
	if waiting, held := d.waiting(), d.redis.HLen(t.Context(), "unacked").Val(); waiting != 4 || held != 0 {
		t.Errorf("after the worker has ended %d messages wait and %d are held, want 4 and 0", waiting, held)
	}
	look, err = d.look()
	if err != nil || look.Queues["video"].Backlog != policy.Known(2) || look.Queues["video"].Later != 2 || !look.FetchedKnown {
		t.Errorf("look after the worker has ended: %+v, %v", look, err)
	}
}

// Two workers under one name: what one of them is told, both are. The error says so, and what has to be done about it.
func TestDrainEqualNames(t *testing.T) {
	addr := testenv.RedisServer(t)
	lab := newLab(t, testenv.Python(t), addr, nil)
	lab.start(drainWorker, "-P", "solo", "-Q", "video,mail")
	lab.start(drainWorker, "-P", "solo", "-Q", "video,mail")
	broker := newBroker(t, Options{Addrs: []string{addr}})
	broker.waits.linger = 5 * time.Second
	are := func(what string, queues ...string) {
		t.Helper()
		lab.until(what, func() error {
			look, err := broker.Look(t.Context(), drainQueues, testPatience)
			want := []policy.Node{{Name: drainWorker, Answers: 2, Queues: queues, Active: policy.Known(0)}}
			if err != nil || !cmp.Equal(want, look.Nodes) {
				return fmt.Errorf("look %+v, %w", look, err)
			}
			return nil
		})
	}
	are("both consume", drainQueues...)
	one := node(drainWorker, drainQueues...)
	err := broker.Cancel(t.Context(), []policy.Node{one})
	if !errors.Is(err, errEqualNames) || !strings.Contains(err.Error(), "node "+drainWorker+": 2 workers answered under this name, 1 known") {
		t.Errorf("cancel: %v", err)
	}
	are("both are drained")
	both := one
	both.Answers = 2
	if err := broker.Consume(t.Context(), []policy.Node{both}); err != nil {
		t.Errorf("consume of both: %v", err)
	}
	are("both consume again", drainQueues...)
}
