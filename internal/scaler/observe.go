package scaler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

// observation is what was seen of one target.
type observation struct {
	target     Target
	at         time.Time
	asked      time.Time // When ECS was asked, before the broker; zero if it was not asked for single tasks.
	service    policy.Service
	serviceErr error
	view       *brokerView // What was seen of its broker; shared with the other targets of that broker.
	counter    policy.Count
	counterErr error
	tasks      []policy.Task
	tasksKnown bool
	tasksErr   error
	mine       []string          // Workers that are known to be the target's.
	match      map[string]string // With tasksKnown: the task of each worker whose name tells it.
	described  map[policy.ServiceRef]policy.Described
	untracked  string // Why its workers may execute what no look shows; "" if they do not, or were not asked.
	prior      *policy.Sighting
	seen       policy.Sighting
}

// err is what kept the target from being looked at properly; nil if nothing did. Workers that do not answer are no error
// but an observation: one with a long task on a single thread is silent for hours.
func (o observation) err() error {
	errs := []error{o.serviceErr, o.view.err, o.counterErr, o.tasksErr}
	for _, bad := range o.target.overrides(o.service.Tags, o.at).Bad {
		errs = append(errs, &policy.Error{Kind: policy.InvalidConfig, Err: errors.New(bad)})
	}
	return errors.Join(errs...)
}

// oneLine is the text of joined errors as it stands in an answer or a log line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// budget is how long a look at a broker may take, and how long it waits for workers that do not answer.
type budget struct {
	look, patience time.Duration
	// alone looks at no other targets of the broker, which tells whose the silent workers and the fetched messages are. It is
	// for events: one of them must not cost calls for all.
	alone bool
	also  []string // Further queues to look at.
}

// observe looks at the targets: the services and each broker at the same time.
func (s *Scaler) observe(ctx context.Context, targets []Target, b budget) []observation {
	var described map[policy.ServiceRef]policy.Described
	var out []observation
	var views map[string]*brokerView
	s.Together(
		func() { described = s.describe(ctx, targets) },
		func() { out, views = s.look(ctx, targets, b) },
	)
	s.join(ctx, out, views, described, b)
	return out
}

// look looks at the brokers of the targets.
func (s *Scaler) look(ctx context.Context, targets []Target, b budget) ([]observation, map[string]*brokerView) {
	out := make([]observation, len(targets))
	views := map[string]*brokerView{}
	members := map[string][]*observation{}
	for i, t := range targets {
		if views[t.Broker] == nil {
			views[t.Broker] = newView(s.sharing[t.Broker])
		}
		out[i] = observation{target: t, view: views[t.Broker]}
		members[t.Broker] = append(members[t.Broker], &out[i])
	}
	var calls []func()
	for _, name := range slices.Sorted(maps.Keys(views)) {
		view := views[name]
		calls = append(calls, func() {
			ctx, cancel := context.WithTimeout(ctx, b.look)
			defer cancel()
			view.at = s.Now()
			view.lookAt(ctx, s.Brokers[name], members[name], b)
		})
	}
	s.Together(calls...)
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
		view.chooseRescuer(described, s.Now())
	}
	for i := range out {
		o, d := &out[i], described[out[i].target.Ref]
		o.at, o.service, o.serviceErr, o.described = s.Now(), d.Service, d.Err, described
		if o.tasksKnown && o.target.Source == SourceInspect && o.view.err == nil {
			// The count of the service may lag behind its tasks.
			running := 0
			for _, t := range o.tasks {
				if t.State == policy.TaskRunning {
					running++
				}
			}
			if running > o.service.Running {
				o.view.missing[o.target.Name] = max(o.view.missing[o.target.Name], running-o.view.answers(o.target))
			}
		}
	}
	s.addTasks(ctx, out, b.alone)
	for _, view := range views {
		view.claimRest()
	}
}

// observeClosely looks at one target as it must be looked at before anything is taken away: at its single tasks too, and
// at what its workers have done since prior. It listens to heartbeats first, which takes seconds, and looks at the broker last, so
// that nothing is older than that.
//
// mine are workers that are known to be the target's although they fetch from none of its queues any more.
func (s *Scaler) observeClosely(ctx context.Context, t Target, prior *policy.Sighting, mine ...string) observation {
	var beats map[string]policy.Beat
	if prior.Heard > 0 {
		expect := prior.Heard
		if len(s.sharing[t.Broker]) > 1 {
			expect = math.MaxInt // The first to be heard may be another target's.
		}
		beats = s.beats(ctx, t.Broker, expect)
	}
	known := observation{prior: prior, asked: s.Now()}
	s.Together(
		func() { known.tasks, known.tasksErr = s.Fleet.Tasks(ctx, t.Ref) },
		func() { known.described = s.describe(ctx, []Target{t}) },
	)
	o := s.lookClosely(ctx, t, known, nil, mine...)
	o.addBeats(beats)
	closely := []observation{o}
	s.askUntracked(ctx, closely)
	return closely[0]
}

// lookClosely looks at the broker of the target, with what is known of its tasks and services from a moment ago.
func (s *Scaler) lookClosely(ctx context.Context, t Target, known observation, also []string, mine ...string) observation {
	b := budget{look: checkLook, patience: checkPatience, also: also}
	observations, views := s.look(ctx, []Target{t}, b)
	o := &observations[0]
	o.mine = mine
	o.prior, o.asked = known.prior, known.asked
	o.tasks, o.tasksErr, o.tasksKnown = known.tasks, known.tasksErr, known.tasksErr == nil
	s.join(ctx, observations, views, known.described, b)
	return *o
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

// addBeats fills in what the heartbeats of the target's workers say in sum. Of workers of one name it cannot be told whose
// heartbeat it is, and the sum would move by chance for ever: they lack this witness, as many workers do.
func (o *observation) addBeats(beats map[string]policy.Beat) {
	o.seen = policy.Sighting{At: o.at}
	for _, n := range o.workers() {
		if b, ok := beats[n.Name]; ok && n.Answers == 1 {
			o.seen.Heard++
			o.seen.Processed += b.Processed
		}
	}
}
