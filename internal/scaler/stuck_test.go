package scaler

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestStuck has messages wait: is that because workers that could take them do not?
func TestStuck(t *testing.T) {
	t.Parallel()
	stuck := []policy.Reason{policy.ReasonStuck, policy.ReasonSettle}
	tests := []struct {
		name    string
		prepare func(w *world)
		reasons []policy.Reason
	}{
		{"two workers have nothing to do", func(*world) {}, stuck},
		{"nobody answers, nor listens", func(w *world) { w.broker.look.Nodes, w.broker.look.Listeners = nil, policy.Known(0) }, stuck},
		{"one is at work: it may be taking them one after the other", func(w *world) {
			w.broker.look.Nodes[0].Active = policy.Known(1)
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"one listens and does not answer: it is at work", func(w *world) {
			w.broker.look.Nodes = w.broker.look.Nodes[:1]
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"somebody holds messages: it may be at its limit", func(w *world) {
			w.broker.look.Queues["celery"] = policy.Queue{Backlog: policy.Known(3), Held: policy.Known(1)}
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"a task is on its way up", func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running, s.Pending = 1, 1 })
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"a task is yet to come up", func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = 1 })
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"one more task is on its way up", func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Pending = 1 })
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"what is fetched cannot be told apart by queue", func(w *world) { w.broker.look.Loose = policy.Known(1) }, []policy.Reason{policy.ReasonUnknown}},
		{"not all that is fetched can be read", func(w *world) { w.broker.look.FetchedKnown = false }, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"some was fetched too long ago, and is due later: it is no part of what waits", func(w *world) {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "1", Expired: true, Later: true}, {Tag: "2", Expired: true, Later: true}, {Tag: "3", Expired: true, Later: true}}
		}, stuck},
		{"one is not heard from, minutes after its start: a large application may take as long to load", func(w *world) {
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
			w.fleet.change("worker-svc", "worker1", func(t *policy.Task) { t.StartedAt = start.Add(-4 * time.Minute) })
		}, []policy.Reason{policy.ReasonUnknown}},
		{"one is not heard from, long after its start", func(w *world) {
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
			w.fleet.change("worker-svc", "worker1", func(t *policy.Task) { t.StartedAt = start.Add(-10 * time.Minute) })
			w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.StartedAt = start.Add(-2 * time.Minute) }) // It was heard.
			w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "old", State: policy.TaskStopping, StartedAt: start.Add(-3 * time.Minute)})
		}, stuck},
		{"they have been drained: they fetch again", func(w *world) {
			w.broker.setQueues("celery@worker0", nil)
			w.broker.setQueues("celery@worker1", nil)
		}, []policy.Reason{policy.ReasonBacklog, policy.ReasonResume}},
		{"what seems to wait was fetched, too long ago: the very worker may hold it", func(w *world) {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "1", Expired: true}, {Tag: "2", Expired: true}, {Tag: "3", Expired: true}}
		}, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}},
		{"one of them really waits", func(w *world) {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "1", Expired: true}, {Tag: "2", Expired: true}}
		}, stuck},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}})
			w.setBacklog("celery", 3)
			tt.prepare(w)
			c := w.one(t)
			if diff := cmp.Diff(tt.reasons, c.Decision.Reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if has(c.Decision, policy.ReasonStuck) && !c.Seen.Stuck {
				t.Errorf("it is not remembered: %+v", c.Seen)
			}
		})
	}
}

