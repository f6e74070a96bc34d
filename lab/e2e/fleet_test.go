package e2e_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
)

// several is a configuration with a target for each service of that name. Their tasks take so long to start, and nobody asks
// them. One service, missing, does not exist.
func several(delay string, services ...string) string {
	var targets, list strings.Builder
	for _, s := range services {
		targets.WriteString("  - {name: " + s + ", cluster: media, service: " + s + ", queues: [" + s + "], max: 3, settle: 1s, grace: 0s" + idle + "}\n")
		if s != "missing" {
			list.WriteString("    - {cluster: media, service: " + s + ", command: [sleep, \"1000\"], start_delay: " + delay + "}\n")
		}
	}
	return "version: 1\nbrokers: [{name: redis, url_env: REDIS_URL}]\ntargets:\n" + targets.String() + "local:\n  services:\n" + list.String()
}

// TestBadServices has services in states in which nothing may be taken from them, beside one from which it may.
func TestBadServices(t *testing.T) {
	t.Parallel()
	names := []string{"well", "missing", "draining", "inactive", "deploying"}
	// The clock of ECS is the test's: it brings tasks up, and leaves others on their way up or down.
	var behind atomic.Int64
	behind.Store(int64(11 * time.Minute))
	c := start(t, several("10m", names...), cloud.Options{ECS: ecs.Options{
		Now: func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }, Deprovisioning: time.Hour,
	}})
	ctx, api := t.Context(), c.client()
	c.setDesireds(1, "well", "draining", "deploying")
	behind.Store(0)
	c.awaitCounts("draining", 1, 1)
	c.awaitCounts("deploying", 1, 1)
	for _, s := range []string{"draining", "inactive"} {
		if _, err := api.DeleteService(ctx, &awsecs.DeleteServiceInput{Cluster: aws.String("media"), Service: &s, Force: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := api.UpdateService(ctx, &awsecs.UpdateServiceInput{Cluster: aws.String("media"), Service: aws.String("deploying"), ForceNewDeployment: true}); err != nil {
		t.Fatal(err)
	}
	before := c.ECS().Calls()["UpdateService"]
	for _, tt := range []struct{ target, kind, says, decided string }{
		{"missing", "ServiceMissing", "describe service missing in cluster media: there is no such service; correct the cluster and service in sluice.yaml, or remove the target", "hold unknown"},
		{"draining", "ServiceMissing", "describe service draining in cluster media: it is DRAINING: ", "hold unknown"},
		{"inactive", "ServiceMissing", "describe service inactive in cluster media: it is INACTIVE: ", "hold unknown"},
		{"deploying", "", "", "hold deployment"},
		{"well", "", "", "candidate idle settle"},
	} {
		if got := c.check(tt.target); got.decided() != tt.decided || !strings.HasPrefix(got.error(), tt.says) || (got.Error == nil) != (tt.kind == "") {
			t.Errorf("%s: a check says %s, error %q; want %s, %q", tt.target, got.decided(), got.error(), tt.decided, tt.says)
		}
		if f := c.invoke(cloud.ScaleOut, enveloped(`{"target": "`+tt.target+`", "scale_to": 1}`), &struct{}{}); f.ErrorType != tt.kind || !strings.HasPrefix(f.ErrorMessage, tt.says) {
			t.Errorf("%s: a scale-out ended with %+v; want %s: %s", tt.target, f, tt.kind, tt.says)
		}
		previous := `{"target": "` + tt.target + `", "previous": {"at": "2020-01-01T00:00:00Z"}}`
		if tt.target == "well" {
			continue // It would be scaled in: the sweep shows that.
		}
		if f := c.invoke(cloud.ScaleIn, previous, &struct{}{}); f.ErrorType != tt.kind {
			t.Errorf("%s: a scale-in ended with %+v; want %s", tt.target, f, tt.kind)
		}
	}
	if n := c.ECS().Calls()["UpdateService"]; n != before {
		t.Errorf("%d calls of UpdateService were made", n-before)
	}
	s := c.sweep()
	if s.Status != asl.Failed || s.Error != "TargetsFailed" || s.Results["well"] != (result{Target: "well", Outcome: "scaled in"}) {
		t.Errorf("the sweep: %+v", s.Execution)
	}
	for _, target := range []string{"missing", "draining", "inactive"} {
		if !s.Results[target].Failed {
			t.Errorf("%s: %+v; want it to have failed", target, s.Results[target])
		}
	}
	if n := c.service("deploying").Desired; n != 1 {
		t.Errorf("deploying: the count is %d", n)
	}
	for _, function := range []string{cloud.ScaleOut, cloud.ScaleIn} {
		if n := c.coldStarts(function); n != 1 {
			t.Errorf("%d instances of %s were started; want the same one to live on", n, function)
		}
	}
}

// TestBadFleet has ECS answer badly. What helps to be tried again is, by the SDK or by the state machine, and ends well;
// what does not ends the sweep under its name. The count is lowered only where ECS said that it was.
func TestBadFleet(t *testing.T) {
	t.Parallel()
	const throttled, denied = "ThrottlingException", "AccessDeniedException"
	for _, tt := range []struct {
		name  string
		op    string
		times int
		fault ecs.Fault
		want  result
		count int // After the sweep, of 1 before.
		says  string
	}{
		{"a throttled look", "DescribeServices", 2, ecs.Fault{Code: throttled}, result{Outcome: "scaled in"}, 0, ""},
		{"a look that fails twice", "DescribeServices", 2, ecs.Fault{Code: "ServerException"}, result{Outcome: "scaled in"}, 0, ""},
		{"a look that is not answered in time", "DescribeServices", 1, ecs.Fault{Delay: time.Hour}, result{Outcome: "scaled in"}, 0, ""},
		{"a look throttled for ever", "DescribeServices", -1, ecs.Fault{Code: throttled}, result{Outcome: "failed", Failed: true}, 1, "describe service video in cluster media: "},
		{"a look that fails for ever", "DescribeServices", -1, ecs.Fault{Code: "ServerException"}, result{Outcome: "failed", Failed: true}, 1, "describe service video in cluster media: "},
		{"a look that is denied", "DescribeServices", -1, ecs.Fault{Code: denied}, result{Outcome: "failed", Failed: true}, 1, "not allowed; grant ecs:DescribeServices on it to the role of this function"},
		{"tasks that may not be listed", "ListTasks", -1, ecs.Fault{Code: denied}, result{Outcome: "failed", Failed: true}, 1, "grant ecs:ListTasks"},
		{"a throttled count", "UpdateService", 2, ecs.Fault{Code: throttled}, result{Outcome: "scaled in"}, 0, ""},
		{"a count that fails once", "UpdateService", 1, ecs.Fault{Code: "ServerException"}, result{Outcome: "scaled in"}, 0, ""},
		{"a count that is denied", "UpdateService", -1, ecs.Fault{Code: denied}, result{Outcome: "failed", Failed: true}, 1, "FleetDenied"},
		// It was written though the answer was lost: the next try finds nothing to do.
		{"a count whose answer is lost", "UpdateService", 1, ecs.Fault{Code: "ServerException", Applied: true}, result{Outcome: "held"}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, several("10ms", "video"), cloud.Options{})
			c.setDesired("video", 1)
			c.awaitCounts("video", 1, 1) // One on its way up would hold the scale-in.
			c.ECS().Fail(tt.op, tt.times, tt.fault)
			s := c.sweep()
			got := s.Results["video"]
			tt.want.Target = "video"
			if !strings.Contains(got.Error, tt.says) || (tt.says == "") != (got.Error == "") {
				t.Errorf("error %q; want %q", got.Error, tt.says)
			}
			if got.Error = ""; got != tt.want || (s.Status == asl.Failed) != tt.want.Failed {
				t.Errorf("%+v; want %+v", s.Execution, tt.want)
			}
			if n := c.service("video").Desired; n != tt.count {
				t.Errorf("the count is %d, not %d", n, tt.count)
			}

			// Afterwards all is well again, in the same instances.
			c.ECS().Fail(tt.op, 0, ecs.Fault{})
			c.setDesired("video", 1)
			c.awaitCounts("video", 1, 1)
			if s := c.sweep(); s.Results["video"] != (result{Target: "video", Outcome: "scaled in"}) {
				t.Errorf("the next sweep: %+v", s.Execution)
			}
			for _, function := range []string{cloud.Check, cloud.ScaleIn} {
				if n := c.coldStarts(function); n != 1 {
					t.Errorf("%d instances of %s were started; want the same one to live on", n, function)
				}
			}
		})
	}
}

