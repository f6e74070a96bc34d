package broker_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sluice/lab/sim/broker"
)

type ctx = context.Context

// modelStage plays a script on the model, in virtual time.
type modelStage struct {
	t       *testing.T
	version broker.Version
	now     time.Time
	m       *broker.Model
	c       *broker.Client
	workers map[string]*broker.Worker
	ids     map[string]broker.ID
	ended   []string
}

func newModelStage(t *testing.T, visibility, pop time.Duration, v broker.Version) *modelStage {
	t.Helper()
	s := &modelStage{t: t, version: v, now: noon, workers: map[string]*broker.Worker{}, ids: map[string]broker.ID{}}
	s.m = broker.New(broker.Options{
		Now: func() time.Time { return s.now }, Rand: rand.New(rand.NewPCG(1, 2)), VisibilityTimeout: visibility, Pop: pop,
	})
	s.c = s.m.Client(broker.ClientOptions{Horizon: time.Minute, Pause: func(ctx ctx, d time.Duration) error {
		s.elapse(d)
		return ctx.Err()
	}})
	return s
}

// elapse lets time pass, and stops where something happens.
func (s *modelStage) elapse(d time.Duration) {
	for end := s.now.Add(d); ; {
		s.m.Tick()
		next, ok := s.m.Next()
		if !ok || next.After(end) {
			s.now = end
			s.m.Tick()
			return
		}
		if next.After(s.now) {
			s.now = next
		}
	}
}

func (s *modelStage) send(o order) {
	t := broker.Task{
		Name: o.task, Queue: o.queue, Priority: o.priority, Duration: broker.Forever, AcksLate: o.task == "hold_late",
		Retries: o.retries, RetryIn: time.Hour,
	}
	if t.Name == "" {
		t.Name = "hold"
	}
	if t.Queue == "" {
		t.Queue = "celery"
	}
	if o.countdown > 0 {
		t.ETA = s.now.Add(o.countdown)
	}
	if o.expires > 0 {
		t.Expires = s.now.Add(o.expires)
	}
	id, err := s.m.Send(t)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ids[o.label] = id
}

func (s *modelStage) start(spec broker.Spec) {
	name := spec.Name
	spec.Version = s.version
	spec.Boot = 100 * time.Millisecond
	spec.Rates = map[string]time.Duration{"seldom": time.Hour}
	spec.Ended = func(int, bool) { s.ended = append(s.ended, name) }
	if spec.Queues == nil {
		spec.Queues = []string{"celery"}
	}
	s.workers[name] = s.m.Start(spec)
	s.elapse(time.Second)
}

func (s *modelStage) twin(spec broker.Spec) { s.start(spec) }

func (s *modelStage) killChild(worker string) {
	if !s.workers[worker].CrashChild() {
		s.t.Fatal("no child executes")
	}
}

func (s *modelStage) end(label string) {
	s.elapse(100 * time.Millisecond)
	if !s.m.End(s.ids[label]) {
		s.t.Fatalf("%s does not execute: %+v", label, s.m.Record(s.ids[label]))
	}
}

func (s *modelStage) terminate(worker string) { s.workers[worker].Terminate() }
func (s *modelStage) kill(worker string)      { s.workers[worker].Kill() }
func (s *modelStage) freeze(worker string)    { s.workers[worker].Freeze() }
func (s *modelStage) thaw(worker string)      { s.workers[worker].Thaw() }
func (s *modelStage) wedge(worker string)     { s.workers[worker].Wedge() }
func (s *modelStage) client() client          { return s.c }

func (s *modelStage) cut() {
	for _, name := range slices.Sorted(maps.Keys(s.workers)) {
		s.workers[name].Reconnect()
	}
}

func (s *modelStage) lists() (map[string]int, int) {
	waiting := map[string]int{}
	for _, q := range queues {
		if n := s.m.Len(q); n > 0 {
			waiting[q] = n
		}
	}
	return waiting, s.m.Unacked()
}

func (s *modelStage) log() []string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for label, id := range s.ids {
		for _, d := range s.m.Record(id).Deliveries {
			if !d.Started.IsZero() {
				lines = append(lines, line{d.Started, "start " + label})
			}
			if !d.Ended.IsZero() {
				lines = append(lines, line{d.Ended, "end " + label})
			}
		}
	}
	slices.SortFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	out := []string{}
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

func (s *modelStage) gone() []string { return slices.Sorted(slices.Values(s.ended)) }

func (s *modelStage) settle(look func() (picture, error), _ *picture) picture {
	s.elapse(5 * time.Second)
	got, err := look()
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}
