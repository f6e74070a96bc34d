package telemetry

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// message is a message of OTLP's, encoded field by field. The numbers are those of opentelemetry-proto v1 (its package trace/v1), of
// which the Go form would bring the reflection of protocol buffers into every cold start; the tests read ours by it.
type message []byte

func (m *message) bytes(field protowire.Number, v []byte) {
	if len(v) > 0 {
		*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
	}
}

func (m *message) text(field protowire.Number, v string) { m.bytes(field, []byte(v)) }

// within adds a message, if it is an empty one as well.
func (m *message) within(field protowire.Number, v message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

func (m *message) number(field protowire.Number, v uint64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), v)
}

func (m *message) time(field protowire.Number, v time.Time) {
	*m = protowire.AppendFixed64(protowire.AppendTag(*m, field, protowire.Fixed64Type), uint64(v.UnixNano()))
}

// span adds the identifiers of a span, and in flags its flags.
func (m *message) span(c trace.SpanContext, flags protowire.Number, remote bool) {
	traceID, id := c.TraceID(), c.SpanID()
	m.bytes(1, traceID[:])
	m.bytes(2, id[:])
	m.text(3, c.TraceState().String())
	// W3C's flags in the lowest byte, and above it whether it is known to be, or to have, a remote one.
	bits := uint32(c.TraceFlags()) | 0x100
	if remote {
		bits |= 0x200
	}
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, flags, protowire.Fixed32Type), bits)
}

func (m *message) attributes(field protowire.Number, in []attribute.KeyValue) {
	for _, a := range in {
		var pair message
		pair.text(1, string(a.Key))
		pair.within(2, value(a.Value))
		m.within(field, pair)
	}
}

// value is a value of those kinds that our spans have, and any other as a text.
func value(v attribute.Value) (m message) {
	switch v.Type() {
	case attribute.BOOL:
		m.number(2, protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		m.number(3, uint64(v.AsInt64()))
	case attribute.STRINGSLICE:
		var list message
		for _, text := range v.AsStringSlice() {
			list.within(1, value(attribute.StringValue(text)))
		}
		m.within(5, list)
	default:
		m.within(1, message(v.String()))
	}
	return m
}

// otlp is the request that carries the spans, all of them of one resource and one scope: an ExportTraceServiceRequest.
func otlp(spans []sdktrace.ReadOnlySpan) []byte {
	var request, resourceSpans, resource, scopeSpans, scope message
	resource.attributes(1, spans[0].Resource().Attributes())
	scope.text(1, spans[0].InstrumentationScope().Name)
	scopeSpans.within(1, scope)
	for _, s := range spans {
		scopeSpans.within(2, otlpSpan(s))
	}
	resourceSpans.within(1, resource)
	resourceSpans.within(2, scopeSpans)
	request.within(1, resourceSpans)
	return request
}

func otlpSpan(s sdktrace.ReadOnlySpan) (m message) {
	m.span(s.SpanContext(), 16, s.Parent().IsRemote())
	if parent := s.Parent().SpanID(); parent.IsValid() {
		m.bytes(4, parent[:])
	}
	m.text(5, s.Name())
	m.number(6, uint64(s.SpanKind())) // The same numbers.
	m.time(7, s.StartTime())
	m.time(8, s.EndTime())
	m.attributes(9, s.Attributes())
	for _, e := range s.Events() {
		var event message
		event.time(1, e.Time)
		event.text(2, e.Name)
		event.attributes(3, e.Attributes)
		m.within(11, event)
	}
	m.number(12, uint64(s.DroppedEvents()))
	for _, l := range s.Links() {
		var link message
		link.span(l.SpanContext, 6, l.SpanContext.IsRemote())
		m.within(13, link)
	}
	var status message
	switch s.Status().Code { // These are not the same numbers.
	case codes.Ok:
		status.number(3, 1)
	case codes.Error:
		status.text(2, s.Status().Description)
		status.number(3, 2)
	}
	m.within(15, status)
	return m
}

// rejected is what the collector did not take, by its answer: an ExportTraceServiceResponse.
func rejected(answer []byte) (spans uint64, why string) {
	fields(answer, func(field protowire.Number, _ uint64, partial []byte) {
		if field == 1 {
			fields(partial, func(field protowire.Number, number uint64, text []byte) {
				switch field {
				case 1:
					spans = number
				case 2:
					why = string(text)
				}
			})
		}
	})
	return spans, why
}

// fields calls each with the number of each field, and its value if it is a number or a text. It ends at what it does not know.
func fields(m []byte, each func(field protowire.Number, number uint64, text []byte)) {
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return
		}
		m = m[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(m)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(m)
		default:
			return
		}
		if n < 0 {
			return
		}
		each(field, number, text)
		m = m[n:]
	}
}
