package sim

import (
	"slices"
	"time"
)

// shrink makes the plan of a broken history shorter for as long as the same invariant is still broken: it leaves out
// faults, messages and targets, and makes what is left plainer. tries bounds how many histories it may run for that.
func (c *coroutines) shrink(p *plan, b *Breach, tries int) (*plan, *Breach) {
	best, breach := p, b
	try := func(q *plan) bool {
		if tries <= 0 {
			return false
		}
		tries--
		r := c.run(q, false)
		if r.Breach == nil || r.Breach.Invariant != b.Invariant {
			return false
		}
		best, breach = q, r.Breach
		return true
	}
	for before := -1; before != best.size() && tries > 0; {
		before = best.size()
		best.Faults = without(best.Faults, func(rest []faultPlan) bool {
			q := *best
			q.Faults = rest
			return try(&q)
		})
		for i := len(best.Targets) - 1; i >= 0; i-- {
			if q := best.withoutTarget(i); q != nil {
				try(q)
			}
		}
		best.Sends = without(best.Sends, func(rest []sendPlan) bool {
			q := *best
			q.Sends = rest
			return try(&q)
		})
		for _, plainer := range plainer {
			q := *best
			q.Targets = slices.Clone(best.Targets)
			if plainer(&q) {
				try(&q)
			}
		}
	}
	return best, breach
}

func (p *plan) size() int { return len(p.Faults) + len(p.Sends) + 100*len(p.Targets) }

// without leaves out parts of a list, large ones first, as long as ok says that what is left will do.
func without[T any](all []T, ok func(rest []T) bool) []T {
	for n := len(all); n > 0; n /= 2 {
		for from := 0; from+n <= len(all); {
			rest := slices.Concat(all[:from], all[from+n:])
			if ok(rest) {
				all = rest
			} else {
				from += n
			}
		}
	}
	return all
}

// withoutTarget leaves out a target with all that is meant for it; nil if it is the last one.
func (p *plan) withoutTarget(i int) *plan {
	if len(p.Targets) == 1 {
		return nil
	}
	q := *p
	q.Targets = slices.Delete(slices.Clone(p.Targets), i, i+1)
	q.Sends, q.Faults = nil, nil
	for _, s := range p.Sends {
		if s.Target != i {
			if s.Target > i {
				s.Target--
			}
			q.Sends = append(q.Sends, s)
		}
	}
	for _, f := range p.Faults {
		onBroker := len(f.Kind) > 6 && f.Kind[:6] == "redis "
		if !onBroker && f.Subject == i {
			continue
		}
		if !onBroker && f.Subject > i {
			f.Subject--
		}
		q.Faults = append(q.Faults, f)
	}
	return &q
}

// plainer are changes that make a world plainer; each says whether it changed anything.
var plainer = []func(*plan) bool{
	func(p *plan) bool { c := p.CountLag; p.CountLag = 0; return c != 0 },
	func(p *plan) bool { c := p.SweepJitter; p.SweepJitter = 0; return c != 0 },
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Rebalances; t.Rebalances = false; return c })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Floor; t.Floor = 0; return c != 0 })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Grace; t.Grace = 0; return c != 0 })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.ScaleInStep; t.ScaleInStep = 0; return c != 0 })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Worker.Rates; t.Worker.Rates = nil; return c != nil })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Worker.AcksLate; t.Worker.AcksLate = false; return c })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool { c := t.Settle; t.Settle = 10 * time.Second; return c != t.Settle })
	},
	func(p *plan) bool {
		return each(p, func(t *targetPlan) bool {
			c := t.Worker.Concurrency
			t.Worker.Concurrency = 1
			return c != 1
		})
	},
}

func each(p *plan, change func(*targetPlan) bool) bool {
	changed := false
	for i := range p.Targets {
		changed = change(&p.Targets[i]) || changed
	}
	return changed
}
