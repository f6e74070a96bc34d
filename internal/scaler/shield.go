package scaler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sluice/internal/policy"
)

const (
	// longWork is from when on a task is worth protecting: shorter ones end before a deployment's stop timeout does.
	longWork = time.Minute
	// tagShield is on the ECS tasks that we protect, and says until when. Protection with another end is the application's.
	tagShield = "sluice:shield"
)

// shield protects the tasks whose workers have executed one message for over a minute, for targets that want that, from
// deployments and the evening out of zones; and it ends the protection of those that have done with it. What the application
// protects itself is left alone. It is a help, not a promise: what fails is logged, and the protection expires.
func (s *Scaler) shield(ctx context.Context, observations []observation) {
	var calls []func()
	for i := range observations {
		o := &observations[i]
		if o.target.Shield == 0 || o.target.Source != SourceInspect || o.serviceErr != nil || o.view.err != nil || o.service.Running == 0 {
			continue
		}
		if o.target.dry(o.target.overrides(o.service.Tags, o.at)) {
			continue
		}
		calls = append(calls, func() {
			if err := s.shieldOne(ctx, o); err != nil {
				s.Log.WarnContext(ctx, "long tasks not shielded", "target", o.target.Name, "error", err.Error())
			}
		})
	}
	s.Together(calls...)
}

func (s *Scaler) shieldOne(ctx context.Context, o *observation) error {
	tasks, err := s.Fleet.Tasks(ctx, o.target.Ref)
	if err != nil {
		return err
	}
	inTask := map[string][]policy.Node{}
	match := s.Fleet.Match(o.view.names(), tasks)
	for _, n := range o.view.look.Nodes {
		if id := match[n.Name]; id != "" {
			inTask[id] = append(inTask[id], n)
		}
	}
	var long, done []string
	arns := map[string]string{}
	for _, t := range tasks {
		arns[t.ID] = t.ARN
		protected := t.ProtectedUntil.After(s.Now())
		ours := s.shieldedByUs(t)
		workers := inTask[t.ID]
		switch {
		case t.State != policy.TaskRunning || protected && !ours || len(workers) == 0:
		case s.longAtWork(workers):
			// A deployment that waits for protected tasks is not to wait for more of them: only what is there is prolonged.
			if ours || !o.service.Deploying {
				long = append(long, t.ID)
			}
		case ours:
			done = append(done, t.ID)
		}
	}
	err = s.protectLong(ctx, o.target, long, arns)
	if len(done) > 0 {
		err = errors.Join(err, s.releaseDone(ctx, o.target, done))
	}
	return err
}

// protectLong protects tasks, and puts on each until when.
func (s *Scaler) protectLong(ctx context.Context, t Target, ids []string, arns map[string]string) error {
	if len(ids) == 0 {
		return nil
	}
	until, err := s.Fleet.Protect(ctx, t.Ref, ids, t.Shield)
	errs := []error{err}
	for _, id := range slices.Sorted(maps.Keys(until)) {
		errs = append(errs, s.Fleet.SetTags(ctx, arns[id], map[string]string{tagShield: shieldMark(until[id])}))
	}
	return errors.Join(errs...)
}

// releaseDone ends the protection of tasks whose workers have done with their long work, and may have begun with other work. While
// more tasks live than are asked for ECS would stop one of them at once: a scale-in that is under way relies on their protection, and
// so does one that died half-way, until the count has been raised again. They are then left to a later check.
func (s *Scaler) releaseDone(ctx context.Context, t Target, ids []string) error {
	lock, free, err := s.lock(ctx, t)
	if err != nil || !free {
		return err
	}
	defer lock.unlock(ctx)
	service := s.describe(ctx, []Target{t})[t.Ref]
	if service.Err != nil {
		return service.Err
	}
	tasks, err := s.Fleet.Tasks(ctx, t.Ref)
	if err != nil || countTasks(tasks, 0, s.Now()).Live > service.Service.Desired {
		return err
	}
	var ours []string
	for _, task := range tasks {
		if slices.Contains(ids, task.ID) && s.shieldedByUs(task) {
			ours = append(ours, task.ID)
		}
	}
	if len(ours) == 0 {
		return nil
	}
	return s.Fleet.Release(ctx, t.Ref, ours)
}

// shieldedByUs says whether the task is protected, and as long as we have said.
func (s *Scaler) shieldedByUs(t policy.Task) bool {
	return t.ProtectedUntil.After(s.Now()) && t.Tags[tagShield] == shieldMark(t.ProtectedUntil)
}

// longAtWork says whether one of the workers has executed one message for long.
func (s *Scaler) longAtWork(workers []policy.Node) bool {
	for _, n := range workers {
		if !n.OldestStart.IsZero() && s.Now().Sub(n.OldestStart) > longWork {
			return true
		}
	}
	return false
}

func shieldMark(until time.Time) string { return until.UTC().Format(time.RFC3339) }
