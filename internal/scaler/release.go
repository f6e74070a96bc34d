package scaler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
)

// The times of a scale-in. Together they stay well below the life of the function.
const (
	// drainPause is between two looks at workers that drain. With emptyLooks it makes a worker stay empty for longer than an
	// order takes to have an effect, at worst 2.7 s with gevent: an old order to fetch again is seen before the worker is let go.
	drainPause = time.Second
	// consumePatience is for how long workers that are to fetch again are watched.
	consumePatience = 4 * time.Second
	// drainPatience is for how long it waits for workers to finish what they hold. Who has long work is left to a later sweep.
	drainPatience = 15 * time.Second
	// mendPatience is for how long workers that were told to fetch again have time to do so: Celery 5.2 takes up to 2 s.
	mendPatience = 4 * time.Second
	// emptyLooks is how often in a row a worker has to be seen with nothing active: between two tasks that it has fetched
	// before, its pool is empty for milliseconds.
	emptyLooks = 3
	// suspectTime is for how long one has to be seen empty that may hold a message which is due. A pool whose process is being replaced has
	// nothing active until the new one has booted: after 4 s (worker_proc_alive_timeout) Celery gives up on that and begins anew.
	suspectTime = 9 * time.Second
	// protectFor is longer than everything that can happen between protecting the tasks that stay and ECS having stopped the
	// others, and than the time to the next sweep, which sees to a count that could not be reached.
	protectFor = 15 * time.Minute
	// protectMargin is for how long a task has to be protected still, by somebody else, to count as protected.
	protectMargin = 5 * time.Minute
	stopPause     = 3 * time.Second
	// stopPatience is for how long it waits for ECS to stop the tasks that were let go: it takes seconds.
	stopPatience = 30 * time.Second
)

// release is one scale-in of one target, from the decision on.
type release struct {
	*Scaler
	target   Target
	lock     lock
	seen     observation     // What the decision rests on.
	decision policy.Decision // How many are to stay.
	victims  []*victim
	// stuck says that the workers have nothing to do although messages wait: one is to be replaced.
	stuck bool
}

// run drains workers, lets those go that hold nothing, and says in change what came of it.
func (r *release) run(ctx context.Context, change *Change) error {
	if r.stuck {
		if mended, err := r.mend(ctx); mended || err != nil {
			change.Status = "resumed"
			return err
		}
	}
	if why := r.choose(); why != "" {
		change.Reasons = []policy.Reason{why}
		return nil
	}
	if err := r.drain(ctx, change); err != nil || change.Status == "resumed" {
		return err
	}
	change.Status = "draining"
	leaving := r.leaving()
	if len(leaving) == 0 && len(r.victims) > 0 {
		return nil
	}
	return r.letGo(ctx, leaving, change)
}

