package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// answered is an error of ECS, with its code, as the answer to a request.
func answered(status int, code string, err error) error {
	if err == nil && code != "" {
		err = &smithy.GenericAPIError{Code: code}
	}
	return &smithy.OperationError{ServiceID: "ECS", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err,
	}}
}

// TestKinds holds of each error of ECS what it is: worth another try, or a person's to mend. The codes are those of
// "Common Error Types" and of the calls that are made.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want policy.Kind
		one  bool // Whether one member of a batch may have spoilt it for the others.
	}{
		{answered(400, "AccessDeniedException", nil), policy.FleetDenied, true},
		{answered(400, "AccessDenied", nil), policy.FleetDenied, true},
		{answered(400, "UnauthorizedOperation", nil), policy.FleetDenied, true},
		{answered(400, "UnrecognizedClientException", nil), policy.FleetDenied, true},
		{answered(400, "InvalidSignatureException", nil), policy.FleetDenied, true},
		{answered(400, "ExpiredTokenException", nil), policy.FleetDenied, true},
		{answered(400, "ExpiredToken", nil), policy.FleetDenied, true},
		{answered(400, "InvalidClientTokenId", nil), policy.FleetDenied, true},
		{answered(400, "MissingAuthenticationToken", nil), policy.FleetDenied, true},
		{answered(400, "SignatureDoesNotMatch", nil), policy.FleetDenied, true},
		{answered(400, "IncompleteSignature", nil), policy.FleetDenied, true},
		{answered(403, "SomethingNew", nil), policy.FleetDenied, true},
		{answered(403, "", errors.New("an answer that is no JSON")), policy.FleetDenied, true},
		{answered(400, "", &types.ServiceNotFoundException{}), policy.ServiceMissing, true},
		{answered(400, "", &types.ServiceNotActiveException{}), policy.ServiceMissing, true},
		{answered(400, "", &types.ClusterNotFoundException{}), policy.ServiceMissing, false},
		{answered(400, "ResourceNotFoundException", nil), policy.ServiceMissing, true},
		{answered(400, "InvalidParameterException", nil), policy.InvalidConfig, true},
		{answered(400, "ValidationException", nil), policy.InvalidConfig, true},
		{answered(400, "UnsupportedFeatureException", nil), policy.InvalidConfig, true},
		{answered(400, "ThrottlingException", nil), policy.FleetThrottled, false},
		{answered(429, "TooManyRequestsException", nil), policy.FleetThrottled, false},
		{fmt.Errorf("wait: %w", errBudget), policy.FleetThrottled, false},
		{answered(400, "ClientException", nil), policy.FleetUnavailable, true},
		{answered(404, "", errors.New("from somewhere on the way")), policy.FleetUnavailable, true},
		{answered(402, "", errors.New("from somewhere on the way")), policy.FleetUnavailable, true},
		{answered(499, "", errors.New("from somewhere on the way")), policy.FleetUnavailable, true},
		{answered(500, "ServerException", nil), policy.FleetUnavailable, false},
		{answered(200, "", errors.New("an answer that breaks off")), policy.FleetUnavailable, false},
		{answered(399, "", errors.New("from somewhere on the way")), policy.FleetUnavailable, false},
		{context.DeadlineExceeded, policy.FleetUnavailable, false},
		{context.Canceled, policy.FleetUnavailable, false},
	} {
		if got := kindOf(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
		if got := perhapsOfOne(c.err); got != c.one {
			t.Errorf("%v: perhaps of one is %v, want %v", c.err, got, c.one)
		}
	}
}

// TestByCluster holds that the same service is asked for once, whatever it is called; what could be another is not
// taken for it.
func TestByCluster(t *testing.T) {
	const arn = "arn:aws:ecs:eu-central-1:000000000000:"
	ref := func(cluster, service string) policy.ServiceRef {
		return policy.ServiceRef{Cluster: cluster, Service: service}
	}
	byName, byARN := ref("c", "a"), ref(arn+"cluster/c", arn+"service/c/a")
	ofBefore2018, elsewhere, other := ref("c", arn+"service/a"), ref("c", arn+"service/d/a"), ref("d", "a")
	var got [][][]policy.ServiceRef
	for _, group := range byCluster([]policy.ServiceRef{byName, other, byARN, byARN, ofBefore2018, elsewhere}) {
		var services [][]policy.ServiceRef
		for _, a := range group {
			services = append(services, a.same)
		}
		got = append(got, services)
	}
	want := [][][]policy.ServiceRef{{{byName, byARN}, {ofBefore2018}, {elsewhere}}, {{other}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by cluster (-want +got):\n%s", diff)
	}
}

// TestFind holds what an answer with failures says of one service.
func TestFind(t *testing.T) {
	const arn = "arn:aws:ecs:eu-central-1:000000000000:service/c/"
	failure := func(service, reason, detail string) types.Failure {
		return types.Failure{Arn: aws.String(arn + service), Reason: &reason, Detail: &detail}
	}
	for _, c := range []struct {
		name     string
		failures []types.Failure
		kind     policy.Kind
		says     string
	}{
		{"missing", []types.Failure{failure("a", "MISSING", "")}, policy.ServiceMissing, "there is no such service"},
		{"nothing is said of it", []types.Failure{failure("b", "INTERNAL", "")}, policy.ServiceMissing, "there is no such service"},
		{
			"another reason",
			[]types.Failure{failure("b", "MISSING", ""), failure("a", "INTERNAL", "try later")},
			policy.FleetUnavailable, "describe service a in cluster c: ECS says INTERNAL try later",
		},
	} {
		got := find(policy.ServiceRef{Cluster: "c", Service: "a"}, &ecs.DescribeServicesOutput{Failures: c.failures})
		var err *policy.Error
		if !errors.As(got.Err, &err) || err.Kind != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s, %s", c.name, got.Err, c.kind, c.says)
		}
	}
}

