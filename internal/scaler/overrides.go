package scaler

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// The tags of an ECS service that mean something to Sluice. They take effect at once, with no deployment, and stand where
// the person on call looks: in the console.
const (
	tagPaused = "sluice:paused" // "true" stops all scaling of the service; an empty value means the same.
	tagMin    = "sluice:min"    // A whole number that overrides min.
	tagMax    = "sluice:max"    // A whole number that overrides max.
	// tagFloor is ours: how many workers an event asked to keep, and until when, as "3@2026-11-21T22:40:00Z".
	tagFloor = "sluice:floor"
)

// maxTasks is how many tasks ECS runs in one service.
const maxTasks = 5000

// overrides is what the tags say.
type overrides struct {
	paused bool
	limits policy.Limits
	floor  floor
	bad    []string // Tags that cannot be understood, each with its remedy.
}

// floor is a demand that is kept for a while.
type floor struct {
	count int
	until time.Time
}

// at is the count that the floor asks for at that time.
func (f floor) at(now time.Time) int {
	if now.Before(f.until) {
		return f.count
	}
	return 0
}

func (f floor) String() string {
	return fmt.Sprintf("%d@%s", f.count, f.until.UTC().Format(time.RFC3339))
}

// parseOverrides reads the tags. min above the configured max raises max with it, and max below the configured min lowers
// min: whoever sets a tag means just that bound. Both tags at odds with each other are bad, and so neither counts.
func parseOverrides(tags map[string]string, l policy.Limits) overrides {
	o := overrides{limits: l}
	if v, ok := tags[tagPaused]; ok {
		paused, err := strconv.ParseBool(v)
		switch {
		case strings.TrimSpace(v) == "":
			o.paused = true
		case err != nil:
			o.bad = append(o.bad, fmt.Sprintf("tag %s: %q is neither true nor false", tagPaused, v))
		default:
			o.paused = paused
		}
	}
	low, hasLow := o.bound(tags, tagMin)
	high, hasHigh := o.bound(tags, tagMax)
	switch {
	case hasLow && hasHigh && low > high:
		o.bad = append(o.bad, fmt.Sprintf("tags %s and %s: %d is more than %d: change one", tagMin, tagMax, low, high))
	default:
		if hasLow {
			o.limits.Min = low
			o.limits.Max = max(o.limits.Max, low)
		}
		if hasHigh {
			o.limits.Max = high
			o.limits.Min = min(o.limits.Min, high)
		}
	}
	if v, ok := tags[tagFloor]; ok {
		f, err := parseFloor(v)
		if err != nil {
			o.bad = append(o.bad, fmt.Sprintf("tag %s: %v: delete it", tagFloor, err))
		}
		o.floor = f
	}
	return o
}

func (o *overrides) bound(tags map[string]string, tag string) (n int, ok bool) {
	v, ok := tags[tag]
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 0 || n > maxTasks {
		o.bad = append(o.bad, fmt.Sprintf("tag %s: %q is not a whole number from 0 to %d: correct or delete it", tag, v, maxTasks))
		return 0, false
	}
	return n, true
}

func parseFloor(v string) (floor, error) {
	count, until, ok := strings.Cut(v, "@")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 {
		return floor{}, fmt.Errorf("%q is not COUNT@TIME", v)
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return floor{}, fmt.Errorf("%q does not end in a time such as 2026-11-21T22:40:00Z", v)
	}
	return floor{n, t}, nil
}

// merge returns the floor that honours both f and a new demand, and whether it has to be written. Every event of a burst
// asks for a little longer: only a tenth of its hold more is worth a call.
func (f floor) merge(count int, hold time.Duration, now time.Time) (merged floor, write bool) {
	until := now.Add(hold)
	if f.at(now) == 0 {
		return floor{count, until}, true
	}
	merged = f
	if count > f.count {
		merged.count, write = count, true
	}
	if until.Sub(f.until) > hold/10 {
		merged.until, write = until, true
	}
	return merged, write
}
