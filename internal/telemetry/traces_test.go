package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/collector"
)

const (
	producersTrace = "0af7651916cd43dd8448eb211c80319c"
	producersSpan  = "b7ad6b7169203331"
	xrayTrace      = "67891233abcdef012345678912345678"
	xraySpan       = "463ac35c9f6413ad"
	xrayHeader     = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=0;Lineage=1:a87bd80c:0"
)

// newTraces are traces that go to the collector at url; what is logged is in the buffer.
func newTraces(t *testing.T, url string, sample float64, now func() time.Time) (*Traces, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	traces, err := NewTraces(url, sample, slog.New(slog.NewTextHandler(&log, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	traces.out.limit = time.Minute // A busy machine fails no test.
	return traces, &log
}

// event is an EventBridge event with that detail.
func eventWith(detail string) []byte {
	return fmt.Appendf(nil, `{"id": "6a7e8feb", "detail-type": "celery.task.queue_full", "detail": %s}`, detail)
}

// invoke makes a trace of one invocation.
func invoke(t *Traces, in Invocation, happens func(context.Context)) {
	ctx, span := t.Start(context.Background(), in)
	if happens != nil {
		happens(ctx)
	}
	End(span, "", nil)
	t.Flush(context.Background())
}

func TestWhoseTraceItIs(t *testing.T) {
	t.Parallel()
	carried := fmt.Sprintf(`{"scale_to": 1, "traceparent": "00-%s-%s-01", "tracestate": "vendor=x"}`, producersTrace, producersSpan)
	unsampled := strings.Replace(carried, "-01", "-00", 1)
	tests := []struct {
		name                string
		payload, xray       string
		trace, parent, link string
		none                bool
	}{
		{"the producer's, linked to X-Ray's", string(eventWith(carried)), xrayHeader, producersTrace, producersSpan, xraySpan, false},
		{"the producer's", string(eventWith(carried)), "", producersTrace, producersSpan, "", false},
		{"the producer's, with a random ID", string(eventWith(strings.Replace(carried, "-01", "-03", 1))), "", producersTrace, producersSpan, "", false},
		{"the producer does not sample it", string(eventWith(unsampled)), xrayHeader, "", "", "", true},
		{"X-Ray's: a sweep's", `{"target": "film"}`, xrayHeader, xrayTrace, xraySpan, "", false},
		{"X-Ray's: the event carries none", string(eventWith(`{"scale_to": 1}`)), xrayHeader, xrayTrace, xraySpan, "", false},
		{"X-Ray's: it carries nonsense", string(eventWith(`{"traceparent": "00-1-2-3"}`)), xrayHeader, xrayTrace, xraySpan, "", false},
		{"X-Ray's: it carries a number", string(eventWith(`{"traceparent": 7}`)), xrayHeader, xrayTrace, xraySpan, "", false},
		{"X-Ray's: no detail", string(eventWith(`null`)), xrayHeader, xrayTrace, xraySpan, "", false},
		{"its own: no JSON", `{{{`, "Root=nonsense", "", "", "", false},
		{"its own: no parent", `{}`, "Root=1-67891233-abcdef012345678912345678", "", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := collector.New(t)
			traces, _ := newTraces(t, c.URL, 1, time.Now)
			invoke(traces, Invocation{Function: "scale_out", XRay: tt.xray, Payload: []byte(tt.payload)}, nil)
			spans := c.Spans()
			if tt.none {
				if len(spans) > 0 {
					t.Errorf("%d spans of a trace that is not kept", len(spans))
				}
				return
			}
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			s := spans[0]
			if tt.trace == "" && (s.Parent != "" || s.Trace == "" || s.RemoteParent) {
				t.Errorf("%+v is no trace of its own", s)
			}
			if tt.trace != "" && (s.Trace != tt.trace || s.Parent != tt.parent || !s.RemoteParent) {
				t.Errorf("trace %s, parent %s, want %s, %s", s.Trace, s.Parent, tt.trace, tt.parent)
			}
			if got := strings.Join(s.Links, ","); got != tt.link {
				t.Errorf("links %q, want %q", got, tt.link)
			}
		})
	}
}

func TestSpanOfAnEvent(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-ScaleOut")
	t.Setenv("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
	t.Setenv("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/a")
	t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
	c := collector.New(t)
	traces, _ := newTraces(t, c.URL+"/", 1, time.Now)
	arn := "arn:aws:lambda:eu-west-1:123456789012:function:shop-ScaleOut"
	ctx, span := traces.Start(context.Background(), Invocation{
		Function: "scale_out", ID: "r1", ARN: arn, Cold: true, Payload: eventWith(`{}`),
	})
	Spans{}.Decided(ctx, scaler.Record{
		UseCase: "scale_out", Target: "film", Action: policy.ScaleOut, Current: 0, Desired: 2, Backlog: ptr(7),
		Reasons: []policy.Reason{policy.ReasonBacklog, policy.ReasonMax},
	})
	_, call := Call(ctx, "UpdateService", attribute.String("rpc.method", "UpdateService"))
	End(call, "503", errors.New("slow down"))
	Spans{}.Changed(ctx, scaler.Change{Target: "film", Status: "scaled out", DesiredCount: 2})
	End(span, "FleetThrottled", errors.New("update service: slow down"))
	traces.Flush(context.Background())

	spans := c.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	want := collector.Span{
		Name: "scale_out", Kind: "SPAN_KIND_CONSUMER", Sampled: true, Events: []string{"decision", "result"}, Error: "update service: slow down",
		Attributes: map[string]any{
			string(semconv.FaaSInvocationIDKey): "r1", string(semconv.FaaSColdstartKey): true, string(semconv.FaaSTriggerKey): "pubsub",
			string(semconv.CloudResourceIDKey): arn, string(semconv.CloudAccountIDKey): "123456789012",
			string(semconv.MessagingSystemKey): "aws.eventbridge", string(semconv.MessagingMessageIDKey): "6a7e8feb",
			string(semconv.MessagingOperationTypeKey): "process", string(semconv.ErrorTypeKey): "FleetThrottled",
			"sluice.target": "film", "sluice.action": string(policy.ScaleOut), "sluice.current": int64(0), "sluice.desired": int64(2),
			"sluice.backlog": int64(7), "sluice.reasons": []any{"backlog", "max"},
		},
		Resource: map[string]any{
			string(semconv.ServiceNameKey): "sluice", string(semconv.CloudProviderKey): "aws", string(semconv.CloudPlatformKey): "aws_lambda",
			string(semconv.CloudRegionKey): "eu-west-1", string(semconv.FaaSNameKey): "shop-ScaleOut", string(semconv.FaaSVersionKey): "$LATEST",
			string(semconv.FaaSInstanceKey): "2026/11/22/a", string(semconv.FaaSMaxMemoryKey): int64(512 << 20),
		},
	}
	got := spans[0]
	if got.Trace != spans[1].Trace || spans[1].Parent != got.ID || spans[1].RemoteParent || spans[1].Kind != "SPAN_KIND_CLIENT" || spans[1].Error != "slow down" {
		t.Errorf("the call is %+v", spans[1])
	}
	if got.End.Before(got.Start) || time.Since(got.Start) > time.Minute {
		t.Errorf("from %v to %v", got.Start, got.End)
	}
	got.Trace, got.ID, got.Start, got.End = "", "", time.Time{}, time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("span (-want +got):\n%s", diff)
	}
}

// TestSpanOfASweep holds that a sweep's span has its sums, and events only of what is to be done: there may be a thousand targets.
func TestSpanOfASweep(t *testing.T) {
	t.Parallel()
	c := collector.New(t)
	traces, _ := newTraces(t, c.URL, 1, time.Now)
	invoke(traces, Invocation{Function: "check", Payload: []byte(`{}`)}, func(ctx context.Context) {
		for range 1000 {
			Spans{}.Decided(ctx, scaler.Record{UseCase: "check", Action: policy.Hold})
		}
		Spans{}.Decided(ctx, scaler.Record{UseCase: "check", Action: policy.Candidate})
		Spans{}.Swept(ctx, scaler.Sweep{Checked: 1001, Held: 1000, Unknown: 3})
	})
	invoke(traces, Invocation{Function: "check", Payload: []byte(`{"target": "film"}`)}, func(ctx context.Context) {
		Spans{}.Decided(ctx, scaler.Record{UseCase: "confirm", Target: "film", Action: policy.Hold})
	})
	spans := c.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	all, one := spans[0], spans[1]
	if all.Name != "check" || len(all.Events) != 1 || all.Attributes["sluice.sweep.checked"] != int64(1001) ||
		all.Attributes["sluice.sweep.unknown"] != int64(3) || all.Attributes["sluice.target"] != nil || all.Kind != "SPAN_KIND_SERVER" {
		t.Errorf("of the sweep: %+v", all)
	}
	if one.Name != "confirm" || one.Attributes["sluice.target"] != "film" || one.Attributes["faas.trigger"] != "other" {
		t.Errorf("of the confirming look: %+v", one)
	}
}

func TestSampling(t *testing.T) {
	t.Parallel()
	c := collector.New(t)
	none, _ := newTraces(t, c.URL, 0, time.Now)
	invoke(none, Invocation{Function: "check", XRay: strings.Replace(xrayHeader, "Sampled=0", "Sampled=1", 1)}, nil)
	invoke(none, Invocation{Function: "check"}, nil)
	if n := len(c.Spans()); n != 0 {
		t.Fatalf("%d spans with sample 0", n)
	}
	// The producer has decided.
	invoke(none, Invocation{Function: "scale_out", Payload: eventWith(fmt.Sprintf(`{"traceparent": "00-%s-%s-01"}`, producersTrace, producersSpan))}, nil)
	if n := len(c.Spans()); n != 1 {
		t.Fatalf("%d spans of a trace that the producer samples", n)
	}
	// The functions of a sweep have one trace, which is kept or dropped as a whole.
	half, _ := newTraces(t, c.URL, 0.5, time.Now)
	kept := map[string]int{}
	for i := range 200 {
		header := fmt.Sprintf("Root=1-67891233-abcdef01%016x;Parent=463ac35c9f6413ad;Sampled=0", uint64(i)*(math.MaxUint64/200))
		for range 2 {
			before := len(c.Spans())
			invoke(half, Invocation{Function: "check", XRay: header}, nil)
			kept[header] += len(c.Spans()) - before
		}
	}
	whole := 0
	for header, n := range kept {
		if n == 1 {
			t.Errorf("%s is kept in part", header)
		}
		whole += n / 2
	}
	if whole < 80 || whole > 120 {
		t.Errorf("%d of 200 traces are kept", whole)
	}
}

func TestNilMakesNoTraces(t *testing.T) {
	t.Parallel()
	var none *Traces
	ctx, span := none.Start(t.Context(), Invocation{Function: "check", XRay: xrayHeader})
	_, call := Call(ctx, "look")
	Spans{}.Decided(ctx, scaler.Record{})
	End(call, "", nil)
	End(span, "BrokerUnavailable", errors.New("gone"))
	none.Flush(ctx)
	if span.IsRecording() || call.IsRecording() {
		t.Error("spans are made where there are no traces")
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"http://collector:4318":              "http://collector:4318/v1/traces",
		"https://collector:4318/":            "https://collector:4318/v1/traces",
		"https://api.example.com/otlp/spans": "https://api.example.com/otlp/spans",
		"collector:4318":                     "",
		"grpc://collector:4317":              "",
		"http://":                            "",
	} {
		traces, err := NewTraces(endpoint, 1, slog.New(slog.DiscardHandler), time.Now)
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "traces.endpoint")):
			t.Errorf("%s: error %v", endpoint, err)
		case want != "" && (err != nil || traces.out.url != want || traces.out.limit != sendLimit):
			t.Errorf("%s: %v, %v", endpoint, traces, err)
		}
	}
}

