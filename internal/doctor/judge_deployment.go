package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sluice/internal/scaler"
)

func awsIdentity(j *judgement, f *Facts) {
	if f.Caller.Err != nil {
		j.find("", "AWS does not take the credentials: %v", f.Caller.Err)
	}
}

func callerRights(j *judgement, f *Facts) {
	if len(f.Denied) > 0 {
		j.find("", "%s may not call %s", f.Caller.Value, strings.Join(f.Denied, ", "))
	}
}

func stackMissing(j *judgement, f *Facts) {
	switch s, ok := known(j, "", f.Stack); {
	case !ok:
	case !s.Exists:
		j.find("", "there is no stack %s in Region %s", s.Name, f.Region)
	case s.Problem != "":
		j.find("", "%s", s.Problem)
	}
}

// errNoStack is why nothing can be said of what the stack would have made.
var errNoStack = errors.New("the stack is not there, or is another one")

// whenDeployed calls judge where the stack is there.
func whenDeployed(judge func(*judgement, *Facts)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		switch s, ok := known(j, "", f.Stack); {
		case !ok:
		case !s.Exists || s.Problem != "":
			j.unchecked("", errNoStack)
		default:
			judge(j, f)
		}
	}
}

func stackUnsettled(j *judgement, f *Facts) {
	status := f.Stack.Value.Status
	if !strings.HasSuffix(status, "_COMPLETE") || strings.Contains(status, "ROLLBACK") || strings.HasPrefix(status, "DELETE") {
		j.find("", "stack %s is %s", f.Stack.Value.Name, status)
	}
}

// subject names a function in findings.
func (f Function) subject() string { return "function " + f.Name }

// functions calls judge for each function that is there.
func functions(judge func(*judgement, Function, FunctionState)) func(*judgement, *Facts) {
	return whenDeployed(func(j *judgement, f *Facts) {
		for _, fn := range f.Functions {
			if s, ok := known(j, fn.subject(), fn.State); ok {
				judge(j, fn, s)
			}
		}
	})
}

func functionMissing(j *judgement, fn Function, s FunctionState) {
	if !s.Exists {
		j.find(fn.subject(), "it is not there any more, although the stack has it")
	}
}

func functionStopped(j *judgement, fn Function, s FunctionState) {
	switch {
	case !s.Exists:
		j.unchecked(fn.subject(), errors.New("the function is not there"))
	case s.Reserved != nil && *s.Reserved == 0:
		j.find(fn.subject(), "its reserved concurrency is 0, so that Lambda refuses every call")
	case s.State != "" && s.State != "Active":
		j.find(fn.subject(), "it is %s: %s", s.State, s.Reason)
	}
}

func functionRights(j *judgement, f *Facts) {
	for _, r := range f.Rights {
		if lacks, ok := known(j, r.Whose, r.Lacks); ok && len(lacks) > 0 {
			j.find(r.Whose, "its role lacks %s", strings.Join(lacks, "; "))
		}
	}
}

func staleDeployment(j *judgement, f *Facts) {
	a, ok := known(j, "", f.Answer)
	switch {
	case !ok:
	case a.Config == "":
		j.unchecked("", errors.New("the Check function does not tell which sluice.yaml it has: it is of an older version"))
	case a.Config != f.Config.Fingerprint():
		j.find("", "the sluice.yaml that is deployed differs from this one")
	}
}

func functionBlind(j *judgement, f *Facts) {
	a, ok := known(j, "", f.Answer)
	if !ok {
		return
	}
	for _, t := range a.Plan.Targets {
		if text := unseen(t); text != "" {
			j.find("target "+t.Record.Target, "the Check function cannot see it: %s", text)
		}
	}
}

// unseen is what kept a look from seeing a target. Tags that cannot be understood are among a look's errors, and keep it from nothing.
func unseen(t scaler.TargetPlan) string {
	text := t.Record.Error
	for _, tag := range t.Overrides.Bad {
		text = strings.ReplaceAll(text, tag, "")
	}
	return strings.Trim(text, "; ")
}

func ruleMissing(j *judgement, f *Facts) {
	if r, ok := known(j, "", f.Rule); ok && !r.Exists {
		j.find("", "there is no rule %s on the event bus %s", r.Name, f.Config.Events.Bus)
	}
}

