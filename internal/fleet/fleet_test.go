package fleet_test

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/fleet"
	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/ecs"
)

var _ scaler.Fleet = (*fleet.Fleet)(nil)

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var start = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// stubborn is a Runner whose tasks never end by themselves nor when they are asked to.
type stubborn struct{}

func (stubborn) Start(_ ecs.Spec, ended func(ecs.Exit)) (ecs.Process, error) {
	return stubbornProcess{ended}, nil
}

type stubbornProcess struct{ ended func(ecs.Exit) }

func (stubbornProcess) Terminate() {}
func (p stubbornProcess) Kill()    { go p.ended(ecs.Exit{Code: 137, Killed: true}) }

// world is a local ECS, served over HTTP, and a fleet that knows it by the SDK's own client.
type world struct {
	*ecs.Model
	clock  *clock
	client *awsecs.Client
	fleet  *fleet.Fleet
}

func newWorld(t *testing.T, o ecs.Options, services ...ecs.ServiceConfig) *world {
	t.Helper()
	c := &clock{t: start}
	o.Now = c.Now
	if o.Runner == nil {
		o.Runner = stubborn{}
	}
	m := ecs.New(o)
	for _, s := range services {
		if err := m.CreateService(s); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	t.Cleanup(m.Close)
	client := awsecs.New(awsecs.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  function.Whole(aws.Config{}).HTTPClient, // As it ships: else an answer is lost now and then, and the call made again.
	})
	return &world{m, c, client, fleet.New(client, fleet.Options{
		MaxBackoff: time.Millisecond, AttemptTimeout: 10 * time.Second,
	})}
}

// impatient has the fleet wait less long for answers, if some are to be lost.
func (w *world) impatient(f ecs.Fault) {
	if f.Delay > 0 {
		w.fleet = fleet.New(w.client, fleet.Options{MaxBackoff: time.Millisecond, AttemptTimeout: 2 * time.Second})
	}
}

func kind(err error) policy.Kind {
	var e *policy.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Kind
}

