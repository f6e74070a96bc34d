package celery

import (
	"context"
	"time"

	"sluice/internal/policy"
)

// Look satisfies scaler.Broker.
//
// It costs two to five round trips: the keys; the messages, if they are few; the broadcast, one for each reply, and the
// clearing up. With no worker listening it does not wait for any. It returns an error of kind policy.BrokerRefused if a
// worker is known to be older than Celery 5.2, which Sluice cannot ask safely.
func (b *Broker) Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	look, err := b.look(ctx, queues, patience)
	if err != nil {
		return policy.Look{}, failure("look at broker", err)
	}
	return look, nil
}

func (b *Broker) look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	if err := b.refuseOld(ctx, patience); err != nil {
		return policy.Look{}, err
	}
	now := b.opts.Now()
	d, err := b.measure(ctx, queues, now)
	if err != nil {
		return policy.Look{}, err
	}
	answers, err := b.ask(ctx, round{commands: []command{askQueues(), askActive()}, patience: patience})
	if err != nil {
		return policy.Look{}, err
	}
	found, started, old := nodes(answers.replies)
	if err := b.rememberOld(ctx, old); err != nil {
		return policy.Look{}, err
	}
	look := policy.Look{At: now, Nodes: found, Listeners: policy.Known(answers.listeners)}
	if !answers.counted {
		look.Listeners = policy.Unknown("a Redis in cluster mode counts the listeners of one node only")
	}
	b.count(&look, d, queues, started)
	return look, nil
}
