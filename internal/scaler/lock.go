package scaler

import (
	"context"
	"crypto/rand"
	"time"
)

// lockTTL is how long a lock outlives whoever took it and died. It is longer than a function lives (see the time-outs in the
// state machine), and long enough for ECS to have done by then what it was told last.
const lockTTL = 180 * time.Second

// unlockPatience is for how long a lock is tried to be freed.
const unlockPatience = 15 * time.Second

// lock is the right to drain, resume and let go the workers of one service. Two sweeps may be at the same target: without it the
// one would make a worker fetch again that the other has just found drained and told ECS to stop.
type lock struct {
	broker      Broker
	name, token string
	scaler      *Scaler // For its clock.
}

// lock takes the lock of the target; free is false if someone else has it. If it errs nobody is to wait for it to be freed: it is tried
// once, since it may have been taken all the same.
func (s *Scaler) lock(ctx context.Context, t Target) (l lock, free bool, err error) {
	if t.Source != SourceInspect {
		return lock{}, true, nil // Its workers are not asked, so they are not drained.
	}
	l = lock{broker: s.Brokers[t.Broker], name: t.Ref.Cluster + "/" + t.Ref.Service, token: rand.Text(), scaler: s}
	free, err = l.take(ctx)
	if err != nil {
		_ = l.broker.Unlock(ctx, l.name, l.token)
		return lock{}, false, err
	}
	return l, free, nil
}

// take takes the lock, or prolongs it; false if it is someone else's.
func (l lock) take(ctx context.Context) (bool, error) {
	return l.broker.Lock(ctx, l.name, l.token, lockTTL)
}

// unlock frees it, also if ctx has ended. A broker that is out of reach is tried again for as long as a restart or a failover
// takes, since until the lock expires nobody else can have drained workers fetch again.
func (l lock) unlock(ctx context.Context) {
	if l.broker == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	deadline := l.scaler.Now().Add(unlockPatience)
	for l.broker.Unlock(ctx, l.name, l.token) != nil && l.scaler.Now().Before(deadline) {
		if l.scaler.Sleep(ctx, time.Second) != nil {
			return
		}
	}
}