func TestDescribe(t *testing.T) {
	w := newWorld(t, ecs.Options{Clusters: []string{"empty"}},
		ecs.ServiceConfig{Cluster: "prod", Name: "up", Desired: 2, Tags: map[string]string{"sluice:min": "1"}},
		ecs.ServiceConfig{Cluster: "prod", Name: "idle"},
		ecs.ServiceConfig{Cluster: "prod", Name: "going", Desired: 1},
		ecs.ServiceConfig{Cluster: "prod", Name: "gone"},
	)
	for _, name := range []string{"going", "gone"} {
		if _, err := w.client.DeleteService(t.Context(), &awsecs.DeleteServiceInput{
			Cluster: aws.String("prod"), Service: &name, Force: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
	}
	before := maps.Clone(w.Calls())
	ref := func(cluster, service string) policy.ServiceRef {
		return policy.ServiceRef{Cluster: cluster, Service: service}
	}
	const arn = "arn:aws:ecs:us-east-1:000000000000:"
	up := policy.Service{
		ARN: arn + "service/prod/up", Desired: 2, Running: 2, Tags: map[string]string{"sluice:min": "1"},
	}
	rows := []struct {
		ref  policy.ServiceRef
		want policy.Service
		kind policy.Kind
		says string
	}{
		{ref: ref("prod", "up"), want: up},
		{ref: ref(arn+"cluster/prod", arn+"service/prod/up"), want: up},
		{ref: ref("prod", "idle"), want: policy.Service{ARN: arn + "service/prod/idle", Tags: map[string]string{}}},
		{ref: ref("prod", "going"), kind: policy.ServiceMissing, says: "describe service going in cluster prod: it is DRAINING"},
		{ref: ref("prod", "gone"), kind: policy.ServiceMissing, says: "describe service gone in cluster prod: it is INACTIVE"},
		{ref: ref("prod", "never"), kind: policy.ServiceMissing, says: "describe service never in cluster prod: there is no such service"},
		{ref: ref("empty", "up"), kind: policy.ServiceMissing, says: "describe service up in cluster empty: there is no such service"},
		{ref: ref("nowhere", "up"), kind: policy.ServiceMissing, says: "describe service up in cluster nowhere: "},
	}
	var refs []policy.ServiceRef
	for _, row := range rows {
		refs = append(refs, row.ref, row.ref)
	}
	got := w.fleet.Describe(t.Context(), refs)
	for _, row := range rows {
		d, ok := got[row.ref]
		if !ok {
			t.Errorf("%v: no answer", row.ref)
			continue
		}
		if diff := cmp.Diff(row.want, d.Service); diff != "" {
			t.Errorf("%v (-want +got):\n%s", row.ref, diff)
		}
		if kind(d.Err) != row.kind || row.says != "" && !strings.HasPrefix(d.Err.Error(), row.says) {
			t.Errorf("%v: got %q %v, want %q %s", row.ref, kind(d.Err), d.Err, row.kind, row.says)
		}
	}
	if n := w.Calls()["DescribeServices"] - before["DescribeServices"]; n != 3 {
		t.Errorf("%d calls for 3 clusters, want 3", n)
	}
}

func TestThousandServicesAreAHundredCalls(t *testing.T) {
	var services []ecs.ServiceConfig
	var refs []policy.ServiceRef
	for i := range 1000 {
		s := ecs.ServiceConfig{Cluster: fmt.Sprintf("c%d", i%2), Name: fmt.Sprintf("s%d", i)}
		services = append(services, s)
		refs = append(refs, policy.ServiceRef{Cluster: s.Cluster, Service: s.Name})
	}
	w := newWorld(t, ecs.Options{Throttle: true}, services...)
	for ref, d := range w.fleet.Describe(t.Context(), refs) {
		if d.Err != nil {
			t.Fatalf("%v: %v", ref, d.Err)
		}
	}
	if n := w.Calls()["DescribeServices"]; n != 100 {
		t.Errorf("%d calls, want 100", n)
	}
}

func TestBadAnswers(t *testing.T) {
	denied := ecs.Fault{Code: "AccessDeniedException", Message: "User: x is not authorized to perform: ecs:DescribeServices"}
	for _, c := range []struct {
		name   string
		times  int
		fault  ecs.Fault
		kind   policy.Kind // Of service a; none if it recovers.
		says   string
		spoilt bool // Whether b, in the same batch, fails, too.
		calls  int  // Where it is exactly known.
	}{
		{"throttled once", 1, ecs.Fault{Code: "ThrottlingException"}, "", "", false, 2},
		{"throttled for ever", -1, ecs.Fault{Code: "ThrottlingException"}, policy.FleetThrottled, "Throttling", true, 4},
		{"a server fault once", 1, ecs.Fault{Code: "ServerException"}, "", "", false, 2},
		{"a server fault for ever", -1, ecs.Fault{Code: "ServerException", Status: 503}, policy.FleetUnavailable, "503", true, 4},
		{"one lost answer", 1, ecs.Fault{Delay: time.Minute}, "", "", false, 2},
		{"no answers", -1, ecs.Fault{Delay: time.Minute}, policy.FleetUnavailable, "no answer within 2s", true, 4},
		{"all denied", -1, denied, policy.FleetDenied, "grant ecs:DescribeServices", true, 3},
		{"one denied", -1, with(denied, `"a"`), policy.FleetDenied, "grant ecs:DescribeServices", false, 3},
		{
			"one odd", -1, with(ecs.Fault{Code: "InvalidParameterException"}, `"a"`),
			policy.InvalidConfig, "correct the cluster and service in sluice.yaml: ", false, 3,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 1}, ecs.ServiceConfig{Name: "b", Desired: 1})
			w.impatient(c.fault)
			w.Fail("DescribeServices", c.times, c.fault)
			a, b := policy.ServiceRef{Cluster: "default", Service: "a"}, policy.ServiceRef{Cluster: "default", Service: "b"}
			got := w.fleet.Describe(t.Context(), []policy.ServiceRef{a, b})
			if kind(got[a].Err) != c.kind {
				t.Errorf("a: got %q, %v, want %q", kind(got[a].Err), got[a].Err, c.kind)
			}
			if c.says != "" && !strings.Contains(got[a].Err.Error(), c.says) {
				t.Errorf("a: %v does not say %q", got[a].Err, c.says)
			}
			if c.kind == "" && got[a].Service.Desired != 1 {
				t.Errorf("a: got %+v", got[a].Service)
			}
			if spoilt := got[b].Err != nil; spoilt != c.spoilt {
				t.Errorf("b: got %v, want spoilt %v", got[b].Err, c.spoilt)
			}
			if n := w.Calls()["DescribeServices"]; n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
}

func TestARoleThatMaySeeNothing(t *testing.T) {
	w := newWorld(t, ecs.Options{Clusters: []string{"default"}})
	w.Fail("DescribeServices", -1, ecs.Fault{Code: "AccessDeniedException"})
	var refs []policy.ServiceRef
	for i := range 300 {
		refs = append(refs, policy.ServiceRef{Cluster: "default", Service: fmt.Sprint("s", i)})
	}
	for ref, d := range w.fleet.Describe(t.Context(), refs) {
		if kind(d.Err) != policy.FleetDenied {
			t.Fatalf("%v: got %v", ref, d.Err)
		}
	}
	// 30 batches, of which the eight that are asked at the same time may each be asked again one by one.
	if n := w.Calls()["DescribeServices"]; n > 30+2*8*10 {
		t.Errorf("%d calls", n)
	}
}

// TestEachBatchHasItsRefusedService holds that one service that may not be seen spoils no batch but its own, and there nobody but itself:
// also in the batches that begin once the first eight have been asked one by one.
func TestEachBatchHasItsRefusedService(t *testing.T) {
	var services []ecs.ServiceConfig
	var refs []policy.ServiceRef
	for i := range 12 { // A batch for each cluster.
		for _, name := range []string{"odd", "good"} {
			services = append(services, ecs.ServiceConfig{Cluster: fmt.Sprint("c", i), Name: name})
			refs = append(refs, policy.ServiceRef{Cluster: fmt.Sprint("c", i), Service: name})
		}
	}
	w := newWorld(t, ecs.Options{}, services...)
	w.Fail("DescribeServices", -1, with(ecs.Fault{Code: "AccessDeniedException"}, `"odd"`))
	got := w.fleet.Describe(t.Context(), refs)
	for _, ref := range refs {
		want := policy.Kind("")
		if ref.Service == "odd" {
			want = policy.FleetDenied
		}
		if err := got[ref].Err; kind(err) != want || (err == nil) != (want == "") {
			t.Errorf("%v: got %q, %v, want %q", ref, kind(err), err, want)
		}
	}
}

func with(f ecs.Fault, match string) ecs.Fault {
	f.Match = match
	return f
}

func TestDeadline(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a"})
	w.Fail("DescribeServices", -1, ecs.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ref := policy.ServiceRef{Cluster: "default", Service: "a"}
	if got := w.fleet.Describe(ctx, []policy.ServiceRef{ref})[ref].Err; kind(got) != policy.FleetUnavailable {
		t.Errorf("got %v", got)
	}
}

func TestSetDesired(t *testing.T) {
	for _, c := range []struct {
		name  string
		ref   string
		times int
		fault ecs.Fault
		kind  policy.Kind
		says  string
		calls int
		want  int // The count afterwards.
	}{
		{name: "good", ref: "a", calls: 1, want: 3},
		{name: "throttled", ref: "a", times: 2, fault: ecs.Fault{Code: "ThrottlingException"}, calls: 3, want: 3},
		{
			name: "throttled for ever", ref: "a", times: -1, fault: ecs.Fault{Code: "ThrottlingException"},
			kind: policy.FleetThrottled, says: "update service a in cluster default: ", calls: 4, want: 1,
		},
		{
			name: "a server fault, and the count is written", ref: "a", times: 1,
			fault: ecs.Fault{Code: "ServerException", Applied: true}, kind: policy.FleetUnavailable, calls: 1, want: 3,
		},
		{
			name: "a server fault, and the count is not written", ref: "a", times: 1,
			fault: ecs.Fault{Code: "ServerException"}, kind: policy.FleetUnavailable, calls: 1, want: 1,
		},
		{name: "no answer", ref: "a", times: 1, fault: ecs.Fault{Delay: time.Minute}, kind: policy.FleetUnavailable, calls: 1, want: 1},
		{
			name: "denied", ref: "a", times: 1, fault: ecs.Fault{Code: "AccessDeniedException"},
			kind: policy.FleetDenied, says: "grant ecs:UpdateService", calls: 1, want: 1,
		},
		{name: "missing", ref: "b", kind: policy.ServiceMissing, says: "correct the cluster and service in sluice.yaml, or remove the target", calls: 1, want: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 1})
			w.impatient(c.fault)
			w.Fail("UpdateService", c.times, c.fault)
			err := w.fleet.SetDesired(t.Context(), policy.ServiceRef{Cluster: "default", Service: c.ref}, 3)
			if kind(err) != c.kind || (err == nil) != (c.kind == "") {
				t.Errorf("got %q, %v, want %q", kind(err), err, c.kind)
			}
			if c.says != "" && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if n := w.Calls()["UpdateService"]; n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
			services, _ := w.Snapshot()
			if services[0].Desired != c.want {
				t.Errorf("the count is %d, want %d", services[0].Desired, c.want)
			}
		})
	}
}

