// Package ecs is a small Amazon ECS on Fargate for one laptop: services, deployments, tasks, protection and tags, served
// over HTTP in ECS's own protocol, so that any AWS client works against it unchanged but for the endpoint.
//
// It is a model with a clock put in from outside: nothing happens but in a call, Tick moves everything on to the present
// of that clock, and Next says when Tick has something to do again. Run drives it in real time; a simulator drives it in
// virtual time, and calls it by Direct rather than by HTTP. What a task is, a Runner decides: Processes makes each one a
// real process tree on this machine. The same seed, clock and calls give the same events.
//
// It is faithful where a scaler can be hurt: which unprotected task is stopped is a (seeded) choice of its own and not the
// caller's, protected tasks block a lower count and a deployment, zones are evened out over everybody's head, Spot capacity
// ends, the counts can lag behind the tasks, a task on its way out is still there, a worker that crashes comes back later
// and later, and rates are limited as documented. It knows no load balancers, no capacity, no IAM, and of task
// definitions the one that each service has.
package ecs

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Options sets up a Model. The zero value of each is usable.
type Options struct {
	Region  string           // Default "us-east-1".
	Account string           // Default "000000000000".
	Now     func() time.Time // Default time.Now.
	Runner  Runner           // Default a Runner whose tasks do nothing until they are stopped.
	Seed    uint64           // Of task ids, addresses and the choice of what is stopped.

	// Clusters names clusters that exist although no service is in them. The clusters of services always exist.
	Clusters []string
	// Provisioning and Pending are how long a new task stays in these states before its process starts; on Fargate some
	// 10 s and 15 s (network interface, image). Deprovisioning is how long it takes from the end to STOPPED.
	Provisioning, Pending, Deprovisioning time.Duration
	// Reducing is how long it takes from there being too many tasks, as after a lower count, to some of them being chosen and
	// told to stop: on ECS some seconds.
	Reducing time.Duration
	// CountLag is how far the running and pending counts of services lag behind their tasks.
	CountLag time.Duration
	// RestartBackoff is the pause before a task that failed is replaced for the second time; it doubles from failure to
	// failure up to 15 minutes. Default 10 s.
	RestartBackoff time.Duration
	// Throttle limits the rates of calls as ECS documents for an account: see buckets.
	Throttle bool
}

// Model is the services and tasks of one account and Region.
type Model struct {
	opts Options

	mu       sync.Mutex
	rand     *rand.Rand
	clusters map[string]bool
	services map[serviceKey]*service
	ordered  []*service       // The services by cluster and name, so that the same seed gives the same story.
	tasks    []*task          // In order of creation; stopped ones leave an hour later, as on ECS.
	byID     map[string]*task // The same.
	full     map[string]bool  // Zones in which no new task is placed.
	addrs    int              // How many addresses have been given out.
	closed   bool
	idle     *sync.Cond // Signalled when a task's process has ended.

	watchers []*func(Event) // In the order in which they came.
	wake     chan struct{}  // Tells Run that something changed.

	// A tick looks at everything only if something was touched since the last one, or if it is due: most calls of a
	// simulator find a world at rest.
	touched bool
	next    time.Time // See Next.
	forget  time.Time // When the first of the stopped tasks is to be forgotten; zero if there is none.

	faults  []*fault
	calls   map[string]int
	buckets map[string]*bucket
}

type serviceKey struct{ cluster, name string }

// New returns a model without services.
func New(o Options) *Model {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Account = cmp.Or(o.Account, "000000000000")
	o.RestartBackoff = cmp.Or(o.RestartBackoff, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Runner == nil {
		o.Runner = inert{}
	}
	m := &Model{
		opts:     o,
		rand:     rand.New(rand.NewPCG(o.Seed, 0)),
		clusters: map[string]bool{},
		services: map[serviceKey]*service{},
		byID:     map[string]*task{},
		full:     map[string]bool{},
		wake:     make(chan struct{}, 1),
		calls:    map[string]int{},
		buckets:  map[string]*bucket{},
	}
	m.idle = sync.NewCond(&m.mu)
	for _, c := range o.Clusters {
		m.clusters[c] = true
	}
	return m
}

// Tick moves the model on to the present of its clock.
func (m *Model) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick()
}

func (m *Model) tick() {
	now := m.opts.Now()
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	if !m.touched && !due(m.next) && !due(m.forget) {
		return
	}
	changed := false
	// A step may make the next one due (a process that fails at once makes room for another), but never twice the same.
	for range 8 {
		changed = false
		for _, t := range m.tasks {
			changed = m.step(t, now) || changed
		}
		if !m.closed {
			for _, s := range m.ordered {
				changed = m.reconcile(s, now) || changed
			}
		}
		if !changed {
			break
		}
	}
	m.tasks = slices.DeleteFunc(m.tasks, func(t *task) bool {
		old := t.status == stopped && now.Sub(t.stoppedAt) >= time.Hour
		if old {
			delete(m.byID, t.id)
		}
		return old
	})
	for _, s := range m.ordered {
		m.count(s, now)
	}
	m.touched = changed
	m.plan(now)
}

// plan notes when tick has something to do again.
func (m *Model) plan(now time.Time) {
	m.next, m.forget = time.Time{}, time.Time{}
	sooner := func(then *time.Time, at time.Time) {
		if !at.IsZero() && (then.IsZero() || at.Before(*then)) {
			*then = at
		}
	}
	for _, t := range m.tasks {
		sooner(&m.next, t.due)
		if t.desired == running && m.protected(t, now) {
			sooner(&m.next, t.protectedUntil)
		}
		if t.status == stopped {
			sooner(&m.forget, t.stoppedAt.Add(time.Hour))
		}
	}
	for _, s := range m.ordered {
		if s.restartAt.After(now) {
			sooner(&m.next, s.restartAt)
		}
		if at := s.tooMany.Add(m.opts.Reducing); !s.tooMany.IsZero() && at.After(now) {
			sooner(&m.next, at)
		}
	}
}

// Next is when Tick will next have something to do that no call and no ending process brings about; false if never.
func (m *Model) Next() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.touched {
		m.plan(m.opts.Now())
	}
	return m.next, !m.next.IsZero()
}

// Run drives the model in real time until ctx is done. It stops no task: see Close.
func (m *Model) Run(ctx context.Context) {
	for {
		m.Tick()
		wait := time.Second
		if next, ok := m.Next(); ok {
			wait = min(wait, max(next.Sub(m.opts.Now()), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Close kills the processes of all tasks and returns when they have ended, which something else than its caller has to tell.
// Nothing starts afterwards.
func (m *Model) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, t := range m.tasks {
		if t.process != nil {
			t.process.Kill()
		}
	}
	for slices.ContainsFunc(m.tasks, func(t *task) bool { return t.process != nil }) {
		m.idle.Wait()
	}
}

func (m *Model) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Model) arn(kind, rest string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s/%s", m.opts.Region, m.opts.Account, kind, rest)
}
