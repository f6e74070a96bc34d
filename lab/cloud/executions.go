package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/lambda"
	"sluice/lab/cloud/wire"
)

// maxExecutions is how many ended executions are remembered.
const maxExecutions = 500

// executions runs the state machine, and remembers how it went: a little of Step Functions.
type executions struct {
	machine *asl.Machine
	kinds   map[string]string // The type of each state, by its name.
	invoke  func(ctx context.Context, name string, payload []byte) (lambda.Result, error)
	tell    func(ExecutionStep)
	arn     string // Of the state machine.
	name    string
	role    string // Its ARN.

	definition string
	made       time.Time

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	list   []*execution // In the order in which they began.
}

// execution is one execution. What may change is guarded by the mutex of executions.
type execution struct {
	name    string
	input   json.RawMessage
	began   time.Time
	cancel  context.CancelFunc
	history []asl.Event

	ended time.Time // Zero while it runs.
	asl.Execution
}

// newExecutions makes the deployed state machine. It calls functions as its role allows.
func newExecutions(
	deployed func() Deployment, invoke func(context.Context, string, []byte) (lambda.Result, error), tell func(ExecutionStep),
) (*executions, error) {
	d := deployed()
	definition := []byte(d.Machine.Definition)
	machine, err := asl.Parse(definition)
	if err != nil {
		return nil, fmt.Errorf("make state machine %s: %w", d.Machine.Name, err)
	}
	kinds := map[string]string{}
	if err := stateKinds(definition, kinds); err != nil {
		return nil, fmt.Errorf("make state machine %s: %w", d.Machine.Name, err)
	}
	x := &executions{
		machine: machine, kinds: kinds, tell: tell, arn: d.machineARN(), name: d.Machine.Name, role: d.roleARN(d.Machine.Name),
		definition: d.Machine.Definition, made: time.Now(),
	}
	x.invoke = func(ctx context.Context, function string, payload []byte) (lambda.Result, error) {
		d := deployed()
		if err := d.authorize(d.machineCaller(), "lambda:InvokeFunction", nil, function); err != nil {
			return lambda.Result{}, &lambda.Error{Status: 403, Code: "AWSLambdaException", Message: err.Error()}
		}
		return invoke(ctx, function, payload)
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x, nil
}

// stateKinds collects the types of all states, those inside a Map included.
func stateKinds(definition []byte, kinds map[string]string) error {
	var graph struct {
		States map[string]json.RawMessage
	}
	if err := json.Unmarshal(definition, &graph); err != nil {
		return err
	}
	for name, raw := range graph.States {
		var state struct {
			Type          string
			ItemProcessor json.RawMessage
		}
		if err := json.Unmarshal(raw, &state); err != nil {
			return err
		}
		kinds[name] = state.Type
		if state.ItemProcessor != nil {
			if err := stateKinds(state.ItemProcessor, kinds); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	errClosing = errors.New("the local cloud is closing")
	errExists  = errors.New("an execution of this name has another input, or has ended")
)

// start begins an execution and returns it at once. It gets a name if it has none. As in Step Functions, the same name
// with the same input is the same execution while that runs.
func (x *executions) start(name string, input json.RawMessage) (*execution, error) {
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	if name == "" {
		name = wire.RandomID()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, errClosing
	}
	if e := x.find(name); e != nil {
		if e.ended.IsZero() && string(e.input) == string(input) {
			return e, nil
		}
		return nil, errExists
	}
	e := &execution{name: name, input: input, began: time.Now()}
	ctx, cancel := context.WithCancel(x.ctx)
	e.cancel = cancel
	x.forget()
	x.list = append(x.list, e)
	x.wg.Go(func() {
		defer cancel()
		x.run(ctx, e)
	})
	return e, nil
}

func (x *executions) run(ctx context.Context, e *execution) {
	x.tell(ExecutionStep{Name: e.name})
	ctx = lambda.WithTrace(ctx)
	result := x.machine.Run(ctx, e.input, asl.Env{
		Invoke: x.task,
		Observe: func(event asl.Event) {
			x.mu.Lock()
			e.history = append(e.history, event)
			x.mu.Unlock()
			x.tell(ExecutionStep{Name: e.name, Event: &event})
		},
	})
	x.mu.Lock()
	e.Execution, e.ended = result, time.Now()
	x.mu.Unlock()
	x.tell(ExecutionStep{Name: e.name, Ended: &result})
}

// task calls a function as the Lambda integration of Step Functions does, with its names of errors:
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html. A call that the state machine no longer
// waits for goes on, as it does in AWS.
func (x *executions) task(ctx context.Context, resource string, input json.RawMessage) (json.RawMessage, error) {
	type outcome struct {
		result lambda.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := x.invoke(context.WithoutCancel(ctx), resource, input)
		done <- outcome{result, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var refused *lambda.Error
	if errors.As(o.err, &refused) {
		return nil, &asl.TaskError{Name: "Lambda." + refused.Code, Cause: refused.Message}
	}
	if o.err != nil {
		return nil, &asl.TaskError{Name: "Lambda.SdkClientException", Cause: o.err.Error()}
	}
	if o.result.FunctionError == "" {
		return o.result.Payload, nil
	}
	var failure struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal(o.result.Payload, &failure); err != nil || failure.Type == "" {
		failure.Type = "Lambda.Unknown"
	}
	return nil, &asl.TaskError{Name: failure.Type, Cause: string(o.result.Payload)}
}

// find returns the execution of that name, or nil.
func (x *executions) find(name string) *execution {
	i := slices.IndexFunc(x.list, func(e *execution) bool { return e.name == name })
	if i < 0 {
		return nil
	}
	return x.list[i]
}

// forget makes room for one more execution.
func (x *executions) forget() {
	if len(x.list) < maxExecutions {
		return
	}
	if i := slices.IndexFunc(x.list, func(e *execution) bool { return !e.ended.IsZero() }); i >= 0 {
		x.list = slices.Delete(x.list, i, i+1)
	}
}

// close aborts what runs and returns when it has ended.
func (x *executions) close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.cancel()
	x.wg.Wait()
}

// StartSweep begins an execution of the state machine now, besides those of the schedule, and returns its name.
func (c *Cloud) StartSweep() (name string, err error) {
	e, err := c.executions.start("", nil)
	if err != nil {
		return "", fmt.Errorf("start a sweep: %w", err)
	}
	return e.name, nil
}
