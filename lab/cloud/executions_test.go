package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/lambda"
)

// oneTask is a machine with one task and nothing that catches.
const oneTask = `{"StartAt": "Do", "States": {"Do": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:do",
	"TimeoutSeconds": 10, "End": true}}}`

type invoker func(context.Context, string, []byte) (lambda.Result, error)

func machine(t *testing.T, invoke invoker) (*executions, chan ExecutionStep) {
	t.Helper()
	steps := make(chan ExecutionStep, 100)
	d := Deployment{Machine: Machine{Name: "m", Definition: oneTask}}
	x, err := newExecutions(func() Deployment { return d }, invoke, func(s ExecutionStep) { steps <- s })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.close)
	return x, steps
}

// The names of errors that the state machine's Retry and Catch are written for.
func TestErrorsOfTasks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result lambda.Result
		err    error
		want   asl.Execution
	}{
		{
			name: "success", result: lambda.Result{Payload: []byte(`{"a":1}`)},
			want: asl.Execution{Status: asl.Succeeded, Output: json.RawMessage(`{"a":1}`)},
		},
		{
			name:   "error of the function",
			result: lambda.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorType":"BrokerUnavailable","errorMessage":"no"}`)},
			want:   asl.Execution{Status: asl.Failed, Error: "BrokerUnavailable", Cause: `{"errorType":"BrokerUnavailable","errorMessage":"no"}`},
		},
		{
			name:   "error without a type",
			result: lambda.Result{FunctionError: "Unhandled", Payload: []byte(`"no"`)},
			want:   asl.Execution{Status: asl.Failed, Error: "Lambda.Unknown", Cause: `"no"`},
		},
		{
			name: "throttled", err: &lambda.Error{Status: 429, Code: "TooManyRequestsException", Message: "Rate Exceeded."},
			want: asl.Execution{Status: asl.Failed, Error: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."},
		},
		{
			name: "not reached", err: errors.New("gone"),
			want: asl.Execution{Status: asl.Failed, Error: "Lambda.SdkClientException", Cause: "gone"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, steps := machine(t, func(context.Context, string, []byte) (lambda.Result, error) { return tt.result, tt.err })
			if _, err := x.start("", nil); err != nil {
				t.Fatal(err)
			}
			tt.want.Path, tt.want.Items = []string{"Do"}, map[string][][]string{}
			for s := range steps {
				if s.Ended != nil {
					if diff := cmp.Diff(tt.want, *s.Ended); diff != "" {
						t.Error(diff)
					}
					return
				}
			}
		})
	}
}

// A state that times out goes on without its function, which runs on, as in AWS.
func TestAStateDoesNotWaitForItsFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		function := make(chan error, 1)
		x, steps := machine(t, func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
			time.Sleep(time.Minute)
			function <- ctx.Err()
			return lambda.Result{}, nil
		})
		began := time.Now()
		if _, err := x.start("", nil); err != nil {
			t.Fatal(err)
		}
		x.wg.Wait()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		var last ExecutionStep
		for len(steps) > 0 {
			last = <-steps
		}
		if last.Ended == nil || last.Ended.Error != asl.Timeout {
			t.Errorf("last step %+v", last)
		}
		if err := <-function; err != nil {
			t.Errorf("the function was cancelled: %v", err)
		}
	})
}

func TestNamesOfExecutions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := machine(t, func(context.Context, string, []byte) (lambda.Result, error) {
			time.Sleep(time.Second)
			return lambda.Result{Payload: []byte(`{}`)}, nil
		})
		first, err := x.start("a", json.RawMessage(`{"n":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := x.start("a", json.RawMessage(`{"n":1}`)); again != first || err != nil {
			t.Errorf("the same execution again: %v", err)
		}
		if _, err := x.start("a", json.RawMessage(`{"n":2}`)); !errors.Is(err, errExists) {
			t.Errorf("another input: %v", err)
		}
		x.wg.Wait()
		if _, err := x.start("a", json.RawMessage(`{"n":1}`)); !errors.Is(err, errExists) {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestStopAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := machine(t, func(context.Context, string, []byte) (lambda.Result, error) {
			time.Sleep(5 * time.Second)
			return lambda.Result{Payload: []byte(`{}`)}, nil
		})
		e, err := x.start("a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.stopExecution(statesRequest{ExecutionArn: x.executionARN(e)}); err != nil {
			t.Fatal(err)
		}
		x.wg.Wait()
		d, err := x.describeExecution(statesRequest{ExecutionArn: x.executionARN(e)})
		if err != nil || d["status"] != asl.Aborted {
			t.Errorf("%v, %v", d, err)
		}
		h, err := x.getExecutionHistory(statesRequest{ExecutionArn: x.executionARN(e), ReverseOrder: true, MaxResults: 1})
		if events := h["events"].([]any); err != nil || len(events) != 1 || events[0].(map[string]any)["type"] != "ExecutionAborted" {
			t.Errorf("%v, %v", h, err)
		}
		if _, err := x.start("b", nil); err != nil {
			t.Fatal(err)
		}
		x.close()
		if _, err := x.start("c", nil); !errors.Is(err, errClosing) {
			t.Errorf("after close: %v", err)
		}
		time.Sleep(time.Minute) // Until the functions have ended, too.
	})
}

func TestOldExecutionsAreForgotten(t *testing.T) {
	x, _ := machine(t, func(context.Context, string, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(`{}`)}, nil
	})
	x.tell = func(ExecutionStep) {}
	for range maxExecutions + 20 {
		if _, err := x.start("", nil); err != nil {
			t.Fatal(err)
		}
		x.wg.Wait()
	}
	if n := len(x.list); n != maxExecutions {
		t.Errorf("%d executions are remembered", n)
	}
}
