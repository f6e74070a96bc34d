package stepfunctions

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"sluice/lab/cloud/asl"
)

// What a sweep may be at most: Check returns 250 targets in 256 KiB, names have 63 characters, and the error of a look has 200 bytes of
// JSON. Package scaler holds Check to that. The error of a function has a name of 256 characters and a cause of 32,768, which is what
// Step Functions records of any.
const (
	mostTargets = 250
	mostData    = 256 << 10
	mostName    = 63
	mostError   = 200
	mostCause   = 32768
)

// fate is what becomes of each of the targets.
type fate struct {
	name            string
	check           string // A look of scenarios.txt, as the next two are.
	confirm, verify string
	scaleIn         string // What ScaleIn answers.
	fails           string // The call that fails: scaleout, confirm, scalein or verify.
	throttled       int    // How often each call is throttled before it is answered.
	failed          bool   // Whether the targets count as failed.
	text            string // What errors are full of.
}

func fates() []fate {
	var all []fate
	for _, text := range []string{"x", "\x01", `"`, "<", "é", "\U0001F600", "\u2028"} {
		all = append(
			all,
			fate{name: "nothing can be looked at", check: "blind", failed: true, text: text},
			fate{name: "repaired, half blind", check: "blindlost", failed: true, text: text},
			fate{name: "ScaleOut fails", check: "lost", fails: "scaleout", failed: true, text: text},
			fate{name: "Confirm fails", check: "candidate", fails: "confirm", failed: true, text: text},
			fate{name: "ScaleIn fails", check: "candidate", confirm: "candidate", fails: "scalein", failed: true, text: text},
			fate{name: "Verify fails", check: "candidate", confirm: "candidate", scaleIn: "scaled in", fails: "verify", failed: true, text: text},
			fate{name: "Restore fails", check: "candidate", confirm: "candidate", scaleIn: "scaled out", verify: "blindlost", fails: "scaleout", failed: true, text: text},
			fate{name: "blind at the second look", check: "candidate", confirm: "blind", failed: true, text: text},
			fate{name: "blind at the last look", check: "candidate", confirm: "candidate", scaleIn: "scaled out", verify: "blind", failed: true, text: text},
			fate{name: "restored, half blind", check: "candidate", confirm: "candidate", scaleIn: "scaled out", verify: "blindlost", failed: true, text: text},
		)
	}
	return append(
		all,
		fate{name: "dropped", check: "candidate", confirm: "held"},
		fate{name: "let go", check: "candidate", confirm: "candidate", scaleIn: "scaled in", verify: "held"},
		fate{name: "each call is throttled to its last attempt", check: "candidate", confirm: "candidate", scaleIn: "scaled in", verify: "lost", throttled: 5},
	)
}