func TestDeploying(t *testing.T) {
	w := newWorld(t, ecs.Options{Pending: 10 * time.Second}, ecs.ServiceConfig{Name: "a", Desired: 1, StopTimeout: 20 * time.Second})
	ref := policy.ServiceRef{Cluster: "default", Service: "a"}
	expect := func(when string, want bool, running int) {
		t.Helper()
		d := w.fleet.Describe(t.Context(), []policy.ServiceRef{ref})[ref]
		if d.Err != nil || d.Service.Deploying != want || d.Service.Running != running {
			t.Errorf("%s: got %+v %v, want deploying %v and %d running", when, d.Service, d.Err, want, running)
		}
	}
	expect("a new service is coming up", false, 0)
	w.clock.Add(10 * time.Second)
	expect("it is steady", false, 1)
	if err := w.fleet.SetDesired(t.Context(), ref, 3); err != nil {
		t.Fatal(err)
	}
	expect("it is scaling out", false, 1)
	w.clock.Add(10 * time.Second)
	expect("it has scaled out", false, 3)
	if err := w.fleet.SetDesired(t.Context(), ref, 2); err != nil {
		t.Fatal(err)
	}
	expect("it is scaling in", false, 2)
	if _, err := w.client.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Service: &ref.Service, ForceNewDeployment: true}); err != nil {
		t.Fatal(err)
	}
	expect("a deployment begins", true, 2)
	w.clock.Add(10 * time.Second)
	expect("the new tasks are up, the old ones are told to stop", false, 2)
}

