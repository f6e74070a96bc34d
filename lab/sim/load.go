package sim

import (
	"time"

	"sluice/lab/sim/broker"
)

// drawLoad draws the messages for one target, of which there are to be about as many as there is room for: so many events a
// history can bear. Short tasks so come in bursts, and long ones may come at a constant rate.
func drawLoad(d draw, p *plan, i, room int) []sendPlan {
	t := p.Targets[i]
	var sends []sendPlan
	if room < 2 || d.chance(0.07) {
		return nil // Idle.
	}
	events := one(d, 0.0, 0.03, 0.1, 0.5)
	add := func(at time.Duration, length time.Duration) {
		s := sendPlan{At: at, Target: i, Task: broker.Task{
			Name: "work", Queue: one(d, t.Queues...), Priority: one(d, 0, 0, 0, 3, 6, 9), Duration: length,
			AcksLate: d.chance(0.05), Routed: d.chance(0.02),
		}}
		if d.chance(0.03) {
			s.Expires = d.spread(10*time.Second, 10*time.Minute)
		}
		switch {
		case d.chance(0.06):
			s.ETA = d.spread(5*time.Second, 20*time.Minute)
		case d.chance(0.06):
			s.Task.Retries, s.Task.RetryIn = d.count(1, 2), d.spread(5*time.Second, 3*time.Minute)
		}
		if t.Worker.Rates != nil && d.chance(0.4) {
			s.Task.Name = "limited"
		}
		if d.chance(events) {
			s.Event = true
			s.ScaleTo = one(d, 0, 0, 1, 1, d.count(1, t.Max+2))
			if d.chance(0.1) {
				s.Hold = d.between(10*time.Second, 4*time.Minute)
			}
		}
		sends = append(sends, s)
	}
	for left := room; left > 0; {
		from := d.between(0, p.Quiet*9/10)
		n := d.count(1, left)
		left -= n
		longest := one(d, 500*time.Millisecond, 20*time.Second, 5*time.Minute, 40*time.Minute, 3*time.Hour)
		if n > 12 {
			longest = min(longest, 2*time.Minute)
		}
		length := func() time.Duration { return d.spread(10*time.Millisecond, longest) }
		if d.chance(0.4) {
			same := d.spread(longest/8+10*time.Millisecond, longest)
			length = func() time.Duration { return same }
		}
		switch {
		case d.chance(0.4): // A burst.
			window := one(d, 0, time.Second, 20*time.Second)
			for range n {
				add(from+d.between(0, window), length())
			}
		case d.chance(0.5): // A constant rate, until something else or the end.
			window := d.between(time.Minute, max(time.Minute, p.Quiet-from))
			pause := window / time.Duration(n)
			for k := range n {
				add(from+time.Duration(k)*pause+d.between(0, pause/8), length())
			}
		default: // A trickle.
			window := d.between(time.Minute, max(time.Minute, p.Quiet-from))
			for range n {
				add(from+d.between(0, window), length())
			}
		}
	}
	for k := range sends {
		sends[k].At = min(sends[k].At, p.Quiet)
	}
	return sends
}

// drawUntracked has some targets' workers execute about half of their messages by a strategy of the task's own, which no look shows. Its
// source of chance is its own, so that the rest of a history does not change with it.
func drawUntracked(seed uint64, p *plan) {
	const name = "batched"
	d := stream(seed, "untracked")
	for i := range p.Targets {
		if !d.chance(0.05) {
			continue
		}
		p.Targets[i].Worker.Untracked = []string{name}
		for k := range p.Sends {
			if s := &p.Sends[k]; s.Target == i && d.chance(0.5) {
				s.Task.Name = name
			}
		}
	}
}
