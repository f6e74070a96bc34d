package asl

import (
	"context"
	"fmt"
	"sync"
)

// inlineConcurrency is how many items an inline Map runs at once at most, whatever MaxConcurrency says.
const inlineConcurrency = 40

// fan runs a Map state: its graph on each of the items, some at once. The first item that fails fails the state, and the
// others go no further.
func (x *execution) fan(ctx context.Context, s *state, input any) (any, string, *failure) {
	items, f := s.fan.list(input)
	if f != nil {
		return nil, "", f
	}
	if f := x.record(eventsOfMap); f != nil {
		return nil, "", f
	}
	ctx, cancel := x.env.Clock.Within(ctx, 0)
	defer cancel()

	lanes := make([]*lane, len(items))
	results := make([]any, len(items))
	var (
		mu    sync.Mutex
		next  int
		first *failure
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if first != nil || next == len(items) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	worker := func() {
		for i, ok := take(); ok; i, ok = take() {
			lanes[i] = &lane{item: i}
			out, f := x.item(ctx, s, lanes[i], input, items[i])
			if f == nil {
				results[i] = out
				continue
			}
			mu.Lock()
			if first == nil {
				first = f
			}
			mu.Unlock()
			cancel()
		}
	}
	workers := make([]func(), s.fan.workers(len(items)))
	for i := range workers {
		workers[i] = worker
	}
	x.env.Clock.Join(workers...)

	paths := make([][]string, len(lanes))
	for i, l := range lanes {
		if l != nil { // Nil if another item failed before this one began.
			paths[i] = l.path
		}
	}
	x.mu.Lock()
	x.items[s.name] = paths
	x.mu.Unlock()
	if first != nil {
		return nil, "", first
	}
	output, f := place(s.resultPath, input, results)
	return output, s.next, f
}

func (m *fan) list(input any) ([]any, *failure) {
	v := input
	if m.items != nil {
		var err error
		if v, err = m.items.find(input); err != nil {
			return nil, runtimeFailure(err)
		}
	}
	items, ok := v.([]any)
	if !ok {
		return nil, runtimeFailure(fmt.Errorf("a Map needs a list of items, and got %.100s", encode(v)))
	}
	return items, nil
}

func (m *fan) workers(items int) int {
	limit := inlineConcurrency
	if m.concurrency > 0 {
		limit = min(limit, m.concurrency)
	}
	return min(limit, items)
}

func (x *execution) item(ctx context.Context, s *state, l *lane, input, value any) (any, *failure) {
	if s.fan.selector != nil {
		selected, f := evaluate(s.fan.selector, scope{input: input, item: value, index: l.item})
		if f != nil {
			return nil, f
		}
		value = selected
	}
	if f := carries(value, "input of an item of "+s.name); f != nil {
		return nil, f
	}
	if f := x.record(eventsOfItem); f != nil {
		return nil, f
	}
	return x.walk(ctx, s.fan.graph, l, value)
}
