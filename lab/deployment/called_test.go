package deployment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/fleet"
	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/ecs"
)

// cloud is an AWS with one service, whose workers do what the test says, in virtual time. It notes what it is asked for.
type cloud struct {
	*ecs.Model
	now time.Time

	mu     sync.Mutex
	as     string                     // The function that is under way.
	called map[string]map[string]bool // By function: the operations.
	tags   map[string]map[string]bool // By function: the keys of the tags that it set.
	nodes  []policy.Node
}

func (c *cloud) clock() time.Time { return c.now }

func (c *cloud) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.Tick()
}

// targets are how the services of AWS that are called name themselves in a request, and the SDK in its code.
var targets = map[string]string{"AmazonEC2ContainerServiceV20141113": "ecs", "secretsmanager": "secretsmanager", "AmazonSSM": "ssm"}

// ServeHTTP answers for ECS; for the rest, that it is not allowed: how brokers are reached makes no difference here.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.note(targets[service] + "." + operation)
	if operation == "TagResource" {
		body, err := io.ReadAll(r.Body)
		var in struct{ Tags []struct{ Key string } }
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, tag := range in.Tags {
			c.tags[c.as][tag.Key] = true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if ecs.Serves(r) {
		c.Model.ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"__type":"AccessDeniedException"}`)) // To nobody, if the client has gone meanwhile.
}

// Look and the others make cloud the broker of its workers, too, who obey at once.
func (c *cloud) Look(_ context.Context, queues []string, _ time.Duration) (policy.Look, error) {
	look := policy.Look{
		At: c.now, Queues: map[string]policy.Queue{}, Loose: policy.Known(0), Listeners: policy.Known(len(c.nodes)),
		Nodes: slices.Clone(c.nodes), FetchedKnown: true,
	}
	for _, q := range queues {
		look.Queues[q] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	}
	return look, nil
}

func (c *cloud) Cancel(_ context.Context, nodes []policy.Node) error {
	return c.tell(nodes, func(policy.Node) []string { return nil })
}

func (c *cloud) Consume(_ context.Context, nodes []policy.Node) error {
	return c.tell(nodes, func(n policy.Node) []string { return n.Queues })
}

func (c *cloud) tell(nodes []policy.Node, queues func(policy.Node) []string) error {
	for _, n := range nodes {
		for i := range c.nodes {
			if c.nodes[i].Name == n.Name {
				c.nodes[i].Queues = queues(n)
			}
		}
	}
	return nil
}

func (*cloud) Beats(context.Context, int) (map[string]policy.Beat, error) { return nil, nil }

func (*cloud) Counter(context.Context, string) (policy.Count, error)               { return policy.Known(0), nil }
func (*cloud) Unlock(context.Context, string, string) error                        { return nil }
func (*cloud) RateLimited(context.Context, []policy.Node) (map[string]bool, error) { return nil, nil }

func (*cloud) Untracked(context.Context, []policy.Node) (map[string][]string, error) {
	return nil, nil
}

func (*cloud) Lock(context.Context, string, string, time.Duration) (bool, error) {
	return true, nil
}

// live has the three functions do all that they do with a target: a scale-out with a floor, sweeps that let
// some workers go and then all, a check while one works for long, and a scale-out while more tasks run than are asked for. It returns
// what they have called, and adds the keys of the tags that they have set.
func live(t *testing.T, target config.Target, tags map[string]map[string]bool) map[string]map[string]bool {
	t.Helper()
	c := &cloud{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), called: map[string]map[string]bool{}, tags: tags}
	c.Model = ecs.New(ecs.Options{Now: c.clock})
	t.Cleanup(c.Close)
	if err := c.CreateService(ecs.ServiceConfig{Name: target.Service, Cluster: target.Cluster, Desired: 1}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	client := sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
	})
	ref := policy.ServiceRef{Cluster: target.Cluster, Service: target.Service}
	inService := fleet.New(client, fleet.Options{Now: c.clock})
	var shield time.Duration
	if target.Shield {
		shield = 15 * time.Minute
	}
	s, err := scaler.New(scaler.Options{
		Targets: []scaler.Target{{
			Name: target.Name, Ref: ref, Broker: "main", Queues: target.Queues, Source: scaler.Source(target.Activity.Source),
			CounterKey: target.Activity.Key, Shield: shield,
			Limits: policy.Limits{Max: target.Max, MessagesPerWorker: 1, Grace: time.Minute, Settle: time.Minute},
		}},
		Brokers: map[string]scaler.Broker{"main": c}, Fleet: inService, EventSource: "s", EventDetailType: "d",
		Log: slog.New(slog.DiscardHandler), Now: c.clock,
		Sleep: func(_ context.Context, d time.Duration) error { c.pass(d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}

	scaleOut := func(detail string) scaler.Change {
		t.Helper()
		c.as = ScaleOut
		demand, err := s.Demand([]byte(detail))
		if err != nil {
			t.Fatal(err)
		}
		change, err := s.ScaleOut(t.Context(), demand)
		if err != nil {
			t.Fatal(err)
		}
		c.pass(time.Hour)
		return change
	}
	// Each worker is in a task of its own, and the first has been at work since some time; nobody is if that is not yet.
	staff := func(since time.Time) {
		t.Helper()
		c.as = "nobody"
		running, err := inService.Tasks(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = nil
		for i, task := range running {
			if task.State != policy.TaskRunning {
				continue
			}
			n := policy.Node{Name: "celery@" + task.ID, Answers: 1, Queues: target.Queues, Active: policy.Known(0)}
			if i == 0 && !since.After(c.now) {
				n.Active, n.OldestStart = policy.Known(1), since
			}
			c.nodes = append(c.nodes, n)
		}
	}
	sweep := func() scaler.Change {
		t.Helper()
		c.as = Check
		all := s.CheckAll(t.Context(), scaler.Shard{})
		if len(all.Targets) != 1 || !all.Targets[0].ShouldScaleIn {
			t.Fatalf("check: %+v, want a candidate", all)
		}
		c.pass(2 * time.Minute)
		first := all.Targets[0].Seen
		confirmed, err := s.CheckOne(t.Context(), scaler.Input{Target: target.Name, Previous: &first})
		if err != nil || !confirmed.ShouldScaleIn {
			t.Fatalf("confirm: %+v, %v, want it confirmed", confirmed, err)
		}
		c.as = ScaleIn
		change, err := s.ScaleIn(t.Context(), scaler.Input{Target: target.Name, Previous: &first})
		if err != nil {
			t.Fatal(err)
		}
		c.pass(time.Hour)
		return change
	}

	if change := scaleOut(`{"source": "s", "detail-type": "d", "detail": {"scale_to": 3, "hold_seconds": 60}}`); change.DesiredCount != 3 {
		t.Fatalf("scale out: %+v", change)
	}
	never := c.now.AddDate(1, 0, 0)
	staff(c.now)
	if target.Activity.Source == config.ActivityInspect {
		// One works, the others are let go.
		if change := sweep(); change.Status != "scaled in" || change.DesiredCount != 1 {
			t.Fatalf("scale in to one: %+v", change)
		}
	}
	staff(c.now.Add(-time.Hour)) // Long enough for a shield, which then expires.
	c.as = Check
	s.CheckAll(t.Context(), scaler.Shard{})
	c.pass(time.Hour)
	staff(never)
	if change := sweep(); change.Status != "scaled in" || change.DesiredCount != 0 {
		t.Fatalf("scale in to zero: %+v", change)
	}
	// More tasks run than are asked for, as they are protected: only where workers can be asked is it looked who they are.
	scaleOut(`{"source": "s", "detail-type": "d", "detail": {"scale_to": 2}}`)
	c.as = "nobody"
	running, err := inService.Tasks(t.Context(), ref)
	if err != nil || len(running) != 2 {
		t.Fatalf("%d tasks, %v", len(running), err)
	}
	if _, err := inService.Protect(t.Context(), ref, []string{running[0].ID, running[1].ID}, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := inService.SetDesired(t.Context(), ref, 1); err != nil {
		t.Fatal(err)
	}
	staff(never)
	scaleOut(`{"source": "s", "detail-type": "d", "detail": {"scale_to": 2}}`)
	delete(c.called, "nobody")
	return c.called
}

// secretsRead has each function meet brokers whose URL it has to read first, as it is wired when it ships.
func secretsRead(t *testing.T) map[string]map[string]bool {
	t.Helper()
	c := &cloud{called: map[string]map[string]bool{}, Model: ecs.New(ecs.Options{Now: time.Now})}
	t.Cleanup(c.Close)
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_ENDPOINT_URL": server.URL,
	} {
		t.Setenv(name, value)
	}
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	yaml := `version: 1
brokers: [{name: one, url_secret: s}, {name: two, url_parameter: p}]
targets:
  - {name: one, broker: one, cluster: c, service: a, queues: [q], max: 1}
  - {name: two, broker: two, cluster: c, service: b, queues: [q], max: 1}
`
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := function.New(path, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"one", "two"} {
		c.as = ScaleOut
		demand, err := s.Demand(fmt.Appendf(nil, `{"source": "custom.celery.monitor", "detail-type": "celery.task.queue_full",
			"detail": {"target": %q, "scale_to": 1}}`, target))
		if err != nil {
			t.Fatal(err)
		}
		// All of them fail, since the service is not there, and the secret may not be read.
		if _, err := s.ScaleOut(t.Context(), demand); err == nil {
			t.Fatal("no error")
		}
		c.as = ScaleIn
		if _, err := s.ScaleIn(t.Context(), scaler.Input{Target: target, Previous: &policy.Sighting{}}); err == nil {
			t.Fatal("no error")
		}
	}
	c.as = Check
	if all := s.CheckAll(t.Context(), scaler.Shard{}); all.Failed != 2 {
		t.Fatalf("check: %+v", all)
	}
	return c.called
}

// TestCalled holds what was derived against what is called when the functions' use cases run: neither has an operation
// that the other lacks, and those that are called for some targets only are called for no other. It prints both, as a table.
func TestCalled(t *testing.T) { // Not in parallel: it sets the environment.
	kinds := map[string]config.Target{
		"shield":  {Shield: true, Activity: config.Activity{Source: config.ActivityInspect}},
		"inspect": {Activity: config.Activity{Source: config.ActivityInspect}},
		"counter": {Activity: config.Activity{Source: config.ActivityCounter, Key: "k"}},
		"none":    {Activity: config.Activity{Source: config.ActivityNone}},
	}
	tags := map[string]map[string]bool{}
	for _, f := range Functions() {
		tags[f] = map[string]bool{}
	}
	called := map[string]map[string]map[string]bool{"secrets": secretsRead(t), "notify": notified(t)}
	for kind, target := range kinds {
		target.Name, target.Cluster, target.Service, target.Queues, target.Max = kind, "prod", kind, []string{"celery"}, 5
		kinds[kind] = target
		called[kind] = live(t, target, tags)
	}
	var table strings.Builder
	for _, f := range Functions() {
		seen := map[string]bool{}
		for _, of := range called {
			maps.Copy(seen, of[f])
		}
		calls := derive(t)[f]
		if diff := cmp.Diff(operations(calls), slices.Sorted(maps.Keys(seen))); diff != "" {
			t.Errorf("%s: derived (-) and called (+):\n%s", f, diff)
		}
		for _, c := range calls {
			only := ""
			for _, special := range conditions {
				if special.function != f || special.operation != c.Operation || special.of == nil {
					continue
				}
				only = " (" + special.why + ")"
				for kind, target := range kinds {
					if special.of(target) != called[kind][f][c.Operation] {
						t.Errorf("%s calls %s for a target of the kind %s: %v, but %s", f, c.Operation, kind, called[kind][f][c.Operation], special.why)
					}
				}
			}
			fmt.Fprintf(&table, "%-8s  %-29s  called: %-5v  %s%s\n",
				f, actions[c.Operation].name, seen[c.Operation], strings.Join(c.Path[1:], " > "), only)
		}
	}
	allowed := map[string]map[string]bool{ScaleOut: {}, Check: {}, ScaleIn: {}, Notify: {}}
	for _, special := range conditions {
		if special.tag != "" {
			allowed[special.function][special.tag] = true
		}
		if !slices.Contains(operations(derive(t)[special.function]), special.operation) {
			t.Errorf("conditions.go knows of %s by %s, which does not call it", special.operation, special.function)
		}
	}
	if diff := cmp.Diff(allowed, tags); diff != "" {
		t.Errorf("keys of tags in conditions.go (-) and set (+):\n%s", diff)
	}
	t.Log("\n" + table.String())
}