// TestADeadCollector holds that one which does not answer costs an invocation no more than sendLimit, and the next ones nothing for a
// while; and that its spans come later, when it is back.
func TestADeadCollector(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // It takes connections, and says nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	now := noon
	traces, log := newTraces(t, "http://"+silent.Addr().String(), 1, func() time.Time { return now })
	traces.out.limit = sendLimit
	flush := func() time.Duration {
		_, span := traces.Start(context.Background(), Invocation{Function: "check"})
		End(span, "", nil)
		began := time.Now()
		traces.Flush(context.Background())
		return time.Since(began)
	}
	if took := flush(); took < sendLimit || took > time.Minute {
		t.Errorf("the first took %v, want %v", took, sendLimit)
	}
	if n := strings.Count(log.String(), "spans not sent"); n != 1 || !strings.Contains(log.String(), silent.Addr().String()) {
		t.Errorf("%d lines say so: %s", n, log)
	}
	now = now.Add(sendPause - time.Second)
	traces.out.limit = time.Hour
	flush() // It does not try, or it would not end.
	c := collector.New(t)
	traces.out.url, traces.out.limit = c.URL+"/v1/traces", time.Minute
	now = now.Add(time.Second)
	flush()
	if n := len(c.Spans()); n != 3 {
		t.Errorf("%d of 3 spans came in the end", n)
	}
}

