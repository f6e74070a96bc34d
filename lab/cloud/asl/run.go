package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Env is what an execution has to do with the world.
type Env struct {
	// Invoke calls the Lambda function with the ARN and returns its answer, which is JSON. It has to return soon after
	// the context ends. Several calls may run at once, unless the Clock has it otherwise. A *TaskError names the error.
	Invoke func(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error)
	Clock  Clock // Nil for RealClock.
	// Jitter picks a delay from 0 to the given one, for retriers with jitter. Nil for a random one.
	Jitter func(time.Duration) time.Duration
	// Observe, if not nil, hears of every step as it happens; calls do not overlap.
	Observe func(Event)
}

// EventType says what happened.
type EventType string

// The events of an execution.
const (
	Entered EventType = "entered" // A state begins; Data is its input.
	Exited  EventType = "exited"  // A state has succeeded; Data is its output.
	Retried EventType = "retried" // A task has failed with Error and will be tried again after Delay.
	Caught  EventType = "caught"  // A task has failed with Error, and a catcher leads on.
	Broken  EventType = "failed"  // A state has failed with Error, and nothing catches it.
)

// Event is one step of an execution.
type Event struct {
	At    time.Time
	Type  EventType
	State string
	Item  int // The index of the Map's item; -1 outside of a Map.
	Data  json.RawMessage
	Error string
	Cause string
	Delay time.Duration
}

// execution is a run in progress.
type execution struct {
	env    Env
	outer  context.Context // What Run was given.
	ctx    context.Context // With the machine's time-out.
	events atomic.Int64

	mu    sync.Mutex // For items and Observe.
	items map[string][][]string
}

// lane is a sequence of states: the machine's own, or that of one item of a Map.
type lane struct {
	item int
	path []string
}

// Run runs the machine on an input and returns when the execution has ended.
func (m *Machine) Run(ctx context.Context, input json.RawMessage, env Env) Execution {
	if env.Clock == nil {
		env.Clock = RealClock{}
	}
	if env.Jitter == nil {
		env.Jitter = func(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d) + 1)) }
	}
	limited, cancel := env.Clock.Within(ctx, m.timeout)
	defer cancel()
	x := &execution{env: env, outer: ctx, ctx: limited, items: map[string][][]string{}}
	main := &lane{item: -1}
	output, f := x.start(m.graph, main, input)
	done := Execution{Status: Succeeded, Path: main.path, Items: x.items}
	if f != nil {
		done.Status, done.Error, done.Cause = Failed, f.name, f.cause
		if f.stop != "" {
			done.Status = f.stop
		}
		return done
	}
	done.Output = encode(output)
	return done
}

func (x *execution) start(g *graph, l *lane, raw json.RawMessage) (any, *failure) {
	input, err := decode(raw)
	if err != nil {
		return nil, runtimeFailure(fmt.Errorf("the input is not JSON: %w", err))
	}
	if f := fits(raw, "input"); f != nil {
		return nil, f
	}
	return x.walk(x.ctx, g, l, input)
}

// walk runs the states of a graph from its start to an end, and returns the last output.
func (x *execution) walk(ctx context.Context, g *graph, l *lane, input any) (any, *failure) {
	name := g.start
	for {
		if f := x.stopped(ctx); f != nil {
			return nil, f
		}
		s := g.states[name]
		l.path = append(l.path, name)
		x.observe(l, Event{Type: Entered, State: name}, input)
		output, next, f := x.step(ctx, s, l, input)
		if f == nil {
			f = x.record(eventsOfState)
		}
		if f == nil {
			f = carries(output, "output of "+name)
		}
		if f != nil {
			x.observe(l, Event{Type: Broken, State: name, Error: f.name, Cause: f.cause}, nil)
			return nil, f
		}
		x.observe(l, Event{Type: Exited, State: name}, output)
		if next == "" {
			return output, nil
		}
		name, input = next, output
	}
}

// stopped says why the execution must not go on.
func (x *execution) stopped(ctx context.Context) *failure {
	switch {
	case x.outer.Err() != nil:
		return &failure{stop: Aborted, cause: x.outer.Err().Error()}
	case x.ctx.Err() != nil:
		return &failure{name: Timeout, stop: TimedOut}
	case ctx.Err() != nil:
		return &failure{stop: Aborted, cause: "another item has failed"}
	}
	return nil
}

