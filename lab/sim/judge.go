package sim

import (
	"fmt"
	"time"

	"sluice/internal/policy"
	"sluice/lab/cloud/asl"
	"sluice/lab/sim/broker"
)

// Invariant names what must hold in every history.
type Invariant string

// The invariants.
const (
	// Lossless: ECS never stops a worker because of a count that we lowered while it executes a message, or has fetched one
	// that is due within the horizon. What a deployment, Spot, rebalancing, a crash or an operator's own change stops is
	// not ours.
	Lossless Invariant = "lossless"
	// Live: once the faults have ended, no message waits longer than the bound (see liveBound) while there are fewer
	// workers that fetch than the work asks for and max allows; and nobody stays drained while scaling in is paused, or on a dry run.
	Live Invariant = "live"
	// Bounded: the count that we set is within min and max as they were in force while the function ran; a paused service is left
	// alone, in the direction that is paused; and on a dry run we do nothing.
	Bounded Invariant = "bounded"
	// Spared: we never lower the count below the tasks that others protect, never change their protection, and end our own; no
	// service is left blocked by us.
	Spared Invariant = "spared"
	// Even: where ECS evens out the Availability Zones by itself, a lower count leaves them even: else ECS would stop a
	// task for it, and ask nobody whether it is busy.
	Even Invariant = "even"
	// Frugal: once the faults have ended, a target without work goes down to min, by a step at least in each frugalBound,
	// wherever its workers can be told or min is 0. So does one that is to have no worker, whatever waits, as each is done.
	Frugal Invariant = "frugal"
	// Sane: nothing panics, the state machine never meets an answer that it does not understand, no lock is taken for
	// longer than maxLock.
	Sane Invariant = "sane"
	// Same: two runs of one seed are identical, event by event.
	Same Invariant = "same"
)

const invariantPanic = Sane

// Breach is an invariant that was broken.
type Breach struct {
	Invariant Invariant
	At        time.Duration // From the beginning of the history.
	Target    int           // -1 if it is of none.
	Text      string
}

func (b Breach) String() string { return fmt.Sprintf("%s: %s", b.Invariant, b.Text) }

// maxLock is the longest that a lock may be taken for: longer, and who dies with it keeps workers from being resumed.
const maxLock = 4 * time.Minute

// broken notes that an invariant is broken, which ends the history. The first is the one that counts.
func (w *world) broken(i Invariant, format string, args ...any) {
	w.brokenAt(i, -1, format, args...)
}

func (w *world) brokenAt(i Invariant, target int, format string, args ...any) {
	if w.first != nil {
		return
	}
	w.first = &Breach{Invariant: i, At: w.loop.now.Sub(epoch), Target: target, Text: fmt.Sprintf(format, args...)}
	w.note(noteBroken, target, "BROKEN: %s", w.first.String())
}

// judge watches a history.
type judge struct {
	w *world
	// protection is who set the protection of a task last, by task ID.
	protection map[string]protection
}

// targetJudgement is what the judge remembers of a target.
type targetJudgement struct {
	clients    []*broker.Client
	limits     []limitsInForce // Newest last.
	short      time.Time       // Since when it has had too few workers; zero if it has enough.
	deaf       time.Time       // Since when workers are drained though nobody is to be let go.
	filled     time.Time       // Since when as many as fetching fetch, though it is to have no worker.
	fetching   int
	idle       time.Time // Since when it has been without work, and its count the same.
	count      int       // That count.
	blocked    time.Time // Since when more tasks have run than our count asks for.
	below      time.Time // Since when its count has been below min.
	unverified unverified
}

func newJudge(w *world) *judge { return &judge{w: w, protection: map[string]protection{}} }

func (j *judge) locked(name, _ string, ttl time.Duration) {
	j.w.tally.count("locks taken")
	if ttl <= 0 || ttl > maxLock {
		j.w.broken(Sane, "lock %s is taken for %v", name, ttl)
	}
}

// ended judges the end of an invocation.
func (j *judge) ended(inv *invocation) {
	j.answered(inv)
	if inv.err != nil {
		j.w.tally.statuses[inv.function.name+": "+inv.err.Name]++
		if inv.err.Name == "InternalError" || inv.err.Name == string(policy.InvalidEvent) {
			j.w.broken(Sane, "%s ended in %s: %s", inv.function.name, inv.err.Name, inv.err.Cause)
		}
	}
}

// swept judges the end of an execution of the state machine: whatever a function answers, it understands.
func (j *judge) swept(done asl.Execution) {
	switch done.Error {
	case asl.Runtime, asl.NoChoiceMatched, asl.DataLimit, asl.IntrinsicFailure, "UnexpectedAnswer":
		j.w.broken(Sane, "the state machine ended in %s: %s", done.Error, done.Cause)
	}
}

// watch begins to watch what has to hold at any time, and what has to hold once the faults have ended.
func (j *judge) watch() {
	for _, t := range j.w.targets {
		j.bounds(t)
		t.state.count = -1
	}
	look := 40 * time.Second
	j.w.loop.every(epoch.Add(j.w.plan.Calm+look), func() time.Duration { return look }, func() bool {
		for _, t := range j.w.targets {
			j.live(t)
			j.frugal(t)
			j.recalled(t)
			j.emptied(t)
			j.blocked(t)
			j.min(t)
		}
		return true
	})
}

// since returns from when on something has been so: now, if it was not before.
func (j *judge) since(at time.Time, is bool) time.Time {
	switch {
	case !is:
		return time.Time{}
	case at.IsZero():
		return j.w.loop.now
	}
	return at
}

// sum adds to the tally what became of the messages.
func (j *judge) sum() {
	for _, b := range j.w.brokers {
		j.w.tally.add("messages done", b.Done())
		j.w.tally.add("messages lost", len(b.Lost()))
	}
}
