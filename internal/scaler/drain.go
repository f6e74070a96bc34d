package scaler

import (
	"context"
	"slices"
	"time"

	"sluice/internal/policy"
)

// timerLate is how late a worker may begin a message with an ETA: Celery's worker_timer_precision is a second, and its clock may
// differ from ours by a little.
const timerLate = 2 * time.Second

// drain tells the victims to fetch nothing more, and watches them until each has been seen empty often enough, or for as long as it
// has patience. If meanwhile work comes that needs them, they fetch again.
func (r *release) drain(ctx context.Context, change *Change) error {
	deadline := r.Now().Add(drainPatience)
	for {
		if err := r.cancel(ctx); refused(err) {
			// Such as a worker that has come up under the name of a victim: it was told as well, and nobody can be chosen by that name.
			r.Log.WarnContext(ctx, "workers not drained", "target", r.target.Name, "error", err.Error())
			rest := r.victims
			r.victims = nil
			change.Status, change.Reasons = "resumed", []policy.Reason{policy.ReasonUntold}
			return r.resume(ctx, rest)
		} else if err != nil {
			return err
		}
		o := r.lookClosely(ctx, r.target, r.seen, r.queues(), r.names()...)
		if err := o.err(); err != nil {
			return err
		}
		if d := o.decide(r.Now(), 0); d.Action == policy.ScaleOut && !r.stuck {
			if d.Resume > 0 {
				back := r.victims[max(0, len(r.victims)-d.Resume):] // The first to be chosen are the idlest.
				if err := r.resume(ctx, back); err != nil {
					return err
				}
				r.victims = r.victims[:len(r.victims)-len(back)]
			}
			if len(r.victims) == 0 || d.Desired > r.seen.service.Desired || r.all() {
				rest := r.victims
				r.victims = nil
				change.Status, change.Reasons = "resumed", d.Reasons
				return r.resume(ctx, rest)
			}
		}
		done := true
		for _, v := range r.victims {
			v.watch(o)
			done = done && r.enough(v)
		}
		if done || r.Now().After(deadline) {
			return r.suspect(ctx, o)
		}
		if err := r.pause(ctx, drainPause); err != nil {
			return err
		}
	}
}

// mend tells workers that have nothing to do to fetch from their queues again, which those do that have forgotten one over a lost
// connection, and which means nothing to the others. It says whether one of them then begins to work.
func (r *release) mend(ctx context.Context) (mended bool, err error) {
	var names []string
	workers := r.seen.view.heard(r.target)
	for _, n := range workers {
		names = append(names, n.Name)
	}
	r.Log.WarnContext(ctx, "workers have nothing to do although messages wait", "target", r.target.Name, "nodes", names)
	if err := r.consume(ctx, r.target, workers); err != nil {
		return false, err
	}
	for deadline := r.Now().Add(mendPatience); r.Now().Before(deadline); {
		if err := r.pause(ctx, drainPause); err != nil {
			return false, err
		}
		o := r.lookClosely(ctx, r.target, r.seen, nil)
		if err := o.err(); err != nil {
			return false, err
		}
		if !o.decide(r.Now(), 0).signals.Stuck {
			return true, nil
		}
	}
	return false, nil
}

// watch takes note of what a look saw of the victim.
func (v *victim) watch(o observation) {
	drained, busy := true, false
	for _, n := range v.nodes {
		i := slices.IndexFunc(o.view.look.Nodes, func(m policy.Node) bool { return m.Name == n.Name })
		if i < 0 || len(o.view.look.Nodes[i].Queues) > 0 || o.view.look.Nodes[i].Answers != n.Answers {
			drained = false
			break
		}
		active := o.view.look.Nodes[i].Active
		// An answer that came in part leaves the queues empty as well. What it fetches from now on may be its own.
		drained = drained && active.Known
		busy = busy || active.N > 0
	}
	if !drained {
		v.drained, v.suspects = 0, nil // It fetches after all: a twin of its name, or one that has been restarted.
	} else if v.drained++; v.drained <= 2 {
		// Two looks, as each asks what is fetched before it asks who fetches: in between, it may have fetched one more.
		if v.suspects == nil {
			v.suspects = map[string]bool{}
		}
		for _, f := range o.view.look.Fetched {
			v.suspects[f.Tag] = true
		}
	}
	if !drained || busy {
		v.empties = 0
		return
	}
	if v.empties == 0 {
		v.since = o.view.at
	}
	v.empties++
	v.empty = o.view.at.Sub(v.since)
	v.holds = v.suspected(o, nil)
}

