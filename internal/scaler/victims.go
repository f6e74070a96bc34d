package scaler

import (
	"cmp"
	"slices"
	"time"

	"sluice/internal/policy"
)

// victim is a task, or where its worker's name does not tell its task a worker, that is to be let go.
type victim struct {
	task    string        // "" if it is not known.
	nodes   []policy.Node // Its workers, with the queues that they fetched from when the scale-in began.
	zone    string
	empties int           // How often in a row all of its workers have been seen drained and with nothing active.
	since   time.Time     // When the first of these looks began.
	empty   time.Duration // How long that was before the last of them.
	drained int           // How often in a row they have been seen without queues, whatever is active.
	kept    bool          // Its task is protected: it is told to fetch no more, and goes when that is over.
	// suspects are the messages that were fetched, by whomever, when it had been seen drained: any of them may be its own. It can have
	// none of those that were fetched later.
	suspects map[string]bool
	holds    bool // One of the suspects may still be in its hands.
}

// excess is how many tasks are more than the decision asks for.
func (r *release) excess() int { return r.live(r.seen) - r.decision.Desired }

// choose chooses who is to go, and says why not if that cannot be told. Where none is to be left nobody is to fetch any more, though not all
// may go at once.
func (r *release) choose() (why policy.Reason) {
	o := r.seen
	if r.all() {
		return r.chooseAll()
	}
	var eligible []*victim
	for _, t := range o.tasks {
		nodes, protected := o.workersIn(t.ID), r.Now().Before(t.ProtectedUntil)
		if t.State != policy.TaskRunning || len(nodes) == 0 || protected && !r.none {
			continue
		}
		eligible = append(eligible, &victim{task: t.ID, nodes: nodes, zone: t.Zone, kept: protected})
	}
	slices.SortStableFunc(eligible, func(a, b *victim) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), b.began().Compare(a.began()), cmp.Compare(a.task, b.task))
	})
	r.victims = eligible
	if !r.none {
		r.victims = r.evenly(eligible, r.excess())
	}
	if len(r.victims) == 0 && r.excess() > 0 {
		return policy.ReasonProtected
	}
	return ""
}

// chooseAll takes every worker of the target. Where names do not tell the tasks, those on its queues are taken for its own, unless
// some serve other targets too, or are more than its tasks: one of them is somebody else's; or are fewer.
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
	for _, n := range o.workers() {
		if o.match[n.Name] != "" {
			continue
		}
		untold -= n.Answers
		if o.view.served(n) > 1 || untold < 0 {
			return policy.ReasonUntold
		}
		r.victims = append(r.victims, &victim{nodes: []policy.Node{n}})
	}
	if untold > 0 {
		return policy.ReasonUntold // One is too busy to answer, and cannot be told to fetch no more.
	}
	return ""
}

// rank orders the victims: those that fetch nothing and do nothing, then those that do nothing, then those that work. Those that
// work and fetch nothing come last: the decision has counted them already.
func (v *victim) rank() int {
	switch {
	case v.idle() && !v.fetches():
		return 0
	case v.idle():
		return 1
	case v.fetches():
		return 2
	}
	return 3
}

func (v *victim) fetches() bool {
	return slices.ContainsFunc(v.nodes, func(n policy.Node) bool { return len(n.Queues) > 0 })
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
