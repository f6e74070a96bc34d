package scaler

import (
	"context"
	"encoding/json"
	"fmt"
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

// ScaleIn lowers the count of the target if it is, at this very moment, wholly and certainly idle, and has been since
// previous. It trusts nothing that it was given: it looks again, decides again, and only then acts. A wrong previous can
// make it hold; it can never make it act on a target that is busy now.
func (s *Scaler) ScaleIn(ctx context.Context, in Input) (Change, error) {
	t, err := s.target(in.Target)
	if err != nil {
		return Change{}, err
	}
	o := s.observeClosely(ctx, t, in.Previous)
	if o.serviceErr != nil {
		return Change{}, o.serviceErr
	}
	d, sig, _ := o.decide(s.Now(), 0)
	s.record(ctx, "scale_in", o, sig, d)
	change := Change{
		Status: "held", Target: t.Name, Service: t.Ref.Service,
		DesiredCount: o.service.Desired, Previous: o.service.Desired, Reasons: d.Reasons,
	}
	if d.Action != policy.ScaleIn {
		s.result(ctx, change)
		// What could not be seen is an error to the state machine, which tries again what is worth it.
		return change, o.err()
	}
	if age := s.Now().Sub(o.view.at); age > maxLookAge {
		return Change{}, &policy.Error{Kind: policy.FleetUnavailable, Err: fmt.Errorf(
			"scale in %s: ECS was slow, and the look at the workers is %v old by now: nothing was done", t.Name, age.Round(time.Second))}
	}
	if err := s.Fleet.SetDesired(ctx, t.Ref, d.Desired); err != nil {
		return Change{}, err
	}
	change.Status, change.DesiredCount = "scaled in", d.Desired
	s.result(ctx, change)
	return change, nil
}