// TestLimits runs the machine on sweeps that are as large as they can be. Whatever becomes of all the targets, no state exceeds what
// Step Functions bears, and a failed execution names each target that failed.
func TestLimits(t *testing.T) {
	for _, f := range fates() {
		t.Run(fmt.Sprintf("%s, %+q", f.name, f.text), func(t *testing.T) {
			if err := f.run(t, ScaleIn); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLimitsNoticeEachMutant: bounds that are off are found by one of the sweeps.
func TestLimitsNoticeEachMutant(t *testing.T) {
	type states = map[string]any
	at := func(s states, names ...string) states {
		for _, name := range names {
			s = s[name].(states)
		}
		return s
	}
	top := func(d states) states { return at(d, "States") }
	item := func(d states) states { return at(top(d), "Sweep", "ItemProcessor", "States") }
	mutants := map[string]func(definition states){
		"the results stand beside what Check answered": func(d states) {
			at(top(d), "Sweep")["ResultPath"] = "$.results"
			p := at(top(d), "Summary", "Parameters")
			p["results.$"], p["failed.$"] = "$.results", "States.ArrayContains($.results[*].failed, true)"
		},
		"the cause holds all results": func(d states) {
			at(top(d), "Explain", "Parameters")["cause.$"] = "States.JsonToString($.results)"
			at(top(d), "AnyFailed")["Choices"].([]any)[0].(states)["Next"] = "Explain"
			delete(top(d), "Failures")
			delete(top(d), "Count")
		},
		"the cause holds the results of all that failed": func(d states) { at(top(d), "Count", "Parameters")["first.$"] = "$.results[*]" },
		"the cause holds the results of 80":              func(d states) { at(top(d), "Count", "Parameters")["first.$"] = "$.results[0:80]" },
		"a result may have the name of any error": func(d states) {
			at(item(d), "Failed")["Default"] = "FailedByName"
			delete(item(d), "FailedOtherwise")
		},
		"a result may have the cause of an error": func(d states) {
			p := at(item(d), "FailedOtherwise", "Parameters")
			delete(p, "error")
			p["error.$"] = "$.caught.Cause"
		},
		"more attempts than a history holds": func(d states) {
			for _, task := range []string{"Confirm", "ScaleIn", "Verify", "Restore"} {
				at(item(d), task)["Retry"].([]any)[0].(states)["MaxAttempts"] = 6
			}
		},
	}
	for name, mutate := range mutants {
		t.Run(name, func(t *testing.T) {
			var definition states
			if err := json.Unmarshal([]byte(ScaleIn), &definition); err != nil {
				t.Fatal(err)
			}
			mutate(definition)
			all := fates()
			if name == "more attempts than a history holds" {
				all = all[len(all)-1:]
				all[0].throttled = 6
			}
			for _, f := range all {
				if err := f.run(t, canonical(definition)); err != nil {
					t.Logf("noticed by %s, %+q: %v", f.name, f.text, err)
					return
				}
			}
			t.Error("nothing notices it")
		})
	}
}

// run runs a sweep of as many targets as there may be, to each of which the same happens, and says what is wrong with its end.
func (f fate) run(t *testing.T, definition string) error {
	t.Helper()
	filled, err := Substitute(definition, arns)
	if err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse(filled)
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]string{}
	for placeholder, name := range map[string]string{CheckFunctionArn: "check", ScaleOutFunctionArn: "scaleout", ScaleInFunctionArn: "scalein"} {
		functions[arns[placeholder]] = name
	}
	all := f.answer()
	if len(all) != mostData {
		t.Fatalf("Check answers %d bytes, want %d", len(all), mostData)
	}
	var mu sync.Mutex
	tries := map[string]int{}
	env := asl.Env{
		Jitter: func(d time.Duration) time.Duration { return d / 2 },
		Invoke: func(_ context.Context, arn string, input json.RawMessage) (json.RawMessage, error) {
			var in struct {
				Target   string
				Previous any
			}
			if err := json.Unmarshal(input, &in); err != nil {
				t.Fatal(err)
			}
			if in.Target == "" {
				return all, nil
			}
			task := functions[arn]
			if task == "check" {
				task = "verify"
				if in.Previous != nil {
					task = "confirm"
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if key := task + in.Target; tries[key] < f.throttled {
				tries[key]++
				return nil, &asl.TaskError{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
			}
			if task == f.fails {
				return nil, &asl.TaskError{Name: strings.Repeat(f.text, 256), Cause: strings.Repeat(f.text, mostCause)}
			}
			switch task {
			case "confirm":
				return json.RawMessage(compact(f.look(in.Target, f.confirm, 2))), nil
			case "verify":
				return json.RawMessage(compact(f.look(in.Target, f.verify, 3))), nil
			case "scalein":
				return json.RawMessage(compact(done(in.Target, f.scaleIn))), nil
			}
			return json.RawMessage(compact(done(in.Target, "scaled out"))), nil
		},
	}
	var x asl.Execution
	synctest.Test(t, func(t *testing.T) { x = m.Run(t.Context(), json.RawMessage(`{}`), env) })
	return f.judge(x)
}

// judge says what is wrong with the end of an execution.
func (f fate) judge(x asl.Execution) error {
	if !f.failed {
		var got struct{ Results []any }
		if err := json.Unmarshal(x.Output, &got); x.Status != asl.Succeeded || err != nil || len(got.Results) != mostTargets {
			return fmt.Errorf("%s, %s: %.200s; %d results, %v", x.Status, x.Error, x.Cause, len(got.Results), err)
		}
		return nil
	}
	var got struct {
		Acted, Failed int
		Targets       []string
		First         []struct{ Target, Error string }
	}
	if err := json.Unmarshal([]byte(x.Cause), &got); x.Status != asl.Failed || x.Error != "TargetsFailed" || err != nil {
		return fmt.Errorf("%s, %s: %.200s; %v", x.Status, x.Error, x.Cause, err)
	}
	if n := utf8.RuneCountInString(x.Cause); n > mostCause {
		return fmt.Errorf("the cause has %d characters", n)
	}
	if got.Acted != mostTargets || got.Failed != mostTargets || len(got.Targets) != mostTargets || len(got.First) != 20 {
		return fmt.Errorf("%d of %d failed, %d are named, of %d it is said why", got.Failed, got.Acted, len(got.Targets), len(got.First))
	}
	for i, name := range got.Targets {
		if name != targetName(i) || i < len(got.First) && (got.First[i].Target != name || got.First[i].Error == "") {
			return fmt.Errorf("target %d is told as %s", i, name)
		}
	}
	return nil
}

// targetName is the longest name of the nth target.
func targetName(n int) string { return fmt.Sprintf("%0*d", mostName, n) }

// answer is the largest answer of Check: filled up to the byte.
func (f fate) answer() json.RawMessage {
	targets := make([]any, mostTargets)
	for i := range targets {
		targets[i] = f.look(targetName(i), f.check, 1)
	}
	sweep := map[string]any{"checked": 999999, "held": 999999, "failed": 999999, "deferred": 999999, "targets": targets}
	each := (mostData - len(compact(sweep)) - 8) / mostTargets
	for i := range targets {
		targets[i].(map[string]any)["fill"] = strings.Repeat("x", each-len(`,"fill":""`))
	}
	sweep["fill"] = ""
	sweep["fill"] = strings.Repeat("x", mostData-len(compact(sweep)))
	return json.RawMessage(compact(sweep))
}

// look is a look with the longest error.
func (f fate) look(target, word string, nth int) any {
	l := look(target, word, nth).(map[string]any)
	if l["failed"] == true {
		text := ""
		for len(canonical(text+f.text)) <= mostError { // With HTML escaped, as Check's answer is.
			text += f.text
		}
		l["error"] = text
	}
	return l
}

// compact writes JSON as an engine does: as it is, in UTF-8.
func compact(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
