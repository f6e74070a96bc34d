package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sluice/internal/policy"
)

// audit holds the ledger's counters against what is there.
func audit(m *Model) error {
	type count struct{ listed, unacked, flying, fetched, running int }
	got := make([]count, len(m.records))
	for _, q := range m.ordered {
		for i := range q.lists {
			for _, msg := range q.lists[i].all() {
				got[msg.record.id].listed++
				if msg.place != listed {
					return fmt.Errorf("message %d is in a list and thinks that it is at %d", msg.tag, msg.place)
				}
			}
		}
	}
	for i, msg := range m.unacked {
		got[msg.record.id].unacked++
		if msg.place != unacked || msg.index != i {
			return fmt.Errorf("message %d is unacked at %d and thinks that it is at %d, %d", msg.tag, i, msg.place, msg.index)
		}
	}
	for _, w := range m.workers {
		if w.flight != nil {
			got[w.flight.msg.record.id].flying++
		}
		for _, r := range w.running {
			got[r.msg.record.id].running++
		}
		if len(w.running) > w.spec.Concurrency {
			return fmt.Errorf("worker %d executes %d", w.id, len(w.running))
		}
		begun := 0
		for _, r := range w.fetched {
			if slices.Contains(w.running, r) || slices.Contains(w.owed, r) {
				begun++
			}
		}
		if n := len(w.fetched) - begun; w.phase == ready && w.spec.Pool == Prefork && n != len(w.unbegun()) {
			return fmt.Errorf("worker %d has %d that it has not begun, or %d", w.id, n, len(w.unbegun()))
		}
	}
	for i, r := range m.records {
		c := count{r.listed, r.unacked, r.flying, got[i].fetched, r.running}
		if c != got[i] {
			return fmt.Errorf("task %d: %+v are counted, there are %+v", i, c, got[i])
		}
		if r.fetched < 0 || r.live != r.listed+r.unacked+r.flying+r.fetched+r.running {
			return fmt.Errorf("task %d: %d copies are counted, of %+v and %d fetched", i, r.live, c, r.fetched)
		}
		if r.lost && (r.live > 0 || r.done) {
			return fmt.Errorf("task %d is lost and is there: %+v", i, *r)
		}
	}
	return nil
}

// history does whatever can be done to a model, by chance, and returns a digest of all that came of it.
func history(t testing.TB, seed uint64, steps int, check bool) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m := New(Options{Now: func() time.Time { return now }, Rand: rand.New(rand.NewPCG(seed, 2)), VisibilityTimeout: 5 * time.Minute})
	c := m.Client(ClientOptions{Horizon: time.Minute, Pause: func(ctx context.Context, d time.Duration) error {
		now = now.Add(d)
		m.Tick()
		return ctx.Err()
	}})
	var workers []*Worker
	ended := 0
	digest := ""
	names := []string{"celery", "video"}
	for step := range steps {
		var w *Worker
		if len(workers) > 0 {
			w = workers[r.IntN(len(workers))]
		}
		what := r.IntN(40)
		switch {
		case what == 0 && len(m.workers) < 6 || w == nil:
			s := Spec{
				Name: fmt.Sprintf("w%d@a", r.IntN(8)), Queues: names[:1+r.IntN(2)], Version: Version(r.IntN(3)), Pool: Pool(r.IntN(4)),
				Concurrency: 1 + r.IntN(3), Prefetch: r.IntN(3), AcksLate: r.IntN(3) == 0, Boot: time.Duration(r.IntN(10)) * time.Second,
				NoControl: r.IntN(8) == 0, Rates: map[string]time.Duration{"seldom": time.Minute}, Ended: func(int, bool) { ended++ },
			}
			workers = append(workers, m.Start(s))
		case what < 14:
			task := Task{
				Name: []string{"nap", "seldom"}[r.IntN(8)/7], Queue: names[r.IntN(2)], Priority: r.IntN(10),
				Duration: time.Duration(r.IntN(60000)) * time.Millisecond, AcksLate: r.IntN(4) == 0, Routed: r.IntN(10) == 0,
			}
			if r.IntN(5) == 0 {
				task.ETA = now.Add(time.Duration(r.IntN(300)) * time.Second)
			}
			if r.IntN(9) == 0 {
				task.Expires = now.Add(time.Duration(r.IntN(100)) * time.Second)
			}
			if r.IntN(9) == 0 {
				task.Retries, task.RetryIn = 2, 30*time.Second
			}
			_, _ = m.Send(task) // It errs while Redis is down.
		case what == 14:
			w.Terminate()
		case what == 15 && r.IntN(2) == 0:
			w.Kill()
		case what == 16:
			w.Freeze()
		case what < 20:
			w.Thaw()
		case what == 20:
			w.Reconnect()
		case what == 21 && r.IntN(3) == 0:
			w.Wedge()
		case what == 22 && r.IntN(3) == 0:
			w.Starve()
		case what == 23:
			w.CrashChild()
		case what == 24 && r.IntN(4) == 0:
			m.Outage(time.Duration(r.IntN(20)) * time.Second)
		case what == 25 && r.IntN(4) == 0:
			m.Hang(time.Duration(r.IntN(20)) * time.Second)
		case what == 26 && r.IntN(4) == 0:
			m.ReadOnly(time.Duration(r.IntN(20)) * time.Second)
		case what == 27 && r.IntN(4) == 0:
			m.Lag()
		case what == 28 && r.IntN(4) == 0:
			m.Failover(time.Duration(r.IntN(20)) * time.Second)
		case what < 31:
			look, err := c.Look(t.Context(), names, time.Second)
			digest += fmt.Sprint(step, look, err, "\n")
		case what < 33:
			_ = c.Cancel(t.Context(), []policy.Node{{Name: w.Name(), Answers: 1, Queues: w.spec.Queues}})
		case what < 35:
			_ = c.Consume(t.Context(), []policy.Node{{Name: w.Name(), Answers: 1, Queues: w.spec.Queues}})
		case what == 35:
			beats, err := c.Beats(t.Context(), 3)
			digest += fmt.Sprint(step, beats, err, "\n")
		default:
			now = now.Add(time.Duration(r.IntN(20000)) * time.Millisecond)
		}
		m.Tick()
		if next, ok := m.Next(); ok && next.Before(now) {
			t.Fatalf("seed %d, step %d: at %v the next thing is due at %v", seed, step, now, next)
		}
		if check {
			if err := audit(m); err != nil {
				t.Fatalf("seed %d, step %d (%d): %v", seed, step, what, err)
			}
		}
	}
	for i := range m.Sent() {
		digest += fmt.Sprint(m.Record(ID(i)).State, " ")
	}
	return digest + fmt.Sprint(ended, m.Done(), m.Expired(), m.Lost())
}

func TestLedgerAddsUp(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		history(t, seed, 400, true)
	}
}

func TestOneSeedOneHistory(t *testing.T) {
	for seed := range uint64(20) {
		if first, second := history(t, seed, 300, false), history(t, seed, 300, false); first != second {
			t.Fatalf("two histories of seed %d differ:\n%s\n\n%s", seed, first, second)
		}
	}
}
