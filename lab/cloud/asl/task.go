package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// task runs a Task state: the call, its retries, and then its catchers.
func (x *execution) task(ctx context.Context, s *state, l *lane, input any) (any, string, *failure) {
	payload, f := evaluate(s.parameters, scope{input: input})
	if f != nil {
		return nil, "", f
	}
	raw := encode(payload)
	if f := fits(raw, "input of "+s.name); f != nil {
		return nil, "", f
	}
	attempts := make([]int, len(s.task.retry)) // Each retrier counts its own.
	for {
		output, f := x.attempt(ctx, s, input, raw)
		if f == nil {
			return output, s.next, nil
		}
		if again, stop := x.retry(ctx, s, l, f, attempts); stop != nil {
			return nil, "", stop
		} else if again {
			continue
		}
		for _, c := range s.task.catch {
			if !f.matches(c.errors) {
				continue
			}
			x.observe(l, Event{Type: Caught, State: s.name, Error: f.name, Cause: f.cause}, nil)
			output, bad := place(c.resultPath, input, map[string]any{"Error": f.name, "Cause": f.cause})
			return output, c.next, bad
		}
		return nil, "", f
	}
}

// retry waits, if a retrier knows the failure and has an attempt left. Only the first retrier that matches counts.
func (x *execution) retry(ctx context.Context, s *state, l *lane, f *failure, attempts []int) (again bool, stop *failure) {
	for i, r := range s.task.retry {
		if f.name == Runtime || !f.matches(r.errors) {
			continue
		}
		if attempts[i]++; attempts[i] > r.maxAttempts {
			return false, nil
		}
		delay := r.delay(attempts[i], x.env.Jitter)
		x.observe(l, Event{Type: Retried, State: s.name, Error: f.name, Cause: f.cause, Delay: delay}, nil)
		if err := x.env.Clock.Sleep(ctx, delay); err != nil {
			return false, x.interrupted(ctx, err)
		}
		return true, nil
	}
	return false, nil
}

// attempt calls the function once.
func (x *execution) attempt(ctx context.Context, s *state, input any, payload json.RawMessage) (any, *failure) {
	if full := x.record(eventsOfCall); full != nil {
		return nil, full
	}
	limited, cancel := x.env.Clock.Within(ctx, s.task.timeout)
	defer cancel()
	raw, err := x.env.Invoke(limited, s.task.resource, payload)
	if f := x.stopped(ctx); f != nil {
		return nil, f
	}
	if limited.Err() != nil {
		return nil, &failure{name: Timeout}
	}
	if err != nil {
		if named := (*TaskError)(nil); errors.As(err, &named) {
			return nil, &failure{name: cut(named.Name, maxError), cause: cut(named.Cause, maxCause)}
		}
		return nil, &failure{name: TaskFailed, cause: cut(err.Error(), maxCause)}
	}
	if f := fits(raw, "answer to "+s.name); f != nil {
		return nil, f
	}
	result, err := decode(raw)
	if err != nil {
		return nil, &failure{name: TaskFailed, cause: fmt.Sprintf("the answer is not JSON: %v", err)}
	}
	result, f := evaluate(s.task.selector, scope{input: result})
	if f != nil {
		return nil, f
	}
	return place(s.resultPath, input, result)
}
