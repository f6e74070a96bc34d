package sim

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/asl"
)

// The functions, by the last part of their ARN.
const (
	check    = "check"
	scaleOut = "scaleout"
	scaleIn  = "scalein"
)

// function is one Lambda function: what it does, and what AWS allows it.
type function struct {
	name     string
	timeout  time.Duration
	reserved int // How many of it may run at once; 0 is any number.
	handle   func(context.Context, *scaler.Scaler, []byte) (any, error)
	running  int
	warm     []*scaler.Scaler // Instances that have nothing to do. Each remembers what it remembers.
}

// newFunctions makes the three functions with the time-outs that the state machine is made for. What each does is what its main
// package does.
func newFunctions() map[string]*function {
	all := []*function{
		{name: check, timeout: time.Minute, handle: handleCheck},
		{name: scaleOut, timeout: 30 * time.Second, reserved: 1, handle: handleScaleOut},
		{name: scaleIn, timeout: 2 * time.Minute, handle: handleScaleIn},
	}
	out := map[string]*function{}
	for _, f := range all {
		out[f.name] = f
	}
	return out
}

func handleCheck(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
	in, err := scaler.CheckInput(payload)
	if err != nil {
		return nil, err
	}
	if in.Target == "" {
		return s.CheckAll(ctx, in.Sweep), nil
	}
	return s.CheckOne(ctx, in)
}

func handleScaleOut(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
	demand, err := s.Demand(payload)
	if err != nil {
		return nil, err
	}
	return s.ScaleOut(ctx, demand)
}

func handleScaleIn(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
	in, err := scaler.ScaleInInput(payload)
	if err != nil {
		return nil, err
	}
	return s.ScaleIn(ctx, in)
}

// spare is what a function keeps of its time for its answer: see internal/function.
const spare = 2 * time.Second

// invocation is one call of a function.
type invocation struct {
	number   int
	function *function
	payload  []byte
	began    time.Time
	process  *process
	calls    int    // How many calls of brokers and fleet it has begun.
	death    *fault // What is to end it at one of them; nil if nothing.
	ended    bool
	answer   json.RawMessage
	err      *asl.TaskError
	waiting  []func()

	lastTasks time.Time       // When it last asked for the tasks of its service.
	reasons   []policy.Reason // Of its last decision.
	lowered   bool            // It has lowered a count.
}

// invoke begins an invocation. It is refused if the function has as many as it may, or while Lambda throttles.
func (w *world) invoke(f *function, payload []byte) (*invocation, *asl.TaskError) {
	throttled := w.faults.during(lambdaThrottle, -1, w.loop.now) != nil
	if throttled || f.reserved > 0 && f.running >= f.reserved {
		w.tally.count("lambda throttled")
		return nil, &asl.TaskError{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
	}
	w.invocations++
	f.running++
	inv := &invocation{number: w.invocations, function: f, payload: payload, began: w.loop.now}
	inv.death = w.faults.once(lambdaDeath, -1, w.loop.now)
	w.tally.invocations[f.name]++
	deadline := w.loop.now.Add(f.timeout)
	ctx := newContext(context.Background(), w.loop)
	ctx.limit(deadline.Add(-spare))
	instance := w.instance(f)
	inv.process = w.loop.spawn(inv, func() {
		w.loop.current.sleepUntil(w.loop.now.Add(w.draw.between(2*time.Millisecond, 60*time.Millisecond)))
		answer, err := f.handle(ctx, instance, payload)
		inv.finish(answer, err)
	}, func(p *process) {
		if p.crashed != "" {
			w.broken(invariantPanic, "%s panicked: %s", f.name, p.crashed)
			inv.err = &asl.TaskError{Name: "Lambda.Unknown", Cause: "panic"}
		} else {
			f.warm = append(f.warm, instance)
		}
		w.over(inv)
	})
	w.loop.at(deadline, func() {
		if !inv.ended {
			w.tally.count("lambda timed out")
			w.end(inv, "Sandbox.Timedout")
		}
	})
	return inv, nil
}

// instance returns an instance of the function that has nothing to do, or a new one.
func (w *world) instance(f *function) *scaler.Scaler {
	if n := len(f.warm); n > 0 {
		s := f.warm[n-1]
		f.warm = f.warm[:n-1]
		return s
	}
	return w.newScaler()
}

// finish puts an answer into the form in which it leaves the function.
func (inv *invocation) finish(answer any, err error) {
	if err == nil {
		inv.answer, err = json.Marshal(answer)
	}
	if err == nil {
		return
	}
	name := "InternalError"
	if known := (*policy.Error)(nil); errors.As(err, &known) {
		name = string(known.Kind)
	}
	inv.err = &asl.TaskError{Name: name, Cause: err.Error()}
}

// end kills an invocation.
func (w *world) end(inv *invocation, name string) {
	if inv.ended {
		return
	}
	for _, p := range w.loop.living() {
		if p.owner == inv {
			p.kill()
		}
	}
	inv.err = &asl.TaskError{Name: name, Cause: "the function has ended without an answer"}
	w.over(inv)
}

// over tells those who wait for the invocation.
func (w *world) over(inv *invocation) {
	inv.ended = true
	inv.function.running--
	w.judge.ended(inv)
	for _, wake := range inv.waiting {
		w.loop.at(w.loop.now, wake)
	}
	inv.waiting = nil
}

// call invokes a function for the state machine, which waits for the answer. A call that it no longer waits for goes on, as it
// does in AWS.
func (w *world) callFunction(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	inv, refused := w.invoke(w.functions[resource[strings.LastIndexByte(resource, ':')+1:]], input)
	if refused != nil {
		w.judge.refused(input)
		return nil, refused
	}
	if deadline, ok := ctx.Deadline(); ok {
		w.loop.at(deadline, w.loop.current.waker())
	}
	inv.waiting = append(inv.waiting, w.loop.current.waker())
	w.loop.current.park()
	switch {
	case !inv.ended:
		return nil, context.DeadlineExceeded
	case inv.err != nil:
		return nil, inv.err
	}
	return inv.answer, nil
}