func TestTasks(t *testing.T) {
	w := newWorld(t, ecs.Options{Provisioning: 5 * time.Second, Deprovisioning: 5 * time.Second},
		ecs.ServiceConfig{Cluster: "prod", Name: "a", Desired: 1, StopTimeout: 100 * time.Second, Zones: []string{"us-east-1a"}})
	ref := policy.ServiceRef{Cluster: "prod", Service: "a"}
	expect := func(when string, want ...policy.Task) {
		t.Helper()
		got, err := w.fleet.Tasks(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range got {
			if !strings.HasSuffix(task.ARN, "/"+task.ID) || len(task.ID) != 32 || len(task.RuntimeIDs) != 1 || !strings.HasPrefix(task.RuntimeIDs[0], task.ID) {
				t.Errorf("%s: odd ids in %+v", when, task)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(policy.Task{}, "ARN", "ID", "RuntimeIDs")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	first := policy.Task{State: policy.TaskPending, CreatedAt: start, Zone: "us-east-1a", PrivateIPv4: "10.0.0.11"}
	expect("it is on its way up", first)
	w.clock.Add(5 * time.Second)
	w.Tick()
	first.State, first.StartedAt = policy.TaskRunning, start.Add(5*time.Second)
	expect("it is up", first)
	protect := func(minutes int32) {
		t.Helper()
		got, err := w.fleet.Tasks(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		in := &awsecs.UpdateTaskProtectionInput{Cluster: &ref.Cluster, Tasks: []string{got[0].ID}, ProtectionEnabled: minutes > 0}
		if minutes > 0 {
			in.ExpiresInMinutes = &minutes
		}
		if _, err := w.client.UpdateTaskProtection(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	protect(30)
	first.ProtectedUntil = start.Add(5*time.Second + 30*time.Minute)
	expect("it is protected", first)
	protect(0)
	first.ProtectedUntil = time.Time{}
	expect("it is protected no more", first)
	tasks, err := w.fleet.Tasks(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fleet.SetTags(t.Context(), tasks[0].ARN, map[string]string{"owner": "shop", "stage": "prod"}); err != nil {
		t.Fatal(err)
	}
	first.Tags = map[string]string{"owner": "shop", "stage": "prod"}
	expect("it is tagged", first)
	if err := w.fleet.SetDesired(t.Context(), ref, 0); err != nil {
		t.Fatal(err)
	}
	first.State = policy.TaskStopping
	expect("it is on its way out", first)
	if err := w.fleet.SetDesired(t.Context(), ref, 1); err != nil {
		t.Fatal(err)
	}
	second := policy.Task{State: policy.TaskPending, CreatedAt: start.Add(5 * time.Second), Zone: "us-east-1a", PrivateIPv4: "10.0.0.12"}
	expect("another one comes", first, second)
	if _, err := w.fleet.Tasks(t.Context(), policy.ServiceRef{Cluster: "prod", Service: "b"}); kind(err) != policy.ServiceMissing {
		t.Errorf("no such service: got %v", err)
	}
	w.Fail("GetTaskProtection", -1, ecs.Fault{Code: "AccessDeniedException"})
	if _, err := w.fleet.Tasks(t.Context(), ref); kind(err) != policy.FleetDenied || !strings.Contains(err.Error(), "ecs:GetTaskProtection") {
		t.Errorf("protection denied: got %v", err)
	}
	w.Fail("DescribeTasks", -1, ecs.Fault{Code: "AccessDeniedException"})
	if _, err := w.fleet.Tasks(t.Context(), ref); kind(err) != policy.FleetDenied || !strings.Contains(err.Error(), "ecs:DescribeTasks") {
		t.Errorf("denied: got %v", err)
	}
}

func TestManyTasks(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 250})
	got, err := w.fleet.Tasks(t.Context(), policy.ServiceRef{Cluster: "default", Service: "a"})
	if err != nil || len(got) != 250 {
		t.Errorf("got %d tasks, %v", len(got), err)
	}
	if !slices.IsSortedFunc(got, func(a, b policy.Task) int {
		return stdcmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	}) {
		t.Error("they are not sorted by age, and then by ID")
	}
	// Three pages of running tasks and an empty one of stopped; the SDK now and then loses a connection on a loaded machine
	// and repeats a read, so one call more of each is let pass.
	for op, want := range map[string]int{"ListTasks": 4, "DescribeTasks": 3, "GetTaskProtection": 25} {
		if n := w.Calls()[op]; n < want || n > want+1 {
			t.Errorf("%s: %d calls, want %d", op, n, want)
		}
	}
}

func TestSetTags(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Tags: map[string]string{"team": "blue", "sluice:min": "1"}})
	const arn = "arn:aws:ecs:us-east-1:000000000000:service/default/a"
	if err := w.fleet.SetTags(t.Context(), arn, map[string]string{"sluice:min": "2", "sluice:floor": "x"}); err != nil {
		t.Fatal(err)
	}
	services, _ := w.Snapshot()
	want := map[string]string{"team": "blue", "sluice:min": "2", "sluice:floor": "x"}
	if diff := cmp.Diff(want, services[0].Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if err := w.fleet.SetTags(t.Context(), arn+"b", map[string]string{"k": "v"}); kind(err) != policy.ServiceMissing {
		t.Errorf("no such service: got %v", err)
	}
	if err := w.fleet.SetTags(t.Context(), arn, nil); err != nil || w.Calls()["TagResource"] != 2 {
		t.Errorf("no tags: got %v and %v", err, w.Calls())
	}
}

// Each attempt is told of, with how it ended.
func TestCallsAreTold(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 1})
	var told []string
	f := fleet.New(w.client, fleet.Options{MaxBackoff: time.Millisecond, Called: func(operation string, err error) {
		if err != nil {
			operation += " failed"
		}
		told = append(told, operation)
	}})
	w.Fail("DescribeServices", 2, ecs.Fault{Code: "ThrottlingException"})
	ref := policy.ServiceRef{Cluster: "default", Service: "a"}
	if d := f.Describe(t.Context(), []policy.ServiceRef{ref})[ref]; d.Err != nil {
		t.Fatal(d.Err)
	}
	if err := f.SetDesired(t.Context(), ref, 2); err != nil {
		t.Fatal(err)
	}
	want := []string{"DescribeServices failed", "DescribeServices failed", "DescribeServices", "UpdateService"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
