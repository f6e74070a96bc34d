package scaler_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/fleet"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/ecs"
)

// oneBroker has workers, of which a test says what they do. It is asked for nothing else than what a shield needs.
type oneBroker struct {
	scaler.Broker
	nodes []policy.Node
}

func (b *oneBroker) Look(context.Context, []string, time.Duration) (policy.Look, error) {
	return policy.Look{
		Queues: map[string]policy.Queue{"celery": {Backlog: policy.Known(0), Held: policy.Known(0)}},
		Loose:  policy.Known(0), Listeners: policy.Known(len(b.nodes)), Nodes: b.nodes, FetchedKnown: true,
	}, nil
}

func (*oneBroker) Beats(context.Context, int) (map[string]policy.Beat, error) { return nil, nil }

func (*oneBroker) Lock(context.Context, string, string, time.Duration) (bool, error) {
	return true, nil
}
func (*oneBroker) Unlock(context.Context, string, string) error { return nil }

// TestAShieldInECS has the real fleet, and a model of ECS, find again what a check has protected, by the tag on the task.
func TestAShieldInECS(t *testing.T) {
	t.Parallel()
	// Not on a second: a tag holds whole ones, and ECS tells the end of protection to the millisecond.
	now := time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)
	clock := func() time.Time { return now }
	model := ecs.New(ecs.Options{Now: clock})
	defer model.Close()
	if err := model.CreateService(ecs.ServiceConfig{Name: "a", Desired: 2}); err != nil {
		t.Fatal(err)
	}
	ref := policy.ServiceRef{Cluster: "default", Service: "a"}
	f := fleet.New(ecs.Direct(model), fleet.Options{Now: clock})
	tasks, err := f.Tasks(t.Context(), ref)
	if err != nil || len(tasks) != 2 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	broker := &oneBroker{}
	for _, task := range tasks {
		broker.nodes = append(broker.nodes, policy.Node{
			Name: "celery@" + task.ID, Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0),
		})
	}
	s, err := scaler.New(scaler.Options{
		Targets: []scaler.Target{{
			Name: "a", Ref: ref, Broker: "main", Queues: []string{"celery"}, Source: scaler.SourceInspect, Shield: 15 * time.Minute,
			Limits: policy.Limits{Min: 2, Max: 2, MessagesPerWorker: 1},
		}},
		Brokers: map[string]scaler.Broker{"main": broker}, Fleet: f, Now: clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	work := func(since time.Duration) {
		broker.nodes[0].Active, broker.nodes[0].OldestStart = policy.Known(1), now.Add(-since)
	}
	for _, step := range []struct {
		name string
		do   func()
		want []time.Duration // For how long each task is protected then.
	}{
		{"nobody works", func() {}, []time.Duration{0, 0}},
		{"one works, for a moment", func() { work(time.Second) }, []time.Duration{0, 0}},
		{"it does so for long", func() { work(time.Hour) }, []time.Duration{15 * time.Minute, 0}},
		{"it does so still", func() {}, []time.Duration{15 * time.Minute, 0}},
		{"it has begun with another message", func() { work(time.Second) }, []time.Duration{0, 0}},
		{"the application protects the other", func() {
			if _, err := f.Protect(t.Context(), ref, []string{tasks[1].ID}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}, []time.Duration{15 * time.Minute, time.Hour}}, // Five minutes on, the first works for long again.
	} {
		now = now.Add(5*time.Minute + 77*time.Millisecond)
		step.do()
		s.CheckAll(t.Context(), scaler.Shard{})
		after, err := f.Tasks(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]time.Duration, 0, 2)
		for _, task := range after {
			got = append(got, max(0, task.ProtectedUntil.Sub(now).Round(time.Second)))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: protected (-want +got):\n%s", step.name, diff)
		}
	}
}
