package policy

import "time"

// replace deals with workers that have nothing to do while messages wait: deaf after a lost connection, or broken in another way.
// Once they have been seen so for the settle time, one of them is let go, and another started in its place. Of one that was not
// heard from nobody knows whether it works: it is left alone, and another is started beside it.
func replace(d *Decision, s Signals, l Limits, now time.Time) {
	d.Reasons = []Reason{ReasonStuck}
	hold := func(when bool, why Reason) {
		if when {
			d.Reasons = append(d.Reasons, why)
		}
	}
	hold(s.PausedIn && s.Unheard == 0, ReasonPausedIn)
	hold(s.PausedOut, ReasonPausedOut)
	hold(s.BadOverride, ReasonOverride)
	hold(s.Deploying, ReasonDeployment)
	hold(s.Tasks.Young > 0, ReasonGrace)
	hold(s.Unheard == 0 && s.Prior != nil && moved(*s.Prior, s.Seen), ReasonMoved)
	settled := s.Prior != nil && s.Prior.Stuck && now.Sub(s.Prior.At) >= l.Settle
	if settled {
		hold(!s.Tasks.Known, ReasonUnknown)
		hold(s.Unheard > 0 && s.Desired >= l.Max, ReasonMax)
		hold(s.Unheard == 0 && !s.Tasks.Told, ReasonUntold)
		hold(s.Unheard == 0 && s.Tasks.Protected >= s.Desired, ReasonProtected)
	}
	switch {
	case len(d.Reasons) > 1:
	case !settled:
		d.Action, d.Reasons = Candidate, append(d.Reasons, ReasonSettle)
	case s.Unheard > 0:
		d.Action, d.Desired = ScaleOut, s.Desired+1
	default:
		d.Action, d.Desired = ScaleIn, s.Desired-1
	}
}
