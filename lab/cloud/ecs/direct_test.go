package ecs_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/lab/cloud/ecs"
)

// api is what the SDK's client and the direct one have in common.
type api interface {
	DescribeServices(context.Context, *awsecs.DescribeServicesInput, ...func(*awsecs.Options)) (*awsecs.DescribeServicesOutput, error)
	ListTasks(context.Context, *awsecs.ListTasksInput, ...func(*awsecs.Options)) (*awsecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *awsecs.DescribeTasksInput, ...func(*awsecs.Options)) (*awsecs.DescribeTasksOutput, error)
	GetTaskProtection(context.Context, *awsecs.GetTaskProtectionInput, ...func(*awsecs.Options)) (*awsecs.GetTaskProtectionOutput, error)
	UpdateTaskProtection(context.Context, *awsecs.UpdateTaskProtectionInput, ...func(*awsecs.Options)) (*awsecs.UpdateTaskProtectionOutput, error)
	UpdateService(context.Context, *awsecs.UpdateServiceInput, ...func(*awsecs.Options)) (*awsecs.UpdateServiceOutput, error)
	TagResource(context.Context, *awsecs.TagResourceInput, ...func(*awsecs.Options)) (*awsecs.TagResourceOutput, error)
}

// said is what a caller can tell of an error.
type said struct {
	Type, Code, Message string
	Status              int
}

func saidBy(err error) said {
	var operation *smithy.OperationError
	var coded smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &operation) || !errors.As(err, &coded) || !errors.As(err, &response) {
		return said{Type: fmt.Sprint(err)}
	}
	return said{reflect.TypeOf(coded).String(), coded.ErrorCode(), coded.ErrorMessage(), response.HTTPStatusCode()}
}

