package function

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"sluice/internal/scaler"
	"sluice/lab/cloud/collector"
	"sluice/trigger"
)

// ecsStub is an ECS with one service, of which it knows the count only.
func ecsStub(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
		case "DescribeServices":
			_, _ = io.WriteString(w, `{"failures": [], "services": [{"serviceName": "svc", "status": "ACTIVE", "desiredCount": 0,
				"serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/svc", "deployments": [{"status": "PRIMARY", "rolloutState": "COMPLETED"}]}]}`)
		case "UpdateService":
			_, _ = io.WriteString(w, `{"service": {}}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// bus takes one event as a producer puts it, and keeps it as EventBridge delivers it.
type bus struct{ delivered []byte }

func (b *bus) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	e := in.Entries[0]
	text, err := json.Marshal(map[string]any{
		"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "source": e.Source, "detail-type": e.DetailType,
		"account": "123456789012", "time": time.Now().UTC().Truncate(time.Second), "region": "eu-west-1", "resources": []string{},
		"detail": json.RawMessage(*e.Detail),
	})
	b.delivered = text
	return &eventbridge.PutEventsOutput{}, err
}

// scaleOut is the ScaleOut function, as its main has it.
func scaleOut(setup Setup) (Handler, error) {
	s, err := Scaler(setup)
	return func(ctx context.Context, payload []byte) (any, error) {
		demand, err := s.Demand(payload)
		if err != nil {
			return nil, err
		}
		return s.ScaleOut(ctx, demand)
	}, err
}

// inLambdaContext is the context of an invocation.
func inLambdaContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{
		AwsRequestID: "r1", InvokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:shop-ScaleOut",
	})
	//lint:ignore SA1029 Package lambda has a string there as well.
	return context.WithValue(ctx, "x-amzn-trace-id",
		"Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1")
}

// TestATraceFromTheProducerToECS follows one trace from a producer's span by package trigger's event through the function, down to its
// calls to Redis, which is out of reach here, and ECS.
func TestATraceFromTheProducerToECS(t *testing.T) {
	c := collector.New(t)
	inLambda(t, oneTarget+"traces: {endpoint: \""+c.URL+"\"}\n")
	t.Setenv("AWS_ENDPOINT_URL", ecsStub(t))
	t.Setenv("TEST_REDIS_URL", "redis://127.0.0.1:1/0")

	producer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample())).Tracer("shop")
	ctx, order := producer.Start(t.Context(), "POST /orders")
	var b bus
	if err := trigger.New(&b, trigger.Options{}).Trigger(ctx, trigger.Event{ScaleTo: aws.Int(2)}); err != nil {
		t.Fatal(err)
	}
	order.End()

	h := newHandler("scale_out", quiet(), io.Discard, scaleOut)
	answer, err := h.Invoke(inLambdaContext(t), b.delivered)
	if err != nil {
		t.Fatal(err)
	}
	var change scaler.Change
	if err := json.Unmarshal(answer, &change); err != nil || change.Status != "scaled out" || len(change.Ignored) > 0 {
		t.Fatalf("%s, %v", answer, err)
	}
	spans := map[string]collector.Span{}
	for _, s := range c.Await(time.Time{}, 1, func() { _, _ = h.Invoke(inLambdaContext(t), b.delivered) }) {
		spans[s.Name] = s
		if s.Trace != order.SpanContext().TraceID().String() {
			t.Errorf("%s is of another trace", s.Name)
		}
	}
	if got, want := slices.Sorted(maps.Keys(spans)), []string{"DescribeServices", "UpdateService", "look main", "scale_out"}; !slices.Equal(got, want) {
		t.Fatalf("spans %q, want %q", got, want)
	}
	root := spans["scale_out"]
	if root.Parent != order.SpanContext().SpanID().String() || !root.RemoteParent || !slices.Equal(root.Links, []string{"463ac35c9f6413ad"}) {
		t.Errorf("the function's span %+v does not continue the producer's", root)
	}
	if root.Attributes["sluice.desired"] != int64(2) || root.Attributes["faas.coldstart"] != true || root.Attributes["faas.invocation_id"] != "r1" {
		t.Errorf("attributes %v", root.Attributes)
	}
	for _, name := range []string{"DescribeServices", "UpdateService", "look main"} {
		if s := spans[name]; s.Parent != root.ID || s.Kind != "SPAN_KIND_CLIENT" {
			t.Errorf("%s is no part of the function's span: %+v", name, s)
		}
	}
	if s := spans["look main"]; !strings.Contains(s.Error, "connection refused") || s.Attributes["error.type"] != "BrokerUnavailable" {
		t.Errorf("the broker out of reach: %+v", s)
	}
	if s := spans["UpdateService"]; s.Attributes["rpc.method"] != "AmazonEC2ContainerServiceV20141113.UpdateService" || s.Error != "" {
		t.Errorf("the call to ECS: %+v", s)
	}

	nonsense := func() {
		if _, err := h.Invoke(inLambdaContext(t), []byte("no event")); kind(err) == "" || err == nil {
			t.Fatalf("error %v", err)
		}
	}
	began := time.Now()
	nonsense()
	if last := c.Await(began, 1, nonsense)[0]; last.Attributes["error.type"] != "InvalidEvent" || last.Attributes["faas.coldstart"] != false {
		t.Errorf("the span of a failure: %+v", last)
	}
}

// TestADeadCollectorDelaysNobody holds that the count is set, and the answer given, with a collector that says nothing.
func TestADeadCollectorDelaysNobody(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	inLambda(t, oneTarget+"traces: {endpoint: \"http://"+silent.Addr().String()+"\"}\n")
	t.Setenv("AWS_ENDPOINT_URL", ecsStub(t))
	t.Setenv("TEST_REDIS_URL", "redis://127.0.0.1:1/0")
	h := newHandler("scale_out", quiet(), io.Discard, scaleOut)
	payload := []byte(`{"source": "custom.celery.monitor", "detail-type": "celery.task.queue_full", "detail": {"scale_to": 2}}`)
	for range 3 {
		began := time.Now()
		answer, err := h.Invoke(inLambdaContext(t), payload)
		if took := time.Since(began); err != nil || !strings.Contains(string(answer), "scaled out") && !strings.Contains(string(answer), "unchanged") || took > time.Minute {
			t.Errorf("%s, %v after %v", answer, err, took) // Without a limit it would have been half of its five minutes.
		}
	}
}

// TestMetricsAreWrittenBesideTheLog holds that a function writes the metrics of each invocation, in the namespace that it was given, and
// that the calls are counted.
func TestMetricsAreWrittenBesideTheLog(t *testing.T) {
	for level, want := range map[string][]string{
		"off":     nil,
		"totals":  {"Reason demand", "total EcsCalls 2", "total EventToCount", "total RedisCalls", "total RedisErrors"},
		"targets": {"Reason demand", "Target worker EventToCount", "total EcsCalls 2", "total EventToCount", "total RedisCalls", "total RedisErrors"},
	} {
		t.Run(level, func(t *testing.T) {
			inLambda(t, oneTarget+"metrics: {level: "+level+"}\n")
			t.Setenv("SLUICE_METRICS_NAMESPACE", "Sluice/shop")
			t.Setenv("AWS_ENDPOINT_URL", ecsStub(t))
			t.Setenv("TEST_REDIS_URL", "redis://127.0.0.1:1/0")
			var out bytes.Buffer
			h := newHandler("scale_out", quiet(), &out, scaleOut)
			event := `{"source": "custom.celery.monitor", "detail-type": "celery.task.queue_full", "time": "2026-11-22T08:00:00Z", "detail": {"scale_to": 2}}`
			if _, err := h.Invoke(inLambdaContext(t), []byte(event)); err != nil {
				t.Fatal(err)
			}
			if got := written(t, out.String()); !slices.Equal(got, want) {
				t.Errorf("written %q, want %q", got, want)
			}
		})
	}
}

// written is what metrics the lines hold, in order; the values only of calls to ECS.
func written(t *testing.T, lines string) (out []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var l struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace string
					Metrics   []struct{ Name string }
				}
			} `json:"_aws"`
			Target, Reason string
			EcsCalls       int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		d := l.AWS.CloudWatchMetrics[0]
		if d.Namespace != "Sluice/shop" {
			t.Errorf("namespace %q", d.Namespace)
		}
		for _, m := range d.Metrics {
			switch {
			case l.Reason != "":
				out = append(out, "Reason "+l.Reason)
			case l.Target != "":
				out = append(out, "Target "+l.Target+" "+m.Name)
			case m.Name == "EcsCalls" && l.EcsCalls == 2:
				out = append(out, "total EcsCalls 2")
			default:
				out = append(out, "total "+m.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}
