package sim

import (
	"encoding/json"
	"time"
)

// Verified: whatever waits for a target without workers when ScaleIn has answered, the same sweep brings somebody up for. The next
// sweep is too late, and nobody else may have been told.
const Verified Invariant = "verified"

// verifiedBound is how long that takes: two functions that are not ended before their time, if nothing has to be tried again.
const verifiedBound = 2 * time.Minute

// unverified is a ScaleIn that has answered, of a target without workers.
type unverified struct {
	at       time.Time // Of the answer.
	troubled bool      // Something has failed since, and is tried again, or left to the next sweep.
}

// answered takes note of what an invocation has come to.
func (j *judge) answered(inv *invocation) {
	t := j.about(inv.payload)
	if t == nil {
		return
	}
	var out struct{ Failed bool }
	if inv.err != nil || json.Unmarshal(inv.answer, &out) != nil || out.Failed {
		t.state.unverified.troubled = true
		return
	}
	if inv.function.name != scaleIn || t.desired > 0 {
		return
	}
	at := j.w.loop.now
	t.state.unverified = unverified{at: at}
	j.w.loop.after(verifiedBound, func() {
		if t.state.unverified == (unverified{at: at}) {
			j.verified(t)
		}
	})
}

// refused takes note of an invocation that Lambda has refused.
func (j *judge) refused(payload []byte) {
	if t := j.about(payload); t != nil {
		t.state.unverified.troubled = true
	}
}

// about is the target that the state machine names in a payload; nil if it names none.
func (j *judge) about(payload []byte) *target {
	var in struct{ Target string }
	if json.Unmarshal(payload, &in) != nil {
		return nil
	}
	if i := j.w.index(in.Target); i >= 0 {
		return j.w.targets[i]
	}
	return nil
}

// verified judges what has become of what waited then.
func (j *judge) verified(t *target) {
	at, f := t.state.unverified.at, t.inForce()
	if t.desired > 0 || f.startsNobody() || f.max == 0 || f.from.After(at) {
		return
	}
	j.w.tally.count("scale-ins to none judged")
	if id, since, waits := t.broker.LongestWait(t.plan.Queues...); waits && since.Before(at) {
		j.w.brokenAt(Verified, t.index, "message %d has waited for %v, since before %s was scaled in to none, and nobody was brought up for it",
			int(id), j.w.loop.now.Sub(since), t.plan.Name)
	}
}
