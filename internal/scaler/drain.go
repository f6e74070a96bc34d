package scaler

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"sluice/internal/policy"
)

// timerLate is how late a worker may begin a message with an ETA: Celery's worker_timer_precision is a second, and its clock may
// differ from ours by a little.
const timerLate = 2 * time.Second

// victim is a task, or where its worker's name does not tell its task a worker, that is to be let go.
type victim struct {
	task    string        // "" if it is not known.
	nodes   []policy.Node // Its workers, with the queues that they fetched from when the scale-in began.
	zone    string
	empties int           // How often in a row all of its workers have been seen drained and with nothing active.
	since   time.Time     // When the first of these looks began.
	empty   time.Duration // How long that was before the last of them.
	drained int           // How often in a row they have been seen without queues, whatever is active.
	// suspects are the messages that were fetched, by whomever, when it had been seen drained: any of them may be its own. It can have
	// none of those that were fetched later.
	suspects map[string]bool
	holds    bool // One of the suspects may still be in its hands.
}

// choose chooses who is to go, and says why not if that cannot be told.
func (r *release) choose() (why policy.Reason) {
	o := r.seen
	if r.all() {
		return r.chooseAll()
	}
	excess := r.live(o) - r.decision.Desired
	var eligible []*victim
	for _, t := range o.tasks {
		nodes := o.workersIn(t.ID)
		if t.State != policy.TaskRunning || len(nodes) == 0 || r.Now().Before(t.ProtectedUntil) {
			continue
		}
		eligible = append(eligible, &victim{task: t.ID, nodes: nodes, zone: t.Zone})
	}
	slices.SortStableFunc(eligible, func(a, b *victim) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), b.began().Compare(a.began()), cmp.Compare(a.task, b.task))
	})
	r.victims = r.evenly(eligible, excess)
	if len(r.victims) == 0 && excess > 0 {
		return policy.ReasonProtected
	}
	return ""
}

// chooseAll takes every worker of the target. Where names do not tell the tasks, those on its queues are taken for its own, unless
// some serve other targets too, or are more than its tasks: one of them is somebody else's.
func (r *release) chooseAll() (why policy.Reason) {
	o := r.seen
	untold := 0 // Running tasks of which no worker is known by its name.
	for _, t := range o.tasks {
		if t.State != policy.TaskRunning {
			continue
		}
		if nodes := o.workersIn(t.ID); len(nodes) > 0 {
			r.victims = append(r.victims, &victim{task: t.ID, nodes: nodes, zone: t.Zone})
		} else {
			untold++
		}
	}
	if untold == 0 {
		return "" // Any other worker on its queues is not in a task of this service.
	}
	for _, n := range slices.Concat(o.view.heard(r.target), o.view.own[r.target.Name]) {
		if o.match[n.Name] != "" {
			continue
		}
		untold -= n.Answers
		if o.view.served(n) > 1 || untold < 0 {
			return policy.ReasonUntold
		}
		r.victims = append(r.victims, &victim{nodes: []policy.Node{n}})
	}
	return ""
}

// rank orders the victims: those that fetch nothing and do nothing, then those that do nothing, then those that work. Those that
// work and fetch nothing come last: the decision has counted them already.
func (v *victim) rank() int {
	fetches := slices.ContainsFunc(v.nodes, func(n policy.Node) bool { return len(n.Queues) > 0 })
	switch {
	case v.idle() && !fetches:
		return 0
	case v.idle():
		return 1
	case fetches:
		return 2
	}
	return 3
}

func (v *victim) idle() bool {
	return !slices.ContainsFunc(v.nodes, func(n policy.Node) bool { return n.Active != policy.Known(0) })
}

// began is when the oldest of its running tasks began: the younger that is, the sooner it may be done.
func (v *victim) began() time.Time {
	var at time.Time
	for _, n := range v.nodes {
		if !n.OldestStart.IsZero() && (at.IsZero() || n.OldestStart.Before(at)) {
			at = n.OldestStart
		}
	}
	return at
}

