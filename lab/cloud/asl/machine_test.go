package asl_test

import (
	"context"
	"encoding/json"
	"testing"

	"sluice/lab/cloud/asl"
	"sluice/stepfunctions"
)

// The machine that ships parses and walks the quiet way. Everything else about it is in the tests of stepfunctions.
func TestQuietSweep(t *testing.T) {
	definition, err := stepfunctions.Substitute(stepfunctions.ScaleIn, map[string]string{
		"CheckFunctionArn":    "arn:aws:lambda:us-east-1:123456789012:function:check",
		"ScaleOutFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:scaleout",
		"ScaleInFunctionArn":  "arn:aws:lambda:us-east-1:123456789012:function:scalein",
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse(definition)
	if err != nil {
		t.Fatal(err)
	}
	x := m.Run(t.Context(), json.RawMessage(`{"shard": 1, "shards": 2}`), asl.Env{
		Invoke: func(_ context.Context, _ string, input json.RawMessage) (json.RawMessage, error) {
			if string(input) != `{"sweep":{"shard":1,"shards":2}}` {
				t.Errorf("Check got %s", input)
			}
			return json.RawMessage(`{"checked": 3, "targets": []}`), nil
		},
	})
	if x.Status != asl.Succeeded || string(x.Output) != `{"checked":3,"targets":[]}` {
		t.Errorf("execution: %+v", x)
	}
}