// interrupted is why a sleep ended early.
func (x *execution) interrupted(ctx context.Context, err error) *failure {
	if f := x.stopped(ctx); f != nil {
		return f
	}
	return &failure{stop: Aborted, cause: err.Error()}
}

// step runs one state. It returns the output and the next state, "" at an end.
func (x *execution) step(ctx context.Context, s *state, l *lane, input any) (any, string, *failure) {
	switch s.kind {
	case kindTask:
		return x.task(ctx, s, l, input)
	case kindChoice:
		next, err := s.choice.choose(input)
		if err != nil {
			return nil, "", runtimeFailure(err)
		}
		if next == "" {
			return nil, "", &failure{name: NoChoiceMatched, cause: "no rule holds, and there is no Default"}
		}
		return input, next, nil
	case kindWait:
		return x.wait(ctx, s, input)
	case kindPass:
		output, f := pass(s, input)
		return output, s.next, f
	case kindMap:
		return x.fan(ctx, s, input)
	case kindFail:
		return nil, "", s.fail.failure(input)
	default: // Succeed: parsing lets nothing else through.
		return input, "", nil
	}
}

func (x *execution) wait(ctx context.Context, s *state, input any) (any, string, *failure) {
	d := s.wait.seconds
	if p := s.wait.secondsPath; p != nil {
		v, err := p.find(input)
		if err != nil {
			return nil, "", runtimeFailure(err)
		}
		number, _ := v.(json.Number)
		n, err := number.Int64()
		if err != nil || n < 0 || n > maxSeconds {
			return nil, "", runtimeFailure(fmt.Errorf("the SecondsPath '%s' gives %s, which is no whole number from 0 to %d", p.text, encode(v), maxSeconds))
		}
		d = time.Duration(n) * time.Second
	}
	if err := x.env.Clock.Sleep(ctx, d); err != nil {
		return nil, "", x.interrupted(ctx, err)
	}
	return input, s.next, nil
}

func pass(s *state, input any) (any, *failure) {
	result, f := evaluate(s.parameters, scope{input: input})
	if f != nil {
		return nil, f
	}
	if s.result != nil {
		result = s.result
	}
	return place(s.resultPath, input, result)
}

// failure is how the state ends its execution. What AWS does with a cause that is too long is not documented; a machine must not depend
// on it, so that it is refused here.
func (f *fail) failure(input any) *failure {
	out := f.told(input)
	if n := utf8.RuneCountInString(out.cause); n > maxCause {
		return &failure{name: DataLimit, cause: fmt.Sprintf("the cause has %d characters, and %d are the limit", n, maxCause)}
	}
	return out
}

func (f *fail) told(input any) *failure {
	out := &failure{name: f.err, cause: f.cause}
	if f.causePath == nil {
		return out
	}
	v, err := f.causePath.find(input)
	if err != nil {
		return runtimeFailure(err)
	}
	text, ok := v.(string)
	if !ok {
		return runtimeFailure(fmt.Errorf("the CausePath '%s' gives no string", f.causePath.text))
	}
	out.cause = text
	return out
}

// evaluate applies a template; without one the input itself is the result.
func evaluate(t *template, s scope) (any, *failure) {
	if t == nil {
		return s.input, nil
	}
	v, err := t.root.eval(s)
	switch {
	case errors.Is(err, errIntrinsic):
		return nil, &failure{name: IntrinsicFailure, cause: err.Error()}
	case err != nil:
		return nil, runtimeFailure(err)
	}
	return v, nil
}

// place puts a result where the ResultPath wants it.
func place(p *path, input, result any) (any, *failure) {
	if p == nil {
		return result, nil
	}
	out, err := p.put(input, result)
	if err != nil {
		return nil, &failure{name: "States.ResultPathMatchFailure", cause: err.Error()}
	}
	return out, nil
}

func (x *execution) observe(l *lane, e Event, data any) {
	if x.env.Observe == nil {
		return
	}
	e.At, e.Item = x.env.Clock.Now(), l.item
	if e.Type == Entered || e.Type == Exited {
		e.Data = encode(data)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.env.Observe(e)
}
