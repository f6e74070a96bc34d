package scaler

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/policy"
)

// patient notes how long each call to it may take.
type patient struct {
	*fakeBroker
	looks, patiences, beats []time.Duration
}

func left(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}

func (b *patient) Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	b.looks, b.patiences = append(b.looks, left(ctx)), append(b.patiences, patience)
	return b.fakeBroker.Look(ctx, queues, patience)
}

func (b *patient) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	b.beats = append(b.beats, left(ctx))
	return b.fakeBroker.Beats(ctx, expect)
}

// TestHowLongABrokerIsWaitedFor holds the budgets against what they are for. An event is answered in under a second of
// our time, unless nothing but the queue says how many are needed; and neither a silent worker nor a slow broker may
// use up the 60 s of a check. A worker that is busy on one processor needs up to a tenth of a second to answer, and
// Celery's heartbeats come each two seconds.
func TestHowLongABrokerIsWaitedFor(t *testing.T) {
	t.Parallel()
	const (
		answers   = 100 * time.Millisecond
		heartbeat = 2 * time.Second
		check     = 60 * time.Second
	)
	for _, c := range []struct {
		name  string
		do    func(w *world, t *testing.T) error
		most  time.Duration
		beats int
	}{
		{"an event", func(w *world, t *testing.T) error { _, err := w.scaleOut(t, event(`{"scale_to": 5}`)); return err }, time.Second - 1, 0},
		{"the same, from memory", func(w *world, t *testing.T) error {
			_, err := w.scaleOut(t, event(`{"scale_to": 1}`))
			if _, err := w.scaleOut(t, event(`{"scale_to": 1}`)); err != nil {
				return err
			}
			return err
		}, time.Second - 1, 0},
		{"an event that does not say how many", func(w *world, t *testing.T) error { _, err := w.scaleOut(t, event(`{}`)); return err }, check / 4, 0},
		{"a check", func(w *world, t *testing.T) error { w.CheckAll(t.Context(), Shard{}); return nil }, check / 4, 1},
		{"a confirmation", func(w *world, t *testing.T) error {
			_, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start, Heard: 1}})
			return err
		}, check / 4, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := crew(t, []hand{{}}, oneByOne)
			b := &patient{fakeBroker: w.broker}
			w.Brokers["main"] = b
			if err := c.do(w, t); err != nil {
				t.Fatal(err)
			}
			if len(b.looks) == 0 || len(b.beats) != c.beats {
				t.Fatalf("%s: %d looks, %d times heartbeats", c.name, len(b.looks), len(b.beats))
			}
			for i, look := range b.looks {
				if patience := b.patiences[i]; look > c.most || patience <= 2*answers || patience > look/2 {
					t.Errorf("%s: a look may take %v, and waits %v for a silent worker", c.name, look, patience)
				}
			}
			for _, beats := range b.beats {
				if beats <= heartbeat || beats > 2*heartbeat {
					t.Errorf("%s: heartbeats are waited for for %v", c.name, beats)
				}
			}
		})
	}
}

// TestSleep waits in real time where nothing else is given, and no longer than its context.
func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := s.Sleep(t.Context(), time.Minute); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Sleep(ctx, time.Minute); err == nil || time.Since(begin) != time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
