package sim

import (
	"context"
	"slices"
	"time"

	"sluice/lab/sim/broker"
)

// liveBound is how long a message may wait, once the faults have ended, while there are too few workers: two sweeps, since
// the one that is under way may have looked already; the ttl of the lock of a function that died with it; a scale-in that
// holds it; and what ECS and the worker take to start, after failures a while longer.
func (j *judge) liveBound(t *target) time.Duration {
	p := j.w.plan
	return 2*p.SweepEvery + 2*p.SweepJitter + 180*time.Second + 2*time.Minute +
		p.Provisioning + t.plan.Pending + t.plan.Worker.Boot + 3*time.Minute
}

// live judges whether the target has the workers that its work asks for. A worker that is busy with something long fetches
// no more than its window, and the policy gives each worker as many messages as it is meant to have: so long nobody waits
// in vain.
func (j *judge) live(t *target) {
	backlog, fetched := j.backlog(t)
	work, up, drained := backlog+fetched, 0, 0
	horizon := j.w.plan.Brokers[t.plan.Broker].Horizon
	for _, k := range t.live {
		if k.worker == nil || !k.worker.Ready() {
			continue
		}
		executing, _ := k.worker.Holding(horizon)
		// Nobody can tell it anything before it is done; and one that hangs cannot be told from that, so that it is not
		// replaced where max allows no further one.
		engaged := !k.worker.Obeys() && (executing > 0 || t.desired >= t.inForce().max)
		if !engaged && !fetches(k.worker, t.plan.Queues) {
			drained += executing
			continue
		}
		up++
		if !k.worker.Answers() {
			executing = min(executing, 1) // It is busy, and says no more than that.
		}
		if t.plan.Worker.Untracked == nil { // Else nobody sees all that it executes.
			work += executing
		}
	}
	// A message that a worker still has and that was restored behind its back is there twice.
	work = min(work, len(t.left())-drained)
	f := t.inForce()
	need := min((work+t.plan.MessagesPerWorker-1)/t.plan.MessagesPerWorker, f.max)
	if !t.plan.mappable() {
		need = min(need, 1) // Whether each of several workers of one name fetches cannot be seen.
		if j.shared(t) {
			need = 0
		}
	}
	t.state.short = j.since(t.state.short, backlog > 0 && up < need && !f.startsNobody())
	if t.state.short.IsZero() {
		return
	}
	if waited, bound := j.w.loop.now.Sub(t.state.short), j.liveBound(t); waited > bound {
		j.w.brokenAt(Live, t.index,
			"%d messages have waited for workers of %s for over %v: %d fetch, %d are asked for by the work, the count is %d",
			backlog, t.plan.Name, bound, up, need, t.desired)
	}
}

// recalled judges whether workers that were drained fetch again while nobody is to be let go. Those that are more than the count are on
// their way out, and whose names tell nothing may be anybody's.
func (j *judge) recalled(t *target) {
	deaf := t.inForce().keeps() && t.plan.mappable() && !t.plan.Worker.NoControl && len(t.live) <= t.desired &&
		slices.ContainsFunc(t.live, func(k *task) bool {
			return k.chosen && k.worker != nil && k.worker.Ready() && k.worker.Obeys() && !fetches(k.worker, t.plan.Queues)
		})
	t.state.deaf = j.since(t.state.deaf, deaf)
	if !t.state.deaf.IsZero() && j.w.loop.now.Sub(t.state.deaf) > j.liveBound(t) {
		j.w.brokenAt(Live, t.index, "workers of %s that were drained have been left so for over %v, although nobody is to be let go%v",
			t.plan.Name, j.liveBound(t), t.inForce())
	}
}

// shared says whether the target shares its broker. If its workers' names tell nothing, then nobody knows whose they are once they have
// no queues, as after a function that died half-way or a reconnect: that is a limit, which the README states.
func (j *judge) shared(t *target) bool {
	return slices.ContainsFunc(j.w.targets, func(o *target) bool { return o != t && o.broker == t.broker })
}

