package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/wire"
)

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
	TraceHeader     string `json:"traceHeader"`
	IncludedData    string `json:"includedData"`
	// IncludeExecutionData is true unless it says false: here data is always there.
	IncludeExecutionData *bool `json:"includeExecutionData"`
}

// The calls of Step Functions that are answered: enough to start a sweep and to see how it went. Answers are not paged: there are at
// most maxExecutions.
func (x *executions) executionARN(e *execution) string {
	return strings.Replace(x.arn, ":stateMachine:", ":execution:", 1) + ":" + e.name
}

func (x *executions) listStateMachines(statesRequest) (map[string]any, error) {
	return map[string]any{"stateMachines": []any{map[string]any{
		"name": x.name, "stateMachineArn": x.arn, "type": "STANDARD", "creationDate": x.made,
	}}}, nil
}

func (x *executions) noMachine(req statesRequest) error {
	return wire.Errorf("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'; there is %s", req.StateMachineArn, x.arn)
}

func (x *executions) describeStateMachine(req statesRequest) (map[string]any, error) {
	if req.StateMachineArn != x.arn {
		return nil, x.noMachine(req)
	}
	return map[string]any{
		"name": x.name, "stateMachineArn": x.arn, "type": "STANDARD", "status": "ACTIVE", "creationDate": x.made,
		"definition": x.definition, "roleArn": x.role,
	}, nil
}

func (x *executions) startExecution(req statesRequest) (map[string]any, error) {
	if req.StateMachineArn != x.arn {
		return nil, x.noMachine(req)
	}
	if req.Input != "" && !json.Valid([]byte(req.Input)) {
		return nil, wire.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: it is not JSON")
	}
	e, err := x.start(req.Name, json.RawMessage(req.Input))
	if errors.Is(err, errExists) {
		return nil, wire.Errorf("ExecutionAlreadyExists", "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"executionArn": x.executionARN(e), "startDate": e.began}, nil
}

// with calls f with the execution that the request names, with the lock held.
func (x *executions) with(req statesRequest, f func(*execution) map[string]any) (map[string]any, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := req.ExecutionArn[strings.LastIndex(req.ExecutionArn, ":")+1:]
	if e := x.find(name); e != nil && x.executionARN(e) == req.ExecutionArn {
		return f(e), nil
	}
	return nil, wire.Errorf("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", req.ExecutionArn)
}

func (x *executions) stopExecution(req statesRequest) (map[string]any, error) {
	return x.with(req, func(e *execution) map[string]any {
		e.cancel()
		return map[string]any{"stopDate": time.Now()}
	})
}

// summary is an execution as ListExecutions has it.
func (x *executions) summary(e *execution) map[string]any {
	s := map[string]any{
		"executionArn": x.executionARN(e), "stateMachineArn": x.arn, "name": e.name,
		"status": "RUNNING", "startDate": e.began,
	}
	if !e.ended.IsZero() {
		s["status"], s["stopDate"] = e.Status, e.ended
	}
	return s
}

func (x *executions) describeExecution(req statesRequest) (map[string]any, error) {
	return x.with(req, func(e *execution) map[string]any {
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

func (x *executions) listExecutions(req statesRequest) (map[string]any, error) {
	if req.StateMachineArn != x.arn {
		return nil, x.noMachine(req)
	}
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

func (x *executions) getExecutionHistory(req statesRequest) (map[string]any, error) {
	return x.with(req, func(e *execution) map[string]any {
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
func (x *executions) history(e *execution) []any {
	var list []any
	add := func(kind string, at time.Time, name string, details map[string]any) {
		event := map[string]any{"id": len(list) + 1, "previousEventId": len(list), "timestamp": at, "type": kind}
		if name != "" {
			event[name] = details
		}
		list = append(list, event)
	}
	add("ExecutionStarted", e.began, "executionStartedEventDetails", map[string]any{"input": string(e.input)})
	for _, h := range e.history {
		kind := x.kinds[h.State]
		switch {
		case h.Type == asl.Entered:
			add(kind+"StateEntered", h.At, "stateEnteredEventDetails", map[string]any{"name": h.State, "input": string(h.Data)})
		case h.Type == asl.Exited:
			add(kind+"StateExited", h.At, "stateExitedEventDetails", map[string]any{"name": h.State, "output": string(h.Data)})
		case kind == "Task" && h.Error == asl.Timeout:
			add("LambdaFunctionTimedOut", h.At, "lambdaFunctionTimedOutEventDetails", map[string]any{"error": h.Error, "cause": h.Cause})
		case kind == "Task":
			add("LambdaFunctionFailed", h.At, "lambdaFunctionFailedEventDetails", map[string]any{"error": h.Error, "cause": h.Cause})
		}
	}
	if e.ended.IsZero() {
		return list
	}
	failure := map[string]any{"error": e.Error, "cause": e.Cause}
	switch e.Status {
	case asl.Succeeded:
		add("ExecutionSucceeded", e.ended, "executionSucceededEventDetails", map[string]any{"output": string(e.Output)})
	case asl.TimedOut:
		add("ExecutionTimedOut", e.ended, "executionTimedOutEventDetails", failure)
	case asl.Aborted:
		add("ExecutionAborted", e.ended, "executionAbortedEventDetails", failure)
	default:
		add("ExecutionFailed", e.ended, "executionFailedEventDetails", failure)
	}
	return list
}
