package scaler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// The tags of an ECS service that mean something to Sluice. They take effect at once, with no deployment, and stand where
// the person on call looks: in the console. Each but the reason may end in @TIME, as in "true@2026-11-21T22:40:00Z": from then on it counts as not
// there, so that nobody has to remember to take it away.
const (
	TagPaused    = "sluice:paused"     // "true" stops all scaling of the service; an empty value means the same.
	TagPausedIn  = "sluice:paused-in"  // "true", or empty: nothing is let go.
	TagPausedOut = "sluice:paused-out" // "true", or empty: nothing is started.
	TagDryRun    = "sluice:dry-run"    // "true", or empty: decisions are recorded, and nothing is done; "false" ends what sluice.yaml says.
	TagMin       = "sluice:min"        // A whole number that overrides min.
	TagMax       = "sluice:max"        // A whole number that overrides max. 0 lets every worker go, though messages wait.
	TagReason    = "sluice:reason"     // Why it is paused: a text for people, without an end of its own.
	// TagFloor is ours: how many workers an event asked to keep, and until when, as "3@2026-11-21T22:40:00Z".
	TagFloor = "sluice:floor"
)

// maxTasks is how many tasks ECS runs in one service.
const maxTasks = 5000

// Overrides is what the tags of a service say at one time. Tags whose time is over are not in it.
type Overrides struct {
	Paused    bool  `json:"paused,omitempty"`
	PausedIn  bool  `json:"paused_in,omitempty"`
	PausedOut bool  `json:"paused_out,omitempty"`
	DryRun    *bool `json:"dry_run,omitempty"` // nil: the configuration tells.
	Min       *int  `json:"min,omitempty"`     // nil: the configuration tells.
	Max       *int  `json:"max,omitempty"`     // nil: the configuration tells.
	Floor     Floor `json:"floor,omitzero"`
	// Reason is why it is paused, for people; empty where it is not.
	Reason string `json:"reason,omitempty"`
	// Until is when tags end, by their names. One without an end is not in it.
	Until map[string]time.Time `json:"until,omitempty"`
	Bad   []string             `json:"bad,omitempty"` // What cannot be understood, each with its remedy.
	// Limits are what is in effect: those that were given, with Min and Max over them.
	Limits policy.Limits `json:"-"`
}

// Floor is a demand that is kept for a while.
type Floor struct {
	Count int       `json:"count"`
	Until time.Time `json:"until"`
}

// at is the count that the floor asks for at that time.
func (f Floor) at(now time.Time) int {
	if now.Before(f.Until) {
		return f.Count
	}
	return 0
}

func (f Floor) String() string { return TagValue(strconv.Itoa(f.Count), f.Until) }

// TagValue is the value of a tag that counts until that time; without end if that is zero.
func TagValue(value string, until time.Time) string {
	if until.IsZero() {
		return value
	}
	return value + "@" + until.UTC().Format(time.RFC3339)
}

// ParseTags reads the tags of a service whose limits are l without them. min above the configured max raises max with it, and
// max below the configured min lowers min: whoever sets a tag means just that bound. Both tags at odds with each other are bad,
// and so neither counts.
func ParseTags(tags map[string]string, l policy.Limits, now time.Time) Overrides {
	o := Overrides{Limits: l}
	r := tagReader{tags: tags, now: now, o: &o}
	for tag, to := range map[string]*bool{TagPaused: &o.Paused, TagPausedIn: &o.PausedIn, TagPausedOut: &o.PausedOut} {
		if on := r.toggle(tag); on != nil {
			*to = *on
		}
	}
	o.DryRun = r.toggle(TagDryRun)
	low, high := r.bound(TagMin), r.bound(TagMax)
	if low != nil && high != nil && *low > *high {
		r.bad("tags %s and %s: %d is more than %d: change one", TagMin, TagMax, *low, *high)
	} else {
		o.Min, o.Max = low, high
		o.Limits = bounded(l, low, high)
	}
	o.Floor = r.floor()
	if o.Paused || o.PausedIn || o.PausedOut {
		o.Reason = tags[TagReason]
	}
	slices.Sort(o.Bad)
	return o
}

// bounded is the limits with other bounds; nil keeps the one that is there, which gives way where they cross.
func bounded(l policy.Limits, low, high *int) policy.Limits {
	if low != nil {
		l.Min = *low
		l.Max = max(l.Max, l.Min)
	}
	if high != nil {
		l.Max = *high
		l.Min = min(l.Min, l.Max)
	}
	return l
}

// tagReader reads the tags of one service.
type tagReader struct {
	tags map[string]string
	now  time.Time
	o    *Overrides
}

func (r tagReader) bad(format string, args ...any) {
	r.o.Bad = append(r.o.Bad, fmt.Sprintf(format, args...))
}

// value is what a tag says, without its end; not ok if it is not there, is over, or has an end that is no time.
func (r tagReader) value(tag string) (value string, ok bool) {
	value, ok = r.tags[tag]
	value, end, ends := strings.Cut(strings.TrimSpace(value), "@")
	if !ends {
		return value, ok
	}
	until, err := time.Parse(time.RFC3339, end)
	switch {
	case err != nil:
		r.bad("tag %s: %q does not end in a time such as 2026-11-21T22:40:00Z: correct or delete it", tag, r.tags[tag])
		return "", false
	case !r.now.Before(until):
		return "", false
	}
	if r.o.Until == nil {
		r.o.Until = map[string]time.Time{}
	}
	r.o.Until[tag] = until
	return strings.TrimSpace(value), true
}

func (r tagReader) toggle(tag string) *bool {
	v, ok := r.value(tag)
	if !ok {
		return nil
	}
	on, err := strconv.ParseBool(v)
	switch {
	case v == "":
		on = true
	case err != nil:
		r.bad("tag %s: %q is neither true nor false: correct or delete it", tag, v)
		return nil
	}
	return &on
}

func (r tagReader) bound(tag string) *int {
	v, ok := r.value(tag)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxTasks {
		r.bad("tag %s: %q is not a whole number from 0 to %d: correct or delete it", tag, v, maxTasks)
		return nil
	}
	return &n
}

// floor reads our own tag, which always has an end.
func (r tagReader) floor() Floor {
	v, ok := r.value(TagFloor)
	if !ok {
		return Floor{}
	}
	n, err := strconv.Atoi(v)
	until, ends := r.o.Until[TagFloor]
	if err != nil || n < 0 || !ends {
		r.bad("tag %s: %q is not COUNT@TIME: delete it", TagFloor, r.tags[TagFloor])
		return Floor{}
	}
	return Floor{n, until}
}

// merge returns the floor that honours both f and a new demand, and whether it has to be written. Every event of a burst
// asks for a little longer: only a tenth of its hold more is worth a call.
func (f Floor) merge(count int, hold time.Duration, now time.Time) (merged Floor, write bool) {
	until := now.Add(hold)
	if f.at(now) == 0 {
		return Floor{count, until}, true
	}
	merged = f
	if count > f.Count {
		merged.Count, write = count, true
	}
	if until.Sub(f.Until) > hold/10 {
		merged.Until, write = until, true
	}
	return merged, write
}
