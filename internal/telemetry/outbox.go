package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// sendLimit is the longest that an answer waits for the collector. The count is set by then.
	sendLimit = 500 * time.Millisecond
	// sendPause is how long a collector that failed is left alone, so that one which is gone costs sendLimit no more than twice a minute.
	sendPause = 30 * time.Second
	// maxSpans are kept while the collector fails; a sweep has some ten.
	maxSpans = 1000
)

// outbox keeps the spans that have ended until they are sent to the collector. OpenTelemetry's own exporter links gRPC and the
// reflection of protocol buffers: 15 MB, and a sixth more of a cold start (docs/design/0011-observability.md).
type outbox struct {
	url    string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
	limit  time.Duration // sendLimit.

	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
	lost  int
	later time.Time // Not to be tried before.
}

func newOutbox(url string, log *slog.Logger, now func() time.Time) *outbox {
	return &outbox{url: url, client: &http.Client{}, log: log, now: now, limit: sendLimit}
}

// OnStart satisfies sdktrace.SpanProcessor.
func (o *outbox) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd keeps the span.
func (o *outbox) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spans = append(o.spans, s); len(o.spans) > maxSpans {
		o.spans = o.spans[1:]
		o.lost++
	}
}

// Shutdown satisfies sdktrace.SpanProcessor. Lambda ends processes without a word.
func (o *outbox) Shutdown(context.Context) error { return nil }

// ForceFlush satisfies sdktrace.SpanProcessor.
func (o *outbox) ForceFlush(ctx context.Context) error {
	o.flush(ctx)
	return nil
}

// flush sends the spans that there are. Those that the collector could not take now are sent with a later invocation's.
func (o *outbox) flush(ctx context.Context) {
	o.mu.Lock()
	spans, lost := o.spans, o.lost
	if len(spans) == 0 || o.now().Before(o.later) {
		o.mu.Unlock()
		return
	}
	o.spans, o.lost = nil, 0
	o.mu.Unlock()

	limit := o.limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, deadline.Sub(o.now())/2) // The answer has to get away as well.
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	again, err := o.send(ctx, spans)
	switch {
	case err == nil:
		if lost > 0 {
			o.log.WarnContext(ctx, "spans lost while the collector could not be reached", "spans", lost)
		}
		return
	case !again:
		o.log.WarnContext(ctx, "spans refused", "endpoint", o.url, "spans", len(spans), "error", err.Error())
		return
	}
	o.log.WarnContext(ctx, "spans not sent", "endpoint", o.url, "spans", len(spans), "error", err.Error())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.later = o.now().Add(sendPause)
	o.spans, o.lost = append(spans, o.spans...), o.lost+lost
	if over := len(o.spans) - maxSpans; over > 0 {
		o.spans = o.spans[over:]
		o.lost += over
	}
}

// send sends the spans, and says whether it may be tried again if it errs.
func (o *outbox) send(ctx context.Context, spans []sdktrace.ReadOnlySpan) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(otlp(spans)))
	if err != nil {
		return false, fmt.Errorf("send spans: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	// Lambda freezes a function between its invocations, and the connection may be closed meanwhile: net/http then sends again, if a
	// request says that it may. So it says, by a key without a value.
	r.Header["Idempotency-Key"] = nil
	answer, err := o.client.Do(r)
	if err != nil {
		return true, fmt.Errorf("send spans: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return true, fmt.Errorf("read the collector's answer: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("the collector answered %s", answer.Status) // OTLP's statuses for a later try.
	}
	if answer.StatusCode/100 != 2 {
		return false, fmt.Errorf("the collector answered %s: %.200s", answer.Status, text)
	}
	if n, why := rejected(text); why != "" {
		return false, fmt.Errorf("the collector took all but %d spans: %s", n, why)
	}
	return false, nil
}
