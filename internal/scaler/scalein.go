package scaler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
)

// ScaleInInput reads the payload of a scale-in, which needs both fields.
func ScaleInInput(payload []byte) (Input, error) {
	var in Input
	switch err := json.Unmarshal(payload, &in); {
	case err != nil:
		return in, invalid("input of scale-in: %w", err)
	case in.Target == "":
		return in, invalid("input of scale-in: target is missing: name one")
	case in.Previous == nil:
		return in, invalid("input of scale-in: previous is missing: give what the check saw, as \"seen\" in its answer")
	}
	return in, nil
}

// ScaleIn lowers the count of the target if, at this very moment, it certainly has more workers than its work asks for, and
// has had them since previous. It trusts nothing that it was given: it looks again, decides again, and only then acts. A wrong
// previous can make it hold; it can never make it let a worker go that is busy.
//
// ECS has no compare-and-set on the count and chooses itself which tasks to stop. So whoever is let go is first made to fetch
// nothing more, and then seen to hold nothing; the tasks that stay are protected before the count is lowered. It may die at
// any line: what it leaves behind is at worst workers that fetch nothing, and protection that expires, and the next sweep goes
// on from what it sees. docs/design/0008-scale-in.md has the protocol, and why it is safe.
func (s *Scaler) ScaleIn(ctx context.Context, in Input) (Change, error) {
	t, err := s.target(in.Target)
	if err != nil {
		return Change{}, err
	}
	lock, free, err := s.lock(ctx, t)
	if err != nil {
		return Change{}, err
	}
	if !free {
		service := s.describe(ctx, []Target{t})[t.Ref]
		change := Change{
			Status: "held", Target: t.Name, Service: t.Ref.Service, DesiredCount: service.Service.Desired,
			Previous: service.Service.Desired, Reasons: []policy.Reason{policy.ReasonOverlap},
		}
		if service.Err == nil {
			s.result(ctx, change)
		}
		return change, service.Err
	}
	defer lock.unlock(ctx)
	o := s.observeClosely(ctx, t, in.Previous)
	if o.serviceErr != nil {
		return Change{}, o.serviceErr
	}
	d := o.decide(s.Now(), 0)
	s.decided(ctx, o.record("scale_in", d))
	change := Change{
		Status: "held", Target: t.Name, Service: t.Ref.Service,
		DesiredCount: o.service.Desired, Previous: o.service.Desired, Reasons: d.Reasons,
	}
	stuck := slices.Contains(d.Reasons, policy.ReasonStuck)
	switch {
	case d.signals.DryRun:
		err = o.err()
	case stuck && d.Action == policy.ScaleOut:
		change.Status, change.DesiredCount = "scaled out", d.Desired
		err = s.Fleet.SetDesired(ctx, t.Ref, d.Desired)
	case d.Action != policy.ScaleIn:
		// What could not be seen is an error to the state machine, which tries again what is worth it.
		err = o.err()
	case t.Source != SourceInspect:
		err = s.lowerUnasked(ctx, o, d.Decision, &change)
	default:
		sig := d.signals
		r := release{
			Scaler: s, target: t, lock: lock, seen: o, decision: d.Decision, stuck: stuck,
			idle: sig.Backlog.Add(sig.Active).Add(sig.Held) == policy.Known(0), told: sig.Tasks.Told, none: d.limits.Max == 0,
			want: max(policy.Want(sig, d.limits), in.Previous.Workers),
		}
		err = r.run(ctx, &change)
	}
	if err != nil {
		return change, err
	}
	s.result(ctx, change)
	return change, nil
}

// lowerUnasked lowers the count of a target whose workers cannot be asked, and so cannot be drained either. It is wholly idle,
// by its counter; or its workers protect themselves while they work, and ECS spares them.
func (s *Scaler) lowerUnasked(ctx context.Context, o observation, d policy.Decision, change *Change) error {
	if err := s.fresh(o); err != nil {
		return err
	}
	if err := s.Fleet.SetDesired(ctx, o.target.Ref, d.Desired); err != nil {
		return err
	}
	change.Status, change.DesiredCount = "scaled in", d.Desired
	return nil
}

// fresh errs if what was seen is too old to lower a count because of it.
func (s *Scaler) fresh(o observation) error {
	age := s.Now().Sub(o.asked)
	if age <= maxLookAge {
		return nil
	}
	return &policy.Error{Kind: policy.FleetUnavailable, Err: fmt.Errorf(
		"scale in %s: ECS or the broker was slow, and what was seen is %v old by now: nothing was done", o.target.Name, age.Round(time.Second))}
}
