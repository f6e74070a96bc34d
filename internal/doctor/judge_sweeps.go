package doctor

import (
	"slices"
	"strings"
	"time"
)

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
