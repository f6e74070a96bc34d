package scaler

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestPlan looks closely at two of three targets, and does nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	w, o, log := logged(t, oneByOne, func(o *Options) {
		o.Targets = []Target{target("worker", "celery"), target("video", "video"), target("mail", "mail")}
		o.Targets[0].Shield = 15 * time.Minute
	})
	w.run("worker", 3, "celery")
	w.broker.change("celery@worker0", func(n *policy.Node) { n.Active, n.OldestStart = policy.Known(2), start.Add(-time.Hour) })
	w.broker.change("celery@worker1", func(n *policy.Node) { n.Queues = nil })
	w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.ProtectedUntil = start.Add(time.Hour) })
	w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{
		ID: "new", State: policy.TaskPending, CreatedAt: start.Add(-10 * time.Second),
	})
	w.fleet.changeService("worker-svc", func(s *policy.Service) {
		s.Desired, s.Pending, s.Tags = 4, 1, map[string]string{TagMin: TagValue("1", start.Add(time.Hour))}
	})
	w.fleet.services["mail-svc"] = policy.Service{Desired: 1, Running: 1}

	plan, err := w.Plan(t.Context(), PlanInput{Targets: []string{"worker", "mail"}, Close: true, Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	if made := w.made(append(deeds, "beats", "unlock")...); len(made) > 0 || log.Len() > 0 || len(o.records) > 0 {
		t.Errorf("a plan did %v, logged %q and told of %v", made, log, o.records)
	}
	two, none := 2, 0
	hour := start.Add(time.Hour)
	one := 1
	worker := plan.Targets[0]
	if !plan.At.Equal(start) || len(plan.Targets) != 2 || plan.Targets[1].Record.Target != "mail" {
		t.Errorf("plan %+v", plan)
	}
	if diff := cmp.Diff([]TaskPlan{
		{ID: "worker0", State: policy.TaskRunning, AgeS: 3600, Node: "celery@worker0", Active: &two, ProtectedUntil: &hour},
		{ID: "worker1", State: policy.TaskRunning, AgeS: 3600, Node: "celery@worker1", Active: &none, Drained: true},
		{ID: "worker2", State: policy.TaskRunning, AgeS: 3600, Node: "celery@worker2", Active: &none},
		{ID: "new", State: policy.TaskPending, AgeS: 10},
	}, worker.Tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	limits := w.Targets[0].Limits
	limits.Min = 1
	if diff := cmp.Diff(Overrides{Min: &one, Until: map[string]time.Time{TagMin: hour}, Limits: limits}, worker.Overrides); diff != "" {
		t.Errorf("overrides (-want +got):\n%s", diff)
	}
	if r := worker.Record; r.UseCase != "plan" || r.Desired != 4 || *r.Active != 2 || r.Drained != 1 || r.Min != 1 || *r.Protected != 1 {
		t.Errorf("record %+v", r)
	}
	var why []string
	for _, a := range worker.Alternatives {
		why = append(why, a.String())
	}
	if diff := cmp.Diff([]string{
		"if 29 more messages waited: have 1 fetch again",
		"if an event asked for 4: have 1 fetch again",
		"if the young task had run for 1m0s (grace): 4 -> 1",
	}, why); diff != "" {
		t.Errorf("alternatives (-want +got):\n%s", diff)
	}

	// It comes back from JSON as it went, but for the limits, which the record has.
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for i := range plan.Targets {
		plan.Targets[i].Overrides.Limits = policy.Limits{}
	}
	if diff := cmp.Diff(plan, back); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
}

// TestPlanOfAll says of each target what a check says, whatever there is.
func TestPlanOfAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Targets = []Target{target("worker", "celery"), target("video", "video")} })
	w.run("worker", 2, "celery")
	w.fleet.errs["video-svc"] = broken(policy.ServiceMissing, "no such service")
	for _, deep := range []bool{false, true} {
		plan, err := w.Plan(t.Context(), PlanInput{Close: deep, Explain: true})
		if err != nil || len(plan.Targets) != 2 {
			t.Fatalf("%+v, %v", plan, err)
		}
		worker, video := plan.Targets[0], plan.Targets[1]
		if worker.Record.Action != policy.Candidate || worker.Record.Desired != 0 || len(worker.Alternatives) == 0 || (worker.Tasks != nil) != deep {
			t.Errorf("worker: %+v", worker)
		}
		if looked := len(w.made("tasks")) > 0; looked != deep {
			t.Errorf("the single tasks are looked at: %v, and were asked for: %v", looked, deep)
		}
		if video.Record.Error != "no such service" || video.Record.Running != nil || video.Alternatives != nil {
			t.Errorf("video: %+v", video)
		}
	}
	if plan, err := w.Plan(t.Context(), PlanInput{Targets: []string{"worker"}}); err != nil || plan.Targets[0].Alternatives != nil {
		t.Errorf("alternatives that nobody asked for: %+v, %v", plan, err)
	}
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 1 }) // More run than are asked for: they are looked at.
	if plan, err := w.Plan(t.Context(), PlanInput{Targets: []string{"worker"}}); err != nil || plan.Targets[0].Record.Protected == nil || plan.Targets[0].Tasks != nil {
		t.Errorf("tasks that nobody asked for: %+v, %v", plan, err)
	}
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 2 })
	w.fleet.tasksErr = broken(policy.FleetThrottled, "slow down")
	plan, err := w.Plan(t.Context(), PlanInput{Targets: []string{"worker"}, Close: true})
	if r := plan.Targets[0].Record; err != nil || r.Error != "slow down" || r.Protected != nil {
		t.Errorf("the tasks cannot be listed: %+v, %v", r, err)
	}
	w.fleet.tasksErr = nil
	if plan, err := w.Plan(t.Context(), PlanInput{Targets: []string{"worker"}, Close: true}); err != nil || plan.Targets[0].Record.Protected == nil {
		t.Errorf("and they can: %+v, %v", plan.Targets[0].Record, err)
	}
	if _, err := w.Plan(t.Context(), PlanInput{Targets: []string{"wroker"}}); kindOf(err) != policy.UnknownTarget {
		t.Errorf("a target that is not there: %v", err)
	}
}

func TestPlanInput(t *testing.T) {
	t.Parallel()
	in, err := CheckInput([]byte(`{"plan": {"targets": ["worker"], "close": true, "explain": true}}`))
	if err != nil || !cmp.Equal(in.Plan, &PlanInput{Targets: []string{"worker"}, Close: true, Explain: true}) {
		t.Errorf("%+v, %v", in, err)
	}
	if in, err := CheckInput([]byte(`{"plan": {}}`)); err != nil || in.Plan == nil {
		t.Errorf("a plan of all: %+v, %v", in, err)
	}
	if in, err := CheckInput([]byte(`{"sweep": {"plan": {}}}`)); err != nil || in.Plan != nil {
		t.Errorf("what an execution was started with is no plan: %+v, %v", in, err)
	}
	for _, both := range []string{
		`{"plan": {}, "target": "worker"}`, `{"plan": {}, "previous": {}}`, `{"plan": {}, "sweep": {"shard": 0, "shards": 2}}`, `{"plan": 1}`,
	} {
		_, err := CheckInput([]byte(both))
		if kindOf(err) != policy.InvalidEvent || !strings.Contains(err.Error(), "input of check: plan beside") && !strings.Contains(both, "1}") {
			t.Errorf("%s: %v", both, err)
		}
	}
}