// TestTheStuckAreMendedOrReplaced scales in a target that has been seen stuck for two minutes. It has two workers, and messages for
// one.
func TestTheStuckAreMendedOrReplaced(t *testing.T) {
	t.Parallel()
	// To decide; whether they fetch; four times whether that helped; three times whether the one that goes is empty; and once more.
	const lastLook = 1 + 1 + 4 + 3 + 1
	look := func(at int, change func(w *world)) func(*world) {
		return func(w *world) {
			w.broker.onLook = func() {
				if w.broker.looks == at {
					change(w)
				}
			}
		}
	}
	work := func(w *world) {
		w.setBacklog("celery", 0)
		w.broker.look.Nodes[1].Active = policy.Known(1)
	}
	tests := []struct {
		name    string
		workers int
		prepare func(w *world)
		calls   []string
		status  string
		kind    policy.Kind
		count   int
	}{
		{
			"they fetch when they are told to", 2, look(4, work),
			[]string{"consume worker0 worker1"},
			"resumed", "", 2,
		},
		{
			"they do not: one is replaced", 2, nil,
			[]string{
				"consume worker0 worker1", "cancel worker0", "protect worker1", "set desired 1", "release worker1", "set desired 2",
			},
			"replaced", "", 2,
		},
		{
			"the only one does not: it is replaced", 1, nil,
			[]string{"consume worker0", "cancel worker0", "set desired 0", "set desired 1"},
			"replaced", "", 1,
		},
		{
			"one is not heard from: it is left alone, and another started beside it", 2,
			func(w *world) {
				w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
			},
			[]string{"set desired 3"},
			"scaled out", "", 3,
		},
		{
			"the one that is to go begins to work after all", 2,
			look(lastLook, func(w *world) { w.broker.look.Nodes[0].Active = policy.Known(1) }),
			[]string{"consume worker0 worker1", "cancel worker0", "protect worker1", "release worker1"},
			"draining", "", 2,
		},
		{
			"the broker is lost", 2, look(3, func(w *world) { w.broker.err = broken(policy.BrokerUnavailable, "gone") }),
			[]string{"consume worker0 worker1"},
			"resumed", policy.BrokerUnavailable, 2,
		},
		{
			"the only one is about to be replaced, and a task has come beside it that works", 1,
			look(lastLook-1, func(w *world) {
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{
					Name: "celery@new", Answers: 1, Queues: []string{"celery"}, Active: policy.Known(1),
				})
				w.broker.look.Listeners.N++
				w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{
					ID: "new", State: policy.TaskRunning, StartedAt: start.Add(-time.Hour),
				})
			}),
			[]string{"consume worker0", "cancel worker0", "consume worker0"},
			"resumed", "", 1,
		},
		{
			"the only one is about to be replaced, and a task comes up beside it, which ECS might choose", 1,
			look(lastLook-1, func(w *world) {
				w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "new", State: policy.TaskPending})
			}),
			[]string{"consume worker0", "cancel worker0", "consume worker0"},
			"resumed", "", 1,
		},
		{
			"the order cannot be given", 2,
			func(w *world) { w.broker.controlErr = broken(policy.BrokerUnavailable, "gone") },
			[]string{"consume worker0 worker1"},
			"resumed", policy.BrokerUnavailable, 2,
		},
		{
			"somebody pauses it", 2,
			look(lastLook-1, func(w *world) {
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagPaused: "true"} })
			}),
			[]string{"consume worker0 worker1", "cancel worker0", "protect worker1", "release worker1", "consume worker0"},
			"resumed", "", 2,
		},
		{
			"a deployment begins", 2,
			look(lastLook-1, func(w *world) { w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Deploying = true }) }),
			[]string{"consume worker0 worker1", "cancel worker0", "protect worker1", "release worker1"},
			"draining", "", 2,
		},
		{
			"a tag cannot be understood", 2,
			look(lastLook-1, func(w *world) {
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagMin: "x"} })
			}),
			[]string{"consume worker0 worker1", "cancel worker0", "protect worker1", "release worker1"},
			"draining", policy.InvalidConfig, 2,
		},
		{
			"the broker is lost when they are to be told", 2,
			func(w *world) {
				w.once(1, "consume", func() { w.broker.err = broken(policy.BrokerUnavailable, "gone") })
			},
			[]string{"consume worker0 worker1"},
			"resumed", policy.BrokerUnavailable, 2,
		},
		{
			"the function ends while they are watched", 2,
			func(w *world) {
				w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
			},
			[]string{"consume worker0 worker1"},
			"resumed", policy.BrokerUnavailable, 2,
		},
		{
			"somebody else changes the count", 2,
			look(lastLook-1, func(w *world) { w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 3 }) }),
			[]string{"consume worker0 worker1", "cancel worker0", "protect worker1", "release worker1"},
			"draining", "", 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, make([]hand, tt.workers), oneByOne)
			w.setBacklog("celery", 3)
			var log bytes.Buffer
			w.Log = slog.New(slog.NewJSONHandler(&log, nil))
			if tt.prepare != nil {
				tt.prepare(w)
			}
			change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}})
			if change.Status != tt.status || kindOf(err) != tt.kind || w.desired("worker") != tt.count {
				t.Errorf("%+v, %v, count %d; want %s, %d", change, err, w.desired("worker"), tt.status, tt.count)
			}
			got := w.made("consume", "cancel", "protect", "set", "release")
			if diff := cmp.Diff(tt.calls, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			told := lines(t, &log, "workers have nothing to do although messages wait")
			if asked := strings.HasPrefix(tt.calls[0], "consume"); asked != (len(told) == 1) || asked && len(told[0]["nodes"].([]any)) != tt.workers {
				t.Errorf("the log says %v", told)
			}
		})
	}
}

// TestAQueueThatNobodyFetches: a worker that does not know a queue is not mended by being replaced, but somebody has to be told.
func TestAQueueThatNobodyFetches(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWorld(t, func(o *Options) {
		o.Targets = []Target{target("worker", "celery", "vidoe")}
		o.Log = slog.New(slog.NewJSONHandler(&log, nil))
	})
	w.broker.look = emptyLook("celery", "vidoe")
	w.run("worker", 2, "celery", "video")
	w.setBacklog("vidoe", 3)
	if c := w.one(t); has(c.Decision, policy.ReasonStuck) {
		t.Errorf("its workers are taken for stuck: %+v", c.Decision)
	}
	if !strings.Contains(log.String(), `"unfetched":["vidoe"]`) {
		t.Errorf("the queue is not named: %s", log.String())
	}
	if !strings.Contains(log.String(), `"unlisted":["video"]`) {
		t.Errorf("nor is the one that they fetch from and no target has: %s", log.String())
	}
	w.setBacklog("celery", 1)
	if c := w.one(t); !has(c.Decision, policy.ReasonStuck) {
		t.Errorf("they leave a message waiting that they know: %+v", c.Decision)
	}
}
