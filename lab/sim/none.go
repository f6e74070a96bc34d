package sim

import (
	"slices"
	"time"

	"sluice/lab/sim/broker"
)

// drainBound is how long it may take until the first step of that has been done: two sweeps, the settle time, a task that is young, and the
// lock of a function that died.
func (j *judge) drainBound(t *target) time.Duration {
	p := j.w.plan
	return 2*p.SweepEvery + 2*p.SweepJitter + t.plan.Settle + t.plan.Grace + 180*time.Second + 2*time.Minute
}

// emptied judges whether a target that is to have no worker has them all told to fetch no more, whatever waits, a step at least in each
// drainBound. It is asked where nothing can keep anybody from seeing and telling them all.
func (j *judge) emptied(t *target) {
	f := t.inForce()
	fetching := 0
	for _, k := range t.live {
		// Nobody can tell a gevent worker anything while its pool has no room for what it has fetched. It fetches no further message.
		if k.worker != nil && k.worker.Ready() && k.worker.Obeys() && fetches(k.worker, t.plan.Queues) {
			fetching++
		}
	}
	fit := t.plan.mappable() && !j.shared(t) && t.plan.Worker.Pool != broker.Solo && !t.plan.Worker.NoControl && t.plan.Worker.Untracked == nil &&
		!t.broker.Routed() &&
		!slices.ContainsFunc(t.live, func(k *task) bool {
			return k.worker == nil || !k.worker.Ready() || j.protection[k.id].until.After(j.w.loop.now)
		})
	if fetching != t.state.fetching {
		t.state.filled, t.state.fetching = time.Time{}, fetching
	}
	t.state.filled = j.since(t.state.filled, fit && f.max == 0 && !f.keeps() && !f.bad && fetching > 0)
	if since := t.state.filled; !since.IsZero() && j.w.loop.now.Sub(since) > j.drainBound(t) {
		j.w.brokenAt(Frugal, t.index, "%s is to have no worker, and %d have gone on fetching for over %v", t.plan.Name, fetching, j.drainBound(t))
	}
}