// stub answers what a test puts into it.
type stub struct {
	API
	listed      map[types.DesiredStatus][]string // Task ARNs.
	tasks       []types.Task
	failures    []types.Failure // Of DescribeTasks.
	protected   []types.ProtectedTask
	unprotected []types.Failure // Of GetTaskProtection.
	described   []string        // What was asked for.
	looked      []string
}

func (s *stub) ListTasks(_ context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	return &ecs.ListTasksOutput{TaskArns: s.listed[in.DesiredStatus]}, nil
}

func (s *stub) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	s.described = append(s.described, in.Tasks...)
	return &ecs.DescribeTasksOutput{Tasks: s.tasks, Failures: s.failures}, nil
}

func (s *stub) GetTaskProtection(
	_ context.Context, in *ecs.GetTaskProtectionInput, _ ...func(*ecs.Options),
) (*ecs.GetTaskProtectionOutput, error) {
	s.looked = append(s.looked, in.Tasks...)
	return &ecs.GetTaskProtectionOutput{ProtectedTasks: s.protected, Failures: s.unprotected}, nil
}

// TestTasksFromOddAnswers has one task up, one told to stop between the two lists, one stopped, and answers as ECS
// gives them to those.
func TestTasksFromOddAnswers(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	const arn = "arn:aws:ecs:eu-central-1:000000000000:task/c/"
	task := func(id, last, meant string) types.Task {
		return types.Task{TaskArn: aws.String(arn + id), LastStatus: &last, DesiredStatus: &meant, CreatedAt: &noon}
	}
	detail := func(name, value string) types.KeyValuePair { return types.KeyValuePair{Name: &name, Value: &value} }
	up := task("up", "RUNNING", "RUNNING")
	up.Attachments = []types.Attachment{{Details: []types.KeyValuePair{ // In the order of ECS.
		detail("subnetId", "subnet-1"), detail("networkInterfaceId", "eni-1"), detail("macAddress", "0e:00"),
		detail("privateIPv4Address", "10.0.1.1"), detail("privateDnsName", "ip-10-0-1-1.internal"),
	}}}
	up.Containers = []types.Container{{}, {RuntimeId: aws.String("")}, {RuntimeId: aws.String("up-1")}}
	odd := func() *stub {
		return &stub{
			listed: map[types.DesiredStatus][]string{
				types.DesiredStatusRunning: {arn + "up", arn + "going"}, types.DesiredStatusStopped: {arn + "gone", arn + "going", arn + "older"},
			},
			tasks:    []types.Task{up, task("going", "RUNNING", "STOPPED"), task("gone", "STOPPED", "STOPPED")},
			failures: []types.Failure{{Arn: aws.String(arn + "older"), Reason: aws.String("MISSING")}},
			protected: []types.ProtectedTask{
				{TaskArn: aws.String(arn + "up"), ProtectionEnabled: true, ExpirationDate: aws.Time(noon.Add(time.Hour))},
				{TaskArn: aws.String(arn + "nobody's"), ProtectionEnabled: true, ExpirationDate: aws.Time(noon.Add(time.Hour))},
			},
		}
	}
	want := []policy.Task{
		{ARN: arn + "going", ID: "going", State: policy.TaskStopping, CreatedAt: noon},
		{
			ARN: arn + "up", ID: "up", State: policy.TaskRunning, CreatedAt: noon, ProtectedUntil: noon.Add(time.Hour),
			PrivateIPv4: "10.0.1.1", RuntimeIDs: []string{"up-1"},
		},
	}
	free := slices.Clone(want)
	free[1].ProtectedUntil = time.Time{}
	failing := func(reason string) []types.Failure {
		return []types.Failure{{Arn: aws.String(arn + "up"), Reason: &reason}}
	}
	for _, c := range []struct {
		name   string
		change func(*stub)
		want   []policy.Task
		err    string
	}{
		{"as they are", func(*stub) {}, want, ""},
		{"a task cannot be described", func(s *stub) { s.failures = failing("INTERNAL") }, nil, "describe tasks of service a in cluster c: ECS says INTERNAL of task up"},
		{"it has stopped since", func(s *stub) { s.protected, s.unprotected = nil, failing("MISSING") }, free, ""},
		{"it cannot be protected", func(s *stub) { s.protected, s.unprotected = nil, failing("TASK_NOT_VALID") }, free, ""},
		{
			"its protection is not told", func(s *stub) { s.unprotected = failing("INTERNAL") },
			nil, "look up the protection of tasks of service a in cluster c: ECS says INTERNAL of task up",
		},
		{"its protection has ended, and its time stands there still", func(s *stub) { s.protected[0].ProtectionEnabled = false }, free, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := odd()
			c.change(s)
			got, err := New(s, Options{}).Tasks(t.Context(), policy.ServiceRef{Cluster: "c", Service: "a"})
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("tasks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{arn + "going", arn + "gone", arn + "older", arn + "up"}, s.described); diff != "" {
				t.Errorf("described (-want +got):\n%s", diff)
			}
			if len(s.looked) > 0 && !cmp.Equal([]string{"up"}, s.looked) {
				t.Errorf("the protection of %q was looked up, and nothing protects one on its way out", s.looked)
			}
		})
	}
}

