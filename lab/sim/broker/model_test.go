package broker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"sluice/lab/sim/broker"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a model with a clock that the test moves.
type world struct {
	now time.Time
	m   *broker.Model
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: noon}
	w.m = broker.New(broker.Options{Now: func() time.Time { return w.now }, Rand: rand.New(rand.NewPCG(1, 2))})
	return w
}

// pass lets time pass, stopping where something happens.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); ; {
		w.m.Tick()
		next, ok := w.m.Next()
		if !ok || next.After(end) {
			w.now = end
			w.m.Tick()
			return
		}
		if next.After(w.now) {
			w.now = next
		}
	}
}

// What a worker tells the ledger, from the first second to the last.
func TestLedger(t *testing.T) {
	w := newWorld(t)
	ended := 0
	worker := w.m.Start(broker.Spec{
		Name: "w1@a", Queues: []string{"celery"}, Boot: 2 * time.Second, ExitAfterStop: time.Second,
		Ended: func(code int, killed bool) {
			if code != 0 || killed {
				t.Errorf("it ended with %d, killed %v", code, killed)
			}
			ended++
		},
	})
	id := w.send(t, broker.Task{Name: "nap", Duration: 3 * time.Second})
	next := w.send(t, broker.Task{Name: "nap", Duration: time.Minute})
	later := w.send(t, broker.Task{Name: "nap", ETA: noon.Add(time.Hour)})
	w.pass(time.Second)
	if since, ok := w.m.WaitingSince(id); !ok || !since.Equal(noon) {
		t.Errorf("it waits since %v, %v", since, ok)
	}
	if first, since, ok := w.m.LongestWait("celery"); !ok || first != id || !since.Equal(noon) {
		t.Errorf("the longest wait is that of %v, since %v, %v", first, since, ok)
	}
	w.pass(2 * time.Second)
	executing, held := worker.Holding(time.Minute)
	if executing != 1 || held != 1 {
		t.Errorf("it executes %d and holds %d, want 1 and 1", executing, held)
	}
	if _, held := worker.Holding(2 * time.Hour); held != 2 {
		t.Errorf("with a far horizon it holds %d, want 2", held)
	}
	w.pass(2100 * time.Millisecond)
	r := w.m.Record(id)
	d := r.Deliveries[0]
	at := func(ms int) time.Time { return noon.Add(2*time.Second + time.Duration(ms)*time.Millisecond) }
	want := broker.Delivery{Worker: worker, Tag: 1, Popped: at(0), Fetched: at(1), Started: at(1), Acked: at(1), Ended: at(3001)}
	if r.State != broker.Done || d != want {
		t.Errorf("%v, %+v, want %+v", r.State, d, want)
	}
	worker.Terminate()
	if !worker.Stopping() || !worker.Alive() {
		t.Error("it does not stop, or stopped at once")
	}
	w.pass(2 * time.Minute)
	if ended != 1 || worker.Alive() {
		t.Errorf("it has ended %d times", ended)
	}
	if got := [2]broker.State{w.m.Record(next).State, w.m.Record(later).State}; got != [2]broker.State{broker.Done, broker.Waiting} {
		t.Errorf("states: %v", got)
	}
	if _, _, ok := w.m.LongestWait("celery"); ok {
		t.Error("a message that is not due waits")
	}
}

func TestBeats(t *testing.T) {
	w := newWorld(t)
	w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}, Concurrency: 2, Version: broker.V52})
	w.m.Start(broker.Spec{Name: "w2@a", Queues: []string{"celery"}, NoHeartbeats: true})
	w.m.Start(broker.Spec{Name: "w3@a", Queues: []string{"video"}, Pool: broker.Solo})
	w.m.Start(broker.Spec{Name: "w4@a", Queues: []string{"none"}}).Freeze()
	w.pass(time.Second)
	w.send(t, broker.Task{Queue: "video", Duration: time.Hour})
	for range 3 {
		w.send(t, broker.Task{Duration: 3 * time.Hour})
	}
	w.pass(time.Second)
	begin := w.now
	beats, err := w.client().Beats(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if took := w.now.Sub(begin); took < 2*time.Second || took > 3*time.Second {
		t.Errorf("it listened for %v", took)
	}
	b, ok := beats["w1@a"]
	if len(beats) != 1 || !ok || b.Active != int(b.Processed) || b.Active == 0 || b.Version != "5.2.7" {
		t.Errorf("beats: %+v", beats)
	}
}

// BenchmarkHistory is an hour of six workers and 500 tasks, looked at each minute.
func BenchmarkHistory(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w := newWorld(b)
		client := w.client()
		for i := range 6 {
			w.m.Start(broker.Spec{Name: "w" + string(rune('1'+i)) + "@a", Queues: []string{"celery"}, Concurrency: 2})
		}
		for i := range 500 {
			if _, err := w.m.Send(broker.Task{Name: "nap", Queue: "celery", Duration: time.Duration(i%20) * time.Second}); err != nil {
				b.Fatal(err)
			}
			w.pass(7 * time.Second)
			if i%8 == 0 {
				if _, err := client.Look(b.Context(), []string{"celery"}, time.Second); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
