package scaler

import (
	"context"
	"slices"
	"time"

	"sluice/internal/policy"
)

// PlanInput asks what a sweep would do now.
type PlanInput struct {
	Targets []string `json:"targets,omitempty"` // By name; none: all.
	Close   bool     `json:"close,omitempty"`   // Look at the single tasks and their protection, too.
	Explain bool     `json:"explain,omitempty"` // Say what would have to change for another decision.
}

// Plan is what a sweep would do now.
type Plan struct {
	At      time.Time    `json:"at"`
	Targets []TargetPlan `json:"targets"`
}

// TargetPlan is what a sweep would decide on one target.
type TargetPlan struct {
	Record    Record     `json:"record"`
	Overrides Overrides  `json:"overrides"`
	Tasks     []TaskPlan `json:"tasks,omitempty"` // Only of a close look, by age.
	// Alternatives are the smallest single changes that give another decision, where that was asked for.
	Alternatives []policy.Alternative `json:"alternatives,omitempty"`
}

// TaskPlan is one task of a target's service, and the worker in it.
type TaskPlan struct {
	ID    string           `json:"id"`
	State policy.TaskState `json:"state"`
	AgeS  float64          `json:"age_s"`
	Node  string           `json:"node,omitempty"` // The worker that answered from it; absent if none is known.
	// Active is how many messages its workers execute; null if that is not known.
	Active *int `json:"active"`
	// Drained says that its workers fetch nothing.
	Drained        bool       `json:"drained,omitempty"`
	ProtectedUntil *time.Time `json:"protected_until,omitempty"`
}

// Plan looks at targets as a check does, and says what it would decide. It does nothing: it protects nothing, tags nothing, takes no
// lock, and leaves no record. Its error is of a target that is not there; what could not be looked at is in the records.
func (s *Scaler) Plan(ctx context.Context, in PlanInput) (Plan, error) {
	targets := s.Targets
	if len(in.Targets) > 0 {
		targets = nil
		for _, name := range in.Targets {
			t, err := s.target(name)
			if err != nil {
				return Plan{}, err
			}
			targets = append(targets, t)
		}
	}
	var observations []observation
	if in.Close {
		observations = s.observeTasks(ctx, targets)
	} else {
		observations = s.observe(ctx, targets, budget{look: checkLook, patience: checkPatience})
	}
	s.askUntracked(ctx, observations)
	now := s.Now()
	plan := Plan{At: now, Targets: []TargetPlan{}}
	for _, o := range observations {
		j := o.decide(now, 0)
		p := TargetPlan{Record: o.record("plan", j), Overrides: o.target.overrides(o.service.Tags, now)}
		if in.Close {
			p.Tasks = o.taskPlans(now)
		}
		if in.Explain && o.serviceErr == nil {
			p.Alternatives = policy.Alternatives(j.signals, j.limits, now)
		}
		plan.Targets = append(plan.Targets, p)
	}
	return plan, nil
}

// observeTasks looks at the targets and their single tasks: as observeClosely, at several, and without what a first look saw.
func (s *Scaler) observeTasks(ctx context.Context, targets []Target) []observation {
	b := budget{look: checkLook, patience: checkPatience}
	tasks, errs := make([][]policy.Task, len(targets)), make([]error, len(targets))
	var described map[policy.ServiceRef]policy.Described
	calls := []func(){func() { described = s.describe(ctx, targets) }}
	for i, t := range targets {
		calls = append(calls, func() { tasks[i], errs[i] = s.Fleet.Tasks(ctx, t.Ref) })
	}
	s.Together(calls...)
	out, views := s.look(ctx, targets, b)
	for i := range out {
		out[i].tasks, out[i].tasksErr, out[i].tasksKnown = tasks[i], errs[i], errs[i] == nil
	}
	s.join(ctx, out, views, described, b)
	return out
}

// taskPlans are the target's tasks with their workers.
func (o observation) taskPlans(now time.Time) []TaskPlan {
	var plans []TaskPlan
	for _, t := range o.tasks {
		p := TaskPlan{ID: t.ID, State: t.State, AgeS: *seconds(t.Age(now))}
		if t.ProtectedUntil.After(now) {
			p.ProtectedUntil = &t.ProtectedUntil
		}
		workers := o.workersIn(t.ID)
		if len(workers) > 0 {
			p.Node = workers[0].Name
			active := policy.Known(0)
			for _, n := range workers {
				active = active.Add(n.Active)
			}
			if o.untracked != "" { // That none is active says nothing then.
				active = policy.Unknown(o.untracked)
			}
			p.Active = orNull(active)
			p.Drained = !slices.ContainsFunc(workers, func(n policy.Node) bool { return len(n.Queues) > 0 })
		}
		plans = append(plans, p)
	}
	return plans
}
