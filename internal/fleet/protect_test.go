package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/fleet"
	"sluice/internal/policy"
	"sluice/lab/cloud/ecs"
)

var a = policy.ServiceRef{Cluster: "default", Service: "a"}

// ids returns the IDs of a service's tasks.
func (w *world) ids(t *testing.T) []string {
	t.Helper()
	tasks, err := w.fleet.Tasks(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, task := range tasks {
		out = append(out, task.ID)
	}
	return out
}

// protected returns until when each of the service's tasks is protected, without those that are not.
func (w *world) protected(t *testing.T) map[string]time.Time {
	t.Helper()
	tasks, err := w.fleet.Tasks(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]time.Time{}
	for _, task := range tasks {
		if !task.ProtectedUntil.IsZero() {
			out[task.ID] = task.ProtectedUntil
		}
	}
	return out
}

func all(ids []string, until time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, id := range ids {
		out[id] = until
	}
	return out
}

func TestProtectAndRelease(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 23})
	ids := w.ids(t)
	got, err := w.fleet.Protect(t.Context(), a, append(ids[:21:21], ids[0]), 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := all(ids[:21], start.Add(5*time.Minute))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("protect 21 of 23 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, w.protected(t)); diff != "" {
		t.Errorf("21 of 23 are protected (-want +got):\n%s", diff)
	}
	if n := w.Calls()["UpdateTaskProtection"]; n != 3 {
		t.Errorf("%d calls for 21 tasks, want 3", n)
	}
	// What is not protected is all that ECS may stop.
	if err := w.fleet.SetDesired(t.Context(), a, 21); err != nil {
		t.Fatal(err)
	}
	_, tasks := w.Snapshot()
	for _, task := range tasks {
		if stopping := task.Status == "STOPPING"; stopping == slices.Contains(ids[:21], task.ID) {
			t.Errorf("task %s is %s", task.ID, task.Status)
		}
	}
	w.clock.Add(time.Minute)
	if _, err := w.fleet.Protect(t.Context(), a, ids[:1], 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	want[ids[0]] = start.Add(3 * time.Minute) // Each call sets the time anew, also to less.
	if err := w.fleet.Release(t.Context(), a, ids[10:23]); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[10:21] {
		delete(want, id)
	}
	if diff := cmp.Diff(want, w.protected(t)); diff != "" {
		t.Errorf("11 are released, and two were on their way out (-want +got):\n%s", diff)
	}
	calls := w.Calls()["UpdateTaskProtection"]
	if got, err := w.fleet.Protect(t.Context(), a, append(ids[:10:10], ids[0]), time.Minute); err != nil || len(got) != 10 {
		t.Errorf("protect ten, one of them named twice: got %v, %v", got, err)
	}
	if calls++; w.Calls()["UpdateTaskProtection"] != calls {
		t.Errorf("ten tasks, one of them named twice, took %v", w.Calls())
	}
	if got, err := w.fleet.Protect(t.Context(), a, nil, time.Minute); err != nil || len(got) != 0 {
		t.Errorf("protect nothing: got %v, %v", got, err)
	}
	if err := w.fleet.Release(t.Context(), a, nil); err != nil || w.Calls()["UpdateTaskProtection"] != calls {
		t.Errorf("release nothing: got %v and %v", err, w.Calls())
	}
}

func TestProtectForMinutes(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 1})
	ids := w.ids(t)
	for d, want := range map[time.Duration]time.Duration{
		-time.Hour:                time.Minute,
		0:                         time.Minute,
		time.Second:               time.Minute,
		time.Minute:               time.Minute,
		time.Minute + 1:           2 * time.Minute,
		90 * time.Second:          2 * time.Minute,
		48*time.Hour - 1:          48 * time.Hour,
		48 * time.Hour:            48 * time.Hour,
		time.Duration(1<<63 - 1):  48 * time.Hour,
		time.Duration(-(1 << 63)): time.Minute,
	} {
		got, err := w.fleet.Protect(t.Context(), a, ids, d)
		if err != nil {
			t.Fatalf("%v: %v", d, err)
		}
		if diff := cmp.Diff(all(ids, start.Add(want)), got); diff != "" {
			t.Errorf("for %v (-want +got):\n%s", d, diff)
		}
	}
}

