package scaler

import (
	"context"
	"time"

	"sluice/internal/policy"
)

// answer is what was answered to a demand a moment ago.
type answer struct {
	asked  int // The largest demand that it answers.
	max    int // As it was, the service's tags included.
	until  time.Time
	floor  Floor // The floor as it was kept.
	none   bool  // No floor is kept: it is paused, or on a dry run.
	change Change
}

// ScaleOut answers a demand: it raises the count of the target, or leaves it. It never lowers it.
//
// The queue is consulted within a short budget, and what it asks for counts if it is more than the demand. If the broker
// cannot be reached, a demand that says how many is obeyed all the same; one that does not is an error, since nobody then
// knows how many.
func (s *Scaler) ScaleOut(ctx context.Context, d Demand) (Change, error) {
	if change, ok := s.coalesce(ctx, d); ok {
		s.result(ctx, change)
		return change, nil
	}
	b := budget{look: scaleOutLook, patience: scaleOutPatience, alone: !d.Direct}
	if d.ScaleTo == 0 {
		b.look = checkLook // Nothing but the queue says how many.
	}
	o := s.observe(ctx, []Target{d.Target}, b)[0]
	if o.serviceErr != nil {
		return Change{}, o.serviceErr
	}
	decision := o.decide(s.Now(), d.ScaleTo)
	if decision.Resume > 0 || because(decision.Decision, policy.ReasonBlocked) && !decision.signals.DryRun {
		held, free, err := s.lock(ctx, d.Target)
		defer held.unlock(ctx)
		if free {
			// What was seen before the lock was ours may be about workers that have been let go since.
			o = s.observe(ctx, []Target{d.Target}, b)[0]
			if o.serviceErr != nil {
				return Change{}, o.serviceErr
			}
			decision = o.decide(s.Now(), d.ScaleTo)
		} else {
			decision.signals.Overlap = true
			if err == nil {
				decision.signals.Tasks.Protected = 0 // Whoever has the lock protects them, and sees to a count that ECS cannot reach.
			}
			decision.Decision = policy.Decide(decision.signals, decision.limits, s.Now())
		}
	}
	if decision.Action != policy.ScaleOut {
		// That fewer would do is for a sweep to see.
		decision.Action, decision.Desired = policy.Hold, decision.Current
	}
	record := o.record("scale_out", decision)
	record.EventAgeMS = d.age(s.Now())
	s.decided(ctx, record)
	change := Change{
		Status: "unchanged", Target: d.Target.Name, Service: d.Target.Ref.Service,
		DesiredCount: o.service.Desired, Previous: o.service.Desired, Reasons: decision.Reasons, Ignored: d.Ignored,
	}
	if decision.Action != policy.ScaleOut && d.ScaleTo == 0 && o.view.err != nil {
		return Change{}, o.view.err
	}
	// Workers come up all the same if the floor cannot be kept: that is an error, but not one for work to wait for.
	kept, floorErr := s.keepFloor(ctx, d, o, decision)
	if decision.Desired > o.service.Desired && !decision.signals.DryRun {
		if err := s.Fleet.SetDesired(ctx, d.Target.Ref, decision.Desired); err != nil {
			return Change{}, err
		}
		change.Status, change.DesiredCount, change.EventToCountMS = "scaled out", decision.Desired, d.age(s.Now())
	}
	if decision.Resume > 0 {
		if err := s.consume(ctx, d.Target, o.resumable(decision.Resume)); err != nil {
			return Change{}, err
		}
		if change.Status == "unchanged" {
			change.Status = "resumed"
		}
	}
	if floorErr != nil {
		return Change{}, floorErr
	}
	s.remember(d, decision, kept, change)
	s.result(ctx, change)
	return change, nil
}

// coalesce answers a demand from memory if one at least as large was answered a moment ago: in a burst of events one target
// costs ECS one call for each such moment. What the queue asks for is looked at all the same, since it may have grown.
//
// The memory is this instance's own and may be out of date by the length of that moment; what is lost by it the next
// sweep makes good. A demand of the state machine is never answered from it.
func (s *Scaler) coalesce(ctx context.Context, d Demand) (Change, bool) {
	s.mu.Lock()
	last, ok := s.answered[d.Target.Name]
	s.mu.Unlock()
	now := s.Now()
	if !ok || d.Direct || !now.Before(last.until) || d.ScaleTo > last.asked {
		return Change{}, false
	}
	view := newView(s.sharing[d.Target.Broker])
	o := observation{target: d.Target, view: view}
	lookCtx, cancel := context.WithTimeout(ctx, scaleOutLook)
	defer cancel()
	view.lookAt(lookCtx, s.Brokers[d.Target.Broker], []*observation{&o}, budget{patience: scaleOutPatience, alone: true})
	if view.err != nil && d.ScaleTo == 0 {
		return Change{}, false
	}
	j := o.decide(now, d.ScaleTo)
	wish := j.Wish
	if min(wish, last.max) > last.asked {
		return Change{}, false
	}
	if keep := min(max(d.ScaleTo, wish), last.max); s.hold(d) > 0 && keep > 0 && !last.none {
		if _, write := last.floor.merge(keep, s.hold(d), now); write {
			return Change{}, false // It asks for a higher or a longer floor than the one that is kept.
		}
	}
	count := last.change.DesiredCount
	j.Decision = policy.Decision{
		Action: policy.Hold, Current: count, Desired: count, Wish: wish, Reasons: []policy.Reason{policy.ReasonCoalesced},
	}
	record := o.record("scale_out", j)
	record.EventAgeMS = d.age(now)
	s.decided(ctx, record)
	change := last.change
	change.Status, change.Previous, change.Reasons, change.Ignored = "unchanged", count, j.Reasons, d.Ignored
	change.EventToCountMS = nil
	return change, true
}

// remember keeps what was answered, for coalesce.
func (s *Scaler) remember(d Demand, decision judgement, kept Floor, change Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered[d.Target.Name] = answer{
		// A count that was set or seen answers every demand up to it, and one beyond the bounds is answered by them.
		asked:  max(d.ScaleTo, decision.Wish, change.DesiredCount),
		max:    decision.limits.Max,
		until:  s.Now().Add(s.Coalesce),
		floor:  kept,
		none:   decision.keepsNothing(),
		change: change,
	}
}

// hold is how long the demand is to be kept as a floor.
func (s *Scaler) hold(d Demand) time.Duration {
	if d.Hold > 0 || d.Direct {
		return d.Hold
	}
	return d.Target.FloorHold
}

// keepsNothing says whether what an event asks for is not kept as a floor.
func (j judgement) keepsNothing() bool { return j.signals.Paused || j.signals.DryRun }

// keepFloor writes the demand into the service's tags, where every later look finds it, if it is to be kept and is not
// kept already. It is written before the count is raised: the other way round, a crash in between would forget it.
func (s *Scaler) keepFloor(ctx context.Context, d Demand, o observation, decision judgement) (Floor, error) {
	current := d.Target.overrides(o.service.Tags, decision.at).Floor
	hold := s.hold(d)
	count := min(max(d.ScaleTo, decision.Wish), decision.limits.Max)
	if hold == 0 || count == 0 || decision.keepsNothing() {
		return current, nil
	}
	f, write := current.merge(count, hold, s.Now())
	if !write {
		return f, nil
	}
	s.Log.InfoContext(ctx, "floor", "target", d.Target.Name, "service", d.Target.Ref.Service, "floor", f.String())
	return f, s.Fleet.SetTags(ctx, o.service.ARN, map[string]string{TagFloor: f.String()})
}