// TestFleetErrorsByName is what a scale-out ends with, which the state machine's Retry goes by.
func TestFleetErrorsByName(t *testing.T) {
	t.Parallel()
	c := start(t, several("10ms", "video"), cloud.Options{})
	good := func(what string) {
		t.Helper()
		if f := c.invoke(cloud.ScaleOut, `{"target": "video"}`, &struct{}{}); f.ErrorType != "" {
			t.Errorf("a scale-out after %s: %+v", what, f)
		}
	}
	for _, tt := range []struct {
		code, op, kind string
	}{
		{"ThrottlingException", "DescribeServices", "FleetThrottled"},
		{"ServerException", "DescribeServices", "FleetUnavailable"},
		{"AccessDeniedException", "DescribeServices", "FleetDenied"},
		{"ExpiredTokenException", "DescribeServices", "FleetDenied"},
		{"ClusterNotFoundException", "DescribeServices", "ServiceMissing"},
		{"ThrottlingException", "UpdateService", "FleetThrottled"},
		{"ServerException", "UpdateService", "FleetUnavailable"},
		{"AccessDeniedException", "UpdateService", "FleetDenied"},
		{"ServiceNotActiveException", "UpdateService", "ServiceMissing"},
	} {
		what := tt.op + " answered with " + tt.code
		c.ECS().Fail(tt.op, -1, ecs.Fault{Code: tt.code})
		if f := c.invoke(cloud.ScaleOut, enveloped(`{"scale_to": 2}`), nil); f.ErrorType != tt.kind || f.ErrorMessage == "" {
			t.Errorf("%s: the scale-out ended with %+v; want %s", what, f, tt.kind)
		}
		c.ECS().Fail(tt.op, 0, ecs.Fault{})
		good(what)
		if n := c.service("video").Desired; n != 0 {
			t.Errorf("%s: the count is %d", what, n)
		}
	}
	// No answer in time: it was not written, and the next try is welcome.
	c.ECS().Fail("UpdateService", 1, ecs.Fault{Delay: time.Hour})
	if f := c.invoke(cloud.ScaleOut, enveloped(`{"scale_to": 2}`), nil); f.ErrorType != "FleetUnavailable" || !strings.Contains(f.ErrorMessage, "no answer within 3s") {
		t.Errorf("UpdateService did not answer: the scale-out ended with %+v", f)
	}
	good("an UpdateService that did not answer")
	if n := c.coldStarts(cloud.ScaleOut); n != 1 {
		t.Errorf("%d instances were started; want the same one to live on", n)
	}
}
