package stepfunctions

import (
	"encoding/json"
	"strings"
	"testing"
)

// arns are what the tests bind the placeholders to.
var arns = map[string]string{
	CheckFunctionArn:    "arn:aws:lambda:us-east-1:123456789012:function:check",
	ScaleOutFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:scaleout",
	ScaleInFunctionArn:  "arn:aws:lambda:us-east-1:123456789012:function:scalein",
}

func TestSubstitute(t *testing.T) {
	definition, err := Substitute(ScaleIn, arns)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(definition) {
		t.Error("the filled-in definition is not JSON")
	}
	if strings.Contains(string(definition), "${") {
		t.Error("a placeholder is left")
	}
	for name, arn := range arns {
		if !strings.Contains(string(definition), `"`+arn+`"`) {
			t.Errorf("%s: %s is nowhere", name, arn)
		}
	}
}

func TestSubstituteRefuses(t *testing.T) {
	tests := []struct {
		name       string
		definition string
		values     map[string]string
		want       string
	}{
		{
			name: "a placeholder without a value", definition: `"${B}" "${A}" "${B}"`, values: nil,
			want: "substitute placeholders: no value for A, B",
		},
		{
			name: "a value without a placeholder", definition: `"${A}"`, values: map[string]string{"A": "x", "B": "y"},
			want: "substitute placeholders: the definition has no B",
		},
		{
			name: "a nameless placeholder", definition: `"${}"`, values: map[string]string{"A": "x"},
			want: "substitute placeholders: no value for ",
		},
		{
			name: "an empty value", definition: `"${A}"`, values: map[string]string{"A": ""},
			want: `substitute placeholders: A has the unfit value ""`,
		},
		{
			name: "a value that breaks out of its string", definition: `"${A}"`, values: map[string]string{"A": `x","y":"`},
			want: `substitute placeholders: A has the unfit value "x\",\"y\":\""`,
		},
		{
			name: "a value is not looked into", definition: `"${A}"`, values: map[string]string{"A": "${A}", "B": "x"},
			want: "substitute placeholders: the definition has no B",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Substitute(tt.definition, tt.values)
			if err == nil || err.Error() != tt.want {
				t.Errorf("Substitute(%q) = %s, error %v, want error %s", tt.definition, got, err, tt.want)
			}
		})
	}
}
