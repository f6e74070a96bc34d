package asl_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"sluice/lab/cloud/asl"
	"sluice/stepfunctions"
)

// Whatever the definition, the input and the answers: no panic, no endless run, and an output that is JSON.
func FuzzParseAndRun(f *testing.F) {
	arn := `arn:aws:lambda:us-east-1:123456789012:function:f`
	shipped, err := stepfunctions.Substitute(stepfunctions.ScaleIn, map[string]string{
		stepfunctions.CheckFunctionArn: arn, stepfunctions.ScaleOutFunctionArn: arn, stepfunctions.ScaleInFunctionArn: arn,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped, []byte(`{}`), []byte(`{"targets": [{"target": "a", "should_scale_out": true}]}`))
	f.Add([]byte(fanned), []byte(`{"k": 1, "items": [1, 2, {}]}`), []byte(`1`))
	f.Add([]byte(task(reached)), []byte(`[]`), []byte(`{`))
	f.Add([]byte(one(`"Type": "Pass", "End": true, "Parameters": {"a.$": "States.ArrayContains($.a[*][0], States.JsonToString($))"}`)), []byte(`{"a": [[1]]}`), []byte(``))
	f.Fuzz(func(t *testing.T, definition, input, answer []byte) {
		m, err := asl.Parse(definition)
		if err != nil {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			x := m.Run(t.Context(), input, asl.Env{
				Invoke: func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return answer, nil },
			})
			if x.Status == asl.Succeeded && !json.Valid(x.Output) {
				t.Errorf("the output is not JSON: %s", x.Output)
			}
		})
	})
}
