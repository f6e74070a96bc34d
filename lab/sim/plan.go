package sim

import (
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
	"sluice/lab/sim/broker"
)

// plan is everything that is drawn of a world before it begins: its targets, its load and its faults. To leave a part of it out
// changes nothing of the rest, which is how a broken history is made shorter.
type plan struct {
	Seed       uint64
	SweepEvery time.Duration
	// Calm is when the last fault ends, and Quiet when the last message is sent; Length is the end.
	Calm, Quiet, Length time.Duration
	Brokers             []brokerPlan
	Targets             []targetPlan
	Sends               []sendPlan // In order of time.
	Faults              []faultPlan

	CountLag                     time.Duration // Of ECS.
	Provisioning, Deprovisioning time.Duration
	Reducing                     time.Duration // How long ECS takes to tell tasks to stop that are too many.
	SweepJitter                  time.Duration
	Coalesce                     time.Duration
}

// brokerPlan is one Redis.
type brokerPlan struct {
	Visibility time.Duration
	Horizon    time.Duration
}

// naming is how workers are named.
type naming string

const (
	byHost   naming = "celery@host"
	byTask   naming = "celery@task-id"
	byTarget naming = "worker@target" // All of a target bear one name.
	allSame  naming = "worker@prod"   // So do the workers of all targets.
)

// targetPlan is one target with its service and its workers.
type targetPlan struct {
	Name   string
	Broker int
	Queues []string
	policy.Limits
	Initial int // The count at the beginning.
	Naming  naming
	Worker  broker.Spec // Name and Ended are filled in for each.
	// StopTimeout is ECS's, and Pending how long a task takes from its network interface to its start.
	StopTimeout, Pending time.Duration
	Floor                time.Duration
	Windows              []windowPlan
	Rebalances           bool // ECS evens out the zones.
	Protects             bool // The application protects its task from scale-in while it executes something long.
	Zones                int
}

// mappable says whether each worker's name tells its task.
func (t targetPlan) mappable() bool { return t.Naming == byHost || t.Naming == byTask }

// sendPlan is one message, and the event that its producer sends for it.
type sendPlan struct {
	At      time.Duration
	Target  int
	Task    broker.Task
	ETA     time.Duration // From its sending; 0 is none.
	Expires time.Duration // The same.
	Event   bool
	ScaleTo int
	Hold    time.Duration
}

// newPlan draws a world.
func newPlan(seed uint64) *plan {
	d := stream(seed, "world")
	p := &plan{Seed: seed, SweepEvery: 5 * time.Minute}
	if d.chance(0.12) {
		p.SweepEvery = time.Minute
	}
	active := d.between(5*time.Minute, 30*time.Minute)
	if d.chance(0.04) {
		active = d.between(time.Hour, 4*time.Hour)
	}
	p.Calm = active
	p.Quiet = active
	// Time for everything that was begun to come to rest: see bounds.
	p.Length = active + 6*p.SweepEvery + 8*time.Minute
	if d.chance(0.2) {
		p.Quiet = p.Length
	}
	p.CountLag = one(d, 0, 0, d.between(time.Second, 20*time.Second))
	p.Provisioning, p.Deprovisioning = d.between(4*time.Second, 15*time.Second), d.between(time.Second, 15*time.Second)
	p.Reducing = one(d, 0, d.between(0, 5*time.Second), d.between(0, 20*time.Second))
	p.Coalesce = one(d, 0, time.Second, 5*time.Second)
	if d.chance(0.3) {
		p.SweepJitter = d.between(time.Second, 20*time.Second)
	}

	n := one(d, 1, 1, 1, 2, 2, 3)
	p.Brokers = []brokerPlan{drawBroker(d)}
	for i := range n {
		at := 0
		if i > 0 && d.chance(0.4) {
			at = len(p.Brokers)
			p.Brokers = append(p.Brokers, drawBroker(d))
		}
		p.Targets = append(p.Targets, drawTarget(d, i, at))
	}
	room := d.count(40, 260)
	for i := range p.Targets {
		p.Sends = append(p.Sends, drawLoad(stream(seed, fmt.Sprint("load", i)), p, i, room/n)...)
	}
	slices.SortStableFunc(p.Sends, func(a, b sendPlan) int { return int(a.At - b.At) })
	p.Faults = drawFaults(stream(seed, "faults"), p)
	drawPeople(seed, p)
	drawUntracked(seed, p)
	drawZones(seed, p)
	return p
}

func drawBroker(d draw) brokerPlan {
	return brokerPlan{
		Visibility: one(d, time.Hour, time.Hour, 10*time.Minute, 3*time.Minute),
		Horizon:    one(d, time.Minute, time.Minute, 30*time.Second, 5*time.Minute),
	}
}

func drawTarget(d draw, i, at int) targetPlan {
	t := targetPlan{
		Name: string(rune('a'+i)) + one(d, "-orders", "-video", "-mail", "-reports"), Broker: at,
		Naming:      one(d, byHost, byHost, byHost, byHost, byHost, byTask, byTask, byTarget, byTarget, allSame),
		StopTimeout: one(d, 30*time.Second, 2*time.Minute, d.between(5*time.Second, 2*time.Minute)),
		Pending:     d.between(5*time.Second, 40*time.Second),
		Protects:    d.chance(0.1),
		Zones:       one(d, 1, 2, 2, 3),
	}
	t.Queues = []string{t.Name}
	if d.chance(0.25) {
		t.Queues = append(t.Queues, t.Name+".low")
	}
	t.Min = one(d, 0, 0, 0, 1, 2)
	t.Max = t.Min + d.count(1, 7)
	if d.chance(0.03) {
		t.Max = t.Min + d.count(12, 24) // More than ECS protects in one call.
	}
	t.MessagesPerWorker = one(d, 1, 1, 2, 3, 5, 10)
	t.Grace = one(d, 0, 30*time.Second, time.Minute, 2*time.Minute)
	t.Settle = one(d, 10*time.Second, 30*time.Second, time.Minute, 2*time.Minute)
	t.ScaleInStep = one(d, 0, 0, 0, 1, 2)
	t.Initial = d.count(t.Min, t.Max)
	t.Rebalances = t.Zones > 1 && d.chance(0.4)
	if d.chance(0.15) {
		t.Floor = d.between(30*time.Second, 5*time.Minute)
	}
	t.Worker = broker.Spec{
		Queues:        t.Queues,
		Version:       one(d, broker.V57, broker.V57, broker.V55, broker.V55, broker.V52),
		Pool:          one(d, broker.Prefork, broker.Prefork, broker.Prefork, broker.Threads, broker.Solo, broker.Gevent),
		Concurrency:   one(d, 1, 1, 2, 4, 8),
		Prefetch:      one(d, 1, 1, 4),
		AcksLate:      d.chance(0.3),
		NoHeartbeats:  d.chance(0.2),
		NoControl:     d.chance(0.02),
		StopsNot:      d.chance(0.03),
		Boot:          d.between(time.Second, 10*time.Second),
		ExitAfterStop: d.between(300*time.Millisecond, 3*time.Second),
	}
	if t.Worker.Pool == broker.Solo {
		t.Worker.Concurrency = 1
	}
	if d.chance(0.25) {
		t.Worker.Rates = map[string]time.Duration{"limited": d.between(5*time.Second, 40*time.Second)}
	}
	return t
}
