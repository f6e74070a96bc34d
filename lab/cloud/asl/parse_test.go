package asl_test

import (
	"strings"
	"testing"

	"sluice/lab/cloud/asl"
)

const function = `"arn:aws:lambda:us-east-1:123456789012:function:f"`

// one returns a machine of one state, S, with the given fields.
func one(fields string) string { return `{"StartAt": "S", "States": {"S": {` + fields + `}}}` }

// Whatever is not supported is refused, by its name and place.
func TestParseRefuses(t *testing.T) {
	mapOf := func(fields string) string {
		return one(`"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "T", "States": {"T": {"Type": "Succeed"}}` + fields)
	}
	tests := []struct{ name, definition, want string }{
		{"no JSON", `{`, "is not JSON"},
		{"no object", `[]`, "state machine: is no JSON object"},
		{"nothing", `{}`, "StartAt: is missing"},
		{"an unknown field", `{"Foo": 1, "StartAt": "S", "States": {"S": {"Type": "Succeed"}}}`, "Foo: is not supported here"},
		{"a field twice", `{"StartAt": "S", "StartAt": "S", "States": {"S": {"Type": "Succeed"}}}`, "StartAt: occurs twice"},
		{"JSONata", `{"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": {"Type": "Succeed"}}}`, `QueryLanguage: "JSONata" is not supported`},
		{"JSONata in a state", one(`"Type": "Succeed", "QueryLanguage": "JSONata"`), "States.S.QueryLanguage"},
		{"a Parallel", one(`"Type": "Parallel", "Branches": []`), `States.S.Type: "Parallel" is not supported`},
		{"InputPath", one(`"Type": "Pass", "InputPath": "$.a", "End": true`), "States.S.InputPath: is not supported here"},
		{"OutputPath", one(`"Type": "Succeed", "OutputPath": "$.a"`), "States.S.OutputPath: is not supported here"},
		{"Assign", one(`"Type": "Pass", "Assign": {}, "End": true`), "States.S.Assign: is not supported here"},
		{"a service integration", one(`"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true`), "States.S.Resource:"},
		{"a placeholder left", one(`"Type": "Task", "Resource": "${CheckFunctionArn}", "End": true`), "States.S.Resource:"},
		{"a heartbeat", one(`"Type": "Task", "Resource": ` + function + `, "HeartbeatSeconds": 3, "End": true`), "States.S.HeartbeatSeconds: is not supported"},
		{"a time-out of nothing", one(`"Type": "Task", "Resource": ` + function + `, "TimeoutSeconds": 0, "End": true`), "States.S.TimeoutSeconds: is no whole number from 1"},
		{"neither Next nor End", one(`"Type": "Pass"`), "States.S: needs either Next or End"},
		{"both Next and End", one(`"Type": "Pass", "Next": "S", "End": true`), "States.S: needs either Next or End"},
		{"a Choice with Next", one(`"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "S"}], "Next": "S"`), "States.S.Next: is not supported here"},
		{"a start that is not there", `{"StartAt": "T", "States": {"S": {"Type": "Succeed"}}}`, `StartAt: leads to "T", which does not exist`},
		{"a transition to nowhere", one(`"Type": "Pass", "Next": "T"`), `States.S: leads to "T", which does not exist`},
		{"a catcher to nowhere", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Catch": [{"ErrorEquals": ["E"], "Next": "T"}]`), `leads to "T"`},
		{"a state that is never reached", `{"StartAt": "S", "States": {"S": {"Type": "Succeed"}, "T": {"Type": "Succeed"}}}`, "States.T: cannot be reached"},
		{"a comparison", one(`"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "S"}]`), "States.S.Choices[0]: has no comparison that is supported"},
		{"two comparisons", one(`"Type": "Choice", "Choices": [{"Variable": "$.a", "BooleanEquals": true, "IsNull": true, "Next": "S"}]`), "States.S.Choices[0].IsNull: is not supported here"},
		{"a nested rule with Next", one(`"Type": "Choice", "Choices": [{"Not": {"Variable": "$.a", "IsPresent": true, "Next": "S"}, "Next": "S"}]`), "States.S.Choices[0].Not.Next: is not supported here"},
		{"rules too deep", one(`"Type": "Choice", "Choices": [{"Next": "S", ` + strings.Repeat(`"Not": {`, 40) + `"Variable": "$.a", "IsPresent": true` + strings.Repeat("}", 40) + `}]`), "is nested too deeply"},
		{"a filter", one(`"Type": "Pass", "Parameters": {"a.$": "$.b[?(@.c == 1)]"}, "End": true`), "States.S.Parameters.a.$: path"},
		{"recursive descent", one(`"Type": "Pass", "Parameters": {"a.$": "$..b"}, "End": true`), "States.S.Parameters.a.$: path"},
		{"an intrinsic function", one(`"Type": "Pass", "Parameters": {"a.$": "States.UUID()"}, "End": true`), `the intrinsic function "States.UUID" is not supported`},
		{"too few arguments", one(`"Type": "Pass", "Parameters": {"a.$": "States.ArrayContains($.b)"}, "End": true`), "States.ArrayContains takes 2 arguments, not 1"},
		{"a path without .$", one(`"Type": "Pass", "Parameters": {"a.$": "b"}, "End": true`), "neither a path nor an intrinsic function"},
		{"a name in two forms", one(`"Type": "Pass", "Parameters": {"a": 1, "a.$": "$.b"}, "End": true`), "occurs twice, with .$ and without"},
		{"the context object", one(`"Type": "Pass", "Parameters": {"a.$": "$$.Execution.Id"}, "End": true`), "this part of the context object is not supported here"},
		{"a ResultPath with an index", one(`"Type": "Pass", "ResultPath": "$.a[0]", "End": true`), "States.S.ResultPath: path"},
		{"a ResultPath that is null", one(`"Type": "Pass", "ResultPath": null, "End": true`), "States.S.ResultPath: is no string"},
		{"a wait for nothing", one(`"Type": "Wait", "End": true`), "States.S: needs Seconds or SecondsPath"},
		{"a wait until", one(`"Type": "Wait", "Timestamp": "2026-01-01T00:00:00Z", "End": true`), "States.S.Timestamp: is not supported here"},
		{"two kinds of wait", one(`"Type": "Wait", "Seconds": 1, "SecondsPath": "$.a", "End": true`), "States.S.Seconds: is not supported here"},
		{"a distributed Map", mapOf(`, "ProcessorConfig": {"Mode": "DISTRIBUTED"}}`), `States.S.ItemProcessor.ProcessorConfig.Mode: "DISTRIBUTED" is not supported`},
		{"a Map in a Map", one(`"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "T", "States": {"T": {"Type": "Map", "End": true}}}`), "States.S.ItemProcessor.States.T: a Map within a Map is not supported"},
		{"tolerated failures", mapOf(`}, "ToleratedFailureCount": 1`), "States.S.ToleratedFailureCount: is not supported here"},
		{"a Map that catches", mapOf(`}, "Catch": []`), "States.S.Catch: is not supported here"},
		{"a Map's Parameters of old", mapOf(`}, "Parameters": {}`), "States.S.Parameters: is not supported here"},
		{"an error that AWS does not know", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["States.Oops"]}]`), "States.S.Retry[0]: there is no error called States.Oops"},
		{"States.ALL in company", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["States.ALL", "E"]}]`), "States.ALL has to stand alone, and last"},
		{"States.ALL before the end", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]`), "States.ALL has to stand alone, and last"},
		{"a retrier for nothing", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{}]`), "States.S.Retry[0].ErrorEquals: is missing"},
		{"a shrinking backoff", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["E"], "BackoffRate": 0.5}]`), "BackoffRate: is no number of at least 1"},
		{"jitter of another kind", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "SOME"}]`), "is neither FULL nor NONE"},
		{"a cap below the interval", one(`"Type": "Task", "Resource": ` + function + `, "End": true, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}]`), "is not above IntervalSeconds"},
		{"an error's name that is too long", one(`"Type": "Fail", "Error": "` + strings.Repeat("e", 257) + `"`), "States.S.Error: has more than 256 characters"},
		{"two causes", one(`"Type": "Fail", "Cause": "a", "CausePath": "$.b"`), "States.S: has both Cause and CausePath"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := asl.Parse([]byte(tt.definition)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%s): error %v, want %q", tt.definition, err, tt.want)
			}
		})
	}
}

func TestParseTellsAllFindings(t *testing.T) {
	_, err := asl.Parse([]byte(one(`"Type": "Wait", "Next": "T", "Foo": 1`)))
	for _, want := range []string{"States.S.Foo", "needs Seconds", `leads to "T"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse: error %v, want %q in it", err, want)
		}
	}
}
