package scaler

import (
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
)

// signals turns an observation into what the policy decides on.
func (o observation) signals(now time.Time, demand int) (policy.Signals, policy.Limits) {
	ov := o.target.overrides(o.service.Tags, now)
	sig := policy.Signals{
		Desired:     o.service.Desired,
		Deploying:   o.service.Deploying,
		Paused:      ov.Paused,
		PausedIn:    ov.PausedIn,
		PausedOut:   ov.PausedOut,
		DryRun:      o.target.dry(ov),
		BadOverride: len(ov.Bad) > 0,
		Demand:      demand,
		Floor:       ov.Floor.at(now),
		Seen:        o.seen,
		Prior:       o.prior,
		Drained:     o.drained(),
		Blind:       o.target.Source != SourceInspect,
	}
	sig.Backlog, sig.Held = o.waiting()
	sig.Active = o.active()
	sig.Unheard = o.view.missing[o.target.Name]
	sig.Stuck = o.untracked == "" && o.stuck(sig, ov.Limits)
	if o.tasksKnown {
		sig.Tasks = countTasks(o.tasks, ov.Limits.Grace, now)
		sig.Tasks.Told = o.told()
	}
	return sig, ov.Limits
}

// waiting is what waits in the target's queues, and what workers have fetched from them.
func (o observation) waiting() (backlog, held policy.Count) {
	if o.view.err != nil {
		cause := o.view.err.Error()
		return policy.Unknown(cause), policy.Unknown(cause)
	}
	backlog, held = policy.Known(0), policy.Known(0)
	for _, name := range o.target.Queues {
		q, ok := o.view.look.Queues[name]
		if !ok {
			q = policy.Queue{Backlog: policy.Unknown("queue " + name + " was not looked at"), Held: policy.Known(0)}
		}
		backlog, held = backlog.Add(q.Backlog), held.Add(q.Held)
	}
	if loose := o.view.look.Loose; loose != policy.Known(0) {
		// It may be another target's, or not due for days: it must hold a scale-in, and must not call workers up.
		cause := loose.Cause
		if loose.Known {
			cause = fmt.Sprintf("%d fetched messages cannot be told apart by queue", loose.N)
		}
		rescue := 0
		if o.view.orphaned() && o.target.Name == o.view.rescuer {
			// Nor will they ever be by themselves: their workers are gone, and only a worker that starts gives messages
			// back whose time has run out. One of any target does it for all of the broker.
			rescue = min(loose.N, 1)
		}
		held = held.Add(policy.AtLeast(rescue, cause))
	}
	return backlog, held
}

// active is how many tasks the target's workers execute.
func (o observation) active() policy.Count {
	switch {
	case o.target.Source == SourceNone:
		return policy.Known(0)
	case o.view.err != nil:
		return policy.Unknown(o.view.err.Error())
	case o.target.Source == SourceCounter:
		return o.counted()
	}
	n := policy.Known(0)
	if o.untracked != "" {
		n = policy.Unknown(o.untracked)
	}
	own := map[string]bool{}
	for _, node := range o.workers() {
		n = n.Add(node.Active)
		own[node.Name] = true
	}
	for _, node := range o.view.drained() {
		switch {
		case o.view.missing[o.target.Name] == 0 || own[node.Name]:
			// It has been counted, or is another's: every running task of this target has been heard from without it.
		case !node.Active.Known: // Nor are its queues: perhaps it is not drained at all.
			n = n.Add(policy.Unknown(node.Active.Cause))
		case node.Active.N > 0: // It may finish a task of any target of the broker.
			n = n.Add(policy.Unknown(fmt.Sprintf("worker %s has no queue and is busy, perhaps for this target", node.Name)))
		}
	}
	return n.Add(o.silence())
}

// counted is what the application's counter says, unless the workers themselves say that they execute more: a misspelt or
// evicted key reads 0.
func (o observation) counted() policy.Count {
	seen := 0
	for _, node := range o.view.heard(o.target) {
		seen += node.Active.N
	}
	if o.counter.Known && seen > o.counter.N {
		return policy.AtLeast(seen, fmt.Sprintf("counter %s says %d, and the workers say %d", o.target.CounterKey, o.counter.N, seen))
	}
	return o.counter
}