// fetches says whether the worker fetches from one of the queues.
func fetches(b *broker.Worker, queues []string) bool {
	return slices.ContainsFunc(b.Consumes(), func(q string) bool { return slices.Contains(queues, q) })
}

// backlog is how many messages wait for the target that are due, those included that were fetched longer ago than the visibility
// timeout; and how many others have been fetched and not begun.
func (j *judge) backlog(t *target) (waiting, fetched int) {
	if t.state.clients == nil {
		t.state.clients = []*broker.Client{t.broker.Client(broker.ClientOptions{Horizon: time.Nanosecond})}
	}
	if _, _, waits := t.broker.LongestWait(t.plan.Queues...); !waits {
		return 0, 0
	}
	look, err := t.state.clients[0].Look(context.Background(), t.plan.Queues, 0)
	if err != nil {
		return 0, 0 // Redis is not well: nobody waits for us.
	}
	for _, q := range look.Queues {
		waiting += q.Backlog.N
		fetched += q.Held.N
	}
	return waiting, fetched
}

// frugalBound is how long a target without work may keep its count: three sweeps, one that is under way, one that finds it a
// candidate, one that was held by a young task; and what each waits for.
func (j *judge) frugalBound(t *target) time.Duration {
	p := j.w.plan
	held := max(t.plan.Floor, p.longestHold(t.index))
	return 3*p.SweepEvery + 2*p.SweepJitter + t.plan.Settle + t.plan.Grace + held + 180*time.Second + 2*time.Minute
}

// longestHold is how long an event asks at most to keep workers of the target.
func (p *plan) longestHold(target int) time.Duration {
	var hold time.Duration
	for _, s := range p.Sends {
		if s.Target == target {
			hold = max(hold, s.Hold)
		}
	}
	return hold
}

// frugal judges whether a target without work goes down.
func (j *judge) frugal(t *target) {
	f := t.inForce()
	// A copy of a message that was done may stay fetched until its visibility timeout, and be executed once more.
	// Workers that may execute unseen are never let go.
	idle := !f.keeps() && !f.bad && t.desired > f.min && (t.plan.mappable() || f.min == 0) && t.broker.Unacked() == 0 &&
		t.plan.Worker.Untracked == nil
	for _, o := range j.w.targets {
		if o.broker != t.broker {
			continue
		}
		// A neighbour's silent worker may be anybody's; and workers that all bear one name cannot be told apart at all.
		idle = idle && (len(o.left()) == 0 || o.inForce().max == 0 && !o.atWork()) && !o.plan.Worker.NoControl
	}
	idle = idle && (t.plan.mappable() || !j.shared(t))
	for _, k := range t.live {
		// A function that died may leave its own, until it expires.
		idle = idle && !j.protection[k.id].until.After(j.w.loop.now)
	}
	if t.desired != t.state.count {
		t.state.idle, t.state.count = time.Time{}, t.desired
	}
	t.state.idle = j.since(t.state.idle, idle)
	if t.state.idle.IsZero() {
		return
	}
	j.w.tally.count("idle looks")
	if since, bound := j.w.loop.now.Sub(t.state.idle), j.frugalBound(t); since > bound {
		j.w.brokenAt(Frugal, t.index, "%s has had no work for over %v, and its count is still %d (min %d)",
			t.plan.Name, bound, t.desired, f.min)
	}
}

// atWork says whether a worker of the target executes something or has fetched it.
func (t *target) atWork() bool {
	return slices.ContainsFunc(t.live, func(k *task) bool {
		if k.worker == nil {
			return false
		}
		executing, held := k.worker.Holding(0)
		return executing+held > 0
	})
}

// left returns the messages of the target that are not done.
func (t *target) left() []broker.ID {
	t.unfinished = slices.DeleteFunc(t.unfinished, func(id broker.ID) bool {
		return t.broker.Record(id).State >= broker.Done
	})
	return t.unfinished
}
