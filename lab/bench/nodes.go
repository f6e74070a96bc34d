package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/celery"
	"sluice/internal/policy"
)

const (
	nodeRounds = 50  // Of a look, and of an order.
	maxLook    = 500 // What a look at a hundred workers may take, in milliseconds.
)

// nodes measures what a drain is made of, at more workers than real ones fit: a look at them, and the order to fetch no more,
// which waits for 50 ms by design for the answers of workers that bear the same name.
func nodes(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var looks, cancels []row
	for db, n := range []int{1, 10, 100} {
		look, cancel, err := lookAndCancel(ctx, addr, db, n)
		if err != nil {
			return append(looks, cancels...), fmt.Errorf("look at %d workers and cancel their queue: %w", n, err)
		}
		looks = append(looks, measured(fmt.Sprintf("one look at stand-ins: %d", n), "ms", look).timed(maxLook))
		cancels = append(cancels, measured(fmt.Sprintf("Cancel to stand-ins: %d; 50 of it waiting by design", n), "ms", cancel))
	}
	return append(looks, cancels...), nil
}

// lookAndCancel measures n workers of one broker, in milliseconds.
func lookAndCancel(ctx context.Context, addr string, db, n int) (looks, cancels []float64, err error) {
	workers := &standIns{}
	defer workers.end()
	client := redis.NewClient(&redis.Options{Addr: addr, DB: db})
	workers.atEnd(func() { _ = client.Close() })
	for i := range n {
		w := standIn{name: fmt.Sprintf("celery@ip-10-0-0-%d", i), queue: "celery", db: db, client: client, active: 1}
		if _, err := workers.begin(ctx, w); err != nil {
			return nil, nil, err
		}
	}
	broker, err := celery.New(celery.Options{Addrs: []string{addr}, DB: db})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = broker.Close() }()
	var found []policy.Node
	for range nodeRounds {
		began := time.Now()
		look, err := broker.Look(ctx, []string{"celery"}, lookPatience)
		looks = append(looks, time.Since(began).Seconds()*1e3)
		if err != nil {
			return nil, nil, err
		}
		if found = look.Nodes; look.Heard() != n {
			return nil, nil, fmt.Errorf("look at stand-ins: heard %d", look.Heard())
		}
	}
	for range nodeRounds {
		began := time.Now()
		err := broker.Cancel(ctx, found)
		cancels = append(cancels, time.Since(began).Seconds()*1e3)
		if err != nil {
			return nil, nil, err
		}
	}
	look, err := broker.Look(ctx, []string{"celery"}, lookPatience)
	if err != nil {
		return nil, nil, err
	}
	for _, node := range look.Nodes {
		if len(node.Queues) > 0 {
			return nil, nil, fmt.Errorf("cancel the queue of stand-ins: %s fetches from it still", node.Name)
		}
	}
	return looks, cancels, nil
}