// judge is an API that gives what it is told for some tasks of UpdateTaskProtection, and else what ECS gives.
type judge struct {
	fleet.API
	mu      sync.Mutex
	reasons map[string]string // Of failures, by task ID; "-" says nothing of the task, "!" the contrary of what was asked.
	errs    map[string]error  // Of the call that has the task.
}

func (j *judge) UpdateTaskProtection(
	ctx context.Context, in *awsecs.UpdateTaskProtectionInput, o ...func(*awsecs.Options),
) (*awsecs.UpdateTaskProtectionOutput, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out, err := j.API.UpdateTaskProtection(ctx, in, o...)
	if err != nil {
		return nil, err
	}
	for _, id := range in.Tasks {
		if err := j.errs[id]; err != nil {
			return nil, err
		}
		reason := j.reasons[id]
		if reason == "" {
			continue
		}
		is := func(p types.ProtectedTask) bool { return strings.HasSuffix(*p.TaskArn, id) }
		if reason == "!" {
			i := slices.IndexFunc(out.ProtectedTasks, is)
			out.ProtectedTasks[i].ProtectionEnabled = !in.ProtectionEnabled
			continue
		}
		out.ProtectedTasks = slices.DeleteFunc(out.ProtectedTasks, is)
		if reason != "-" {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String("arn:aws:ecs:x:1:task/default/" + id), Reason: &reason})
		}
	}
	return out, nil
}

func TestProtectFailures(t *testing.T) {
	for _, c := range []struct {
		name    string
		reason  string // Of the twelfth of 25 tasks.
		err     error
		stopped bool // The twelfth has been stopped meanwhile.
		without int  // How many tasks the answer lacks.
		kind    policy.Kind
		says    string
		release policy.Kind // What releasing them ends with.
	}{
		{name: "it has been told to stop", stopped: true, without: 1},
		{name: "it is not known any more, and is there", reason: "MISSING", without: 1, kind: policy.FleetUnavailable, says: "it is running"},
		{name: "it is no task of a service, and is there", reason: "TASK_NOT_VALID", without: 1, kind: policy.FleetUnavailable, says: "it is running"},
		{name: "it is not known any more, and has been told to stop", reason: "MISSING", stopped: true, without: 1},
		{
			name: "a deployment waits", reason: "DEPLOYMENT_BLOCKED", without: 1, kind: policy.FleetUnavailable,
			says: "a deployment waits for tasks that are protected", release: policy.FleetUnavailable,
		},
		{
			name: "a reason of its own", reason: "SOMETHING_NEW", without: 1, kind: policy.FleetUnavailable, says: "ECS says SOMETHING_NEW of task ",
			release: policy.FleetUnavailable,
		},
		{
			name: "nothing is said", reason: "-", without: 1, kind: policy.FleetUnavailable, says: "ECS says nothing of task ",
			release: policy.FleetUnavailable,
		},
		{
			name: "the contrary is said", reason: "!", without: 1, kind: policy.FleetUnavailable, says: "it is running",
			release: policy.FleetUnavailable,
		},
		{
			name: "one call of three is refused", err: &types.AccessDeniedException{}, without: 10, kind: policy.FleetDenied,
			says: "grant ecs:UpdateTaskProtection", release: policy.FleetDenied,
		},
		{
			name: "one call of three finds no cluster", err: &types.ClusterNotFoundException{}, without: 10, kind: policy.ServiceMissing,
			says: "protect tasks of service a in cluster default", release: policy.ServiceMissing,
		},
		{
			name: "one call of three is lost", err: errors.New("no answer"), without: 10, kind: policy.FleetUnavailable,
			says: "no answer", release: policy.FleetUnavailable,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 25})
			ids := slices.Sorted(slices.Values(w.ids(t)))
			twelfth := ids[11]
			w.fleet = fleet.New(&judge{
				API: w.client, reasons: map[string]string{twelfth: c.reason}, errs: map[string]error{twelfth: c.err},
			}, fleet.Options{AttemptTimeout: 10 * time.Second})
			if c.stopped {
				if _, err := w.client.StopTask(t.Context(), &awsecs.StopTaskInput{Task: &twelfth}); err != nil {
					t.Fatal(err)
				}
			}
			got, err := w.fleet.Protect(t.Context(), a, ids, time.Minute)
			if kind(err) != c.kind || (err == nil) != (c.kind == "") {
				t.Errorf("protect: got %q, %v, want %q", kind(err), err, c.kind)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if _, ok := got[twelfth]; ok || len(got) != 25-c.without {
				t.Errorf("%d tasks are said to be protected, want %d; the twelfth: %v", len(got), 25-c.without, ok)
			}
			if err := w.fleet.Release(t.Context(), a, ids); kind(err) != c.release || (err == nil) != (c.release == "") {
				t.Errorf("release: got %q, %v, want %q", kind(err), err, c.release)
			}
		})
	}
}