// rule calls judge where the rule is there.
func rule(judge func(*judgement, *Facts, Rule)) func(*judgement, *Facts) {
	return whenDeployed(func(j *judgement, f *Facts) {
		switch r, ok := known(j, "", f.Rule); {
		case !ok:
		case !r.Exists:
			j.unchecked("", errors.New("the rule is not there"))
		default:
			judge(j, f, r)
		}
	})
}

func ruleDisabled(j *judgement, _ *Facts, r Rule) {
	if !strings.HasPrefix(r.State, "ENABLED") {
		j.find("rule "+r.Name, "it is %s", r.State)
	}
}

func rulePattern(j *judgement, f *Facts, r Rule) {
	var pattern map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Pattern), &pattern); err != nil {
		j.find("rule "+r.Name, "its pattern cannot be read: %s", r.Pattern)
		return
	}
	for _, want := range [][2]string{{"source", f.Config.Events.Source}, {"detail-type", f.Config.Events.DetailType}} {
		var values []string
		if err := json.Unmarshal(pattern[want[0]], &values); err != nil || !slices.Equal(values, []string{want[1]}) {
			j.find("rule "+r.Name, "its pattern is %s, and the events have the %s %q", r.Pattern, want[0], want[1])
			return
		}
	}
	if len(pattern) > 2 {
		j.find("rule "+r.Name, "its pattern asks for more than source and detail type: %s", r.Pattern)
	}
}

func ruleTarget(j *judgement, f *Facts, r Rule) {
	for _, fn := range f.Functions {
		if fn.Name != scaleOut {
			continue
		}
		if s, ok := known(j, fn.subject(), fn.State); ok && !slices.Contains(r.Targets, s.ARN) {
			to := "nobody"
			if len(r.Targets) > 0 {
				to = strings.Join(r.Targets, ", ")
			}
			j.find("rule "+r.Name, "it hands its events to %s, and not to ScaleOut", to)
		}
	}
}

// schedules calls judge for each schedule that is there.
func schedules(judge func(*judgement, *Facts, Schedule)) func(*judgement, *Facts) {
	return whenDeployed(func(j *judgement, f *Facts) {
		list, ok := known(j, "", f.Schedules)
		if !ok {
			return
		}
		for _, s := range list {
			if !s.Exists {
				j.unchecked("schedule "+s.Name, errors.New("the schedule is not there"))
				continue
			}
			judge(j, f, s)
		}
	})
}

func scheduleMissing(j *judgement, f *Facts) {
	list, ok := known(j, "", f.Schedules)
	if !ok {
		return
	}
	for _, s := range list {
		if !s.Exists {
			j.find("schedule "+s.Name, "it is not there any more, although the stack has it")
		}
	}
}

func scheduleDisabled(j *judgement, _ *Facts, s Schedule) {
	if s.State != "ENABLED" {
		j.find("schedule "+s.Name, "it is %s", s.State)
	}
}

func scheduleRate(j *judgement, f *Facts, s Schedule) {
	every, err := everyOf(s.Expression)
	switch want := f.Config.Sweep.Every.Std(); {
	case err != nil:
		j.unchecked("schedule "+s.Name, err)
	case every != want:
		j.find("schedule "+s.Name, "it is %s, and sweep.every is %v", s.Expression, f.Config.Sweep.Every)
	}
}

