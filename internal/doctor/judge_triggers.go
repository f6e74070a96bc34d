package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

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
