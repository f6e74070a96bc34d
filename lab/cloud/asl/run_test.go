package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/asl"
)

// function1 is what a test's Lambda function does on its nth call.
type function1 func(ctx context.Context, nth int, input json.RawMessage) (json.RawMessage, error)

// fails is a function that fails with these names, call by call, and then answers "ok".
func fails(names ...string) function1 {
	return func(_ context.Context, nth int, _ json.RawMessage) (json.RawMessage, error) {
		if nth < len(names) {
			return nil, &asl.TaskError{Name: names[nth], Cause: fmt.Sprint("call ", nth)}
		}
		return json.RawMessage(`"ok"`), nil
	}
}

func answers(text string) function1 {
	return func(context.Context, int, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(text), nil
	}
}

// fullOf is a function that fails with a name and a cause which are longer than a history bears.
func fullOf(text string) function1 {
	return func(context.Context, int, json.RawMessage) (json.RawMessage, error) {
		return nil, &asl.TaskError{Name: strings.Repeat(text, 300), Cause: strings.Repeat(text, 40000)}
	}
}

// task is a machine with one task that ends in S or, caught, in C.
func task(fields string) string {
	return `{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": ` + function + `, "End": true` + fields + `},
		"C": {"Type": "Pass", "End": true}, "D": {"Type": "Pass", "Next": "C"}}}`
}

// reached adds a way to C and D, so that machines without their own catcher parse.
const reached = `, "Catch": [{"ErrorEquals": ["Never"], "Next": "D"}]`

