package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/internal/local/asl"
)

// statesPrefix begins the X-Amz-Target header of calls to Step Functions.
const statesPrefix = "AWSStepFunctions."

// statesRequest has the fields of all the calls that are answered.
type statesRequest struct {
	StateMachineArn string `json:"stateMachineArn"`
	ExecutionArn    string `json:"executionArn"`
	Name            string `json:"name"`
	Input           string `json:"input"`
	StatusFilter    string `json:"statusFilter"`
	MaxResults      int    `json:"maxResults"`
	ReverseOrder    bool   `json:"reverseOrder"`
	Error           string `json:"error"`
	Cause           string `json:"cause"`
}

// statesError is an error of Step Functions.
type statesError struct{ code, message string }

func (e *statesError) Error() string { return e.code + ": " + e.message }

// ServeHTTP answers a few calls of the Step Functions API: enough to start a sweep and to see how it went. Answers are not
// paged: there are at most maxExecutions.
func (x *executions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req statesRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&req); err != nil {
		refuse(w, "1.0", "SerializationException", err.Error())
		return
	}
	call, ok := map[string]func(statesRequest) (any, error){
		"StartExecution":      x.startExecution,
		"StopExecution":       x.stopExecution,
		"DescribeExecution":   x.describeExecution,
		"ListExecutions":      x.listExecutions,
		"ListStateMachines":   x.listStateMachines,
		"GetExecutionHistory": x.getExecutionHistory,
	}[strings.TrimPrefix(r.Header.Get("X-Amz-Target"), statesPrefix)]
	if !ok {
		refuse(w, "1.0", "UnknownOperationException", r.Header.Get("X-Amz-Target")+" is not available in the local cloud")
		return
	}
	result, err := call(req)
	var e *statesError
	switch {
	case errors.As(err, &e):
		refuse(w, "1.0", e.code, e.message)
	case err != nil:
		refuse(w, "1.0", "InternalFailure", err.Error())
	default:
		answer(w, "1.0", result)
	}
}

func (x *executions) executionARN(e *execution) string {
	return strings.Replace(x.arn, ":stateMachine:", ":execution:", 1) + ":" + e.name
}

func (x *executions) listStateMachines(statesRequest) (any, error) {
	return map[string]any{"stateMachines": []any{map[string]any{
		"name": x.name, "stateMachineArn": x.arn, "type": "STANDARD", "creationDate": seconds(x.made),
	}}}, nil
}

func (x *executions) startExecution(req statesRequest) (any, error) {
	if req.StateMachineArn != x.arn {
		return nil, &statesError{"StateMachineDoesNotExist", fmt.Sprintf("State Machine Does Not Exist: '%s'; there is %s",
			req.StateMachineArn, x.arn)}
	}
	if req.Input != "" && !json.Valid([]byte(req.Input)) {
		return nil, &statesError{"InvalidExecutionInput", "Invalid State Machine Execution Input: it is not JSON"}
	}
	e, err := x.start(req.Name, json.RawMessage(req.Input))
	if errors.Is(err, errExists) {
		return nil, &statesError{"ExecutionAlreadyExists", err.Error()}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"executionArn": x.executionARN(e), "startDate": seconds(e.began)}, nil
}

// with calls f with the execution that the request names, with the lock held.
func (x *executions) with(req statesRequest, f func(*execution) any) (any, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := req.ExecutionArn[strings.LastIndex(req.ExecutionArn, ":")+1:]
	if e := x.find(name); e != nil && x.executionARN(e) == req.ExecutionArn {
		return f(e), nil
	}
	return nil, &statesError{"ExecutionDoesNotExist", fmt.Sprintf("Execution Does Not Exist: '%s'", req.ExecutionArn)}
}

func (x *executions) stopExecution(req statesRequest) (any, error) {
	return x.with(req, func(e *execution) any {
		e.cancel()
		return map[string]any{"stopDate": seconds(time.Now())}
	})
}

// summary is an execution as ListExecutions has it.
func (x *executions) summary(e *execution) map[string]any {
	s := map[string]any{
		"executionArn": x.executionARN(e), "stateMachineArn": x.arn, "name": e.name,
		"status": "RUNNING", "startDate": seconds(e.began),
	}
	if !e.ended.IsZero() {
		s["status"], s["stopDate"] = e.Status, seconds(e.ended)
	}
	return s
}

func (x *executions) describeExecution(req statesRequest) (any, error) {
	return x.with(req, func(e *execution) any {
		d := x.summary(e)
		d["input"] = string(e.input)
		if e.Output != nil {
			d["output"] = string(e.Output)
		}
		if e.Error != "" {
			d["error"], d["cause"] = e.Error, e.Cause
		}
		return d
	})
}

func (x *executions) listExecutions(req statesRequest) (any, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := []any{}
	for _, e := range slices.Backward(x.list) {
		s := x.summary(e)
		if req.StatusFilter != "" && req.StatusFilter != fmt.Sprint(s["status"]) {
			continue
		}
		if req.MaxResults > 0 && len(list) == req.MaxResults {
			break
		}
		list = append(list, s)
	}
	return map[string]any{"executions": list}, nil
}

func (x *executions) getExecutionHistory(req statesRequest) (any, error) {
	return x.with(req, func(e *execution) any {
		history := x.history(e)
		if req.ReverseOrder {
			slices.Reverse(history)
		}
		if req.MaxResults > 0 && len(history) > req.MaxResults {
			history = history[:req.MaxResults]
		}
		return map[string]any{"events": history}
	})
}

// history is what an execution did, as events of Step Functions. The smaller steps of a task, its scheduling and its start,
// are left out.
func (x *executions) history(e *execution) []map[string]any {
	var list []map[string]any
	add := func(kind string, at float64, name string, details map[string]any) {
		event := map[string]any{"id": len(list) + 1, "previousEventId": len(list), "timestamp": at, "type": kind}
		if name != "" {
			event[name] = details
		}
		list = append(list, event)
	}
	add("ExecutionStarted", seconds(e.began), "executionStartedEventDetails", map[string]any{"input": string(e.input)})
	for _, h := range e.history {
		kind := x.kinds[h.State]
		switch {
		case h.Type == asl.Entered:
			add(kind+"StateEntered", seconds(h.At), "stateEnteredEventDetails", map[string]any{"name": h.State, "input": string(h.Data)})
		case h.Type == asl.Exited:
			add(kind+"StateExited", seconds(h.At), "stateExitedEventDetails", map[string]any{"name": h.State, "output": string(h.Data)})
		case kind == "Task" && h.Error == asl.Timeout:
			add("LambdaFunctionTimedOut", seconds(h.At), "lambdaFunctionTimedOutEventDetails", map[string]any{"error": h.Error, "cause": h.Cause})
		case kind == "Task":
			add("LambdaFunctionFailed", seconds(h.At), "lambdaFunctionFailedEventDetails", map[string]any{"error": h.Error, "cause": h.Cause})
		}
	}
	if e.ended.IsZero() {
		return list
	}
	failure := map[string]any{"error": e.Error, "cause": e.Cause}
	switch e.Status {
	case asl.Succeeded:
		add("ExecutionSucceeded", seconds(e.ended), "executionSucceededEventDetails", map[string]any{"output": string(e.Output)})
	case asl.TimedOut:
		add("ExecutionTimedOut", seconds(e.ended), "executionTimedOutEventDetails", failure)
	case asl.Aborted:
		add("ExecutionAborted", seconds(e.ended), "executionAbortedEventDetails", failure)
	default:
		add("ExecutionFailed", seconds(e.ended), "executionFailedEventDetails", failure)
	}
	return list
}
