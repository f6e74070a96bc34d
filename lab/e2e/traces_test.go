package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"sluice/lab/cloud"
	"sluice/lab/cloud/collector"
	"sluice/trigger"
)

// TestTraces follows a producer's trace by EventBridge into the function that ships, and a sweep's through the state machine: each
// of its functions is in a process of its own, and all are in one trace.
func TestTraces(t *testing.T) {
	t.Parallel()
	collected := collector.New(t)
	c := start(t, one(`["sleep", "1000"]`, idle)+fmt.Sprintf("traces: {endpoint: %q}\n", collected.URL), cloud.Options{})
	ask := trigger.New(eventbridge.New(eventbridge.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(c.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}), trigger.Options{})
	ctx, order := sdktrace.NewTracerProvider().Tracer("shop").Start(t.Context(), "POST /orders")
	if err := ask.Trigger(ctx, trigger.Event{ScaleTo: aws.Int(2)}); err != nil {
		t.Fatal(err)
	}
	order.End()
	c.awaitCounts("workers", 2, 2)
	spans := collected.Await(time.Time{}, 1, func() { c.invoke(cloud.ScaleOut, `{"target": "video"}`, nil) })
	for _, s := range spans {
		if s.Trace != order.SpanContext().TraceID().String() {
			t.Errorf("%s is no part of the producer's trace", s.Name)
		}
	}
	if s := spans[0]; s.Name != "scale_out" || s.Parent != order.SpanContext().SpanID().String() || s.Attributes["sluice.desired"] != int64(2) {
		t.Errorf("the first span is %+v", s)
	}

	began := time.Now()
	if s := c.sweep(); s.Results["video"].Outcome != "scaled in" {
		t.Fatalf("a sweep: %+v", s.Execution)
	}
	var functions []string
	trace := ""
	for _, s := range collected.Await(began, 4, func() { c.check("video"); c.invoke(cloud.ScaleIn, `{"target": "video"}`, nil) }) {
		if s.Kind == "SPAN_KIND_SERVER" {
			functions = append(functions, s.Name)
		}
		trace = s.Trace
	}
	if diff := cmp.Diff([]string{"check", "confirm", "scale_in", "check"}, functions); diff != "" {
		t.Errorf("the functions of the sweep (-want +got):\n%s", diff)
	}
	if trace == order.SpanContext().TraceID().String() {
		t.Error("the sweep is in the producer's trace")
	}
}