func TestRun(t *testing.T) {
	type want struct {
		status, output, err string
		path                string
		took                time.Duration
	}
	choice := `{"StartAt": "S", "States": {"S": {"Type": "Choice", "Choices": [
		{"And": [{"Variable": "$.a", "IsPresent": true}, {"Variable": "$.a", "StringEquals": "x"}], "Next": "X"},
		{"Or": [{"Variable": "$.b", "BooleanEquals": true}, {"Not": {"Variable": "$.c", "IsPresent": true}}], "Next": "Y"}]},
		"X": {"Type": "Succeed"}, "Y": {"Type": "Succeed"}}}`
	hang := func(ctx context.Context, _ int, _ json.RawMessage) (json.RawMessage, error) {
		return nil, asl.RealClock{}.Sleep(ctx, time.Hour)
	}
	tests := []struct {
		name, definition, input string
		invoke                  function1
		want                    want
	}{
		{"Pass passes on", one(`"Type": "Pass", "End": true`), `{"n": 1.50}`, nil, want{"SUCCEEDED", `{"n":1.50}`, "", "S", 0}},
		{"Pass with a result", one(`"Type": "Pass", "Result": null, "ResultPath": "$.a.b", "End": true`), `{"a": {"c": 1}}`, nil, want{"SUCCEEDED", `{"a":{"b":null,"c":1}}`, "", "S", 0}},
		{"a place that is made", one(`"Type": "Pass", "Result": 1, "ResultPath": "$.a.b", "End": true`), `{}`, nil, want{"SUCCEEDED", `{"a":{"b":1}}`, "", "S", 0}},
		{"a place in no object", one(`"Type": "Pass", "Result": 1, "ResultPath": "$.a.b", "End": true`), `{"a": 3}`, nil, want{"FAILED", "", "States.ResultPathMatchFailure", "S", 0}},
		{"a template", one(`"Type": "Pass", "End": true, "Parameters": {"k": [{"v.$": "$.a[1]"}], "all.$": "$", "in.$": "States.ArrayContains($.a[*], 2)", "out.$": "States.ArrayContains($.a, null)", "s.$": "States.JsonToString($.a)"}`), `{"a": [1, 2]}`, nil, want{"SUCCEEDED", `{"all":{"a":[1,2]},"in":true,"k":[{"v":2}],"out":false,"s":"[1,2]"}`, "", "S", 0}},
		{"a wildcard leaves out what is missing", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "$.l[*].v"}`), `{"l": [{"v": 1}, {}, {"v": 2}]}`, nil, want{"SUCCEEDED", `{"a":[1,2]}`, "", "S", 0}},
		{"a path to nothing", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "$.b"}`), `{}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"a list that is none", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "States.ArrayContains($.b, 1)"}`), `{"b": 1}`, nil, want{"FAILED", "", "States.IntrinsicFailure", "S", 0}},
		{"a filter", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "$.l[?(@.v == true)]", "n.$": "$.l[?(@.v == true)].n"}`), `{"l": [{"v": true, "n": 1}, {"v": false, "n": 2}, {"n": 3}, 4, {"v": "true"}]}`, nil, want{"SUCCEEDED", `{"a":[{"n":1,"v":true}],"n":[1]}`, "", "S", 0}},
		{"a filter that finds nothing", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "$.l[?(@.v == true)]"}`), `{"l": [{"v": false}]}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"slices", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "$[0:2]", "b.$": "$[1:9]", "c.$": "$[7:9]"}`), `[1, 2, 3]`, nil, want{"SUCCEEDED", `{"a":[1,2],"b":[2,3],"c":[]}`, "", "S", 0}},
		{"a length", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "States.ArrayLength($)"}`), `[1, 2, 3]`, nil, want{"SUCCEEDED", `{"a":3}`, "", "S", 0}},
		{"a length of no list", one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "States.ArrayLength($)"}`), `"abc"`, nil, want{"FAILED", "", "States.IntrinsicFailure", "S", 0}},
		{"Choice, first rule", choice, `{"a": "x"}`, nil, want{"SUCCEEDED", `{"a":"x"}`, "", "S X", 0}},
		{"Choice, second rule", choice, `{"b": true, "c": 1}`, nil, want{"SUCCEEDED", `{"b":true,"c":1}`, "", "S Y", 0}},
		{"Choice, a value of another type", choice, `{"b": "true", "c": 1}`, nil, want{"FAILED", "", "States.NoChoiceMatched", "S", 0}},
		{"Choice, nothing to compare", choice, `{"c": 1}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"Wait", one(`"Type": "Wait", "Seconds": 90, "End": true`), `1`, nil, want{"SUCCEEDED", `1`, "", "S", 90 * time.Second}},
		{"Wait by path", one(`"Type": "Wait", "SecondsPath": "$.s", "End": true`), `{"s": 7}`, nil, want{"SUCCEEDED", `{"s":7}`, "", "S", 7 * time.Second}},
		{"Wait for a fraction", one(`"Type": "Wait", "SecondsPath": "$.s", "End": true`), `{"s": 7.5}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"Wait backwards", one(`"Type": "Wait", "SecondsPath": "$.s", "End": true`), `{"s": -1}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"Fail", one(`"Type": "Fail", "Error": "E", "CausePath": "$.c"`), `{"c": "why"}`, nil, want{"FAILED", "", "E: why", "S", 0}},
		{"Fail with a cause that is no text", one(`"Type": "Fail", "Error": "E", "CausePath": "$.c"`), `{"c": 1}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"Fail with the longest cause", one(`"Type": "Fail", "Error": "E", "CausePath": "$.c"`), `{"c": "` + strings.Repeat("é", 32768) + `"}`, nil, want{"FAILED", "", "E: " + strings.Repeat("é", 32768), "S", 0}},
		{"Fail with a cause that is too long", one(`"Type": "Fail", "Error": "E", "CausePath": "$.c"`), `{"c": "` + strings.Repeat("é", 32769) + `"}`, nil, want{"FAILED", "", "States.DataLimitExceeded", "S", 0}},
		{"the machine's time-out", `{"TimeoutSeconds": 10, ` + one(`"Type": "Wait", "Seconds": 90, "End": true`)[1:], `1`, nil, want{"TIMED_OUT", "", "States.Timeout", "S", 10 * time.Second}},
		{"a Task", task(reached + `, "Parameters": {"x": 1}, "ResultSelector": {"got.$": "$.y"}, "ResultPath": "$.r"`), `{"a": 1}`, answers(`{"y": 2}`), want{"SUCCEEDED", `{"a":1,"r":{"got":2}}`, "", "S", 0}},
		{"a Task whose answer lacks a field", task(reached + `, "ResultSelector": {"got.$": "$.y"}`), `{}`, answers(`{}`), want{"FAILED", "", "States.Runtime", "S", 0}},
		{"a Task whose answer is no JSON", task(reached), `{}`, answers(`{`), want{"FAILED", "", "States.TaskFailed", "S", 0}},
		{"a Task whose answer is too large", task(reached), `{}`, answers(`"` + strings.Repeat("x", 256<<10) + `"`), want{"FAILED", "", "States.DataLimitExceeded", "S", 0}},
		{"data that just fits", one(`"Type": "Pass", "End": true`), `"` + strings.Repeat("x", 256<<10-2) + `"`, nil, want{"SUCCEEDED", `"` + strings.Repeat("x", 256<<10-2) + `"`, "", "S", 0}},
		{"an input that is too large", task(reached), `"` + strings.Repeat("x", 256<<10) + `"`, nil, want{"FAILED", "", "States.DataLimitExceeded", "", 0}},
		{"an input that is no JSON", task(reached), `{`, nil, want{"FAILED", "", "States.Runtime", "", 0}},
		{"a history without end", one(`"Type": "Choice", "Default": "S", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "S"}]`), `{}`, nil, want{"FAILED", "", "States.Runtime", strings.TrimSpace(strings.Repeat("S ", 12500)), 0}},
		{"attempts without end", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 99999, "MaxDelaySeconds": 2, "JitterStrategy": "FULL"}]`), `{}`, fails(slices.Repeat([]string{"E"}, 20000)...), want{"FAILED", "", "States.Runtime", "S", 8332*time.Second + 500*time.Millisecond}},
		{"Retry with the defaults: 1, 2 and 4 s", task(reached + `, "Retry": [{"ErrorEquals": ["E"]}]`), `{}`, fails("E", "E", "E"), want{"SUCCEEDED", `"ok"`, "", "S", 7 * time.Second}},
		{"Retry is spent", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]`), `{}`, fails("E", "E"), want{"FAILED", "", "E: call 1", "S", time.Second}},
		{"Retry not at all", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]`), `{}`, fails("E"), want{"FAILED", "", "E: call 0", "S", 0}},
		{"Retry up to a cap: 2, 5 and 5 s", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 5}]`), `{}`, fails("E", "E", "E"), want{"SUCCEEDED", `"ok"`, "", "S", 12 * time.Second}},
		{"Retry with jitter, here half", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 4, "JitterStrategy": "FULL"}]`), `{}`, fails("E"), want{"SUCCEEDED", `"ok"`, "", "S", 2 * time.Second}},
		{"each retrier counts its own", task(reached + `, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}, {"ErrorEquals": ["F"], "MaxAttempts": 1}]`), `{}`, fails("E", "F"), want{"SUCCEEDED", `"ok"`, "", "S", 2 * time.Second}},
		{"States.ALL does not retry States.Runtime", task(reached + `, "Parameters": {"a.$": "$.b"}, "Retry": [{"ErrorEquals": ["States.ALL"]}]`), `{}`, nil, want{"FAILED", "", "States.Runtime", "S", 0}},
		{"Catch keeps the input", task(`, "Catch": [{"ErrorEquals": ["F"], "Next": "D"}, {"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "C"}]`), `{"a": 1}`, fails("E"), want{"SUCCEEDED", `{"a":1,"e":{"Cause":"call 0","Error":"E"}}`, "", "S C", 0}},
		{"Catch replaces the input", task(`, "Catch": [{"ErrorEquals": ["E"], "Next": "D"}]`), `{"a": 1}`, fails("E"), want{"SUCCEEDED", `{"Cause":"call 0","Error":"E"}`, "", "S D C", 0}},
		{"States.TaskFailed catches any name", task(`, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "D"}]`), `{}`, fails("E"), want{"SUCCEEDED", `{"Cause":"call 0","Error":"E"}`, "", "S D C", 0}},
		{"States.TaskFailed but no time-out", task(`, "TimeoutSeconds": 5, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "D"}]`), `{}`, hang, want{"FAILED", "", "States.Timeout", "S", 5 * time.Second}},
		{"States.ALL does not catch too much data", task(`, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]`), `{}`, answers(`"` + strings.Repeat("x", 256<<10) + `"`), want{"FAILED", "", "States.DataLimitExceeded", "S", 0}},
		{"an error that is too long for a history", task(`, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]`), `{}`, fullOf("é"), want{"SUCCEEDED", `{"Cause":"` + strings.Repeat("é", 32768) + `","Error":"` + strings.Repeat("é", 256) + `"}`, "", "S D C", 0}},
		{"a time-out that is caught", task(`, "TimeoutSeconds": 5, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "D"}]`), `{}`, hang, want{"SUCCEEDED", `{"Cause":"","Error":"States.Timeout"}`, "", "S D C", 5 * time.Second}},
		{"the machine's time-out is not caught", `{"TimeoutSeconds": 3, ` + task(`, "TimeoutSeconds": 5, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]`)[1:], `{}`, hang, want{"TIMED_OUT", "", "States.Timeout", "S", 3 * time.Second}},
		{"the machine's time-out ends a pause", `{"TimeoutSeconds": 3, ` + task(reached + `, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 9}]`)[1:], `{}`, fails("E"), want{"TIMED_OUT", "", "States.Timeout", "S", 3 * time.Second}},
	}
	for _, tt := range tests {
		m, err := asl.Parse([]byte(tt.definition))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		synctested(t, tt.name, func(t *testing.T) {
			began, nth := time.Now(), 0
			x := m.Run(context.Background(), json.RawMessage(tt.input), asl.Env{
				Jitter: func(d time.Duration) time.Duration { return d / 2 },
				Invoke: func(ctx context.Context, _ string, input json.RawMessage) (json.RawMessage, error) {
					nth++
					return tt.invoke(ctx, nth-1, input)
				},
			})
			got := want{string(x.Status), string(x.Output), x.Error, strings.Join(x.Path, " "), time.Since(began)}
			if x.Cause != "" && !strings.HasPrefix(x.Error, "States.") {
				got.err += ": " + x.Cause
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("execution (-want +got), cause %.200s:\n%.2000s", x.Cause, diff)
			}
		})
	}
}

func TestAnErrorWithoutNameIsTaskFailed(t *testing.T) {
	m, err := asl.Parse([]byte(one(`"Type": "Task", "End": true, "Resource": ` + function)))
	if err != nil {
		t.Fatal(err)
	}
	x := m.Run(t.Context(), json.RawMessage(`{}`), asl.Env{
		Invoke: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return nil, errors.New("no route")
		},
	})
	want := asl.Execution{Status: asl.Failed, Error: asl.TaskFailed, Cause: "no route", Path: []string{"S"}, Items: map[string][][]string{}}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("execution (-want +got):\n%s", diff)
	}
}

func TestACancelledContextAborts(t *testing.T) {
	m, err := asl.Parse([]byte(one(`"Type": "Wait", "Seconds": 90, "End": true`)))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if x := m.Run(ctx, json.RawMessage(`{}`), asl.Env{}); x.Status != asl.Aborted {
			t.Errorf("execution: %+v", x)
		}
	})
}
