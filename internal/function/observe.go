package function

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/telemetry"
)

// namespaceEnv names the namespace of the metrics, which the deployment sets.
const namespaceEnv = "SLUICE_METRICS_NAMESPACE"

// observe has the scaler observed as the configuration says: by metrics, by traces, or by nobody.
func (h *handler) observe(s *Setup, out io.Writer) error {
	var observers telemetry.Observers
	if h.metrics = telemetry.NewRecorder(telemetry.Level(s.Config.Metrics.Level), os.Getenv(namespaceEnv), out, s.Now); h.metrics != nil {
		observers = append(observers, h.metrics)
		s.Called = h.metrics.Called
	}
	if t := s.Config.Traces; t != nil {
		traces, err := telemetry.NewTraces(t.Endpoint, t.Sample, s.Log, s.Now)
		if err != nil {
			return err
		}
		h.traces, observers = traces, append(observers, telemetry.Spans{})
	}
	if len(observers) > 0 {
		s.Observer = observers
	}
	return nil
}

// invocation is what Lambda says of the invocation.
func (h *handler) invocation(ctx context.Context, payload []byte) telemetry.Invocation {
	in := telemetry.Invocation{Function: h.name, Cold: h.cold, Payload: payload}
	h.cold = false
	if l, ok := lambdacontext.FromContext(ctx); ok {
		in.ID, in.ARN = l.AwsRequestID, l.InvokedFunctionArn
	}
	in.XRay, _ = ctx.Value("x-amzn-trace-id").(string) // As package lambda leaves it there.
	return in
}

// callSpan begins the span of a call to AWS.
func callSpan(r *http.Request) trace.Span {
	// Such as AmazonEC2ContainerServiceV20141113.DescribeServices. SNS, of the older protocols, names the operation in the body.
	operation := r.Header.Get("X-Amz-Target")
	name := cmp.Or(operation[strings.LastIndex(operation, ".")+1:], r.Method)
	_, span := telemetry.Call(r.Context(), name, attribute.String("rpc.system.name", "aws-api"),
		attribute.String("rpc.method", operation), attribute.String("server.address", r.URL.Hostname()))
	return span
}

// endCall ends the span of a call to AWS.
func endCall(span trace.Span, answer *http.Response, err error) {
	switch {
	case err != nil:
		telemetry.End(span, "transport", err)
	case answer.StatusCode >= 400:
		telemetry.End(span, strconv.Itoa(answer.StatusCode), errors.New(answer.Status))
	default:
		span.SetAttributes(attribute.Int("http.response.status_code", answer.StatusCode))
		span.End()
	}
}

// report writes the metrics and sends the traces of the invocation. What goes wrong there is logged, and spoils no answer.
func (h *handler) report(ctx context.Context) {
	if err := h.metrics.Flush(); err != nil {
		h.log.WarnContext(ctx, "metrics not written", "error", err.Error())
	}
	h.traces.Flush(ctx)
}
