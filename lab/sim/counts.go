package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

// limitsInForce are the bounds and the halts from a time on.
type limitsInForce struct {
	from     time.Time
	min, max int
	paused   bool // All of it.
	in, out  bool // That nothing is let go, or started.
	dry      bool
	bad      bool // A tag cannot be understood, so that nothing is taken away.
}

// keeps says that nobody is to be let go, and that who was drained is to fetch again.
func (f limitsInForce) keeps() bool { return f.paused || f.in || f.dry }

// starts says that nobody is to be started.
func (f limitsInForce) startsNobody() bool { return f.paused || f.out || f.dry }

// bounds notes a change of the tags, or of what they and the windows mean by now. What they mean is said in the README, and said here
// once more: min above the configured max raises it, and max below the configured min lowers that.
func (j *judge) bounds(t *target) {
	now := j.w.loop.now
	f := limitsInForce{
		from: now, min: t.plan.Min, max: t.plan.Max,
		paused: t.says(tagPaused, now) == "true", in: t.says(tagPausedIn, now) == "true", out: t.says(tagPausedOut, now) == "true",
		dry: t.says(tagDryRun, now) == "true",
	}
	low, high := t.plan.opened(now)
	f.bound(low, high)
	minTag, maxTag := t.says(tagMin, now), t.says(tagMax, now)
	low, hasLow := number(minTag)
	high, hasHigh := number(maxTag)
	f.bad = hasLow && hasHigh && low > high || !hasLow && minTag != "" || !hasHigh && maxTag != ""
	if !hasLow || !hasHigh || low <= high {
		if !hasLow {
			low = -1
		}
		if !hasHigh {
			high = -1
		}
		f.bound(low, high)
	}
	t.state.limits = append(t.state.limits, f)
}

// bound sets the bounds that are not below 0.
func (f *limitsInForce) bound(low, high int) {
	if low >= 0 {
		f.min, f.max = low, max(f.max, low)
	}
	if high >= 0 {
		f.max, f.min = high, min(f.min, high)
	}
}

// says is what a tag of the target says at that time, without its end; "" if it is not there or is over.
func (t *target) says(tag string, at time.Time) string {
	value, end, ends := strings.Cut(t.tags[tag], "@")
	if until, err := time.Parse(time.RFC3339, end); ends && (err != nil || !at.Before(until)) {
		return ""
	}
	return value
}

// opened are the bounds that the open windows give, each by the first that does; below 0 if none does. What a later window gives gives
// way to what an earlier one has given.
func (t targetPlan) opened(at time.Time) (low, high int) {
	low, high = -1, -1
	for _, w := range t.Windows {
		if !w.open(at) {
			continue
		}
		giveLow, giveHigh := low < 0 && w.Min >= 0, high < 0 && w.Max >= 0
		if giveLow {
			if low = w.Min; high >= 0 {
				low = min(low, high)
			}
		}
		if giveHigh {
			high = max(w.Max, low)
		}
	}
	return low, high
}

func (t *target) inForce() limitsInForce { return t.state.limits[len(t.state.limits)-1] }

func number(s string) (n int, ok bool) {
	_, err := fmt.Sscan(s, &n)
	return n, err == nil
}

// since are the limits that have been in force since a time, the one that was then included.
func (t *target) since(at time.Time) []limitsInForce {
	i := len(t.state.limits) - 1
	for i > 0 && t.state.limits[i].from.After(at) {
		i--
	}
	return t.state.limits[i:]
}

// throughout is what has been halted since a time without a break.
func (t *target) throughout(at time.Time) limitsInForce {
	always := limitsInForce{paused: true, in: true, out: true, dry: true}
	for _, f := range t.since(at) {
		always.paused, always.in = always.paused && f.paused, always.in && f.in
		always.out, always.dry = always.out && f.out, always.dry && f.dry
	}
	return always
}

// String says what is halted, for a breach.
func (f limitsInForce) String() string {
	return fmt.Sprintf(" (all %v, in %v, out %v, dry run %v)", f.paused, f.in, f.out, f.dry)
}

// drains judges that we are about to tell workers to fetch nothing more.
func (j *judge) drains(t *target) {
	inv := j.w.loop.current.owner
	if always := t.throughout(inv.began); always.keeps() {
		j.w.brokenAt(Bounded, t.index, "%s drains workers of %s although it is paused%s", inv.function.name, t.plan.Name, always)
	}
}

// acts judges that we are about to do something else to a target: nothing at all on a dry run.
func (j *judge) acts(t *target, inv *invocation, doing string) {
	if always := t.throughout(inv.began); always.dry && !inv.lowered {
		j.w.brokenAt(Bounded, t.index, "%s %s of %s on a dry run", inv.function.name, doing, t.plan.Name)
	}
}

// sets judges a count that we set.
func (j *judge) sets(t *target, inv *invocation, n int) {
	j.w.tally.count(fmt.Sprintf("counts set by %s", inv.function.name))
	low, high := t.inForce().min, t.inForce().max
	for _, f := range t.since(inv.began) {
		low, high = min(low, f.min), max(high, f.max)
	}
	// What it has lowered itself it may put back.
	if always := t.throughout(inv.began); always.paused || (always.in || always.dry) && n < t.desired ||
		(always.out || always.dry) && n > t.desired && !inv.lowered && !slices.Contains(inv.reasons, policy.ReasonBlocked) {
		j.w.brokenAt(Bounded, t.index, "%s sets %s from %d to %d although it is paused%s", inv.function.name, t.plan.Name, t.desired, n, always)
	}
	if slices.Contains(inv.reasons, policy.ReasonStuck) {
		low-- // To replace a worker takes a moment with one fewer: see min for how long that may be.
	}
	// One that is beyond its bounds, since they have been changed, may go towards them in steps.
	if n < low && n < t.desired || n > high && n > t.desired && !inv.lowered {
		j.w.brokenAt(Bounded, t.index, "%s sets %s from %d to %d, and %d..%d are in force",
			inv.function.name, t.plan.Name, t.desired, n, low, high)
	}
	if n >= t.desired {
		return
	}
	inv.lowered = true
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
	t.state.below = j.since(t.state.below, t.desired < f.min && !f.startsNobody())
	if !t.state.below.IsZero() && j.w.loop.now.Sub(t.state.below) > j.liveBound(t) {
		j.w.brokenAt(Bounded, t.index, "the count of %s has been %d for over %v, and min is %d",
			t.plan.Name, t.desired, j.liveBound(t), f.min)
	}
}