// slow is ECS behind a network that takes a while for each answer, or gives none.
type slow struct {
	after time.Duration // 0: never.
	calls int
}

func (s *slow) Do(r *http.Request) (*http.Response, error) {
	s.calls++
	var answer <-chan time.Time
	if s.after > 0 {
		answer = time.After(s.after)
	}
	select {
	case <-answer:
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func newSlow(s ecs.HTTPClient, o Options) *Fleet {
	return New(ecs.New(ecs.Options{
		Region: "eu-central-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}), o)
}

// busy is ECS that throttles for ever.
type busy struct{ calls int }

func (b *busy) Do(r *http.Request) (*http.Response, error) {
	b.calls++
	body := io.NopCloser(strings.NewReader(`{"__type": "ThrottlingException"}`))
	return &http.Response{StatusCode: 400, Header: http.Header{}, Body: body, Request: r}, nil
}

// TestPauses holds what the options say of attempts and the pauses between them, which are drawn: of twenty attempts
// none waits for more than half a second, and they are not made in a burst either.
func TestPauses(t *testing.T) {
	for _, c := range []struct {
		options     Options
		least, most time.Duration
	}{
		{Options{Attempts: 20}, time.Second, 19 * 500 * time.Millisecond},
		{Options{Attempts: 20, MaxBackoff: 10 * time.Millisecond}, 0, 19 * 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{}
			begin := time.Now()
			err := newSlow(b, c.options).SetTags(t.Context(), "arn", map[string]string{"k": "v"})
			if took := time.Since(begin); err == nil || b.calls != c.options.Attempts || took < c.least || took > c.most {
				t.Errorf("%+v: got %v after %d calls and %v", c.options, err, b.calls, took)
			}
		})
	}
}

// TestTheBudgetHasItsOwnClock holds that the clock of the options is that of the budgets.
func TestTheBudgetHasItsOwnClock(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	f := New(nil, Options{Now: func() time.Time { return noon }})
	for _, b := range []*budget{f.services, f.tasks, f.protection, f.updates, f.tags} {
		if got := b.now(); !got.Equal(noon) {
			t.Errorf("it is %v", got)
		}
	}
}

// TestPatience holds how long the fleet waits for ECS by default: an answer that takes two seconds is one, and a call
// with no answer at all has failed for good within half the life of the shortest function, the 30 s of ScaleOut.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		calls int
		kind  policy.Kind
	}{
		{2 * time.Second, 1, ""},
		{0, 4, policy.FleetUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{after: c.after}
			begin := time.Now()
			err := newSlow(s, Options{}).SetTags(t.Context(), "arn", map[string]string{"k": "v"})
			var kind policy.Kind
			if e := (*policy.Error)(nil); errors.As(err, &e) {
				kind = e.Kind
			}
			if took := time.Since(begin); kind != c.kind || s.calls != c.calls || took > 15*time.Second {
				t.Errorf("answers after %v: got %v after %d calls and %v, want %q after %d", c.after, err, s.calls, took, c.kind, c.calls)
			}
		})
	}
}

// TestOurOwnBudgetIsSpent holds that a call which the budget does not allow before the deadline is not made.
func TestOurOwnBudgetIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{after: time.Nanosecond}
		f := newSlow(s, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var err error
		for err == nil {
			err = f.SetDesired(ctx, policy.ServiceRef{Cluster: "c", Service: "a"}, 1)
		}
		if !errors.Is(err, errBudget) || kindOf(err) != policy.FleetThrottled || s.calls != f.updates.calls.Burst() {
			t.Errorf("got %v after %d calls, and %d are allowed", err, s.calls, f.updates.calls.Burst())
		}
	})
}
