package scaler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a scaler over fakes: target "worker" with queue "celery" on broker "main", nothing running, nothing to do.
type world struct {
	*Scaler
	*ports // All calls to broker and fleet.
	broker *fakeBroker
	fleet  *fakeFleet
	now    time.Time
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{now: start, ports: &ports{}}
	clock := func() time.Time { return w.now }
	w.broker = &fakeBroker{ports: w.ports, now: clock, look: emptyLook("celery"), deaf: map[string]bool{}}
	w.fleet = &fakeFleet{
		ports: w.ports, now: clock, services: map[string]policy.Service{"worker-svc": {ARN: "arn:worker"}},
		errs: map[string]error{}, tasks: map[string][]policy.Task{},
	}
	o := Options{
		Targets: []Target{target("worker", "celery")},
		Brokers: map[string]Broker{"main": w.broker},
		Fleet:   w.fleet,
		Log:     slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Now:     clock,
		Sleep: func(_ context.Context, d time.Duration) error {
			w.now = w.now.Add(d)
			return nil
		},

		EventSource: "custom.celery.monitor", EventDetailType: "celery.task.queue_full", Coalesce: time.Second,
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Scaler = s
	return w
}

func target(name string, queues ...string) Target {
	return Target{
		Name: name, Ref: policy.ServiceRef{Cluster: "prod", Service: name + "-svc"}, Broker: "main", Queues: queues,
		Source: SourceInspect,
		Limits: policy.Limits{Max: 10, MessagesPerWorker: 10, Grace: time.Minute, Settle: time.Minute},
	}
}

// emptyLook is a broker with these queues, no message and no worker.
func emptyLook(queues ...string) policy.Look {
	l := policy.Look{
		Queues: map[string]policy.Queue{}, Loose: policy.Known(0), Listeners: policy.Known(0), FetchedKnown: true,
	}
	for _, q := range queues {
		l.Queues[q] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	}
	return l
}

// run sets the service's count and lets as many tasks run, old enough, each with a worker that answers and is idle.
func (w *world) run(name string, n int, queues ...string) {
	svc := w.fleet.services[name+"-svc"]
	svc.ARN, svc.Desired, svc.Running = "arn:"+name, n, n
	w.fleet.services[name+"-svc"] = svc
	w.broker.beats = map[string]policy.Beat{}
	for i := range n {
		node := policy.Node{
			Name: "celery@" + name + string(rune('0'+i)), Answers: 1, Queues: queues, Active: policy.Known(0),
		}
		w.broker.look.Nodes = append(w.broker.look.Nodes, node)
		w.broker.look.Listeners.N++
		w.fleet.tasks[name+"-svc"] = append(w.fleet.tasks[name+"-svc"], policy.Task{
			ID: strings.TrimPrefix(node.Name, "celery@"), ARN: "arn:" + node.Name, State: policy.TaskRunning,
			CreatedAt: start.Add(-time.Hour), StartedAt: start.Add(-time.Hour),
		})
	}
	for _, node := range w.broker.look.Nodes {
		w.broker.beats[node.Name] = policy.Beat{Processed: 5}
	}
}

func (w *world) setBacklog(queue string, n int) {
	w.broker.look.Queues[queue] = policy.Queue{Backlog: policy.Known(n), Held: policy.Known(0)}
}

func (w *world) setHeld(queue string, n int) {
	w.broker.look.Queues[queue] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(n)}
}

func (w *world) desired(name string) int { return w.fleet.services[name+"-svc"].Desired }

// kindOf is the kind of the error, or "" if it has none.
func kindOf(err error) policy.Kind {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func broken(kind policy.Kind, text string) error {
	return &policy.Error{Kind: kind, Err: errors.New(text)}
}

func has(d policy.Decision, r policy.Reason) bool { return slices.Contains(d.Reasons, r) }
