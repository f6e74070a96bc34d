package scaler

import (
	"context"
	"slices"

	"sluice/internal/policy"
)

// putBack raises the count to n, which is at most what it was, unless somebody has raised it meanwhile.
func (r *release) putBack(ctx context.Context, n int) error {
	d := r.describe(ctx, []Target{r.target})[r.target.Ref]
	if d.Err != nil || d.Service.Desired >= n {
		return d.Err
	}
	return r.Fleet.SetDesired(ctx, r.target.Ref, n)
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
			// To those that live: nobody is to be started in the place of one that did go.
			return false, r.putBack(ctx, min(r.seen.service.Desired, r.live(observation{tasks: tasks})))
		}
		if err := r.pause(ctx, stopPause); err != nil {
			return false, err
		}
	}
}