// stuck says whether messages wait although every worker is up, and has nothing to do: a worker takes a waiting message within
// milliseconds. Or although some worker was not heard from, long after its start, and the others are too few without it.
func (o observation) stuck(sig policy.Signals, limits policy.Limits) bool {
	if o.serviceErr != nil || o.view.err != nil || o.view.silent > 0 || o.target.Source != SourceInspect ||
		!sig.Backlog.Known || o.view.look.Loose != policy.Known(0) || !o.view.look.FetchedKnown ||
		o.service.Desired == 0 || o.service.Running < o.service.Desired || o.service.Pending > 0 {
		return false
	}
	// What was fetched too long ago is backlog as well, but no proof: the very worker may hold it, until it is due.
	// Nor is a queue that nobody fetches from: a worker that does not know it is not mended by being replaced.
	missing, unfetched := o.view.missing[o.target.Name], o.unfetched()
	waiting := 0
	for _, q := range o.target.Queues {
		if missing > 0 || !slices.Contains(unfetched, q) {
			waiting += o.view.look.Queues[q].Backlog.N
		}
	}
	for _, f := range o.view.look.Fetched {
		if f.Expired && !f.Later {
			waiting--
		}
	}
	if waiting <= 0 {
		return false
	}
	// One whose fetched messages are not told apart from others' may be at its limit.
	idle := sig.Held == policy.Known(0) && !slices.ContainsFunc(slices.Concat(o.view.heard(o.target), o.view.drained()), func(n policy.Node) bool {
		return n.Active != policy.Known(0)
	})
	if missing > 0 {
		return o.lost() && (idle || policy.Want(sig, limits) > o.service.Desired-missing)
	}
	return idle
}

// unfetched are the queues of the target in which messages wait and from which none of its workers fetches, although some of them
// answer: they are misspelt in sluice.yaml or on the workers' command line.
func (o observation) unfetched() []string {
	var out []string
	heard := o.view.heard(o.target)
	fetched := map[string]bool{}
	for _, n := range heard {
		for _, q := range n.Queues {
			fetched[q] = true
		}
	}
	for _, q := range o.target.Queues {
		if len(heard) > 0 && !fetched[q] && o.view.look.Queues[q].Backlog.N > 0 {
			out = append(out, q)
		}
	}
	return out
}

// unlisted are the queues that the target's workers fetch from and that no target of the broker has: what waits there calls nobody,
// and what is held of them is not seen by a later sweep that finds the worker drained.
func (o observation) unlisted() []string {
	var out []string
	for _, n := range o.view.heard(o.target) {
		for _, q := range n.Queues {
			if !o.view.listed[q] {
				out = append(out, q)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bootPatience is for how long a running task that was not heard from passes for one that starts up, whatever grace says: a large
// application may take minutes to load.
const bootPatience = 5 * time.Minute

// lost says whether every task that was not heard from has been running for so long that its worker must have connected.
func (o observation) lost() bool {
	return o.tasksKnown && !slices.ContainsFunc(o.tasks, func(t policy.Task) bool {
		return t.State != policy.TaskStopping && len(o.workersIn(t.ID)) == 0 && t.Age(o.at) < bootPatience
	})
}

// silence is what is to be thought of the workers that listen and do not answer, and of the running tasks that were not
// heard from. A worker that listens and does not answer is blocked, so it is busy. It has no name, so it is known whose
// it is only if as many running tasks are missing, over all targets of the broker, as there are silent listeners.
func (o observation) silence() policy.Count {
	missing := o.view.missing[o.target.Name]
	if o.view.silent == 0 {
		if missing > 0 {
			return policy.Unknown(fmt.Sprintf("%d of %d running tasks are not heard from", missing, o.service.Running))
		}
		return policy.Known(0)
	}
	if o.view.tellsSilent() {
		return policy.Known(missing)
	}
	// More are silent than tasks are missing: workers on their way out, as after a scale-in, or not ours. Or fewer, since some have not
	// connected yet, or never will. They hold a scale-in. As many ask for workers as must be this target's, whoever else is silent, and
	// as have had the time to connect: work that is known to be there must not wait because of a doubt.
	least := o.longUnheard()
	if total, all := o.view.missingOfAll(); all {
		least = max(least, min(missing, o.view.silent-(total-missing)))
	}
	if len(o.view.targets) == 1 {
		return policy.AtLeast(least, fmt.Sprintf("%d workers listen and do not answer, and %d running tasks are not heard from",
			o.view.silent, missing))
	}
	return policy.AtLeast(least, fmt.Sprintf("%d workers of the broker listen and do not answer, perhaps this target's", o.view.silent))
}

// longUnheard is how many running tasks were not heard from although their workers must have connected. Each is at work, or is lost: in
// either case it takes no message that waits.
func (o observation) longUnheard() int {
	missing, young, old := o.view.missing[o.target.Name], 0, 0
	for _, t := range o.tasks {
		switch {
		case t.State != policy.TaskRunning || len(o.workersIn(t.ID)) > 0:
		case t.Age(o.at) < bootPatience:
			young++
		default:
			old++
		}
	}
	return max(0, min(old, missing-young)) // Where names tell no task, only numbers can.
}

// countTasks counts what a decision needs of the single tasks.
func countTasks(tasks []policy.Task, grace time.Duration, now time.Time) policy.TaskCounts {
	c := policy.TaskCounts{Known: true}
	for _, t := range tasks {
		if t.State == policy.TaskStopping {
			continue // It is on its way out whatever is decided.
		}
		c.Live++
		// One that is on its way up may begin to work at any moment, however long it has been.
		if t.State == policy.TaskPending || t.Age(now) < grace {
			c.Young++
		}
		if now.Before(t.ProtectedUntil) {
			c.Protected++
		}
	}
	return c
}
