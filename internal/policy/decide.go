package policy

import (
	"slices"
	"time"
)

// Decide decides how many workers the target should have.
//
// Its promises, each held by a test: the same input gives the same output; a scale-out never lowers and a scale-in never
// raises; what it changes to is within Min and Max; more backlog never lowers the wish; it scales in only on signals that
// are all known, only to a count that the work at hand does not need and did not need at Prior, at least Settle ago; and
// to none only if there was no work then, is none now, and came none in between, or somebody wants none (Max is 0). A pause lets
// nobody go, or starts nobody; and neither a pause nor a dry run leaves a drained worker so.
func Decide(s Signals, l Limits, now time.Time) Decision {
	if s.Paused {
		return recall(Decision{Action: Hold, Current: s.Desired, Desired: s.Desired, Wish: wish(s, l)}, s.recalled(), ReasonPaused)
	}
	var back int
	why := ReasonPausedIn
	if s.PausedIn || s.DryRun {
		if back = s.recalled(); back > 0 {
			// They are capacity, and what they execute is work like any other. Whether workers are stuck shows once they fetch.
			s.Drained, s.Stuck = Drained{}, false
		}
		if !s.PausedIn {
			why = ReasonDryRun
		}
	}
	d := decide(s, l, now)
	if back > 0 {
		d = recall(d, back, why)
	}
	if s.DryRun && d.Action != Hold && !slices.Contains(d.Reasons, ReasonDryRun) {
		d.Reasons = append(d.Reasons, ReasonDryRun)
	}
	return d
}

// decide decides for a target that is not paused.
func decide(s Signals, l Limits, now time.Time) Decision {
	d := Decision{Action: Hold, Current: s.Desired, Desired: s.Desired, Wish: wish(s, l)}
	stuck := s.Stuck && s.Drained.Tasks == 0 && l.Max > 0
	want, why := raise(s, l, d.Wish)
	if staying := s.staying(); want <= s.Desired-staying.Tasks {
		s.Drained = staying
	}
	// Drained workers are no capacity: they fetch nothing, whatever waits.
	capacity := max(0, s.Desired-s.Drained.Tasks)
	switch {
	case want <= capacity && stuck:
		replace(&d, s, l, now)
	case want > capacity:
		fill(&d, s, l, want-capacity, why)
	case want == capacity && s.Drained.Idle == 0:
		d.Reasons = steady(why)
	default:
		lower(&d, s, l, want, now)
	}
	unblock(&d, s, l)
	return d
}

// staying are the drained tasks less those that are on their way out: while more live than are asked for, ECS is about to stop the
// idle ones of them. To make up for those, where the others are enough, would undo a scale-in that is under way.
func (s Signals) staying() Drained {
	d := s.Drained
	if s.Tasks.Known {
		leaving := min(d.Idle, max(0, s.Tasks.Live-s.Desired))
		d.Tasks, d.Idle = d.Tasks-leaving, d.Idle-leaving
	}
	return d
}

// unblock raises a count that protected tasks keep ECS from going down to. Once the protection ends it would, and stop workers
// that by then have work.
func unblock(d *Decision, s Signals, l Limits) {
	if !s.Tasks.Known || s.Deploying || s.Tasks.Protected == 0 {
		return
	}
	n := min(s.Tasks.Live, max(l.Max, s.Desired))
	if n <= max(s.Desired, d.Desired) {
		return
	}
	if d.Action != ScaleOut {
		d.Reasons = nil
	}
	d.Action, d.Desired, d.Reasons = ScaleOut, n, append(d.Reasons, ReasonBlocked)
}

// wish is how many workers the work asks for: what waits, executes and is held, divided among them. Of what is unknown the
// lower bound counts, since a doubt must not block a scale-out. What drained workers execute asks for nobody.
func wish(s Signals, l Limits) int {
	s.Active.N = max(0, s.Active.N-s.Drained.Executing)
	work := s.Backlog.Add(s.Active).Add(s.Held).N
	if work <= 0 {
		return 0
	}
	// Not (work + per - 1) / per: a count near the largest int must not wrap around.
	return (work-1)/l.MessagesPerWorker + 1
}

