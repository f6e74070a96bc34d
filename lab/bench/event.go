package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"sluice/internal/function"
	"sluice/lab/cloud/ecs"
)

// burst is how many events follow the first one.
const burst = 1000

// events measures what a burst of events that change nothing costs a warm function: the use case as it ships, with the
// broker that it looks at each time and the ECS that it must not ask. Its clock stands still, so that the window of
// coalescing is open for the whole burst however slow the machine is.
func events(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	model, url, closeECS, err := l.ecs([]ecs.ServiceConfig{{Cluster: "bench", Name: targetName(0)}})
	if err != nil {
		return nil, err
	}
	defer closeECS()
	path, err := l.write("sluice.yaml", yaml(addr, 1, 1))
	if err != nil {
		return nil, err
	}
	if err := callInstead(url); err != nil {
		return nil, err
	}
	stands := time.Now()
	s, err := function.New(path, slog.New(slog.DiscardHandler), func() time.Time { return stands })
	if err != nil {
		return nil, err
	}
	handle := func(want string) error {
		demand, err := s.Demand([]byte(event(1)))
		if err != nil {
			return err
		}
		change, err := s.ScaleOut(ctx, demand)
		if err == nil && change.Status != want {
			err = fmt.Errorf("handle an event: got %q, want %q", change.Status, want)
		}
		return err
	}

	if err := handle("scaled out"); err != nil {
		return nil, err
	}
	before := calls(model)
	took := make([]float64, 0, burst)
	for range burst {
		began := time.Now()
		err := handle("unchanged")
		took = append(took, time.Since(began).Seconds()*1e3)
		if err != nil {
			return nil, err
		}
	}
	return []row{
		measured("first event, 0 -> 1: calls to ECS", "calls", []float64{float64(before)}),
		measured(fmt.Sprintf("%d further events within the window: calls to ECS", burst), "calls",
			[]float64{float64(calls(model) - before)}).counted(0),
		measured("an event that changes nothing, the queue looked at", "ms", took),
	}, nil
}

// event is an event as EventBridge delivers it.
func event(scaleTo int) string {
	return fmt.Sprintf(`{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"celery.task.queue_full",
		"source":"custom.celery.monitor","account":"000000000000","time":"2026-11-21T22:00:00Z","region":"us-east-1",
		"resources":[],"detail":{"scale_to":%d}}`, scaleTo)
}

// calls is how many calls there have been to the local ECS, of any kind.
func calls(m *ecs.Model) int {
	n := 0
	for _, c := range m.Calls() {
		n += c
	}
	return n
}
