// Package collector stands in for an OpenTelemetry collector in tests: it takes OTLP/HTTP, reads it by the protocol's own definition
// (go.opentelemetry.io/proto), and refuses what that does not know.
package collector

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"sluice/internal/loopback"
	"sluice/lab/testenv"
)

// Span is a span that has come.
type Span struct {
	Name, Kind            string
	Trace, ID, Parent     string
	Links                 []string // The spans that it links to.
	Attributes            map[string]any
	Events                []string
	Error                 string // The status's message; empty unless it is an error.
	Resource              map[string]any
	Start, End            time.Time
	RemoteParent, Sampled bool
}

// Collector keeps what comes. It reads it when it is asked: whoever sends does not wait for that.
type Collector struct {
	URL string

	t        testing.TB
	mu       sync.Mutex
	unread   [][]byte
	spans    []Span
	requests int
	answer   func(http.ResponseWriter) // In place of success.
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	c := &Collector{t: t}
	server := httptest.NewServer(loopback.Guard(c))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// ServeHTTP takes one request.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("collector: %s %s with %q: %v", r.Method, r.URL.Path, r.Header.Get("Content-Type"), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.answer != nil {
		c.answer(w)
		return
	}
	c.unread = append(c.unread, body)
	w.Header().Set("Content-Type", "application/x-protobuf") // An answer without a field.
}

// Spans are those that have come, in the order of their beginning.
func (c *Collector) Spans() []Span {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range c.unread {
		spans, err := read(body)
		if err != nil {
			c.t.Errorf("collector: %v", err)
		}
		c.spans = append(c.spans, spans...)
	}
	c.unread = nil
	out := slices.Clone(c.spans)
	slices.SortStableFunc(out, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return out
}

// Await waits until so many functions have sent their spans of one trace, the first that began since then, and returns these. A
// function waits for the collector for a moment only. What does not get through in that moment comes with what the function sends
// later, when it has left the collector alone for a while: for that, again calls it.
func (c *Collector) Await(since time.Time, functions int, again func()) []Span {
	c.t.Helper()
	next := time.Now().Add(10 * time.Second)
	var spans []Span
	if err := testenv.WaitFor(c.t.Context(), func() error {
		spans = nil
		n, seen := 0, map[string]bool{}
		for _, s := range c.Spans() {
			if s.Start.Before(since) || seen[s.ID] || len(spans) > 0 && s.Trace != spans[0].Trace {
				continue
			}
			spans, seen[s.ID] = append(spans, s), true
			if s.Kind == "SPAN_KIND_SERVER" || s.Kind == "SPAN_KIND_CONSUMER" {
				n++
			}
		}
		if n >= functions {
			return nil
		}
		if time.Now().After(next) {
			again()
			next = time.Now().Add(10 * time.Second)
		}
		return fmt.Errorf("the spans of %d functions have come, not of %d", n, functions)
	}); err != nil {
		c.t.Fatal(err)
	}
	return spans
}

// Requests is how many requests have come, those refused included.
func (c *Collector) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Answer has the collector answer so from now on; nil: with success.
func (c *Collector) Answer(with func(http.ResponseWriter)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = with
}

// unknown is a field that has a number, and no name.
var unknown = regexp.MustCompile(`(?m)^\s*\d+:`)

func read(body []byte) ([]Span, error) {
	var request collect.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf("no OTLP: %w in %x", err, body)
	}
	if text := (prototext.MarshalOptions{Multiline: true, EmitUnknown: true}).Format(&request); unknown.MatchString(text) {
		return nil, fmt.Errorf("fields that OTLP does not know: %s", text)
	}
	var out []Span
	for _, rs := range request.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				span := Span{
					Name: s.GetName(), Kind: s.GetKind().String(), Attributes: attributes(s.GetAttributes()),
					Resource: attributes(rs.GetResource().GetAttributes()), Sampled: s.GetFlags()&1 != 0, RemoteParent: s.GetFlags()&0x300 == 0x300,
					Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
				}
				if s.GetStatus().GetCode() == 2 {
					span.Error = s.GetStatus().GetMessage()
				}
				var err error
				if span.Trace, err = id(s.GetTraceId(), 16); err != nil {
					return nil, err
				}
				if span.ID, err = id(s.GetSpanId(), 8); err != nil {
					return nil, err
				}
				if span.Parent, err = id(s.GetParentSpanId(), 8); err != nil && len(s.GetParentSpanId()) > 0 {
					return nil, err
				}
				for _, l := range s.GetLinks() {
					linked, err := id(l.GetSpanId(), 8)
					if err != nil {
						return nil, err
					}
					span.Links = append(span.Links, linked)
				}
				for _, e := range s.GetEvents() {
					span.Events = append(span.Events, e.GetName())
				}
				out = append(out, span)
			}
		}
	}
	return out, nil
}

// id is an identifier of n bytes, in hexadecimal.
func id(raw []byte, n int) (string, error) {
	if len(raw) != n {
		return "", fmt.Errorf("%x is no identifier of %d bytes", raw, n)
	}
	return hex.EncodeToString(raw), nil
}

func attributes(in []*common.KeyValue) map[string]any {
	out := map[string]any{}
	for _, a := range in {
		out[a.GetKey()] = value(a.GetValue())
	}
	return out
}

func value(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_BytesValue:
		return v.BytesValue
	case *common.AnyValue_ArrayValue:
		out := []any{}
		for _, each := range v.ArrayValue.GetValues() {
			out = append(out, value(each))
		}
		return out
	}
	return nil
}