// raise applies what asks for more workers than the work itself, and then the bounds, which always win.
func raise(s Signals, l Limits, wish int) (want int, why []Reason) {
	want, why = wish, []Reason{ReasonBacklog}
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

// Want is how many workers that fetch the target is to have by the work, what was asked for, and the bounds.
func Want(s Signals, l Limits) int {
	want, _ := raise(s, l, wish(s, l))
	return want
}

// steady are the reasons of a count that fits.
func steady(why []Reason) []Reason {
	reasons := []Reason{ReasonSteady}
	for _, r := range []Reason{ReasonMax, ReasonFloor} {
		if slices.Contains(why, r) {
			reasons = append(reasons, r)
		}
	}
	return reasons
}

// fill finds the workers that are lacking. Drained ones that are idle fetch again at once, so they come first; then new ones
// are started; and if max allows no more, the drained ones that are still busy have to do.
func fill(d *Decision, s Signals, l Limits, lacking int, why []Reason) {
	staying := min(s.Drained.Tasks, s.Desired) // More than are to run are on their way out.
	if s.Overlap {
		staying = 0
	}
	d.Resume = min(lacking, s.Drained.Idle, staying)
	room := max(0, l.Max-s.Desired)
	if s.PausedOut {
		room = 0
	}
	start := min(lacking-d.Resume, room)
	short := lacking > d.Resume+start
	if short {
		d.Resume = staying // All of them: nobody knows which of the busy ones will be able to fetch first.
	}
	if d.Resume > 0 {
		why = append(slices.Clone(why), ReasonResume)
	}
	if short && s.PausedOut {
		why = append(slices.Clone(why), ReasonPausedOut)
	}
	switch {
	case d.Resume > 0 || start > 0:
		d.Action, d.Desired, d.Reasons = ScaleOut, s.Desired+start, why
	case s.PausedOut:
		d.Reasons = why
	default: // Workers are lacking below max, so some are drained, and another is about to deal with these.
		d.Reasons = append(slices.Clone(why), ReasonOverlap)
	}
}

// lower asks everything that may hold a scale-in back. All that do are named, in order; if none does, the target is a
// candidate, or, once too many workers have been seen for the settle time and its tasks have been looked at, it is scaled in.
//
// While there is work only workers that are known by their task can be let go: ECS chooses which tasks to stop and asks
// nobody whether they are busy, so all others have to be protected from it first.
func lower(d *Decision, s Signals, l Limits, want int, now time.Time) {
	work := s.Backlog.Add(s.Active).Add(s.Held)
	idle := work == Known(0)
	hurried := s.Prior != nil && moved(*s.Prior, s.Seen)
	var held []Reason
	if !work.Known {
		held = append(held, ReasonUnknown)
	}
	if s.PausedIn {
		held = append(held, ReasonPausedIn)
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
	if s.Blind && work.N > 0 {
		held = append(held, ReasonWork)
	}
	var bounds []Reason
	keep := want + s.Drained.Tasks - s.Drained.Idle // Drained workers that are busy stay until they are done.
	atLeast := func(n int, why Reason) {
		if n > keep {
			keep = n
			bounds = append(bounds, why)
			if keep >= d.Current {
				held = append(held, why)
			}
		}
	}
	if work.Known && !idle && l.Max > 0 {
		atLeast(1, ReasonWork) // A drained worker executes, in a task whose other worker fetches.
	}
	if idle && hurried && l.Max > 0 {
		// It has been at work between two looks that found it idle, so it needs a worker.
		atLeast(1, ReasonMoved)
	}
	if s.Prior != nil {
		atLeast(s.Prior.Workers+s.Drained.Tasks-s.Drained.Idle, ReasonMoved) // The most that was wanted while it settled.
	}
	// ECS would not go below them: asking for less leaves the service blocked, and a deployment with it.
	atLeast(s.Tasks.Protected, ReasonProtected)
	untold := s.Tasks.Known && !s.Tasks.Told && !s.Blind
	if untold && keep > 0 {
		held = append(held, ReasonUntold)
	}
	// Where it is all or none, a step would make it none for ever.
	inSteps := l.ScaleInStep > 0 && d.Current-keep > l.ScaleInStep && !untold
	if s.Blind && hurried && !slices.Contains(held, ReasonMoved) {
		held = append(held, ReasonMoved)
	}
	tell := l.Max == 0 && s.Tasks.Told && !s.Blind && s.Drained.Tasks < d.Current
	switch {
	case tell && len(held) == 1 && held[0] == ReasonProtected:
		held, keep = nil, d.Current // None may go yet, but those that fetch are to be told to fetch no more.
	case keep >= d.Current && len(held) == 0:
		held = append(held, ReasonWork)
	}
	if len(held) > 0 {
		d.Reasons = held
		return
	}

	d.Reasons = []Reason{ReasonIdle}
	if !idle {
		d.Reasons = []Reason{ReasonSurplus}
	}
	d.Reasons = append(d.Reasons, bounds...)
	if inSteps {
		keep = d.Current - l.ScaleInStep
		d.Reasons = append(d.Reasons, ReasonStep)
	}
	d.Desired = keep
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
