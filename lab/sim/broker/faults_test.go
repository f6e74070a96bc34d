package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/internal/policy"
	"sluice/lab/sim/broker"
)

// client is a client whose pauses let the world's time pass.
func (w *world) client() *broker.Client {
	return w.m.Client(broker.ClientOptions{Horizon: time.Minute, Pause: func(ctx context.Context, d time.Duration) error {
		w.pass(d)
		return ctx.Err()
	}})
}

func (w *world) send(t *testing.T, task broker.Task) broker.ID {
	t.Helper()
	if task.Queue == "" {
		task.Queue = "celery"
	}
	id, err := w.m.Send(task)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRedisDown(t *testing.T) {
	for name, c := range map[string]struct {
		fault        func(m *broker.Model)
		reads, locks bool // Whether they succeed.
		took         time.Duration
	}{
		"well":      {fault: func(*broker.Model) {}, reads: true, locks: true},
		"down":      {fault: func(m *broker.Model) { m.Outage(time.Minute) }},
		"hung":      {fault: func(m *broker.Model) { m.Hang(time.Minute) }, took: 2 * time.Second},
		"read-only": {fault: func(m *broker.Model) { m.ReadOnly(time.Minute) }, reads: true},
		"slow":      {fault: func(m *broker.Model) { m.Slow(time.Second, time.Minute) }, reads: true, locks: true, took: time.Second},
		"too slow":  {fault: func(m *broker.Model) { m.Slow(3*time.Second, time.Minute) }, took: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			client := w.client()
			c.fault(w.m)
			begin := w.now
			_, err := client.Counter(t.Context(), "counter")
			if (err == nil) != c.reads {
				t.Errorf("read: %v", err)
			}
			if took := w.now.Sub(begin).Truncate(10 * time.Millisecond); took != c.took {
				t.Errorf("it took %v, want %v", took, c.took)
			}
			_, err = client.Lock(t.Context(), "shop", "me", time.Minute)
			if (err == nil) != c.locks {
				t.Errorf("lock: %v", err)
			}
			var known *policy.Error
			if err != nil && (!errors.As(err, &known) || known.Kind != policy.BrokerUnavailable) {
				t.Errorf("the error is %v, want one of kind %s", err, policy.BrokerUnavailable)
			}
			_, err = client.Look(t.Context(), []string{"celery"}, time.Second)
			if (err == nil) != c.locks {
				t.Errorf("look: %v", err)
			}
			w.pass(2 * time.Minute)
			if _, err := client.Look(t.Context(), []string{"celery"}, time.Second); err != nil {
				t.Errorf("look after it: %v", err)
			}
		})
	}
}

func TestLocks(t *testing.T) {
	w := newWorld(t)
	client := w.client()
	lock := func(token string, want bool) {
		t.Helper()
		if got, err := client.Lock(t.Context(), "shop", token, time.Minute); got != want || err != nil {
			t.Errorf("lock for %s: %v, %v, want %v", token, got, err, want)
		}
	}
	lock("a", true)
	lock("b", false)
	w.pass(50 * time.Second)
	lock("a", true) // Prolonged.
	w.pass(50 * time.Second)
	lock("b", false)
	if err := client.Unlock(t.Context(), "shop", "b"); err != nil { // Not its own.
		t.Fatal(err)
	}
	lock("b", false)
	if err := client.Unlock(t.Context(), "shop", "a"); err != nil {
		t.Fatal(err)
	}
	lock("b", true)
	w.pass(time.Minute)
	lock("a", true) // Expired.
	w.m.Lag()
	if err := client.Unlock(t.Context(), "shop", "a"); err != nil {
		t.Fatal(err)
	}
	lock("b", true)
	w.m.Failover(time.Second)
	w.pass(2 * time.Second)
	lock("b", false) // What was written since is gone: it is a's again.
}

// A failover undoes what was written since the replica lagged: what was sent is lost, what was done is done again.
func TestFailover(t *testing.T) {
	w := newWorld(t)
	w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}})
	before := w.send(t, broker.Task{Duration: 10 * time.Second, AcksLate: true})
	w.pass(time.Second)
	w.m.Lag()
	after := w.send(t, broker.Task{Duration: time.Hour})
	w.pass(20 * time.Second)
	if got := [2]broker.State{w.m.Record(before).State, w.m.Record(after).State}; got != [2]broker.State{broker.Done, broker.Executing} {
		t.Fatalf("before the failover: %v", got)
	}
	unsent := w.send(t, broker.Task{Queue: "video"})
	w.m.Failover(5 * time.Second)
	if _, err := w.m.Send(broker.Task{Queue: "celery"}); err == nil {
		t.Error("a task could be sent while Redis was down")
	}
	w.pass(10 * time.Second)
	if got := w.m.Record(unsent).State; got != broker.Lost {
		t.Errorf("what was sent since is %v, want lost", got)
	}
	w.pass(2 * time.Hour)
	if r := w.m.Record(before); r.Runs != 2 {
		t.Errorf("what was acknowledged since has run %d times, want 2", r.Runs)
	}
}