// TestLittleTimeIsNotSpentOnTraces holds that most of what is left of an invocation's time is kept for its answer.
func TestLittleTimeIsNotSpentOnTraces(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	traces, _ := newTraces(t, "http://"+silent.Addr().String(), 1, time.Now)
	_, span := traces.Start(context.Background(), Invocation{Function: "check"})
	End(span, "", nil)
	traces.out.limit = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	traces.Flush(ctx) // It takes three, and leaves three, which a busy machine does not use up.
	if ctx.Err() != nil {
		t.Error("all of the time was spent")
	}
}

func TestWhatTheCollectorAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(http.ResponseWriter)
		log    string
		again  bool
	}{
		{"too many", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, "spans not sent", true},
		{"not now", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, "spans not sent", true},
		{"not allowed", func(w http.ResponseWriter) { http.Error(w, "no token", http.StatusUnauthorized) }, "401 Unauthorized: no token", false},
		{"in part", func(w http.ResponseWriter) {
			text, _ := proto.Marshal(&collect.ExportTraceServiceResponse{
				PartialSuccess: &collect.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "too old"},
			})
			_, _ = w.Write(text)
		}, "all but 1 spans: too old", false},
		{"nonsense", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "\x0a\xffthanks") }, "", false},
		{"nothing", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := noon
			c := collector.New(t)
			c.Answer(tt.answer)
			traces, log := newTraces(t, c.URL, 1, func() time.Time { return now })
			invoke(traces, Invocation{Function: "check"}, nil)
			if (tt.log == "") != (log.Len() == 0) || !strings.Contains(log.String(), tt.log) {
				t.Errorf("log %q, want %q", log, tt.log)
			}
			c.Answer(nil)
			now = now.Add(sendPause)
			traces.Flush(context.Background())
			if got := len(c.Spans()) == 1; got != tt.again || c.Requests() != 1+len(c.Spans()) {
				t.Errorf("tried again: %v, want %v; %d requests", got, tt.again, c.Requests())
			}
		})
	}
}

func TestSpansThatPileUpAreBounded(t *testing.T) {
	t.Parallel()
	now := noon
	c := collector.New(t)
	c.Answer(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	traces, log := newTraces(t, c.URL, 1, func() time.Time { return now })
	for range maxSpans + 7 {
		invoke(traces, Invocation{Function: "check"}, nil)
	}
	c.Answer(nil)
	now = now.Add(sendPause)
	invoke(traces, Invocation{Function: "the last"}, nil)
	spans := c.Spans()
	if len(spans) != maxSpans || spans[maxSpans-1].Name != "the last" {
		t.Errorf("%d spans came", len(spans))
	}
	if !strings.Contains(log.String(), "spans=8") {
		t.Errorf("nobody says how many were lost: %s", log)
	}
}
