package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope names who makes the spans.
const scope = "sluice"

// Invocation is what Lambda says of an invocation.
type Invocation struct {
	Function string // What the function does: the name of its span.
	ID       string // The request's.
	ARN      string // The function's.
	XRay     string // The header X-Amzn-Trace-Id.
	Cold     bool   // Whether it is the first of its process.
	Payload  []byte
}

// Traces makes a span of each invocation, as a part of the producer's trace where the event carries one. A nil Traces makes none.
type Traces struct {
	provider *sdktrace.TracerProvider
	sampler  sdktrace.Sampler
	out      *outbox
}

// NewTraces returns Traces that are sent to the collector at endpoint, an OTLP/HTTP URL; without a path, to /v1/traces of it. sample is
// the part of the traces that is kept, 0 to 1, where the producer has not decided on it.
func NewTraces(endpoint string, sample float64, log *slog.Logger, now func() time.Time) (*Traces, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("traces.endpoint: %q is no URL such as http://collector:4318", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	t := &Traces{sampler: sdktrace.TraceIDRatioBased(sample), out: newOutbox(u.String(), log, now)}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(t.sampler)),
		sdktrace.WithResource(resource.NewSchemaless(function()...)),
		sdktrace.WithSpanProcessor(t.out),
	)
	return t, nil
}

// function are the resource's attributes, by OpenTelemetry's semantic conventions, from what Lambda sets. Package semconv has these names
// as well, and tables that every cold start would fill in: a test holds them to it.
func function() []attribute.KeyValue {
	out := []attribute.KeyValue{
		attribute.String("service.name", "sluice"),
		attribute.String("cloud.provider", "aws"),
		attribute.String("cloud.platform", "aws_lambda"),
	}
	for key, name := range map[string]string{
		"cloud.region": "AWS_REGION", "faas.name": "AWS_LAMBDA_FUNCTION_NAME", "faas.version": "AWS_LAMBDA_FUNCTION_VERSION",
		"faas.instance": "AWS_LAMBDA_LOG_STREAM_NAME",
	} {
		if value := os.Getenv(name); value != "" {
			out = append(out, attribute.String(key, value))
		}
	}
	if mb, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")); err == nil {
		out = append(out, attribute.Int("faas.max_memory", mb<<20))
	}
	return out
}

// Start begins the span of an invocation. Its parent is the producer's span, if the event carries one, with a link to the span that
// X-Ray knows; else it is X-Ray's, which the functions of one sweep have in common.
func (t *Traces) Start(ctx context.Context, in Invocation) (context.Context, trace.Span) {
	if t == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	attrs := []attribute.KeyValue{
		attribute.String("faas.invocation_id", in.ID),
		attribute.Bool("faas.coldstart", in.Cold),
	}
	if in.ARN != "" {
		attrs = append(attrs, attribute.String("cloud.resource_id", in.ARN))
		if parts := strings.Split(in.ARN, ":"); len(parts) > 4 {
			attrs = append(attrs, attribute.String("cloud.account.id", parts[4]))
		}
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	outer := t.xray(in.XRay)
	e := read(in.Payload)
	switch producer := e.producer(ctx); {
	case producer.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, producer)
		if outer.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: outer}))
		}
	case outer.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, outer)
	}
	if e.ID == "" {
		attrs = append(attrs, attribute.String("faas.trigger", "other"))
	} else {
		opts[0] = trace.WithSpanKind(trace.SpanKindConsumer)
		attrs = append(attrs, attribute.String("faas.trigger", "pubsub"), attribute.String("messaging.system", "aws.eventbridge"),
			attribute.String("messaging.operation.type", "process"), attribute.String("messaging.message.id", e.ID))
	}
	return t.provider.Tracer(scope).Start(ctx, in.Function, append(opts, trace.WithAttributes(attrs...))...)
}

// Flush sends what has ended. It takes no longer than sendLimit, whatever the collector does.
func (t *Traces) Flush(ctx context.Context) {
	if t != nil {
		t.out.flush(ctx)
	}
}

// xray is the span that the header names. X-Ray samples for itself, about one in twenty: whether we do is decided by the trace's ID,
// alike in all functions of a sweep.
func (t *Traces) xray(header string) trace.SpanContext {
	ctx := xray.Propagator{}.Extract(context.Background(), propagation.MapCarrier{"X-Amzn-Trace-Id": header})
	c := trace.SpanContextFromContext(ctx)
	kept := t.sampler.ShouldSample(sdktrace.SamplingParameters{TraceID: c.TraceID()}).Decision == sdktrace.RecordAndSample
	return c.WithTraceFlags(c.TraceFlags().WithSampled(kept))
}

// event is what a span needs to know of an EventBridge event.
type event struct {
	ID     string          `json:"id"`
	Detail json.RawMessage `json:"detail"`
}

// read reads the event, if it is one: what is wrong with it is for the scaler to say.
func read(payload []byte) (e event) {
	_ = json.Unmarshal(payload, &e)
	return e
}

// producer is the producer's span as the event's detail carries it, in the form of the W3C's Trace Context.
func (e event) producer(ctx context.Context) trace.SpanContext {
	var carried struct {
		Parent string `json:"traceparent"`
		State  string `json:"tracestate"`
	}
	if json.Unmarshal(e.Detail, &carried) != nil || carried.Parent == "" {
		return trace.SpanContext{}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": carried.Parent, "tracestate": carried.State})
	return trace.SpanContextFromContext(ctx)
}

// Call begins the span of a call to another system, as a part of the one in ctx. Where there is none, or it is not kept, it costs nothing.
func Call(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(scope)
	return tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

// End ends a span, with the kind of its error if it has one.
func End(span trace.Span, kind string, err error) {
	if err != nil {
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
