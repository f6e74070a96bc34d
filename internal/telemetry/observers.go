package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Observers are told one after the other.
type Observers []scaler.Observer

// Decided is scaler.Observer's.
func (o Observers) Decided(ctx context.Context, r scaler.Record) {
	for _, each := range o {
		each.Decided(ctx, r)
	}
}

// Changed is scaler.Observer's.
func (o Observers) Changed(ctx context.Context, c scaler.Change) {
	for _, each := range o {
		each.Changed(ctx, c)
	}
}

// Swept is scaler.Observer's.
func (o Observers) Swept(ctx context.Context, s scaler.Sweep) {
	for _, each := range o {
		each.Swept(ctx, s)
	}
}

// Spans adds what was decided to the span of the invocation.
type Spans struct{}

// Decided is scaler.Observer's. A decision is an event of the span, but for those of a sweep that do nothing: there may be a thousand,
// and the log has them. A decision on one target gives the span its attributes.
func (Spans) Decided(ctx context.Context, r scaler.Record) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() || r.UseCase == "check" && r.Action == policy.Hold {
		return
	}
	attrs := []attribute.KeyValue{
		attribute.String("sluice.target", r.Target), attribute.String("sluice.action", string(r.Action)),
		attribute.Int("sluice.current", r.Current), attribute.Int("sluice.desired", r.Desired),
	}
	reasons := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		reasons[i] = string(reason)
	}
	attrs = append(attrs, attribute.StringSlice("sluice.reasons", reasons))
	for key, n := range map[string]*int{"sluice.backlog": r.Backlog, "sluice.active": r.Active, "sluice.held": r.Held} {
		if n != nil {
			attrs = append(attrs, attribute.Int(key, *n))
		}
	}
	if r.UseCase != "check" {
		span.SetName(r.UseCase)
		span.SetAttributes(attrs...)
	}
	span.AddEvent("decision", trace.WithAttributes(attrs...))
}

// Changed is scaler.Observer's.
func (Spans) Changed(ctx context.Context, c scaler.Change) {
	trace.SpanFromContext(ctx).AddEvent("result", trace.WithAttributes(
		attribute.String("sluice.target", c.Target), attribute.String("sluice.status", c.Status),
		attribute.Int("sluice.previous", c.Previous), attribute.Int("sluice.desired", c.DesiredCount)))
}

// Swept is scaler.Observer's.
func (Spans) Swept(ctx context.Context, s scaler.Sweep) {
	trace.SpanFromContext(ctx).SetAttributes(
		attribute.Int("sluice.sweep.checked", s.Checked), attribute.Int("sluice.sweep.held", s.Held),
		attribute.Int("sluice.sweep.failed", s.Failed), attribute.Int("sluice.sweep.deferred", s.Deferred),
		attribute.Int("sluice.sweep.unknown", s.Unknown), attribute.Int("sluice.sweep.stranded", s.Stranded))
}
