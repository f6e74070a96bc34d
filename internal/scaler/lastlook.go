package scaler

import (
	"context"
	"slices"
	"time"

	"sluice/internal/policy"
)

// stillIdle looks at what was seen last, after everything is ready. It returns nil if the victims may go now, else what the
// target needs instead.
func (r *release) stillIdle(o observation, leaving []*victim, n int) *policy.Decision {
	d := o.decide(r.Now(), 0).Decision
	held := &policy.Decision{Action: policy.Hold, Reasons: d.Reasons}
	switch {
	case r.stuck && o.err() == nil && o.service.Desired == r.seen.service.Desired && !o.service.Deploying &&
		!because(d, policy.ReasonPaused, policy.ReasonPausedIn, policy.ReasonPausedOut, policy.ReasonDryRun):
		// That work waits is no reason to have it fetch again.
	case d.Action == policy.ScaleOut:
		return &d
	case o.err() != nil || o.service.Desired != r.seen.service.Desired || d.Action != policy.ScaleIn || d.Desired > n:
		return held
	}
	for _, v := range leaving {
		if !v.emptyIn(o) {
			return held
		}
	}
	if r.all() && !r.stuck {
		if r.newcomer(o) {
			held.Reasons = []policy.Reason{policy.ReasonGrace}
			return held
		}
		if !r.idle && (o.view.silent > 0 || o.view.missing[r.target.Name] > 0) {
			held.Reasons = []policy.Reason{policy.ReasonWork}
			return held
		}
		return nil // Every task was heard from, and each worker has been seen empty.
	}
	// Every task that ECS might choose has to be one that was seen drained and empty; all others have to be protected: by whomever,
	// but seen to be, since an application that ends its own protection ends ours with it.
	for _, t := range o.tasks {
		leaves := among(leaving, t)
		if t.State != policy.TaskStopping && !leaves && !r.shielded(t) {
			held.Reasons = []policy.Reason{policy.ReasonProtected}
			return held
		}
	}
	return nil
}

// newcomer says whether a worker of the target was seen that is no victim: ECS has started one more task meanwhile, as it does where it
// evens out zones. Where each victim is known by its task, a worker whose name tells none is not in a task of this service; else
// each that fetches from its queues may be.
func (r *release) newcomer(o observation) bool {
	var known []policy.Node
	for _, t := range o.tasks {
		if t.State != policy.TaskStopping {
			known = append(known, o.workersIn(t.ID)...)
		}
	}
	if slices.ContainsFunc(r.victims, func(v *victim) bool { return v.task == "" }) {
		known = append(known, o.view.heard(r.target)...)
	}
	victims := r.names()
	return slices.ContainsFunc(known, func(n policy.Node) bool { return !slices.Contains(victims, n.Name) })
}

// stillMine says whether the lock is still held; if not, nothing is done, and the protection ends.
func (r *release) stillMine(ctx context.Context, change *Change, protected map[string]time.Time) (bool, error) {
	mine, err := r.lock.take(ctx)
	if err != nil || !mine {
		change.Reasons = []policy.Reason{policy.ReasonOverlap}
		r.unprotect(ctx, protected)
	}
	return mine, err
}