// everyOf is the time between two runs of a schedule, of the expressions that a deployment has: rate(5 minutes), and for several
// schedules cron(2/5 * * * ? *), or cron(2,32 * * * ? *).
func everyOf(expression string) (time.Duration, error) {
	var n int
	var unit string
	if _, err := fmt.Sscanf(expression, "rate(%d %s", &n, &unit); err == nil {
		switch strings.TrimSuffix(strings.TrimSuffix(unit, ")"), "s") {
		case "minute":
			return time.Duration(n) * time.Minute, nil
		case "hour":
			return time.Duration(n) * time.Hour, nil
		case "day":
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	var offset int
	if _, err := fmt.Sscanf(expression, "cron(%d/%d ", &offset, &n); err == nil && strings.HasSuffix(expression, " * * * ? *)") && n > 0 {
		return time.Duration(n) * time.Minute, nil
	}
	minutes, rest, ok := strings.Cut(strings.TrimPrefix(expression, "cron("), " ")
	if ok && rest == "* * * ? *)" {
		if n := strings.Count(minutes, ",") + 1; 60%n == 0 {
			return time.Hour / time.Duration(n), nil
		}
	}
	return 0, fmt.Errorf("its expression %s is none that a deployment makes", expression)
}

func scheduleTarget(j *judgement, f *Facts, s Schedule) {
	if f.MachineARN != "" && s.Target != f.MachineARN {
		j.find("schedule "+s.Name, "it starts %s, and not the state machine %s", s.Target, path.Base(f.MachineARN))
	}
}

func machineMissing(j *judgement, f *Facts) {
	if m, ok := known(j, "", f.Machine); ok && m != "ACTIVE" {
		j.find("", "the state machine %s is %s", f.MachineARN, strings.ToLower(m))
	}
}

// ended are the sweeps that are over, the newest first.
func ended(list []Execution) []Execution {
	return slices.DeleteFunc(slices.Clone(list), func(e Execution) bool { return e.Status == "RUNNING" || e.Status == "PENDING_REDRIVE" })
}

func sweepsFailing(j *judgement, f *Facts) {
	list, ok := known(j, "", f.Executions)
	if done := ended(list); ok && len(done) > 0 && done[0].Status != "SUCCEEDED" {
		n := slices.IndexFunc(done, func(e Execution) bool { return e.Status == "SUCCEEDED" })
		if n < 0 {
			n = len(done)
		}
		j.find("", "the last %s ended as %s%s", orSingle(n, "sweep"), done[0].Status, because(done[0].Cause))
	}
}

// orSingle is a number with its noun, and the noun alone of one.
func orSingle(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return count(n, noun)
}

// because is a cause behind a colon, if there is one, cut where it gets long.
func because(cause string) string {
	const most = 300
	switch {
	case cause == "":
		return ""
	case len(cause) > most:
		cause = strings.ToValidUTF8(cause[:most], "") + "..."
	}
	return ": " + cause
}

func sweepsSilent(j *judgement, f *Facts) {
	list, ok := known(j, "", f.Executions)
	if !ok {
		return
	}
	// A new stack has not had the time yet. Twice the time between two, and a minute for the scheduler to be late.
	since, patience := f.Stack.Value.Created, 2*f.Config.Sweep.Every.Std()+time.Minute
	for _, e := range list {
		if e.Started.After(since) {
			since = e.Started
		}
	}
	if age := f.At.Sub(since); age > patience {
		j.find("", "no sweep has begun for %v, and sweep.every is %v", age.Round(time.Second), f.Config.Sweep.Every)
	}
}

func deadLetters(j *judgement, f *Facts) {
	for _, q := range f.Queues {
		if n, ok := known(j, q.Whose+"'s dead letters", q.Messages); ok && n > 0 {
			j.find(q.Whose+"'s dead letters", "%s", count(n, "message")+" waiting")
		}
	}
}

func eventRoundTrip(j *judgement, f *Facts) {
	if f.RoundTrip.Err != nil {
		j.find("", "an event was sent, and nothing came of it: %v", f.RoundTrip.Err)
	}
}

// skew is what clocks may differ by. ETAs, floors and the visibility timeout are compared across machines, and none of them is
// finer; AWS refuses signatures from 5 minutes on.
const skew = 30 * time.Second

func clockSkew(j *judgement, f *Facts) {
	judge := func(whose string, fact Fact[time.Duration]) {
		ahead, ok := known(j, whose, fact)
		if ok && ahead.Abs() > skew {
			word := "ahead of"
			if ahead < 0 {
				word = "behind"
			}
			j.find(whose, "its clock is %v %s the one here", ahead.Abs().Round(time.Second), word)
		}
	}
	judge("AWS", f.Clock)
	for _, b := range f.Brokers {
		judge(b.subject(), Fact[time.Duration]{Value: b.Server.Value.Clock, Err: b.Server.Err})
	}
}
