package sim

import (
	"encoding/json"
	"time"

	"sluice/internal/local/asl"
)

// Verified: the sweep that lowers a count to none sees to the work that came just then. A message that waits when ScaleIn has
// answered, and still waits with nobody there when that sweep has ended, was overlooked by it: the next sweep is too late.
const Verified Invariant = "verified"

// lowered is a scale-in to none that has been answered.
type lowered struct {
	at time.Time // Of the answer; zero if the last scale-in was not to none.
}

// answered takes note of what ScaleIn has answered.
func (j *judge) answered(inv *invocation) {
	var in struct{ Target string }
	var out struct {
		Status string
		Count  int `json:"desired_count"`
	}
	if inv.function.name != scaleIn || json.Unmarshal(inv.payload, &in) != nil || json.Unmarshal(inv.answer, &out) != nil {
		return
	}
	for _, t := range j.w.targets {
		if t.plan.Name != in.Target || out.Status != "scaled in" {
			continue
		}
		t.state.lowered = lowered{}
		if out.Count == 0 {
			t.state.lowered.at = j.w.loop.now
		}
	}
}

// verified judges the results of an execution. One that could not look is excused, and so is one that scaled out after all.
func (j *judge) verified(done asl.Execution) {
	type result struct {
		Target, Outcome string
		Then            *string
		Failed          bool
	}
	var out struct{ Results []result }
	if json.Unmarshal(done.Output, &out) != nil && json.Unmarshal([]byte(done.Cause), &out.Results) != nil {
		return
	}
	for _, r := range out.Results {
		if r.Outcome != "scaled in" || r.Then != nil || r.Failed {
			continue
		}
		t := j.w.targets[j.w.index(r.Target)]
		at, f := t.state.lowered.at, t.inForce()
		if at.IsZero() || t.desired > 0 || f.paused || f.max == 0 || f.from.After(at) {
			continue
		}
		j.w.tally.count("scale-ins to none verified")
		if id, since, waits := t.broker.LongestWait(t.plan.Queues...); waits && since.Before(at) {
			j.w.brokenAt(Verified, t.index, "message %d has waited for %v since %s was scaled in to none, and the sweep that did it has ended",
				int(id), j.w.loop.now.Sub(since), t.plan.Name)
		}
	}
}
