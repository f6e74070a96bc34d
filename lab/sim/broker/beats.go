package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"sluice/internal/policy"
)

// beatEvery and beatWindow are Celery's interval between heartbeats (section 3), and how long Beats listens.
const (
	beatEvery  = 2 * time.Second
	beatWindow = 2200 * time.Millisecond
)

// Beats satisfies scaler.Broker.
func (c *Client) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	heard := map[string]policy.Beat{}
	if expect <= 0 {
		return heard, nil
	}
	if err := c.reach(ctx, false); err != nil {
		return nil, failure("listen for heartbeats", err)
	}
	type beat struct {
		at time.Time
		w  *Worker
	}
	var due []beat
	begin := c.m.now
	for _, w := range c.m.workers {
		if w.phase == ready && !w.spec.NoHeartbeats {
			next := w.since.Add((begin.Sub(w.since)/beatEvery + 1) * beatEvery)
			due = append(due, beat{next, w})
		}
	}
	c.m.mu.Unlock()
	slices.SortStableFunc(due, func(a, b beat) int { return a.at.Compare(b.at) })
	at := begin
	for _, b := range due {
		if len(heard) >= expect {
			return heard, nil
		}
		if err := c.o.Pause(ctx, b.at.Sub(at)); err != nil {
			return heard, past(err)
		}
		at = b.at
		c.m.lock()
		w := b.w
		if w.phase == ready && !w.frozen && !(w.spec.Pool == Solo && len(w.running) > 0) {
			active := len(w.running)
			heard[w.spec.Name] = policy.Beat{Active: active, Processed: int64(w.processed), Version: w.spec.Version.String(), At: c.m.now}
		}
		c.m.mu.Unlock()
	}
	if len(heard) < expect {
		if err := c.o.Pause(ctx, begin.Add(beatWindow).Sub(at)); err != nil {
			return heard, past(err)
		}
	}
	return heard, nil
}

// past is the error of a context that was cancelled; one whose time is over is none: what was heard until then stands.
func past(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return failure("listen for heartbeats", err)
}
