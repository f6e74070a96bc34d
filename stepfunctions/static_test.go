package stepfunctions

import (
	"strings"
	"testing"

	"sluice/lab/testenv"
)

// findings are what the two public validators say of one definition.
type findings struct {
	Validator       []string `json:"validator"`
	LanguageService []string `json:"language_service"`
}

// Both validators find nothing in the machine, and neither is blind: each finds the fault that is planted for it.
func TestValidators(t *testing.T) {
	node, _ := testenv.Node(t)
	definition, err := Substitute(ScaleIn, arns)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name            string
		from, to        string
		validator       bool // Whether asl-validator has to find something.
		languageService bool // Whether amazon-states-language-service has to find something.
	}{
		{name: "the machine as it is", from: `"Check"`, to: `"Check"`},
		{name: "a transition to nowhere", from: `"Next": "Verify"`, to: `"Next": "Verity"`, validator: true, languageService: true},
		{name: "an unknown type", from: `"Type": "Wait"`, to: `"Type": "Weight"`, validator: true, languageService: true},
		{name: "a broken path", from: `"$.first.settle_seconds"`, to: `"$.first..[settle"`, validator: true},
		{name: "a field of the wrong type", from: `"MaxConcurrency": 40`, to: `"MaxConcurrency": "forty"`, validator: true, languageService: true},
		{name: "a state that nothing leads to", from: `"Next": "Restore"`, to: `"Next": "ScaledIn"`, validator: true, languageService: true},
	}
	var definitions []string
	for _, tt := range tests {
		if !strings.Contains(string(definition), tt.from) {
			t.Fatalf("%s: the machine has no %s", tt.name, tt.from)
		}
		definitions = append(definitions, strings.Replace(string(definition), tt.from, tt.to, 1))
	}
	var results []findings
	runTool(t, node, "../lab/engines/validate.mjs", definitions, &results)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := results[i]
			if (len(got.Validator) > 0) != tt.validator {
				t.Errorf("asl-validator: %q, want findings: %t", got.Validator, tt.validator)
			}
			if (len(got.LanguageService) > 0) != tt.languageService {
				t.Errorf("amazon-states-language-service: %q, want findings: %t", got.LanguageService, tt.languageService)
			}
		})
	}
}
