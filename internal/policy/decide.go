package policy

import (
	"slices"
	"time"
)

// Action is what a decision comes to.
type Action string

// The actions.
const (
	Hold     Action = "hold"      // Leave the count as it is.
	ScaleOut Action = "scale_out" // Raise it now.
	// Candidate means that the target looks idle and the count could be lowered, if it still looks so when it is looked
	// at again after the settle time. Nothing is done yet.
	Candidate Action = "candidate"
	ScaleIn   Action = "scale_in" // Lower it now.
)

// Limits are what the configuration, and the tags that override it, allow. They have been validated:
// 0 <= Min <= Max, 1 <= Max, 1 <= MessagesPerWorker.
type Limits struct {
	Min, Max          int
	MessagesPerWorker int           // How much work, waiting and in hand, one worker is meant to have.
	Grace             time.Duration // A task younger than this is still on its way up, and not let go.
	Settle            time.Duration // How long a target has to be seen idle before it is scaled in.
	ScaleInStep       int           // At most so many tasks fewer at once; 0 is no limit.
}

// Signals are what was seen of a target at one time.
type Signals struct {
	Desired     int
	Deploying   bool
	Paused      bool
	BadOverride bool // A tag meant for us that cannot be understood.

	Demand int // What the event at hand asks for; 0 if none does.
	Floor  int // What an earlier event asked to keep; 0 if none, or it has expired.

	Backlog Count // Due messages that wait.
	Active  Count // Tasks that execute; a worker that listens and does not answer counts as executing.
	Held    Count // Due messages that workers have fetched and not started or not acknowledged.

	Tasks TaskCounts
	Seen  Sighting
	Prior *Sighting // What was seen when the target was first found idle; nil if this is the first look.
}

// TaskCounts is what a look at the single tasks of a service gives. A first look does without it: it costs two calls for
// each service, which the quota does not bear for a thousand of them. So without it there is at most a candidate.
type TaskCounts struct {
	Known     bool
	Young     int // Running tasks, or tasks on their way up, that are younger than grace.
	Protected int // Tasks that are protected from scale-in at this time.
}

// Sighting is what has to be remembered of one look in order to tell, at the next one, whether anything happened in
// between. It travels in the state machine's data.
type Sighting struct {
	At        time.Time `json:"at"`
	Processed int64     `json:"processed"` // Tasks that the workers have accepted since they started, all together.
	Heard     int       `json:"heard"`     // How many workers that sum is of; 0 where workers send no heartbeats.
}

// Decision is what to do about one target, and why.
type Decision struct {
	Action  Action   `json:"action"`
	Current int      `json:"current"`
	Desired int      `json:"desired"` // Equal to Current unless Action is ScaleOut, Candidate or ScaleIn.
	Wish    int      `json:"wish"`    // What the work alone asks for, before any bound.
	Reasons []Reason `json:"reasons"`
}

// Decide decides how many workers the target should have.
//
// Its promises, each held by a test: the same input gives the same output; a scale-out never lowers and a scale-in never
// raises; what it changes to is within Min and Max; more backlog never lowers the wish; it scales in only on signals that
// are all known, all zero and have been so since Prior, at least Settle ago.
func Decide(s Signals, l Limits, now time.Time) Decision {
	d := Decision{Action: Hold, Current: s.Desired, Desired: s.Desired, Wish: wish(s, l)}
	if s.Paused {
		d.Reasons = []Reason{ReasonPaused}
		return d
	}
	want, why := raise(s, l, d.Wish)
	switch {
	case want > s.Desired:
		d.Action, d.Desired, d.Reasons = ScaleOut, want, why
	case want == s.Desired:
		d.Reasons = []Reason{ReasonSteady}
		if slices.Contains(why, ReasonMax) {
			d.Reasons = append(d.Reasons, ReasonMax)
		}
		if slices.Contains(why, ReasonFloor) {
			d.Reasons = append(d.Reasons, ReasonFloor)
		}
	default:
		lower(&d, s, l, want, now)
	}
	return d
}

// wish is how many workers the work asks for: what waits, executes and is held, divided among them. Of what is unknown the
// lower bound counts, since a doubt must not block a scale-out.
func wish(s Signals, l Limits) int {
	work := s.Backlog.Add(s.Active).Add(s.Held).N
	if work <= 0 {
		return 0
	}
	// Not (work + per - 1) / per: a count near the largest int must not wrap around.
	return (work-1)/l.MessagesPerWorker + 1
}

// raise applies what asks for more workers than the work itself, and then the bounds, which always win.
func raise(s Signals, l Limits, wish int) (want int, why []Reason) {
	want = wish
	if wish > s.Desired {
		why = append(why, ReasonBacklog)
	}
	if s.Demand > want {
		want = s.Demand
		why = []Reason{ReasonDemand}
	}
	if s.Floor > want {
		want = s.Floor
		why = []Reason{ReasonFloor}
	}
	if l.Min > want {
		want = l.Min
		why = []Reason{ReasonMin}
	}
	if want > l.Max {
		want = l.Max
		why = append(why, ReasonMax)
	}
	return want, why
}

// lower asks everything that may hold a scale-in back. All that do are named, in order; if none does, the target is a
// candidate, or, once it has been idle for the settle time and its tasks have been looked at, it is scaled in.
//
// It is scaled in only when it is wholly idle: a count above the wish while there is work stays as it is, because ECS
// chooses which task to stop, and would not ask whether it is busy.
func lower(d *Decision, s Signals, l Limits, want int, now time.Time) {
	work := s.Backlog.Add(s.Active).Add(s.Held)
	var held []Reason
	if !work.Known {
		held = append(held, ReasonUnknown)
	}
	if s.BadOverride {
		held = append(held, ReasonOverride)
	}
	if s.Deploying {
		held = append(held, ReasonDeployment)
	}
	if s.Tasks.Young > 0 {
		held = append(held, ReasonGrace)
	}
	if work.N > 0 {
		held = append(held, ReasonWork)
	}
	spared := s.Tasks.Protected > want
	if spared {
		// ECS would not go below them: asking for less leaves the service blocked, and a deployment with it.
		want = s.Tasks.Protected
		if want >= d.Current {
			held = append(held, ReasonProtected)
		}
	}
	if s.Prior != nil && moved(*s.Prior, s.Seen) {
		held = append(held, ReasonMoved)
	}
	if len(held) > 0 {
		d.Reasons = held
		return
	}

	d.Reasons = []Reason{ReasonIdle}
	if spared {
		d.Reasons = append(d.Reasons, ReasonProtected)
	}
	if l.ScaleInStep > 0 && d.Current-want > l.ScaleInStep {
		want = d.Current - l.ScaleInStep
		d.Reasons = append(d.Reasons, ReasonStep)
	}
	d.Desired = want
	switch {
	case s.Prior == nil || now.Sub(s.Prior.At) < l.Settle:
		d.Action = Candidate
		d.Reasons = append(d.Reasons, ReasonSettle)
	case !s.Tasks.Known:
		d.Action, d.Desired = Hold, d.Current
		d.Reasons = []Reason{ReasonUnknown}
	default:
		d.Action = ScaleIn
	}
}

// moved says whether workers accepted work between two sightings, or whether that can no longer be told. Where no worker
// sent a heartbeat the first time there is nothing to compare with: many run without them.
func moved(before, after Sighting) bool {
	if before.Heard == 0 {
		return false
	}
	return before.Heard != after.Heard || before.Processed != after.Processed
}
