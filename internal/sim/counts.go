package sim

import (
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
)

// limitsInForce are the bounds and the pause from a time on.
type limitsInForce struct {
	from     time.Time
	min, max int
	paused   bool
	bad      bool // A tag cannot be understood, so that nothing is taken away.
}

// bounds notes a change of the tags. What they mean is said in the README, and said here once more: min above the
// configured max raises it, and max below the configured min lowers that.
func (j *judge) bounds(t *target) {
	f := limitsInForce{from: j.w.loop.now, min: t.plan.Min, max: t.plan.Max, paused: t.tags[tagPaused] == "true"}
	low, hasLow := number(t.tags[tagMin])
	high, hasHigh := number(t.tags[tagMax])
	f.bad = hasLow && hasHigh && low > high || !hasLow && t.tags[tagMin] != "" || !hasHigh && t.tags[tagMax] != ""
	if !hasLow || !hasHigh || low <= high {
		if hasLow {
			f.min, f.max = low, max(f.max, low)
		}
		if hasHigh {
			f.max, f.min = high, min(f.min, high)
		}
	}
	t.state.limits = append(t.state.limits, f)
}

func (t *target) inForce() limitsInForce { return t.state.limits[len(t.state.limits)-1] }

func number(s string) (n int, ok bool) {
	_, err := fmt.Sscan(s, &n)
	return n, err == nil
}

// sets judges a count that we set.
func (j *judge) sets(t *target, inv *invocation, n int) {
	j.w.tally.count(fmt.Sprintf("counts set by %s", inv.function.name))
	low, high, paused := t.inForce().min, t.inForce().max, t.inForce().paused
	for i := len(t.state.limits) - 1; i >= 0; i-- {
		f := t.state.limits[i]
		low, high, paused = min(low, f.min), max(high, f.max), paused && f.paused
		if !f.from.After(inv.began) {
			break
		}
	}
	if paused {
		j.w.brokenAt(Bounded, t.index, "%s sets %s to %d although it is paused", inv.function.name, t.plan.Name, n)
	}
	if slices.Contains(inv.reasons, policy.ReasonStuck) {
		low-- // To replace a worker takes a moment with one fewer: see min for how long that may be.
	}
	// One that is beyond its bounds, since they have been changed, may go towards them in steps.
	if n < low && n < t.desired || n > high && n > t.desired {
		j.w.brokenAt(Bounded, t.index, "%s sets %s from %d to %d, and %d..%d are in force",
			inv.function.name, t.plan.Name, t.desired, n, low, high)
	}
	if n >= t.desired {
		return
	}
	if inv.function.name == scaleOut {
		j.w.tally.count("counts lowered by a scale-out")
	}
	spared := 0
	for _, k := range t.live {
		if p, ok := j.protection[k.id]; ok && !p.ours && p.until.After(j.w.loop.now) && !p.at.After(inv.lastTasks) {
			spared++
		}
	}
	if n < spared {
		j.w.brokenAt(Spared, t.index, "%s lowers %s to %d, and the application protects %d tasks",
			inv.function.name, t.plan.Name, n, spared)
	}
}

// lowered judges what a lower count of ours has left, once all that it lets go have been told to stop.
func (j *judge) lowered(t *target) {
	if !t.even || t.ours > 0 {
		return
	}
	t.even = false // What stops from now on is not our doing.
	if spread := t.spread(); spread > 1 {
		j.w.brokenAt(Even, t.index, "we lowered %s to %d, and its zones, which were even, differ by %d tasks", t.plan.Name, t.desired, spread)
	}
}

// min judges that a count below min is raised: where a replacement left it, or an operator's change of either.
func (j *judge) min(t *target) {
	f := t.inForce()
	t.state.below = j.since(t.state.below, t.desired < f.min && !f.paused)
	if !t.state.below.IsZero() && j.w.loop.now.Sub(t.state.below) > j.liveBound(t) {
		j.w.brokenAt(Bounded, t.index, "the count of %s has been %d for over %v, and min is %d",
			t.plan.Name, t.desired, j.liveBound(t), f.min)
	}
}
