package scaler

import (
	"context"
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
		ours := protected && t.Tags[tagShield] == shieldMark(t.ProtectedUntil)
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
	if len(long) > 0 {
		until, err := s.Fleet.Protect(ctx, o.target.Ref, long, o.target.Shield)
		for id, at := range until {
			if err := s.Fleet.SetTags(ctx, arns[id], map[string]string{tagShield: shieldMark(at)}); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	if len(done) > 0 {
		return s.Fleet.Release(ctx, o.target.Ref, done)
	}
	return nil
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