// enough says whether the victim has been seen empty often enough.
func (r *release) enough(v *victim) bool {
	long := v.empty >= suspectTime || !v.holds || r.nothingHeld()
	return v.empties >= emptyLooks && long
}

// nothingHeld says that no messages are held at all, so that nobody is suspected: else a target that may have workers does not go to
// none. Where somebody wants none (max is 0) it does, whatever is held. Of queues that a victim fetched from and the target does not have,
// the decision knew nothing.
func (r *release) nothingHeld() bool {
	return r.all() && r.idle && !r.stuck && !r.none && !slices.ContainsFunc(r.queues(), func(q string) bool { return !slices.Contains(r.target.Queues, q) })
}

// suspected says whether a message that was fetched before the victim was drained may still be in its hands. A message that is due
// would have begun in a worker with nothing active, unless its task's rate is limited; nil limits are not known. Where nobody else
// is at work, it must be in the hands of somebody who has nothing active all the same; or of nobody, if its visibility timeout is
// over: its worker has died, and gevent workers give such a message back only when they connect.
func (v *victim) suspected(o observation, limited map[string]bool) bool {
	if !o.view.look.FetchedKnown {
		return true
	}
	return slices.ContainsFunc(o.view.look.Fetched, func(f policy.Fetched) bool {
		switch {
		case !v.suspects[f.Tag] || f.Later:
			return false
		case f.Due.Add(timerLate).After(o.view.look.At) || f.Task == "":
			return true
		}
		return limited == nil || limited[f.Task] || !f.Expired && !o.atWork()
	})
}

// atWork says whether a worker that may have fetched from the target's queues executes something, or is silent.
func (o observation) atWork() bool {
	return o.view.silent > 0 || slices.ContainsFunc(slices.Concat(o.view.heard(o.target), o.view.drained()), func(n policy.Node) bool {
		return n.Active != policy.Known(0)
	})
}

// suspect asks the victims that may hold a message which tasks' rates they limit.
func (r *release) suspect(ctx context.Context, o observation) error {
	if r.nothingHeld() {
		return nil
	}
	var nodes []policy.Node
	for _, v := range r.victims {
		if r.enough(v) && v.holds {
			nodes = append(nodes, v.nodes...)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	limited, err := r.Brokers[r.target.Broker].RateLimited(ctx, nodes)
	if err != nil {
		r.Log.WarnContext(ctx, "rate limits not known, so workers stay", "target", r.target.Name, "error", err.Error())
		limited = nil
	}
	for _, v := range r.victims {
		if v.holds {
			v.holds = v.suspected(o, limited)
		}
	}
	return nil
}

// leaving are the victims that hold nothing, as many as may go at once.
func (r *release) leaving() []*victim {
	var empty []*victim
	for _, v := range r.victims {
		if !v.kept && r.enough(v) && (!v.holds || r.nothingHeld()) {
			empty = append(empty, v)
		}
	}
	if r.all() {
		if len(empty) < len(r.victims) {
			return nil // Without knowing the others' tasks ECS would choose among all.
		}
		return empty
	}
	return r.evenly(empty, min(len(empty), r.excess()))
}

// emptyIn says whether a later look saw all workers of the victim drained and with nothing active.
func (v *victim) emptyIn(o observation) bool {
	was := v.empties
	v.watch(o)
	return v.empties > was
}