func TestProtectIsTriedAgain(t *testing.T) {
	for _, f := range []ecs.Fault{
		{Code: "ThrottlingException"}, {Code: "ServerException"}, {Code: "ServerException", Applied: true}, {Delay: time.Minute},
	} {
		t.Run(fmt.Sprint(f.Code, f.Delay, f.Applied), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 2})
			w.impatient(f)
			ids := w.ids(t)
			w.Fail("UpdateTaskProtection", 1, f)
			if got, err := w.fleet.Protect(t.Context(), a, ids, time.Minute); err != nil || len(got) != 2 {
				t.Errorf("protect: got %v, %v", got, err)
			}
			w.Fail("UpdateTaskProtection", 1, f)
			if err := w.fleet.Release(t.Context(), a, ids); err != nil || len(w.protected(t)) != 0 {
				t.Errorf("release: got %v, and %v are protected", err, w.protected(t))
			}
		})
	}
}

// TestProtectLooksAgain holds that the second look at tasks which ECS did not protect is one that may fail, too.
func TestProtectLooksAgain(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a", Desired: 2})
	ids := w.ids(t)
	w.Fail("DescribeTasks", -1, ecs.Fault{Code: "AccessDeniedException"})
	got, err := w.fleet.Protect(t.Context(), a, append(ids, strings.Repeat("0", 32)), time.Minute)
	if kind(err) != policy.FleetDenied || !strings.Contains(err.Error(), "ecs:DescribeTasks") || len(got) != 2 {
		t.Errorf("got %v, %v, want two tasks and a refusal", got, err)
	}
	w.Fail("DescribeTasks", 0, ecs.Fault{})
	got, err = w.fleet.Protect(t.Context(), a, append(ids, strings.Repeat("0", 32)), time.Minute)
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v, want two tasks: nobody knows the third", got, err)
	}
}

func TestRebalancing(t *testing.T) {
	w := newWorld(t, ecs.Options{}, ecs.ServiceConfig{Name: "a"}, ecs.ServiceConfig{Name: "b", Rebalancing: true})
	for name, want := range map[string]bool{"a": false, "b": true} {
		ref := policy.ServiceRef{Cluster: "default", Service: name}
		if d := w.fleet.Describe(t.Context(), []policy.ServiceRef{ref})[ref]; d.Err != nil || d.Service.Rebalancing != want {
			t.Errorf("%s: got %+v, %v, want rebalancing %v", name, d.Service, d.Err, want)
		}
	}
}
