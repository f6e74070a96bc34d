package telemetry

import (
	"encoding/json"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The JSON form of an OTLP request for traces: opentelemetry-proto v1, where IDs are hexadecimal, and whole numbers of 64 bits are
// texts (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
type (
	otlpRequest struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes,omitempty"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name string `json:"name"`
	}
	otlpSpan struct {
		TraceID      string          `json:"traceId"`
		SpanID       string          `json:"spanId"`
		TraceState   string          `json:"traceState,omitempty"`
		ParentSpanID string          `json:"parentSpanId,omitempty"`
		Flags        uint32          `json:"flags,omitempty"`
		Name         string          `json:"name"`
		Kind         int             `json:"kind"`
		Start        string          `json:"startTimeUnixNano"`
		End          string          `json:"endTimeUnixNano"`
		Attributes   []otlpAttribute `json:"attributes,omitempty"`
		Events       []otlpEvent     `json:"events,omitempty"`
		DroppedEvts  int             `json:"droppedEventsCount,omitempty"`
		Links        []otlpLink      `json:"links,omitempty"`
		Status       otlpStatus      `json:"status"`
	}
	otlpEvent struct {
		Time       string          `json:"timeUnixNano"`
		Name       string          `json:"name"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
	}
	otlpLink struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
		Flags   uint32 `json:"flags,omitempty"`
	}
	otlpStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code,omitempty"`
	}
	otlpAttribute struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// otlp is the request that carries the spans, all of them of one resource and one scope.
func otlp(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	out := make([]otlpSpan, len(spans))
	for i, s := range spans {
		out[i] = otlpSpanOf(s)
	}
	return json.Marshal(otlpRequest{[]otlpResourceSpans{{
		Resource:   otlpResource{attributes(spans[0].Resource().Attributes())},
		ScopeSpans: []otlpScopeSpans{{otlpScope{spans[0].InstrumentationScope().Name}, out}},
	}}})
}

func otlpSpanOf(s sdktrace.ReadOnlySpan) otlpSpan {
	out := otlpSpan{
		TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
		TraceState: s.SpanContext().TraceState().String(), Flags: flags(s.SpanContext(), s.Parent().IsRemote()),
		Name: s.Name(), Kind: int(s.SpanKind()), // The same numbers.
		Start: nanos(s.StartTime()), End: nanos(s.EndTime()),
		Attributes: attributes(s.Attributes()), DroppedEvts: s.DroppedEvents(),
	}
	if s.Parent().SpanID().IsValid() {
		out.ParentSpanID = s.Parent().SpanID().String()
	}
	for _, e := range s.Events() {
		out.Events = append(out.Events, otlpEvent{nanos(e.Time), e.Name, attributes(e.Attributes)})
	}
	for _, l := range s.Links() {
		c := l.SpanContext
		out.Links = append(out.Links, otlpLink{c.TraceID().String(), c.SpanID().String(), flags(c, c.IsRemote())})
	}
	switch s.Status().Code { // These are not.
	case codes.Ok:
		out.Status.Code = 1
	case codes.Error:
		out.Status = otlpStatus{s.Status().Description, 2}
	}
	return out
}

// flags are W3C's in the lowest byte, and above it whether the parent is known to be remote, and is.
func flags(c trace.SpanContext, remote bool) uint32 {
	out := uint32(c.TraceFlags()) | 0x100
	if remote {
		out |= 0x200
	}
	return out
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func attributes(in []attribute.KeyValue) []otlpAttribute {
	out := make([]otlpAttribute, len(in))
	for i, a := range in {
		out[i] = otlpAttribute{string(a.Key), otlpValue(a.Value)}
	}
	return out
}

// otlpValue is a value by the name of its kind: of those kinds that our spans have, and any other as a text.
func otlpValue(v attribute.Value) map[string]any {
	switch v.Type() {
	case attribute.BOOL:
		return map[string]any{"boolValue": v.AsBool()}
	case attribute.INT64:
		return map[string]any{"intValue": strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.STRINGSLICE:
		values := []map[string]any{}
		for _, text := range v.AsStringSlice() {
			values = append(values, map[string]any{"stringValue": text})
		}
		return map[string]any{"arrayValue": map[string]any{"values": values}}
	}
	return map[string]any{"stringValue": v.String()}
}
