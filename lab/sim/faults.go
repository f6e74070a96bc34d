package sim

import (
	"time"
)

// kind is a kind of fault.
type kind string

// The kinds of faults. Those with a length last for a window; the others happen once, at their time or to the first thing after
// it that they can happen to.
const (
	// ECS.
	ecsThrottle   kind = "ecs throttles"        // A call is refused because of its rate.
	ecsError      kind = "ecs errs"             // A call fails without effect.
	ecsAnswerLost kind = "ecs answer lost"      // A call takes effect, and its answer does not come.
	ecsSlow       kind = "ecs slow"             // A call takes seconds.
	taskCrash     kind = "worker crashes"       // A worker's process ends by itself, as from a lack of memory.
	taskNoStart   kind = "task fails to start"  // A new task does not come up.
	spotLoss      kind = "spot interruption"    // A task is taken away with two minutes' notice.
	rebalance     kind = "zone rebalancing"     // ECS replaces a task to even out the zones.
	zoneFull      kind = "zone full"            // New tasks are not placed in one of the zones.
	deployment    kind = "deployment"           // All tasks are replaced.
	appProtects   kind = "application protects" // The application protects its task from scale-in.
	slowPlacement kind = "slow placement"       // New tasks take minutes.
	// EventBridge.
	sweepLost   kind = "sweep lost"
	sweepLate   kind = "sweep late"
	sweepDouble kind = "sweep doubled"
	eventLost   kind = "event lost"
	eventLate   kind = "event late"
	eventDouble kind = "event doubled"
	// Lambda.
	lambdaDeath    kind = "lambda dies"
	lambdaThrottle kind = "lambda throttled"
	lambdaStall    kind = "lambda stalls" // An invocation stands still for a while, perhaps until its time is over.
	// Redis.
	redisDown     kind = "redis down"
	redisHung     kind = "redis hung"
	redisReadOnly kind = "redis read-only"
	redisFailover kind = "redis failover"
	redisSlow     kind = "redis slow"
	// Workers.
	workerFrozen  kind = "worker frozen"        // SIGSTOP, and SIGCONT later.
	workerWedged  kind = "worker wedged"        // Deaf until its connection drops, which it does at the end of the fault.
	workerDeaf    kind = "worker deaf"          // It answers and does not fetch: kombu #2629.
	workerCut     kind = "connection cut"       // It reconnects, and may have forgotten a queue.
	workerRestart kind = "worker restarts"      // Its process begins anew in the same task.
	childCrash    kind = "child process killed" // One of its pool's processes dies with its task.
	// Operators.
	operatorPause  kind = "operator pauses"
	operatorBounds kind = "operator changes min or max"
	operatorTypo   kind = "operator mistypes a tag"
	operatorCount  kind = "operator changes the count"

	operatorPausesIn  kind = "operator pauses in"
	operatorPausesOut kind = "operator pauses out"
	operatorDryRun    kind = "operator tries a dry run"
	operatorDrains    kind = "operator wants no worker"
)

// faultPlan is one fault as it was drawn.
type faultPlan struct {
	Kind    kind
	At      time.Duration // From the beginning.
	For     time.Duration // How long its window is.
	Subject int           // The target or broker that it hits.
	N       int           // At which call a Lambda dies, how many calls fail, which worker it is.
	Low     int           // With operatorBounds: the new min; below 0 leaves it.
	High    int           // With operatorBounds: the new max; below 0 leaves it.
	After   bool          // A Lambda dies after the effect of the call, before its answer.
	Length  time.Duration // How long what it hits takes.
	Tag     string        // What an operator sets, and to what.
	Value   string
	Ends    bool // The tag says itself when it is over.
	OnDrain bool // It is set some time (Length) after we have drained somebody, if that happens after At.
}

// fault is one that happens.
type fault struct {
	faultPlan
	left int // How often it can still hit.
}

// faults are those of one history that wait for something to hit.
type faults struct {
	byKind map[kind][]*fault
	tally  *tally
}

func newFaults(plans []faultPlan, t *tally) *faults {
	f := &faults{byKind: map[kind][]*fault{}, tally: t}
	for _, p := range plans {
		f.byKind[p.Kind] = append(f.byKind[p.Kind], &fault{faultPlan: p, left: max(1, p.N)})
	}
	return f
}

// take uses up one hit of a fault that waits for the subject, if there is one.
func (f *faults) take(k kind, subject int, now time.Time) *fault {
	for _, x := range f.byKind[k] {
		if x.left > 0 && x.in(subject, now) {
			x.left--
			f.tally.faults[k]++
			return x
		}
	}
	return nil
}

// once is take for a fault that hits a single time, whatever its N means.
func (f *faults) once(k kind, subject int, now time.Time) *fault {
	x := f.take(k, subject, now)
	if x != nil {
		x.left = 0
	}
	return x
}

// during returns the fault whose window it is for the subject; nil if there is none.
func (f *faults) during(k kind, subject int, now time.Time) *fault {
	for _, x := range f.byKind[k] {
		if x.in(subject, now) {
			f.tally.faults[k]++
			return x
		}
	}
	return nil
}

func (f *fault) in(subject int, now time.Time) bool {
	at := now.Sub(epoch)
	return (f.Subject < 0 || f.Subject == subject) && at >= f.At && at < f.At+f.For
}