// evenly takes the first n of the victims that leave the Availability Zones as even as they are, where ECS would even them out
// itself: it would stop any task for that.
func (r *release) evenly(victims []*victim, n int) []*victim {
	zones := map[string]int{}
	for _, t := range r.seen.tasks {
		if t.State != policy.TaskStopping {
			zones[t.Zone]++
		}
	}
	spread := func() int {
		low, high := -1, 0
		for _, n := range zones {
			high = max(high, n)
			if low < 0 || n < low {
				low = n
			}
		}
		return high - low
	}
	var out []*victim
	rest := slices.Clone(victims)
	for len(out) < n {
		allowed := max(1, spread())
		i := slices.IndexFunc(rest, func(v *victim) bool {
			zones[v.zone]--
			ok := !r.seen.service.Rebalancing || spread() <= allowed
			zones[v.zone]++
			return ok
		})
		if i < 0 {
			break
		}
		zones[rest[i].zone]--
		out = append(out, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return out
}

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
		if d, _, _ := o.decide(r.Now(), 0); d.Action == policy.ScaleOut && !r.stuck {
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
		if _, sig, _ := o.decide(r.Now(), 0); !sig.Stuck {
			return true, nil
		}
	}
	return false, nil
}

// refused says whether an order was answered, but not as hoped, in contrast to a broker that could not be asked.
func refused(err error) bool {
	var e *policy.Error
	return err != nil && !errors.As(err, &e)
}

// cancel tells those of the victims that fetch that they are to fetch no more.
func (r *release) cancel(ctx context.Context) error {
	var fetching []policy.Node
	for _, v := range r.victims {
		for _, n := range v.nodes {
			if v.drained == 0 && len(n.Queues) > 0 {
				fetching = append(fetching, n)
			}
		}
	}
	if len(fetching) == 0 {
		return nil
	}
	return r.Brokers[r.target.Broker].Cancel(ctx, fetching)
}

// resume makes victims fetch again from what they fetched from before.
func (r *release) resume(ctx context.Context, victims []*victim) error {
	var nodes []policy.Node
	for _, v := range victims {
		nodes = append(nodes, v.nodes...)
	}
	return r.consume(ctx, r.target, nodes)
}

// consume makes workers fetch again: those that were found without queues, from all of the target's. It watches until they do. With
// the pools gevent and eventlet an order takes effect up to two seconds late, and two of them in any order: one that was given
// up too early would have a worker fetch again that has been let go by then.
func (s *Scaler) consume(ctx context.Context, t Target, nodes []policy.Node) error {
	deaf := slices.Clone(nodes)
	for i := range deaf {
		if len(deaf[i].Queues) == 0 {
			deaf[i].Queues = t.Queues
		}
	}
	broker := s.Brokers[t.Broker]
	for deadline := s.Now().Add(consumePatience); len(deaf) > 0; {
		// What a worker answers is no matter, as long as it then fetches.
		if err := broker.Consume(ctx, deaf); err != nil && !refused(err) {
			return err
		}
		look, err := broker.Look(ctx, t.Queues, checkPatience)
		if err != nil {
			return err
		}
		deaf = slices.DeleteFunc(deaf, func(d policy.Node) bool {
			return slices.ContainsFunc(look.Nodes, func(n policy.Node) bool { return n.Name == d.Name && fetches(n, d.Queues) })
		})
		if len(deaf) == 0 || s.Now().After(deadline) {
			break
		}
		if err := s.pause(ctx, drainPause); err != nil {
			return err
		}
	}
	for _, n := range deaf {
		s.Log.WarnContext(ctx, "worker does not fetch again", "target", t.Name, "node", n.Name)
	}
	return nil
}

// fetches says whether the worker fetches from all of the queues.
func fetches(n policy.Node, queues []string) bool {
	return !slices.ContainsFunc(queues, func(q string) bool { return !slices.Contains(n.Queues, q) })
}

// queues are all that the victims fetched from: what they hold may be of any of them.
func (r *release) queues() []string {
	var queues []string
	for _, v := range r.victims {
		for _, n := range v.nodes {
			queues = append(queues, n.Queues...)
		}
	}
	slices.Sort(queues)
	return slices.Compact(queues)
}

// names are those of the victims' workers.
func (r *release) names() []string {
	var names []string
	for _, v := range r.victims {
		for _, n := range v.nodes {
			names = append(names, n.Name)
		}
	}
	return names
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

// nothingHeld says that no messages are held at all, so that nobody is suspected: else a target does not go to none. Of queues that a
// victim fetched from and the target does not have, the decision knew nothing.
func (r *release) nothingHeld() bool {
	return r.all() && !r.stuck && !slices.ContainsFunc(r.queues(), func(q string) bool { return !slices.Contains(r.target.Queues, q) })
}

// suspected says whether a message that was fetched before the victim was drained may still be in its hands. A message that is due
// would have begun in a worker with nothing active, unless its task's rate is limited; nil limits are not known. Where nobody else
// is at work, it must be in the hands of somebody who has nothing active all the same.
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
		return limited == nil || limited[f.Task] || !v.othersWork(o)
	})
}

// othersWork says whether another worker that may have fetched from the target's queues executes something, or is silent.
func (v *victim) othersWork(o observation) bool {
	return o.view.silent > 0 || slices.ContainsFunc(slices.Concat(o.view.heard(o.target), o.view.drained()), func(n policy.Node) bool {
		return n.Active != policy.Known(0) && !slices.ContainsFunc(v.nodes, func(m policy.Node) bool { return m.Name == n.Name })
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
		if r.enough(v) && (!v.holds || r.nothingHeld()) {
			empty = append(empty, v)
		}
	}
	if r.all() {
		if len(empty) < len(r.victims) {
			return nil // Without knowing the others' tasks ECS would choose among all.
		}
		return empty
	}
	return r.evenly(empty, len(empty))
}

// emptyIn says whether a later look saw all workers of the victim drained and with nothing active.
func (v *victim) emptyIn(o observation) bool {
	was := v.empties
	v.watch(o)
	return v.empties > was
}
