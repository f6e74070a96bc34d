package sim

import (
	"slices"
	"time"

	"sluice/lab/sim/broker"
)

// drawFaults draws what goes wrong in a world, and when.
func drawFaults(d draw, p *plan) []faultPlan {
	if d.chance(0.2) {
		return nil
	}
	var all []faultPlan
	for range d.count(1, 7) {
		f := faultPlan{Kind: kinds[d.IntN(len(kinds))].kind, Subject: d.IntN(len(p.Targets))}
		f.At = d.between(0, p.Calm*9/10)
		f.For = min(d.spread(5*time.Second, 10*time.Minute), p.Calm-f.At)
		f.N = one(d, 1, 1, 2, 3)
		f.After = d.chance(0.5)
		f.Length = d.spread(time.Second, 40*time.Second)
		switch f.Kind {
		case lambdaDeath, lambdaStall, lambdaThrottle, sweepLost, sweepLate, sweepDouble:
			f.Subject = -1
		}
		switch f.Kind {
		case lambdaDeath:
			// So that all the calls of a long scale-in come into question, and the few of a check too.
			f.N = one(d, d.count(1, 4), d.count(1, 14), d.count(1, 40))
			f.For = p.Calm - f.At
			if d.chance(0.5) { // One death, and its retry's.
				again := f
				again.N = d.count(1, 14)
				all = append(all, again)
			}
		case lambdaStall:
			f.Length = d.spread(time.Second, 150*time.Second)
		case redisDown, redisHung, redisReadOnly, redisFailover, redisSlow:
			f.Subject = p.Targets[f.Subject].Broker
			f.For = min(d.spread(time.Second, 3*time.Minute), p.Calm-f.At)
			f.Length = d.spread(20*time.Millisecond, 3*time.Second)
		case workerFrozen, workerWedged:
			f.For = min(d.spread(2*time.Second, 15*time.Minute), p.Calm-f.At)
			f.N = d.IntN(10)
		case workerDeaf, workerCut, workerRestart, childCrash, taskCrash, spotLoss, appProtects:
			f.N = d.IntN(10)
			f.Length = d.spread(20*time.Second, 20*time.Minute)
		case ecsThrottle, ecsError, ecsAnswerLost, ecsSlow:
			f.N = d.count(1, 4)
			f.For = p.Calm - f.At
		case sweepLost, sweepLate, sweepDouble:
			f.For = min(2*p.SweepEvery, p.Calm-f.At)
			f.Length = d.spread(100*time.Millisecond, 4*time.Minute)
		case eventLate, eventDouble:
			f.Length = d.spread(time.Second, 10*time.Minute)
		case slowPlacement:
			f.Length = d.spread(10*time.Second, 4*time.Minute)
		case operatorBounds:
			t := p.Targets[f.Subject]
			f.Low, f.High = -1, -1
			if d.chance(0.5) {
				f.Low = d.count(0, t.Max)
			} else {
				f.High = d.count(max(1, t.Min), t.Max+2)
			}
		case operatorCount:
			f.N = d.count(0, p.Targets[f.Subject].Max+1)
		}
		all = append(all, f)
	}
	for _, t := range p.Targets {
		for range d.count(0, 3) {
			if t.Protects {
				at := d.between(0, p.Calm*9/10)
				all = append(all, faultPlan{
					Kind: appProtects, At: at, Subject: slices.IndexFunc(p.Targets, func(o targetPlan) bool { return o.Name == t.Name }),
					N: d.IntN(10), Length: min(d.spread(20*time.Second, 30*time.Minute), p.Calm-at), For: time.Second,
				})
			}
		}
	}
	return all
}

// drawZones has some services' tasks be in uneven zones, which ECS evens out: without a zone that has no room for a while that happens
// in one history of thousands. Its source of chance is its own, so that the rest of a history does not change with it.
func drawZones(seed uint64, p *plan) {
	d := stream(seed, "zones")
	for i := range p.Targets {
		if p.Targets[i].Zones < 2 || !d.chance(0.25) {
			continue
		}
		t := &p.Targets[i]
		t.Rebalances = true
		if d.chance(0.5) {
			// Workers that are drained while they work on something long, and are wanted where they are when it is done.
			t.Min, t.Max, t.MessagesPerWorker = 2, max(t.Max, 5), 1
			at := d.between(0, p.Calm)
			for range d.count(3, 5) {
				p.Sends = append(p.Sends, sendPlan{At: at, Target: i, Task: broker.Task{
					Name: "work", Queue: t.Queues[0], Duration: d.spread(time.Minute, 15*time.Minute),
				}})
			}
		}
		f := faultPlan{Kind: zoneFull, Subject: i, N: d.IntN(p.Targets[i].Zones), At: d.between(0, p.Calm*8/10)}
		f.For = min(d.spread(time.Minute, 20*time.Minute), p.Calm-f.At)
		p.Faults = append(p.Faults, f)
	}
	slices.SortStableFunc(p.Sends, func(a, b sendPlan) int { return int(a.At - b.At) })
}

// kinds are all kinds of faults that are drawn from, and how each strikes; nil of those that wait for a call or an event to hit (see faults).
var kinds = []struct {
	kind   kind
	strike func(*world, *fault)
}{
	{ecsThrottle, nil},
	{ecsError, nil},
	{ecsAnswerLost, nil},
	{ecsSlow, nil},
	{sweepLost, nil},
	{sweepLate, nil},
	{sweepDouble, nil},
	{eventLost, nil},
	{eventLate, nil},
	{eventDouble, nil},
	{lambdaThrottle, nil},
	{lambdaStall, nil},
	{lambdaDeath, nil},
	{lambdaDeath, nil}, // Three times as likely: there are so many lines at which to die.
	{lambdaDeath, nil},
	{taskCrash, (*world).crash},
	{taskNoStart, (*world).failStarts},
	{spotLoss, (*world).interrupt},
	{deployment, (*world).deploy},
	{appProtects, (*world).appProtects},
	{slowPlacement, (*world).slowPlacement},
	{redisDown, (*world).redis},
	{redisHung, (*world).redis},
	{redisReadOnly, (*world).redis},
	{redisFailover, (*world).redis},
	{redisSlow, (*world).redis},
	{workerFrozen, (*world).freeze},
	{workerWedged, (*world).wedge},
	{workerDeaf, (*world).starve},
	{workerCut, (*world).reconnect},
	{workerRestart, (*world).restart},
	{childCrash, (*world).crashChild},
	{operatorPause, (*world).pause},
	{operatorBounds, (*world).bounds},
	{operatorTypo, (*world).mistype},
	{operatorCount, (*world).manual},
}

// apart are kinds that are drawn apart: see drawZones.
var apart = []struct {
	kind   kind
	strike func(*world, *fault)
}{{zoneFull, (*world).fillZone}}
