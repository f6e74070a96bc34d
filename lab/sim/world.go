package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/fleet"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/lab/sim/broker"
)

// world is one history while it runs.
type world struct {
	plan   *plan
	loop   *loop
	draw   draw
	trace  trace
	tally  *tally
	faults *faults
	judge  *judge

	ecs       *ecs.Model
	direct    *ecs.DirectClient
	fleet     *fleet.Fleet
	brokers   []*broker.Model
	targets   []*target
	byRef     map[policy.ServiceRef]*target
	byTask    map[string]*task
	functions map[string]*function
	machine   *asl.Machine
	specs     []scaler.Target

	invocations int
	first       *Breach // The invariant that was broken; nil if none was.
}

// target is one target of the world, with its service.
type target struct {
	index  int
	plan   targetPlan
	ref    policy.ServiceRef
	broker *broker.Model
	// desired is the count as it is, and ours how many of the tasks that are beyond it are so because we lowered it.
	desired, ours int
	generation    int // Of deployments.
	rolling       bool
	loweredAt     time.Time // By us.
	even          bool      // Its zones were even when we lowered its count, and nobody else has changed anything since.
	tags          map[string]string
	live          []*task // That are meant to run, in order of their start.
	unfinished    []broker.ID
	placement     time.Duration // What new tasks take longer at this time.
	state         targetJudgement
}

// task is one ECS task with its worker.
type task struct {
	id         string
	target     *target
	worker     *broker.Worker // Nil until it is up.
	zone       string
	generation int
	start      func() // Starts its worker, or another one in its place.
	executing  int    // What it executed and held when it was told to stop.
	held       int
	lost       int       // How many messages the broker had lost by then.
	has        string    // The same in words.
	ours       bool      // We made ECS stop it.
	chosen     bool      // We have told its worker to fetch nothing more.
	restarted  time.Time // When its worker's process began anew in it; zero if it has not.
}

const cluster = "prod"

// newWorld builds the world of a plan, at its beginning.
func newWorld(p *plan, pool *coroutines, keep bool) *world {
	w := &world{
		plan: p, loop: newLoop(pool), draw: stream(p.Seed, "run"), trace: newTrace(keep), tally: newTally(),
		byRef: map[policy.ServiceRef]*target{}, byTask: map[string]*task{}, functions: newFunctions(), machine: machine(),
	}
	w.faults = newFaults(p.Faults, w.tally)
	w.judge = newJudge(w)
	now := func() time.Time { return w.loop.now }
	for i, b := range p.Brokers {
		w.brokers = append(w.brokers, broker.New(broker.Options{
			Now: now, Rand: stream(p.Seed, fmt.Sprint("broker", i)).Rand, VisibilityTimeout: b.Visibility,
		}))
	}
	w.ecs = ecs.New(ecs.Options{
		Now: now, Runner: runner{w}, Seed: p.Seed, Clusters: []string{cluster}, CountLag: p.CountLag,
		Provisioning: p.Provisioning, Deprovisioning: p.Deprovisioning, Reducing: p.Reducing,
	})
	w.direct = ecs.Direct(w.ecs)
	w.fleet = fleet.New(w.direct, fleet.Options{Now: now, Attempts: 1})
	w.ecs.Subscribe(w.watch)
	for i := range p.Targets {
		w.addTarget(i)
	}
	return w
}

func (w *world) addTarget(i int) {
	p := w.plan.Targets[i]
	t := &target{
		index: i, plan: p, ref: policy.ServiceRef{Cluster: cluster, Service: p.Name}, broker: w.brokers[p.Broker],
		tags: map[string]string{}, desired: p.Initial,
	}
	w.targets = append(w.targets, t)
	w.byRef[t.ref] = t
	w.specs = append(w.specs, scaler.Target{
		Name: p.Name, Ref: t.ref, Broker: brokerName(p.Broker), Queues: p.Queues, Limits: p.Limits, Windows: p.windows(),
		Source: scaler.SourceInspect, FloorHold: p.Floor,
	})
	if err := w.ecs.CreateService(ecs.ServiceConfig{
		Cluster: cluster, Name: p.Name, Desired: p.Initial, StopTimeout: p.StopTimeout, Pending: p.Pending, Zones: t.zones(),
		Rebalancing: p.Rebalances,
	}); err != nil {
		panic(err) // The plan makes no sense.
	}
}

// zones are the Availability Zones of the target's tasks.
func (t *target) zones() []string {
	return []string{"us-east-1a", "us-east-1b", "us-east-1c"}[:max(1, t.plan.Zones)]
}

func brokerName(i int) string { return fmt.Sprint("redis", i) }

