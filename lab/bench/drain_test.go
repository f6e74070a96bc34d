package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/scaler"
	"sluice/lab/cloud/ecs"
)

func TestDrainYAMLWantsOneWorkerForEachTask(t *testing.T) {
	c, err := config.Parse([]byte(drainYAML("127.0.0.1:6379", 40)), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Targets) != 40 {
		t.Fatalf("%d targets, want 40", len(c.Targets))
	}
	for _, target := range c.Targets {
		if target.MessagesPerWorker != 1 || target.Grace.Std() != 0 || target.Settle.Std() != time.Second {
			t.Errorf("target %s: %d messages per worker, grace %v, settle %v", target.Name, target.MessagesPerWorker,
				target.Grace.Std(), target.Settle.Std())
		}
		if n := len(c.TargetsOf(target.Broker)); n != 1 {
			t.Errorf("broker %s has %d targets, want 1", target.Broker, n)
		}
	}
}

func TestStandInDoesAsItIsTold(t *testing.T) {
	w := standIn{name: "celery@ip-10-0-0-1", queue: "video", active: 2}
	queues := func() string {
		text, err := json.Marshal(w.says("active_queues"))
		if err != nil {
			t.Fatal(err)
		}
		var list []struct{ Name string }
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		names := make([]string, len(list))
		for i, q := range list {
			names[i] = q.Name
		}
		return string(text[:1]) + strings.Join(names, " ")
	}
	for _, step := range []struct{ told, want string }{
		{"active", "[video"}, {"cancel_consumer", "["}, {"cancel_consumer", "["}, {"add_consumer", "[video"},
	} {
		if w.says(step.told) == nil {
			t.Errorf("it does not answer %s", step.told)
		}
		if got := queues(); got != step.want {
			t.Errorf("after %s: queues %s, want %s", step.told, got, step.want)
		}
	}
	if got := w.says("active").([]any); len(got) != 2 {
		t.Errorf("active: %d tasks, want 2", len(got))
	}
	if got := w.says("shutdown"); got != nil {
		t.Errorf("it answers a command that it must not know: %v", got)
	}
}

func TestCameOut(t *testing.T) {
	stage := theatre{from: 10, to: 5}
	for _, c := range []struct {
		change scaler.Change
		right  bool
	}{
		{scaler.Change{Status: "scaled in", Previous: 10, DesiredCount: 5}, true},
		{scaler.Change{Status: "draining", Previous: 10, DesiredCount: 10}, false},
		{scaler.Change{Status: "scaled in", Previous: 10, DesiredCount: 6}, false},
		{scaler.Change{Status: "scaled in", Previous: 9, DesiredCount: 5}, false},
	} {
		if err := stage.cameOut(c.change); (err == nil) != c.right {
			t.Errorf("%+v: got %v", c.change, err)
		}
	}
}

// The gate lets through what the model answers, and knows what was refused.
func TestGateCountsWhatIsRefused(t *testing.T) {
	stands := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	model := ecs.New(ecs.Options{Throttle: true, Now: func() time.Time { return stands }, Clusters: []string{"bench"}})
	defer model.Close()
	g := &gate{}
	handler := g.before(model)
	call := func(op, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+op)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	const burst, more = 100, 7
	for range burst + more {
		call("ListTasks", `{"cluster":"bench"}`)
	}
	if w := call("DescribeServices", `{"cluster":"bench","services":["none"]}`); w.Code != http.StatusOK ||
		!strings.Contains(w.Body.String(), "MISSING") || w.Header().Get("Content-Type") == "" {
		t.Errorf("the answer that came through: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := call("UpdateService", `{"cluster":"bench","service":"none"}`); w.Code != http.StatusBadRequest {
		t.Errorf("an error came through as %d", w.Code)
	}
	if diff := cmp.Diff(map[string]int{"ListTasks": burst + more, "DescribeServices": 1, "UpdateService": 1}, g.all); diff != "" {
		t.Errorf("all calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"ListTasks": more}, g.refused); diff != "" {
		t.Errorf("refused calls (-want +got):\n%s", diff)
	}
	tasks := bucket{burst: burst, rate: 20, ops: []string{"ListTasks", "DescribeTasks"}}
	if got := tasks.sum(map[string]int{"ListTasks": 4, "DescribeTasks": 3, "DescribeServices": 9}); got != 7 {
		t.Errorf("the bucket has %d calls, want 7", got)
	}
}

func TestSweepMachineIsTheOneThatShips(t *testing.T) {
	if _, err := sweepMachine(); err != nil {
		t.Fatal(err)
	}
}