// A live worker restores what is past the visibility timeout within 100 s; no other ever does.
func TestVisibilityTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		start func(w *world) *broker.Worker
		back  bool
	}{
		"nobody":                    {start: func(*world) *broker.Worker { return nil }},
		"a worker of another queue": {start: startOther, back: true},
		"a frozen worker": {start: func(w *world) *broker.Worker {
			o := startOther(w)
			o.Freeze()
			return o
		}},
		"a drained worker": {start: func(w *world) *broker.Worker {
			o := startOther(w)
			_ = w.client().Cancel(context.Background(), []policy.Node{{Name: "w2@a", Queues: []string{"video"}}})
			return o
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w1 := w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}})
			c.start(w)
			id := w.send(t, broker.Task{Duration: time.Hour, AcksLate: true})
			w.pass(time.Minute)
			w1.Kill()
			if _, ok := w.m.WaitingSince(id); ok {
				t.Error("it waits although its timeout is not over")
			}
			w.pass(59*time.Minute + 2*time.Second)
			if since, ok := w.m.WaitingSince(id); !ok || w.now.Sub(since) > 2*time.Second {
				t.Errorf("it waits since %v, %v; it is %v", since, ok, w.now)
			}
			w.pass(100 * time.Second)
			if got := w.m.Len("celery") == 1; got != c.back {
				t.Errorf("it is back: %v, want %v", got, c.back)
			}
			w.m.Start(broker.Spec{Name: "w3@a", Queues: []string{"celery"}})
			w.pass(time.Second)
			if got := w.m.Record(id).State; got != broker.Executing {
				t.Errorf("with a new worker it is %v, want executing", got)
			}
		})
	}
}

// A worker that was frozen as the timeout ended restores when it is thawed.
func TestVisibilityTimeoutOfThawed(t *testing.T) {
	w := newWorld(t)
	w1 := w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}})
	other := startOther(w)
	id := w.send(t, broker.Task{Duration: time.Hour, AcksLate: true})
	w.pass(time.Minute)
	w1.Kill()
	other.Freeze()
	w.pass(3 * time.Hour)
	if w.m.Len("celery") != 0 {
		t.Fatalf("a frozen worker restored it: %+v", w.m.Record(id))
	}
	other.Thaw()
	w.pass(201 * time.Second)
	if w.m.Len("celery") != 1 {
		t.Errorf("it is not back: %+v", w.m.Record(id))
	}
}

func startOther(w *world) *broker.Worker {
	o := w.m.Start(broker.Spec{Name: "w2@a", Queues: []string{"video"}})
	w.pass(time.Second)
	return o
}

// An outage cuts every worker; what a task with late acknowledgement ended meanwhile could not be acknowledged, and it runs again.
func TestOutage(t *testing.T) {
	w := newWorld(t)
	w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}})
	early := w.send(t, broker.Task{Duration: 30 * time.Second})
	w.pass(time.Second)
	late := w.send(t, broker.Task{Duration: 20 * time.Second, AcksLate: true})
	w.pass(35 * time.Second) // The late one executes.
	w.m.Outage(time.Minute)
	w.pass(30 * time.Second)
	if got := [2]broker.State{w.m.Record(early).State, w.m.Record(late).State}; got != [2]broker.State{broker.Done, broker.Done} {
		t.Errorf("during the outage: %v", got)
	}
	w.pass(2 * time.Minute)
	if got := [2]int{w.m.Record(early).Runs, w.m.Record(late).Runs}; got != [2]int{1, 2} {
		t.Errorf("runs: %v, want [1 2]", got)
	}
	if w.m.Unacked() != 0 || len(w.m.Lost()) != 0 {
		t.Errorf("%d unacked, %v lost", w.m.Unacked(), w.m.Lost())
	}
}

// The two halves of a look lie apart in time: a message that a worker takes up in between is seen in both, or executing; never in
// neither.
func TestLookInTime(t *testing.T) {
	w := newWorld(t)
	w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}})
	w.pass(time.Second)
	for lag := range 12 {
		sent := false
		client := w.m.Client(broker.ClientOptions{Pause: func(_ context.Context, d time.Duration) error {
			if !sent {
				sent = true
				w.send(t, broker.Task{Duration: time.Minute})
				w.pass(time.Duration(lag) * 100 * time.Microsecond)
				return nil
			}
			w.pass(d)
			return nil
		}})
		look, err := client.Look(t.Context(), []string{"celery"}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		q := look.Queues["celery"]
		if q.Backlog.N+q.Held.N+look.Nodes[0].Active.N == 0 {
			t.Errorf("%d00 us after it was sent a message was seen nowhere: %+v", lag, look)
		}
		w.pass(10 * time.Minute)
	}
}