// TestDirectIsLikeHTTP makes the same calls by the SDK's client and directly, of two models of the same seed.
func TestDirectIsLikeHTTP(t *testing.T) {
	const arn = "arn:aws:ecs:us-east-1:000000000000:service/default/a"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	make := func() *ecs.Model {
		m := ecs.New(ecs.Options{Now: func() time.Time { return now }, Seed: 7})
		t.Cleanup(m.Close)
		for _, c := range []ecs.ServiceConfig{{Name: "a", Desired: 3, Tags: map[string]string{"k": "v"}}, {Name: "b", Rebalancing: true}} {
			if err := m.CreateService(c); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	overHTTP, inProcess := make(), make()
	_, client := serve(t, overHTTP)
	_, tasks := inProcess.Snapshot()
	var ids []string
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	fault := func(op string, f ecs.Fault) {
		overHTTP.Fail(op, 1, f)
		inProcess.Fail(op, 1, f)
	}
	ctx := t.Context()
	service := func(name string, n int32) func(api) (any, error) {
		return func(c api) (any, error) {
			return c.UpdateService(ctx, &awsecs.UpdateServiceInput{Service: &name, DesiredCount: &n})
		}
	}
	describe := func(names ...string) func(api) (any, error) {
		return func(c api) (any, error) {
			return c.DescribeServices(ctx, &awsecs.DescribeServicesInput{
				Cluster: aws.String("default"), Services: names, Include: []types.ServiceField{types.ServiceFieldTags},
			})
		}
	}
	list := func(c api) (any, error) {
		return c.ListTasks(ctx, &awsecs.ListTasksInput{ServiceName: aws.String("a")})
	}
	protect := func(c api) (any, error) {
		return c.UpdateTaskProtection(ctx, &awsecs.UpdateTaskProtectionInput{
			Cluster: aws.String("default"), ProtectionEnabled: true, Tasks: append(ids[:2:2], "x"),
		})
	}
	for _, row := range []struct {
		name   string
		before func()
		call   func(api) (any, error)
		code   string // Of the error; empty if there is none.
	}{
		{name: "describe", call: describe("a", "b", "x")},
		{name: "list", call: list},
		{name: "describe tasks", call: func(c api) (any, error) {
			return c.DescribeTasks(ctx, &awsecs.DescribeTasksInput{Tasks: append(ids, "x")})
		}},
		{name: "protect", call: protect},
		{name: "protection", call: func(c api) (any, error) {
			return c.GetTaskProtection(ctx, &awsecs.GetTaskProtectionInput{Cluster: aws.String("default"), Tasks: ids})
		}},
		{name: "set the count", call: service("a", 2)},
		{name: "the count is set", call: list},
		{name: "tag", call: func(c api) (any, error) {
			return c.TagResource(ctx, &awsecs.TagResourceInput{
				ResourceArn: aws.String(arn), Tags: []types.Tag{{Key: aws.String("x"), Value: aws.String("y")}},
			})
		}},
		{name: "what has been tagged", call: describe("a")},
		{name: "no such service", call: service("x", 1), code: "ServiceNotFoundException"},
		{name: "a negative count", call: service("a", -1), code: "InvalidParameterException"},
		{name: "no such cluster", call: func(c api) (any, error) {
			return c.ListTasks(ctx, &awsecs.ListTasksInput{Cluster: aws.String("x")})
		}, code: "ClusterNotFoundException"},
		{name: "eleven services", call: describe("a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a"), code: "InvalidParameterException"},
		{name: "no such resource", call: func(c api) (any, error) {
			return c.TagResource(ctx, &awsecs.TagResourceInput{ResourceArn: aws.String(arn + "x"), Tags: []types.Tag{}})
		}, code: "ResourceNotFoundException"},
		{
			name:   "denied",
			before: func() { fault("ListTasks", ecs.Fault{Code: "AccessDeniedException", Message: "no"}) }, call: list,
			code: "AccessDeniedException",
		},
		{
			name:   "unsupported",
			before: func() { fault("ListTasks", ecs.Fault{Code: "UnsupportedFeatureException"}) }, call: list,
			code: "UnsupportedFeatureException",
		},
		{
			name: "a client error", before: func() { fault("ListTasks", ecs.Fault{Code: "ClientException"}) }, call: list,
			code: "ClientException",
		},
		{
			name: "throttled", before: func() { fault("ListTasks", ecs.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}) }, call: list,
			code: "ThrottlingException",
		},
		{
			name: "its own fault", before: func() { fault("ListTasks", ecs.Fault{Code: "ServerException"}) }, call: list,
			code: "ServerException",
		},
		{
			name: "done, and the answer is lost", call: service("a", 3),
			before: func() { fault("UpdateService", ecs.Fault{Code: "ServerException", Applied: true}) },
			code:   "ServerException",
		},
		{name: "it was done", call: list},
		{
			name: "only what matches fails", before: func() { fault("UpdateService", ecs.Fault{Code: "ServerException", Match: `"b"`}) },
			call: service("a", 3),
		},
		{name: "what matches fails", call: service("b", 1), code: "ServerException"},
	} {
		if row.before != nil {
			row.before()
		}
		want, wantErr := row.call(client)
		got, err := row.call(ecs.Direct(inProcess))
		if saidBy(err) != saidBy(wantErr) || saidBy(err).Code != row.code {
			t.Errorf("%s: got %+v, want %+v with the code %q", row.name, saidBy(err), saidBy(wantErr), row.code)
		}
		if err != nil {
			continue
		}
		unseen := cmpopts.IgnoreFields(smithyMetadata(want), "ResultMetadata")
		if diff := cmp.Diff(want, got, unseen, cmpopts.EquateEmpty(), cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("%s (-HTTP +direct):\n%s", row.name, diff)
		}
	}
	if diff := cmp.Diff(overHTTP.Calls(), inProcess.Calls()); diff != "" {
		t.Errorf("calls (-HTTP +direct):\n%s", diff)
	}
}

// smithyMetadata returns the struct behind an output, whose field ResultMetadata only the SDK's client fills.
func smithyMetadata(out any) any { return reflect.ValueOf(out).Elem().Interface() }

func TestDirectThrottleAndContext(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := ecs.New(ecs.Options{Throttle: true, Now: func() time.Time { return now }})
	defer m.Close()
	if err := m.CreateService(ecs.ServiceConfig{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	in := &awsecs.UpdateServiceInput{Service: aws.String("a"), DesiredCount: aws.Int32(0)}
	for range 50 {
		if _, err := ecs.Direct(m).UpdateService(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ecs.Direct(m).UpdateService(t.Context(), in)
	if got := saidBy(err); got.Code != "ThrottlingException" || got.Status != 400 {
		t.Errorf("the 51st call at once: got %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ecs.Direct(m).UpdateService(ctx, in); !errors.Is(err, context.Canceled) || m.Calls()["UpdateService"] != 51 {
		t.Errorf("a call of one who has gone: got %v and %v", err, m.Calls())
	}
	m.Fail("ListTasks", 1, ecs.Fault{Delay: time.Hour})
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := ecs.Direct(m).ListTasks(ctx, &awsecs.ListTasksInput{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a late answer: got %v", err)
	}
}

func BenchmarkDirect(b *testing.B) {
	m := ecs.New(ecs.Options{})
	defer m.Close()
	if err := m.CreateService(ecs.ServiceConfig{Name: "a", Desired: 5}); err != nil {
		b.Fatal(err)
	}
	_, tasks := m.Snapshot()
	var ids []string
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	c, cluster, name, five := ecs.Direct(m), aws.String("default"), aws.String("a"), aws.Int32(5)
	ctx := b.Context()
	for _, row := range []struct {
		name string
		call func() error
	}{
		{"DescribeServices", func() error {
			_, err := c.DescribeServices(ctx, &awsecs.DescribeServicesInput{
				Cluster: cluster, Services: []string{"a"}, Include: []types.ServiceField{types.ServiceFieldTags},
			})
			return err
		}},
		{"ListTasks", func() error {
			_, err := c.ListTasks(ctx, &awsecs.ListTasksInput{Cluster: cluster, ServiceName: name})
			return err
		}},
		{"DescribeTasks", func() error {
			_, err := c.DescribeTasks(ctx, &awsecs.DescribeTasksInput{Cluster: cluster, Tasks: ids})
			return err
		}},
		{"GetTaskProtection", func() error {
			_, err := c.GetTaskProtection(ctx, &awsecs.GetTaskProtectionInput{Cluster: cluster, Tasks: ids})
			return err
		}},
		{"UpdateTaskProtection", func() error {
			_, err := c.UpdateTaskProtection(ctx, &awsecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: ids, ProtectionEnabled: true})
			return err
		}},
		{"UpdateService", func() error {
			_, err := c.UpdateService(ctx, &awsecs.UpdateServiceInput{Cluster: cluster, Service: name, DesiredCount: five})
			return err
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := row.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTickAtRest(b *testing.B) {
	m := ecs.New(ecs.Options{})
	defer m.Close()
	for _, name := range []string{"a", "b"} {
		if err := m.CreateService(ecs.ServiceConfig{Name: name, Desired: 5}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		m.Tick()
		m.Next()
	}
}

// BenchmarkChange sets the count of one of two services up and down by one, with all that follows from it.
func BenchmarkChange(b *testing.B) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	loop := &endsInLoop{}
	m := ecs.New(ecs.Options{Now: func() time.Time { return now }, Runner: loop})
	for _, name := range []string{"a", "b"} {
		if err := m.CreateService(ecs.ServiceConfig{Name: name, Desired: 5}); err != nil {
			b.Fatal(err)
		}
	}
	in := &awsecs.UpdateServiceInput{Service: aws.String("a")}
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Minute)
		in.DesiredCount = aws.Int32(int32(5 + i%2))
		if _, err := ecs.Direct(m).UpdateService(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		loop.end()
		m.Tick()
	}
}

// endsInLoop is a Runner as a simulator's: its tasks end when the loop of the simulator says so.
type endsInLoop struct{ ending []func(ecs.Exit) }

func (l *endsInLoop) Start(_ ecs.Spec, ended func(ecs.Exit)) (ecs.Process, error) {
	return &endingTask{l, ended}, nil
}

func (l *endsInLoop) end() {
	for _, ended := range l.ending {
		ended(ecs.Exit{})
	}
	l.ending = l.ending[:0]
}

type endingTask struct {
	loop  *endsInLoop
	ended func(ecs.Exit)
}

func (t *endingTask) Terminate() { t.loop.ending = append(t.loop.ending, t.ended) }
func (t *endingTask) Kill()      {}
