package sim

import (
	"fmt"
	"slices"
	"strings"

	"sluice/lab/sim/broker"
)

// stops judges ECS's telling a task to stop.
func (j *judge) stops(k *task, reason string) {
	t := k.target
	switch {
	case !strings.HasPrefix(reason, "Scaling activity"):
		j.w.tally.count("stops by others: " + reason)
	case k.generation < t.generation || t.rolling && !k.chosen:
		// While it rolls ECS reduces old and new tasks as it likes.
		j.w.tally.count("stops by others: deployment")
	case t.ours == 0:
		j.w.tally.count("stops by others: operator or rebalancing")
	case k.restarted.After(t.loweredAt):
		// Its process began anew, and fetches, after the count was lowered and before ECS acted. No look can be later than that.
		t.ours--
		j.w.tally.count("stops by us: begun anew since the count was lowered")
	default:
		t.ours--
		k.ours = true
		j.w.tally.count("stops by us")
		if k.executing+k.held > 0 {
			j.w.brokenAt(Lossless, t.index,
				"ECS stops task %s of %s because of the count that we lowered, while it executes %d and holds %d messages%s",
				short(k.id), t.plan.Name, k.executing, k.held, k.has)
		}
	}
}

// possessions notes what a worker has that is told to stop, in words as well. It does not count a copy of a message that was restored
// behind a worker's back, past the visibility timeout: nobody can see it, in no key and in no answer, and nothing is lost with it. Nor does
// it count an execution that such a copy has doubled.
func (j *judge) possessions(k *task) {
	var b strings.Builder
	for id := range broker.ID(k.target.broker.Sent()) {
		r := k.target.broker.Record(id)
		for _, d := range r.Deliveries {
			if d.Worker != k.worker || !d.Back.IsZero() || !d.Ended.IsZero() {
				continue
			}
			if copied(d, r.Deliveries) {
				j.w.tally.count("second executions stopped")
				switch {
				case !d.Started.IsZero():
					k.executing = max(0, k.executing-1)
				case d.Restored.IsZero(): // Else it has not been counted.
					k.held = max(0, k.held-1)
				}
				continue
			}
			j.describe(&b, r, d)
		}
	}
	k.has = b.String()
}

// copied reports whether what the worker has of a message is a copy: the message was given back behind its back before it began, or
// another has begun it before.
func copied(d broker.Delivery, all []broker.Delivery) bool {
	if !d.Started.IsZero() && !d.Restored.IsZero() && !d.Restored.After(d.Started) {
		return true
	}
	return slices.ContainsFunc(all, func(o broker.Delivery) bool {
		return o.Tag == d.Tag && !o.Started.IsZero() && (d.Started.IsZero() || o.Started.Before(d.Started))
	})
}

// describe says in words what a worker has of a message.
func (j *judge) describe(b *strings.Builder, r broker.Record, d broker.Delivery) {
	fmt.Fprintf(b, "; message %d (%s) is %s, sent at %v, fetched at %v",
		int(r.ID), r.Task.Name, r.State, r.Sent.Sub(epoch), d.Fetched.Sub(epoch))
	if !r.Task.ETA.IsZero() {
		fmt.Fprintf(b, ", due at %v", r.Task.ETA.Sub(epoch))
	}
	if r.Task.Routed {
		b.WriteString(", of no queue that can be told")
	}
	if r.Retried > 0 {
		fmt.Fprintf(b, ", retried %d times, each after %v", r.Retried, r.Task.RetryIn)
	}
}

// over judges the end of a worker: one that we made ECS stop has lost nothing on its way out.
func (j *judge) over(k *task) {
	if !k.ours {
		return
	}
	for _, id := range k.target.broker.Lost()[k.lost:] {
		r := k.target.broker.Record(id)
		later := !r.Task.ETA.IsZero() || r.Retried > 0
		if later && k.target.plan.Worker.StopsNot {
			continue // It was not due when the worker was told to stop, and is lost with a worker that overhears it.
		}
		if n := len(r.Deliveries); n > 0 && r.Deliveries[n-1].Worker == k.worker {
			j.w.brokenAt(Lossless, k.target.index,
				"task %s of %s, which ECS stopped because of the count that we lowered, has lost message %d",
				short(k.id), k.target.plan.Name, int(id))
		}
	}
}
