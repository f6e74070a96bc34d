package broker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"sluice/internal/sim/broker"
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

func TestTasksRun(t *testing.T) {
	w := newWorld(t)
	w.m.Start(broker.Spec{Name: "w1@a", Queues: []string{"celery"}, Concurrency: 2})
	for range 12 {
		if _, err := w.m.Send(broker.Task{Name: "nap", Queue: "celery", Duration: 3 * time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(time.Second)
	if got := [2]int{w.m.Len("celery"), w.m.Unacked()}; got != [2]int{2, 8} {
		t.Errorf("waiting and unacked: %v, want [2 8]", got)
	}
	w.pass(18 * time.Second)
	if w.m.Done() != 12 || len(w.m.Lost()) != 0 {
		t.Errorf("%d done, %v lost", w.m.Done(), w.m.Lost())
	}
}