// newScaler is a Lambda function's own scaler, as it makes one when its process starts.
func (w *world) newScaler() *scaler.Scaler {
	brokers := map[string]scaler.Broker{}
	for i, m := range w.brokers {
		brokers[brokerName(i)] = brokerPort{w: w, client: m.Client(broker.ClientOptions{
			Horizon: w.plan.Brokers[i].Horizon, Pause: w.wait,
		})}
	}
	s, err := scaler.New(scaler.Options{
		Targets: w.specs, Brokers: brokers, Fleet: fleetPort{w}, Log: slog.New(listener{w}),
		Now: w.now, Sleep: clock{w.loop}.Sleep, Together: w.loop.together,
		EventSource: eventSource, EventDetailType: eventType, Coalesce: w.plan.Coalesce,
	})
	if err != nil {
		panic(err) // The plan makes no sense.
	}
	return s
}

func (w *world) now() time.Time { return w.loop.now }

func (w *world) index(name string) int {
	for _, t := range w.targets {
		if t.plan.Name == name {
			return t.index
		}
	}
	return -1
}

// run lets the history happen, until its end or until an invariant is broken.
func (w *world) run() {
	defer w.loop.close()
	w.prepare()
	end := epoch.Add(w.plan.Length)
	for w.first == nil {
		at, ok := w.loop.next()
		who := -1 // The loop's own.
		for i, b := range w.brokers {
			if next, has := b.Next(); has && (!ok || next.Before(at)) {
				at, ok, who = next, true, i
			}
		}
		if next, has := w.ecs.Next(); has && (!ok || next.Before(at)) {
			at, ok, who = next, true, len(w.brokers)
		}
		if !ok || at.After(end) {
			break
		}
		w.tally.steps++
		if who < 0 {
			w.loop.step()
			continue
		}
		if at.After(w.loop.now) {
			w.loop.now = at
		}
		if who == len(w.brokers) {
			w.ecs.Tick()
		} else {
			w.brokers[who].Tick()
		}
	}
	if w.first == nil {
		w.loop.now = end
		w.judge.end()
	}
	w.tally.histories++
	w.tally.virtual += w.loop.now.Sub(epoch)
	w.judge.sum()
}

func short(id string) string { return id[:min(len(id), 6)] }

// setDesired is how the count is set, by whomever; inv is nil if it was not we.
func (w *world) setDesired(t *target, inv *invocation, n int) error {
	before, excess := t.desired, max(0, len(t.live)-t.desired)
	if inv != nil {
		w.judge.sets(t, inv, n)
	} else {
		t.state.unverified.troubled = true // Whoever sets the count by hand answers for what waits.
	}
	t.desired = n
	if now := max(0, len(t.live)-n); now < excess {
		t.ours = min(t.ours, now)
	} else if inv != nil {
		t.ours += now - excess
		t.loweredAt = w.loop.now
	}
	t.even = inv != nil && n < before && t.plan.Rebalances && t.spread() <= 1
	if err := w.fleet.SetDesired(context.Background(), t.ref, n); err != nil {
		t.desired = before
		return err
	}
	return nil
}

// spread is by how many tasks the zones of the target differ; 0 while a task's zone is not known yet.
func (t *target) spread() int {
	zones := make([]int, t.plan.Zones)
	for _, k := range t.live {
		if k.zone == "" {
			return 0
		}
		zones[k.zone[len(k.zone)-1]-'a']++
	}
	return slices.Max(zones) - slices.Min(zones)
}

// setTag sets a tag of a service, as an operator does.
func (w *world) setTag(t *target, name, value string) {
	arn := "arn:aws:ecs:us-east-1:000000000000:service/" + cluster + "/" + t.plan.Name
	if err := w.fleet.SetTags(context.Background(), arn, map[string]string{name: value}); err != nil {
		panic(err) // The service exists.
	}
}

// drained notes that workers were told to fetch nothing more, or to fetch again.
func (w *world) drained(nodes []policy.Node, on bool) {
	word := "resumed"
	if on {
		word = "drained"
	}
	w.tally.add("workers "+word, len(nodes))
	for _, t := range w.targets {
		for _, k := range t.live {
			if k.worker != nil && slices.ContainsFunc(nodes, func(n policy.Node) bool { return n.Name == k.worker.Name() }) {
				if on && t.plan.mappable() {
					w.judge.drains(t)
				}
				k.chosen = on
				if on {
					w.startled(t)
				}
			}
		}
	}
	var names aside
	if w.trace.keep {
		for _, n := range nodes {
			names += aside(" " + n.Name)
		}
	}
	w.note(noteDrain, -1, "%d workers are to be %s:%s", len(nodes), word, names)
}
