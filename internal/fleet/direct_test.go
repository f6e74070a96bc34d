package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/fleet"
	"sluice/internal/policy"
	"sluice/lab/cloud/ecs"
)

var _ fleet.API = (*ecs.DirectClient)(nil)

// TestDirectErrors holds that the fleet tells the kinds of errors of a model that it calls without HTTP, as the simulator
// does, in the same way as those of ECS.
func TestDirectErrors(t *testing.T) {
	for _, c := range []struct {
		code  string
		count policy.Kind // Of an error of setting the count.
		batch policy.Kind // Of an error of describing two services; empty if each is asked for alone then, and described.
	}{
		{"ThrottlingException", policy.FleetThrottled, policy.FleetThrottled},
		{"ServerException", policy.FleetUnavailable, policy.FleetUnavailable},
		{"ClusterNotFoundException", policy.ServiceMissing, policy.ServiceMissing},
		{"AccessDeniedException", policy.FleetDenied, ""},
		{"ExpiredTokenException", policy.FleetDenied, ""},
		{"UnsupportedFeatureException", policy.InvalidConfig, ""},
		{"ClientException", policy.FleetUnavailable, ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			m := ecs.New(ecs.Options{})
			defer m.Close()
			if err := m.CreateService(ecs.ServiceConfig{Name: "a"}); err != nil {
				t.Fatal(err)
			}
			f := fleet.New(ecs.Direct(m), fleet.Options{})
			m.Fail("UpdateService", 1, ecs.Fault{Code: c.code})
			if err := f.SetDesired(t.Context(), a, 1); kind(err) != c.count {
				t.Errorf("set the count: got %q, %v, want %q", kind(err), err, c.count)
			}
			missing := policy.ServiceRef{Cluster: "default", Service: "b"}
			if err := f.SetDesired(t.Context(), missing, 1); kind(err) != policy.ServiceMissing {
				t.Errorf("set the count of no service: got %v", err)
			}
			m.Fail("DescribeServices", 1, ecs.Fault{Code: c.code})
			got := f.Describe(t.Context(), []policy.ServiceRef{a, missing})
			if kind(got[a].Err) != c.batch || (got[a].Err == nil) != (c.batch == "") {
				t.Errorf("describe: got %q, %v, want %q", kind(got[a].Err), got[a].Err, c.batch)
			}
		})
	}
}

// TestCallsOfAPartialScaleIn holds how many calls the ECS part of letting one task of n go costs: the look at the tasks, the
// protection of all but one, its end. AWS allows 100 ListTasks and DescribeTasks at once and 20/s, and 200 of the calls
// for protection and 80/s; all of these answers come without a wait, and the buckets are refilled in the time shown.
func TestCallsOfAPartialScaleIn(t *testing.T) {
	for _, c := range []struct {
		tasks int
		want  map[string]int
		// refill is how long the documented rates take to make good what was used, of both buckets.
		tasksRefill, protectionRefill time.Duration
	}{
		{
			tasks: 10, want: map[string]int{
				"ListTasks": 2, "DescribeTasks": 1, "GetTaskProtection": 1, "UpdateTaskProtection": 2,
			},
			tasksRefill: 150 * time.Millisecond, protectionRefill: 37500 * time.Microsecond,
		},
		{
			tasks: 100, want: map[string]int{
				"ListTasks": 2, "DescribeTasks": 1, "GetTaskProtection": 10, "UpdateTaskProtection": 20,
			},
			tasksRefill: 150 * time.Millisecond, protectionRefill: 375 * time.Millisecond,
		},
	} {
		t.Run(fmt.Sprint(c.tasks), func(t *testing.T) {
			m := ecs.New(ecs.Options{Throttle: true})
			defer m.Close()
			if err := m.CreateService(ecs.ServiceConfig{Name: "a", Desired: c.tasks}); err != nil {
				t.Fatal(err)
			}
			f := fleet.New(ecs.Direct(m), fleet.Options{})
			tasks, err := f.Tasks(t.Context(), a)
			if err != nil || len(tasks) != c.tasks {
				t.Fatalf("got %d tasks, %v", len(tasks), err)
			}
			var stay []string
			for _, task := range tasks[1:] {
				stay = append(stay, task.ID)
			}
			if got, err := f.Protect(t.Context(), a, stay, time.Minute); err != nil || len(got) != c.tasks-1 {
				t.Fatalf("%d tasks are protected, %v", len(got), err)
			}
			if err := f.Release(t.Context(), a, stay); err != nil {
				t.Fatal(err)
			}
			got := m.Calls()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			ofTasks := time.Duration(got["ListTasks"]+got["DescribeTasks"]) * time.Second / 20
			ofProtection := time.Duration(got["GetTaskProtection"]+got["UpdateTaskProtection"]) * time.Second / 80
			if ofTasks != c.tasksRefill || ofProtection != c.protectionRefill {
				t.Errorf("the quota is made good in %v and %v, want %v and %v", ofTasks, ofProtection, c.tasksRefill, c.protectionRefill)
			}
			t.Logf("%d tasks: %v; made good in %v and %v", c.tasks, got, ofTasks, ofProtection)
		})
	}
}
