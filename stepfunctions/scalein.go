// Package stepfunctions holds the one canonical state machine of a sweep, scalein.asl.json, and the checks that it is
// held to.
//
// The file is what AWS runs, what the local cloud runs (lab/cloud/asl) and what the tests run in two independent
// public engines; nothing is generated from it or patched into it but the ARNs of the three Lambda functions, which
// stand in it as the placeholders that CDK's definitionSubstitutions fills in. Why the machine is as it is stands in
// docs/design/0005-state-machine.md.
//
// package.json pins development tools only: two validators, one engine and the Node.js that it needs.
package stepfunctions

import (
	_ "embed" // For the state machine.
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ScaleIn is the definition of the sweep's state machine in the Amazon States Language, with placeholders.
//
//go:embed scalein.asl.json
var ScaleIn string

// The placeholders of ScaleIn, each for the ARN of a Lambda function.
const (
	CheckFunctionArn    = "CheckFunctionArn"
	ScaleOutFunctionArn = "ScaleOutFunctionArn"
	ScaleInFunctionArn  = "ScaleInFunctionArn"
)

// placeholder is the form that CloudFormation's DefinitionSubstitutions knows.
var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// Substitute fills in the placeholders of a definition, as CloudFormation does on deployment. It refuses a placeholder
// without a value, a value without a placeholder, and a value that would not stay inside its JSON string.
func Substitute(definition string, values map[string]string) ([]byte, error) {
	var unbound []string
	used := map[string]bool{}
	filled := placeholder.ReplaceAllStringFunc(definition, func(p string) string {
		name := p[2 : len(p)-1]
		value, ok := values[name]
		if !ok {
			unbound = append(unbound, name)
			return p
		}
		used[name] = true
		return value
	})
	if len(unbound) > 0 {
		slices.Sort(unbound)
		return nil, fmt.Errorf("substitute placeholders: no value for %s", strings.Join(slices.Compact(unbound), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !used[name] {
			return nil, fmt.Errorf("substitute placeholders: the definition has no %s", name)
		}
		if v := values[name]; v == "" || strings.ContainsFunc(v, unfitForJSON) {
			return nil, fmt.Errorf("substitute placeholders: %s has the unfit value %q", name, v)
		}
	}
	return []byte(filled), nil
}

// unfitForJSON says whether a character would end or change the JSON string that it stands in.
func unfitForJSON(r rune) bool { return r < 0x20 || r == '"' || r == '\\' }
