package scaler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/policy"
)

// observation is what was seen of one target.
type observation struct {
	target     Target
	at         time.Time
	service    policy.Service
	serviceErr error
	view       *brokerView // What was seen of its broker; shared with the other targets of that broker.
	counter    policy.Count
	counterErr error
	tasks      []policy.Task
	tasksKnown bool
	tasksErr   error
	prior      *policy.Sighting
	seen       policy.Sighting
}

// err is what kept the target from being looked at properly; nil if nothing did. Workers that do not answer are no error
// but an observation: one with a long task on a single thread is silent for hours.
func (o observation) err() error {
	errs := []error{o.serviceErr, o.view.err, o.counterErr, o.tasksErr}
	for _, bad := range parseOverrides(o.service.Tags, o.target.Limits).bad {
		errs = append(errs, &policy.Error{Kind: policy.InvalidConfig, Err: errors.New(bad)})
	}
	return errors.Join(errs...)
}

// oneLine is the text of joined errors as it stands in an answer or a log line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// brokerView is one look at one broker, with what is known of the targets that share it.
type brokerView struct {
	at      time.Time // When the look began.
	look    policy.Look
	err     error
	targets []Target // All targets of the broker in the configuration, looked at or not.
	// missing is, for each target of the broker that was looked at and asks its workers, how many of its running tasks
	// did not answer.
	missing map[string]int
	silent  int // Listeners that did not answer.
	// rescuer is the target that brings a worker up for messages that nobody holds any more; "" if none can.
	rescuer string
}

// orphaned says whether messages are fetched that no worker holds any more, and that cannot be told apart by queue.
func (v *brokerView) orphaned() bool {
	return v.err == nil && v.look.Listeners == policy.Known(0) && v.look.Loose != policy.Known(0)
}

// chooseRescuer chooses the first target that can be scaled out.
func (v *brokerView) chooseRescuer(described map[policy.ServiceRef]policy.Described) {
	for _, t := range v.targets {
		d, ok := described[t.Ref]
		if !ok || d.Err != nil {
			continue
		}
		if o := parseOverrides(d.Service.Tags, t.Limits); !o.paused && o.limits.Max > 0 {
			v.rescuer = t.Name
			return
		}
	}
}

