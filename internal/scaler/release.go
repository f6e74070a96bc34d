package scaler

import (
	"cmp"
	"context"
	"fmt"
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
	idle     bool // Nothing waited, executed or was held.
	told     bool // Each worker was known by its task.
	none     bool // Max was 0: none is to be left, whatever waits.
	want     int  // How many workers that fetch are to stay: by the work, what was asked for, and the bounds.
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
	if err := r.exchange(ctx); err != nil {
		return err
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
		// If work came they are needed, and who pauses it wants them to work; if all were to go and may not, they are all that
		// there is.
		if wanted.Action == policy.ScaleOut || r.all() && (r.idle || r.stuck) {
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
		return r.putBack(ctx, r.seen.service.Desired)
	}
	return nil
}

// all says whether all workers go at once, or none of them. Where each is known by its task, and messages wait or are at work that are to
// wait (max is 0), each goes when it is done itself.
func (r *release) all() bool { return r.decision.Desired == 0 && (r.idle || r.stuck || !r.told) }

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

// pause waits for workers, or ECS, to do as told, or says that there is no more time.
func (s *Scaler) pause(ctx context.Context, d time.Duration) error {
	if err := s.Sleep(ctx, d); err != nil {
		return &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("wait for an order to take effect: %w", err)}
	}
	return nil
}