// letGo lowers the count by the victims that are leaving.
func (r *release) letGo(ctx context.Context, leaving []*victim, change *Change) error {
	n := max(r.decision.Desired, r.live(r.seen)-len(leaving))
	if r.all() {
		n = 0
	}
	if n >= r.seen.service.Desired {
		return nil
	}
	protected, err := r.protectRest(ctx, leaving)
	if err != nil {
		return err
	}
	// The lock may have been lost to a Redis that failed over. Whoever got it then may have had a victim fetch again: before this
	// is asked, and the look shows it; or after, and the lock is not ours when it is asked once more.
	if mine, err := r.stillMine(ctx, change, protected); !mine || err != nil {
		return err
	}
	o := r.observeClosely(ctx, r.target, r.seen.prior, r.names()...)
	if wanted := r.stillIdle(o, leaving, n); wanted != nil {
		r.unprotect(ctx, protected)
		change.Reasons = wanted.Reasons
		// If work came they are needed; if all were to go and may not, they are all that there is; and whoever pauses it
		// wants them to work.
		if wanted.Action == policy.ScaleOut || r.all() ||
			because(*wanted, policy.ReasonPaused, policy.ReasonPausedIn, policy.ReasonDryRun) {
			if err := r.resume(ctx, r.alive(o)); err != nil {
				return err
			}
			change.Status = "resumed"
		}
		return o.err()
	}
	if mine, err := r.stillMine(ctx, change, protected); !mine || err != nil {
		return err
	}
	if err := r.fresh(o); err != nil {
		r.unprotect(ctx, protected)
		return err
	}
	// If this errs, the count may have been lowered all the same. Nobody is to have the victims fetch again before ECS has
	// stopped them in that case, so the lock is kept until that is seen; the protection is left to expire.
	failed := r.Fleet.SetDesired(ctx, r.target.Ref, n)
	if failed != nil {
		if err := r.pause(ctx, stopPause); err != nil {
			return failed
		}
	}
	stopped, err := r.awaitStop(ctx, r.going(o, leaving))
	if err != nil || failed != nil && !stopped {
		return cmp.Or(failed, err)
	}
	r.unprotect(ctx, protected)
	if !stopped {
		return nil
	}
	change.Status, change.DesiredCount = "scaled in", n
	if r.stuck {
		change.Status, change.DesiredCount = "replaced", change.Previous
		return r.putBack(ctx)
	}
	return nil
}

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
// evens out zones. Where each victim is known by its task, a worker whose name tells none is not in a task of this service.
func (r *release) newcomer(o observation) bool {
	var known []policy.Node
	for _, t := range o.tasks {
		if t.State != policy.TaskStopping {
			known = append(known, o.workersIn(t.ID)...)
		}
	}
	if slices.ContainsFunc(r.victims, func(v *victim) bool { return v.task == "" }) {
		for _, n := range o.view.heard(r.target) {
			if o.match[n.Name] == "" {
				known = append(known, n)
			}
		}
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

// all says whether every worker is to go.
func (r *release) all() bool { return r.decision.Desired == 0 }

// live is how many tasks run or are on their way up.
func (r *release) live(o observation) int {
	n := 0
	for _, t := range o.tasks {
		if t.State != policy.TaskStopping {
			n++
		}
	}
	return n
}

// shielded says whether the application, or whoever, protects the task for long enough.
func (r *release) shielded(t policy.Task) bool {
	return t.ProtectedUntil.After(r.Now().Add(protectMargin))
}

// protectRest protects the tasks that stay, and returns until when it has protected which. It leaves alone what is protected
// already; if that is about to end, the scale-in has to wait, since it must not be prolonged on somebody else's behalf.
func (r *release) protectRest(ctx context.Context, leaving []*victim) (map[string]time.Time, error) {
	if r.all() {
		return nil, nil
	}
	// As they are now: what the application has protected since the drain began is its own as well.
	tasks, err := r.Fleet.Tasks(ctx, r.target.Ref)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, t := range tasks {
		leaves := among(leaving, t)
		switch {
		case t.State == policy.TaskStopping || leaves || r.shielded(t):
		case t.ProtectedUntil.After(r.Now()):
			return nil, nil // The last look will find it without.
		default:
			ids = append(ids, t.ID)
		}
	}
	protected, err := r.Fleet.Protect(ctx, r.target.Ref, ids, protectFor)
	if err != nil {
		r.unprotect(ctx, protected)
		return nil, fmt.Errorf("scale in %s: the tasks that stay cannot all be protected: %w", r.target.Name, err)
	}
	return protected, nil
}

// unprotect ends the protection that protectRest began, but for tasks whose protection somebody else has changed since. If it
// fails, the protection expires.
func (r *release) unprotect(ctx context.Context, protected map[string]time.Time) {
	if len(protected) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	tasks, err := r.Fleet.Tasks(ctx, r.target.Ref)
	if err == nil {
		var ids []string
		for _, t := range tasks {
			if until, ours := protected[t.ID]; ours && t.ProtectedUntil.Equal(until) {
				ids = append(ids, t.ID)
			}
		}
		if len(ids) > 0 {
			err = r.Fleet.Release(ctx, r.target.Ref, ids)
		}
	}
	if err != nil {
		r.Log.WarnContext(ctx, "protection left to expire", "target", r.target.Name, "error", err.Error())
	}
}

// pause waits for workers, or ECS, to do as told, or says that there is no more time.
func (s *Scaler) pause(ctx context.Context, d time.Duration) error {
	if err := s.Sleep(ctx, d); err != nil {
		return &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("wait for an order to take effect: %w", err)}
	}
	return nil
}

// putBack raises the count to what it was, unless somebody has raised it meanwhile.
func (r *release) putBack(ctx context.Context) error {
	d := r.describe(ctx, []Target{r.target})[r.target.Ref]
	if d.Err != nil || d.Service.Desired >= r.seen.service.Desired {
		return d.Err
	}
	return r.Fleet.SetDesired(ctx, r.target.Ref, r.seen.service.Desired)
}

// alive are the victims whose tasks nobody else has told to stop: they would take work with them.
func (r *release) alive(o observation) []*victim {
	return slices.DeleteFunc(slices.Clone(r.victims), func(v *victim) bool {
		return slices.ContainsFunc(o.tasks, func(t policy.Task) bool { return t.ID == v.task && t.State == policy.TaskStopping })
	})
}

// among says whether the task is one of the victims.
func among(victims []*victim, t policy.Task) bool {
	return slices.ContainsFunc(victims, func(v *victim) bool { return v.task == t.ID })
}

// going are the tasks that ECS is expected to stop: those of the victims, or all.
func (r *release) going(o observation, leaving []*victim) []string {
	var ids []string
	for _, t := range o.tasks {
		leaves := among(leaving, t)
		if t.State != policy.TaskStopping && (leaves || r.all()) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// awaitStop waits until ECS has begun to stop the tasks that were let go, or has none to stop any more because somebody has raised
// the count. If it does not stop them, one has been protected by somebody else: the count is put back, or ECS would later,
// when the protection of those that stay is over, stop one of these.
func (r *release) awaitStop(ctx context.Context, going []string) (stopped bool, err error) {
	enough := false // No more live than are asked for.
	for deadline := r.Now().Add(stopPatience); ; {
		tasks, err := r.Fleet.Tasks(ctx, r.target.Ref)
		left := slices.ContainsFunc(tasks, func(t policy.Task) bool {
			return t.State != policy.TaskStopping && slices.Contains(going, t.ID)
		})
		if err == nil && !left {
			return true, nil
		}
		if err == nil {
			d := r.describe(ctx, []Target{r.target})[r.target.Ref]
			if d.Err == nil && d.Service.Desired >= r.live(observation{tasks: tasks}) {
				if enough {
					return false, nil
				}
				enough = true // Seen twice: ECS may have chosen one a moment before.
			}
		}
		if r.Now().After(deadline) {
			if err != nil {
				return false, err // Not known: the protection is left to expire.
			}
			r.Log.WarnContext(ctx, "tasks are not stopped", "target", r.target.Name, "desired_count", r.seen.service.Desired)
			return false, r.putBack(ctx)
		}
		if err := r.pause(ctx, stopPause); err != nil {
			return false, err
		}
	}
}