// heard returns the workers of the target among those that answered: those that consume from one of its queues. A worker
// that consumes from none (it has been drained) is nobody's: it cannot stand for a running task of a certain target.
func (v *brokerView) heard(t Target) []policy.Node {
	var nodes []policy.Node
	for _, n := range v.look.Nodes {
		if slices.ContainsFunc(n.Queues, func(q string) bool { return slices.Contains(t.Queues, q) }) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// drained returns the workers that answered and consume from no queue at all.
func (v *brokerView) drained() []policy.Node {
	var nodes []policy.Node
	for _, n := range v.look.Nodes {
		if len(n.Queues) == 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// budget is how long a look at a broker may take, and how long it waits for workers that do not answer.
type budget struct {
	look, patience time.Duration
	// alone describes no other targets of the broker, to tell whose the silent workers are. It is for events: one of them
	// must not cost calls for all.
	alone bool
}

// observe looks at the targets: the services and each broker at the same time.
func (s *Scaler) observe(ctx context.Context, targets []Target, b budget) []observation {
	var wg sync.WaitGroup
	described := map[policy.ServiceRef]policy.Described{}
	wg.Go(func() { described = s.describe(ctx, targets) })
	out, views := s.look(ctx, targets, b)
	wg.Wait()
	s.join(ctx, out, views, described, b)
	return out
}

// look looks at the brokers of the targets.
func (s *Scaler) look(ctx context.Context, targets []Target, b budget) ([]observation, map[string]*brokerView) {
	var wg sync.WaitGroup
	out := make([]observation, len(targets))
	views := map[string]*brokerView{}
	members := map[string][]*observation{}
	for i, t := range targets {
		if views[t.Broker] == nil {
			views[t.Broker] = &brokerView{missing: map[string]int{}, targets: s.sharing[t.Broker]}
		}
		out[i] = observation{target: t, view: views[t.Broker]}
		members[t.Broker] = append(members[t.Broker], &out[i])
	}
	for name, view := range views {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, b.look)
			defer cancel()
			view.at = s.Now()
			view.lookAt(ctx, s.Brokers[name], members[name], b.patience)
		})
	}
	wg.Wait()
	return out, views
}

// join adds to what was seen of the brokers what is known of the services.
func (s *Scaler) join(
	ctx context.Context, out []observation, views map[string]*brokerView, described map[policy.ServiceRef]policy.Described, b budget,
) {
	for _, view := range views {
		if !b.alone && (view.silent > 0 || view.shared() || view.orphaned()) {
			s.describeSharing(ctx, view, described)
		}
		view.countMissing(described)
		view.chooseRescuer(described)
	}
	for i := range out {
		o, d := &out[i], described[out[i].target.Ref]
		o.at, o.service, o.serviceErr = s.Now(), d.Service, d.Err
	}
}

// observeClosely looks at one target as it must be looked at before anything is taken away: at its single tasks too, and
// at what its workers have done since prior. The look at the broker comes last, so that nothing is older than it.
func (s *Scaler) observeClosely(ctx context.Context, t Target, prior *policy.Sighting) observation {
	var wg sync.WaitGroup
	var tasks []policy.Task
	var tasksErr error
	var beats map[string]policy.Beat
	var described map[policy.ServiceRef]policy.Described
	wg.Go(func() { tasks, tasksErr = s.Fleet.Tasks(ctx, t.Ref) })
	wg.Go(func() { described = s.describe(ctx, []Target{t}) })
	if prior.Heard > 0 {
		expect := prior.Heard
		if len(s.sharing[t.Broker]) > 1 {
			expect = math.MaxInt // The first to be heard may be another target's.
		}
		wg.Go(func() { beats = s.beats(ctx, t.Broker, expect) })
	}
	wg.Wait()
	b := budget{look: checkLook, patience: checkPatience}
	observations, views := s.look(ctx, []Target{t}, b)
	s.join(ctx, observations, views, described, b)
	o := observations[0]
	o.prior = prior
	o.tasks, o.tasksErr, o.tasksKnown = tasks, tasksErr, tasksErr == nil
	if t.Source == SourceInspect {
		// The count of the service may lag behind its tasks.
		running := 0
		for _, task := range tasks {
			if task.State == policy.TaskRunning {
				running++
			}
		}
		if extra := running - o.service.Running; extra > 0 {
			o.view.missing[t.Name] = max(o.view.missing[t.Name], running-o.view.answers(t))
		}
	}
	o.addBeats(beats)
	return o
}

// describe describes the services of the targets. Each has an entry in the answer, if only an error.
func (s *Scaler) describe(ctx context.Context, targets []Target) map[policy.ServiceRef]policy.Described {
	refs := make([]policy.ServiceRef, len(targets))
	for i, t := range targets {
		refs[i] = t.Ref
	}
	described := s.Fleet.Describe(ctx, refs)
	for _, ref := range refs {
		if _, ok := described[ref]; !ok {
			described[ref] = policy.Described{Err: &policy.Error{
				Kind: policy.FleetUnavailable, Err: fmt.Errorf("describe service %s: no answer", ref.Service),
			}}
		}
	}
	return described
}

// describeSharing describes the targets of the broker that were not asked about: without them it cannot be told whose the
// silent workers are.
func (s *Scaler) describeSharing(
	ctx context.Context, view *brokerView, described map[policy.ServiceRef]policy.Described,
) {
	var others []Target
	for _, t := range view.targets {
		if _, ok := described[t.Ref]; !ok {
			others = append(others, t)
		}
	}
	if len(others) > 0 {
		maps.Copy(described, s.describe(ctx, others))
	}
}

// beats listens to the heartbeats of a broker's workers until so many have been heard. They are a second witness only:
// what cannot be heard is missing in the sum, and a sum over fewer workers than before holds a scale-in.
func (s *Scaler) beats(ctx context.Context, broker string, expect int) map[string]policy.Beat {
	ctx, cancel := context.WithTimeout(ctx, beatsBudget)
	defer cancel()
	beats, err := s.Brokers[broker].Beats(ctx, expect)
	if err != nil {
		s.Log.WarnContext(ctx, "heartbeats not heard", "broker", broker, "error", err.Error())
	}
	return beats
}

// lookAt looks at the broker for all the targets that are asked about.
func (v *brokerView) lookAt(ctx context.Context, b Broker, members []*observation, patience time.Duration) {
	var queues []string
	for _, o := range members {
		queues = append(queues, o.target.Queues...)
	}
	v.look, v.err = b.Look(ctx, queues, patience)
	if v.look.Listeners.Known {
		v.silent = max(0, v.look.Listeners.N-v.look.Heard())
	}
	for _, o := range members {
		if o.target.Source != SourceCounter {
			continue
		}
		o.counter, o.counterErr = b.Counter(ctx, o.target.CounterKey)
		if o.counterErr != nil {
			o.counter = policy.Unknown(o.counterErr.Error())
		}
	}
}

// countMissing counts, for each target that could be described, the running tasks that were not heard from.
func (v *brokerView) countMissing(described map[policy.ServiceRef]policy.Described) {
	if v.err != nil {
		return
	}
	for _, t := range v.targets {
		if d, ok := described[t.Ref]; ok && d.Err == nil && t.Source == SourceInspect {
			v.missing[t.Name] = max(0, d.Service.Running-v.answers(t))
		}
	}
	if !v.shared() {
		return
	}
	// A worker that serves several targets stands for one task only: all of them together must not have more tasks than answers.
	running, answered := 0, 0
	for _, t := range v.targets {
		if d, ok := described[t.Ref]; !ok || d.Err != nil {
			running += math.MaxInt32 // It cannot be told: no answer of theirs counts.
		} else {
			running += d.Service.Running
		}
	}
	for _, n := range v.look.Nodes {
		if v.served(n) > 0 {
			answered += n.Answers
		}
	}
	for _, t := range v.targets {
		alone := !slices.ContainsFunc(v.heard(t), func(n policy.Node) bool { return v.served(n) > 1 })
		if m, ok := v.missing[t.Name]; ok && !alone {
			v.missing[t.Name] = max(m, min(running-answered, described[t.Ref].Service.Running))
		}
	}
}

// served is how many targets the worker serves: a worker may drain more queues than its own target's, and workers of several
// targets may bear the same name.
func (v *brokerView) served(n policy.Node) int {
	served := 0
	for _, t := range v.targets {
		if slices.ContainsFunc(n.Queues, func(q string) bool { return slices.Contains(t.Queues, q) }) {
			served++
		}
	}
	return served
}

// shared says whether a worker serves more than one target.
func (v *brokerView) shared() bool {
	return slices.ContainsFunc(v.look.Nodes, func(n policy.Node) bool { return v.served(n) > 1 })
}

// answers is how many workers of the target answered, equal names counted each.
func (v *brokerView) answers(t Target) int {
	n := 0
	for _, node := range v.heard(t) {
		n += node.Answers
	}
	return n
}

// addBeats fills in what the heartbeats of the target's workers say in sum.
func (o *observation) addBeats(beats map[string]policy.Beat) {
	o.seen = policy.Sighting{At: o.at}
	for _, n := range o.view.heard(o.target) {
		if b, ok := beats[n.Name]; ok {
			o.seen.Heard++
			o.seen.Processed += b.Processed
		}
	}
}
