// Package doctor finds what is wrong with a deployment before it hurts.
//
// It works in two steps. Gather looks at everything once: the stack, the functions, the services and their task definitions,
// each Redis and its workers. What it finds are Facts, and each fact is known, or unknown with its cause. Then Judge asks every
// check of the catalogue what it makes of the facts: a check is a small value with a stable id and a function that is pure. So the
// order of the checks does not matter, each can be tested with facts that are written down, and nothing is looked up twice.
//
// A check that could not look says so (Unchecked), with the cause: what could not be seen is never fine.
//
// It changes nothing. The one thing that it can send, an event, it sends only if it is asked to.
package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Severity says what a finding means.
type Severity string

// The severities. Each check has one of the first three; Unchecked is what any check answers that could not look.
const (
	Fail      Severity = "fail"      // Sluice does not work, or work gets lost.
	Warn      Severity = "warn"      // It works, and will hurt one day.
	Note      Severity = "note"      // Worth knowing.
	Unchecked Severity = "unchecked" // It could not be looked at.
)

// order is how the severities are listed.
var order = []Severity{Fail, Warn, Note, Unchecked}

// Area is what a check looks at: the headings of the list of checks.
type Area string

// The areas.
const (
	AreaDeployment Area = "deployment" // What `make deploy` has made, and whether it runs.
	AreaService    Area = "service"    // The ECS services of the targets and how their workers are started.
	AreaRedis      Area = "redis"      // The brokers' Redis servers.
	AreaWorkers    Area = "workers"    // The workers themselves, as far as they are heard.
)

// Check is one thing that is looked at.
type Check struct {
	ID       string   `json:"id"`
	Area     Area     `json:"area"`
	Severity Severity `json:"severity"`
	Finds    string   `json:"finds"` // What is wrong when it finds something.
	Why      string   `json:"why"`   // Why that matters.
	Mend     string   `json:"mend"`  // How to mend it.

	judge func(*judgement, *Facts)
	// asked has it run only if it was asked for: see Options.Events.
	asked func(*Facts) bool
}

// Finding is what a check has found, or why it could not look.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // Such as "target worker"; empty for the deployment as a whole.
	What     string   `json:"what"`
	Why      string   `json:"why,omitempty"`
	Mend     string   `json:"mend,omitempty"`
}

// Report is what all checks have found.
type Report struct {
	At       time.Time `json:"at"`
	Checked  int       `json:"checked"`           // How many checks have looked, those that could not among them.
	Findings []Finding `json:"findings"`          // The worst first; within that in the order of the catalogue.
	NotAsked []string  `json:"not_run,omitempty"` // Checks that are run only if asked for, by id.
}

// Count is how many findings have that severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Fine is how many checks have looked at all that they are to look at, and found nothing.
func (r Report) Fine() int {
	spoken := map[string]bool{}
	for _, f := range r.Findings {
		spoken[f.ID] = true
	}
	return r.Checked - len(spoken)
}

// Bad says whether there is something to mend. Strictly, a warning is. What could not be checked is neither: with no worker running,
// the normal state of a target without work, much cannot.
func (r Report) Bad(strict bool) bool {
	return r.Count(Fail) > 0 || strict && r.Count(Warn) > 0
}

// Judge asks the checks what they make of the facts.
func Judge(f *Facts, checks []Check) Report {
	r := Report{At: f.At, Findings: []Finding{}}
	for _, c := range checks {
		if c.asked != nil && !c.asked(f) {
			r.NotAsked = append(r.NotAsked, c.ID)
			continue
		}
		r.Checked++
		j := &judgement{check: c}
		c.judge(j, f)
		r.Findings = append(r.Findings, j.findings...)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity))
	})
	return r
}

// judgement gathers what one check says.
type judgement struct {
	check    Check
	findings []Finding
}

// find reports what is wrong with the subject.
func (j *judgement) find(subject, format string, args ...any) {
	j.findings = append(j.findings, Finding{
		ID: j.check.ID, Severity: j.check.Severity, Subject: subject, What: fmt.Sprintf(format, args...), Why: j.check.Why, Mend: j.check.Mend,
	})
}

// unchecked reports that the subject could not be looked at. The same cause is reported once.
func (j *judgement) unchecked(subject string, cause error) {
	f := Finding{ID: j.check.ID, Severity: Unchecked, Subject: subject, What: cause.Error()}
	if !slices.Contains(j.findings, f) {
		j.findings = append(j.findings, f)
	}
}

// known returns the fact, or reports that the subject cannot be judged without it.
func known[T any](j *judgement, subject string, f Fact[T]) (value T, ok bool) {
	if f.Err != nil {
		j.unchecked(subject, f.Err)
		return value, false
	}
	return f.Value, true
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
