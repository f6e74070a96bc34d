package stepfunctions

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/lab/cloud/asl"
)

// Each mutant is the machine with one fault that still parses. The table of scenarios is worth something only if one of
// them notices each.
func TestScenariosNoticeEachMutant(t *testing.T) {
	type states = map[string]any
	item := func(d states) states {
		return d["States"].(states)["Sweep"].(states)["ItemProcessor"].(states)["States"].(states)
	}
	top := func(d states) states { return d["States"].(states) }
	at := func(s states, name string) states { return s[name].(states) }
	// firstTwo swaps the first two rules of a Choice.
	firstTwo := func(s states) {
		rules := s["Choices"].([]any)
		rules[0], rules[1] = rules[1], rules[0]
	}
	retry := func(s states, i int) states { return s["Retry"].([]any)[i].(states) }
	// unverified skips Verify after one of ScaleIn's answers.
	unverified := func(s states, status string) {
		at(s, "ScaleIn")["Next"] = "Verified"
		rule := states{"Variable": "$.scale_in.status", "StringEquals": status, "Next": "ScaledIn"}
		s["Verified"] = states{"Type": "Choice", "Choices": []any{rule}, "Default": "Verify"}
	}

	// faulty has throttling by Lambda retried as a fault is.
	faulty := func(s states) {
		s["Retry"] = s["Retry"].([]any)[1:]
		r := retry(s, 0)
		r["ErrorEquals"] = append(r["ErrorEquals"].([]any), "Lambda.TooManyRequestsException")
	}

	mutants := map[string]func(definition states){
		"Check: throttling is a fault like others":    func(d states) { faulty(at(top(d), "Check")) },
		"ScaleOut: throttling is a fault like others": func(d states) { faulty(at(item(d), "ScaleOut")) },
		"Confirm: throttling is a fault like others":  func(d states) { faulty(at(item(d), "Confirm")) },
		"ScaleIn: throttling is a fault like others":  func(d states) { faulty(at(item(d), "ScaleIn")) },
		"Verify: throttling is a fault like others":   func(d states) { faulty(at(item(d), "Verify")) },
		"Restore: throttling is a fault like others":  func(d states) { faulty(at(item(d), "Restore")) },
		"throttling without end":                      func(d states) { retry(at(top(d), "Check"), 0)["MaxAttempts"] = 6 },
		"the cause names the wrong targets": func(d states) {
			at(at(top(d), "Failures"), "Parameters")["results.$"] = "$.results[?(@.failed == false)]"
		},
		"the cause counts all targets as failed": func(d states) {
			at(at(top(d), "Failures"), "Parameters")["results.$"] = "$.results"
		},
		"the cause tells of fewer": func(d states) { at(at(top(d), "Count"), "Parameters")["first.$"] = "$.results[0:19]" },
		"the cause does not say of how many": func(d states) {
			at(at(top(d), "Count"), "Parameters")["acted.$"] = "States.ArrayLength($.results)"
		},
		"an error of any name is told by it":     func(d states) { at(item(d), "Failed")["Default"] = "FailedByName"; delete(item(d), "FailedOtherwise") },
		"ScaleOut without its Catch":             func(d states) { delete(at(item(d), "ScaleOut"), "Catch") },
		"Confirm without its Catch":              func(d states) { delete(at(item(d), "Confirm"), "Catch") },
		"ScaleIn without its Catch":              func(d states) { delete(at(item(d), "ScaleIn"), "Catch") },
		"Verify without its Catch":               func(d states) { delete(at(item(d), "Verify"), "Catch") },
		"Restore without its Catch":              func(d states) { delete(at(item(d), "Restore"), "Catch") },
		"a Catch that loses the input":           func(d states) { at(item(d), "ScaleOut")["Catch"].([]any)[0].(states)["ResultPath"] = "$" },
		"Check without its Retry":                func(d states) { delete(at(top(d), "Check"), "Retry") },
		"ScaleIn without its Retry":              func(d states) { delete(at(item(d), "ScaleIn"), "Retry") },
		"Verify without its Retry":               func(d states) { delete(at(item(d), "Verify"), "Retry") },
		"Restore without its Retry":              func(d states) { delete(at(item(d), "Restore"), "Retry") },
		"ScaleOut is retried whatever the error": func(d states) { retry(at(item(d), "ScaleOut"), 2)["ErrorEquals"] = []any{"States.ALL"} },
		"Check is retried once too often":        func(d states) { retry(at(top(d), "Check"), 1)["MaxAttempts"] = 5 },
		"one retrier for all errors of Check": func(d states) {
			r := retry(at(top(d), "Check"), 1)
			r["ErrorEquals"] = append(r["ErrorEquals"].([]any), "Sandbox.Timedout")
		},
		"failed before scale-out":                   func(d states) { firstTwo(at(item(d), "Decide")) },
		"failed before scale-out, confirming":       func(d states) { firstTwo(at(item(d), "StillIdle")) },
		"scale-in that is not confirmed":            func(d states) { at(item(d), "StillIdle")["Choices"].([]any)[2].(states)["BooleanEquals"] = false },
		"Confirm does not tell what was seen":       func(d states) { delete(at(item(d), "Confirm")["Parameters"].(states), "previous.$") },
		"ScaleIn is told the second look":           func(d states) { at(item(d), "ScaleIn")["Parameters"].(states)["previous.$"] = "$.look.seen" },
		"Confirm is not kept":                       func(d states) { at(item(d), "Confirm")["ResultPath"] = "$.ignored" },
		"ScaleIn that held is not verified":         func(d states) { unverified(item(d), "held") },
		"ScaleIn that only drained is not verified": func(d states) { unverified(item(d), "draining") },
		"ScaleIn that resumed is not verified":      func(d states) { unverified(item(d), "resumed") },
		"ScaleIn that acted is not verified":        func(d states) { unverified(item(d), "scaled in") },
		"the first look's advice after scale-in": func(d states) {
			at(item(d), "WorkCame")["Choices"].([]any)[0].(states)["Variable"] = "$.first.should_scale_out"
		},
		"what only drained passes for scaled in": func(d states) {
			p := at(item(d), "ScaledIn")["Parameters"].(states)
			delete(p, "outcome.$")
			p["outcome"] = "scaled in"
		},
		"the result does not tell that workers came back": func(d states) {
			p := at(item(d), "Restored")["Parameters"].(states)
			delete(p, "then.$")
			p["then"] = nil
		},
		"a failed target does not fail the run": func(d states) {
			at(top(d), "Summary")["Parameters"].(states)["failed.$"] = "States.ArrayContains($.results[*].failed, null)"
		},
		"the repair loses that it saw nothing": func(d states) {
			p := at(item(d), "ScaledOut")["Parameters"].(states)
			delete(p, "failed.$")
			p["failed"] = false
		},
		"no answer passes for a quiet one": func(d states) {
			at(top(d), "NoAnswer")["Type"] = "Succeed"
			delete(at(top(d), "NoAnswer"), "Error")
			delete(at(top(d), "NoAnswer"), "Cause")
		},
		"Check is not given the shard":  func(d states) { at(top(d), "Check")["Parameters"] = states{} },
		"a task that may hang for ever": func(d states) { delete(at(item(d), "ScaleIn"), "TimeoutSeconds") },
	}
	for name, mutate := range mutants {
		t.Run(name, func(t *testing.T) {
			var definition states
			if err := json.Unmarshal([]byte(ScaleIn), &definition); err != nil {
				t.Fatal(err)
			}
			mutate(definition)
			var noticed []string
			for _, s := range scenarios(t, canonical(definition)) {
				m, err := asl.Parse(s.Definition)
				if err != nil {
					t.Fatalf("the mutant does not even parse: %v", err)
				}
				if difference(s.want, interpret(t, m, s)) != "" {
					noticed = append(noticed, s.Name)
				}
			}
			if len(noticed) == 0 {
				t.Error("no scenario notices it")
			}
			t.Logf("noticed by: %s", strings.Join(noticed, "; "))
		})
	}
}
