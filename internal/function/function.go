// Package function is what the three Lambda functions have in common: it loads sluice.yaml, builds the clients, and turns
// a use case of package scaler into a Lambda handler.
//
// The configuration is loaded once, at the start of the process, where AWS gives a function its full processor. A
// configuration that cannot be used does not crash the function: each invocation answers with the error InvalidConfig and
// every problem in it, where the state machine and the dead-letter queue show it to people. Clients connect when they are
// first used, so that a broker which is out of reach harms nobody but its own targets.
//
// Errors leave a function under the name of their kind (see policy.Kind), which the state machine's Retry matches on.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/internal/telemetry"
)

// configEnv names the configuration file. It is sluice.yaml beside the function's code if it is not set.
const configEnv = "SLUICE_CONFIG"

// UseCase handles one invocation: it reads the payload, calls the scaler and returns what is to be answered as JSON.
type UseCase func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error)

// Start runs the use case as a Lambda function, by the name that its spans have. It does not return.
func Start(name string, use UseCase) {
	StartWith(name, func(setup Setup) (Handler, error) {
		s, err := Scaler(setup)
		return func(ctx context.Context, payload []byte) (any, error) { return use(ctx, s, payload) }, err
	})
}

// limitMemory has garbage collected in time where the process gets near the memory of its function, which is ended beyond it.
// GOMEMLIMIT overrides it.
func limitMemory() {
	size, err := strconv.ParseInt(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32)
	if err == nil && size > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(size << 20 * 3 / 4)
	}
}

// Handler handles one invocation: it reads the payload and returns what is to be answered as JSON.
type Handler func(ctx context.Context, payload []byte) (any, error)

// StartWith runs a Lambda function that needs no scaler, but what one is made of: prepare makes its handler once. It does not return.
func StartWith(name string, prepare func(Setup) (Handler, error)) {
	limitMemory()
	lambda.Start(newHandler(name, lambdacontext.NewLogger(), os.Stdout, prepare))
}

// newHandler loads the configuration and has the handler prepared. What is wrong is answered at each invocation. Metrics are written to
// out, beside the log.
func newHandler(name string, log *slog.Logger, out io.Writer, prepare func(Setup) (Handler, error)) *handler {
	h := &handler{name: name, log: log, cold: true}
	setup, err := load(log)
	if err == nil {
		err = h.observe(&setup, out)
	}
	if err == nil {
		h.use, err = prepare(setup)
	}
	if err != nil {
		h.err = &policy.Error{Kind: policy.InvalidConfig, Err: err}
		log.Error("configuration cannot be used", "error", err.Error())
	}
	return h
}

// load reads the configuration, and AWS's settings from the environment. Nothing is connected to yet.
func load(log *slog.Logger) (Setup, error) {
	c, err := config.Load(configPath())
	if err != nil {
		return Setup{}, err
	}
	sdk, err := awsSettings()
	return Setup{Config: c, AWS: Whole(sdk), Log: log, Now: time.Now}, err
}

func configPath() string {
	if path := os.Getenv(configEnv); path != "" {
		return path
	}
	return filepath.Join(os.Getenv("LAMBDA_TASK_ROOT"), "sluice.yaml")
}

// handler is the Lambda function. It takes and gives bytes, since a payload that is no JSON has to be answered, too.
type handler struct {
	name    string
	use     Handler
	err     error // Why it cannot be used.
	log     *slog.Logger
	metrics *telemetry.Recorder
	traces  *telemetry.Traces
	cold    bool // Whether no invocation has been handled yet.
}

// Invoke handles one invocation.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if h.err != nil {
		return nil, named(h.err)
	}
	answer, err := h.answer(ctx, payload)
	h.report(ctx)
	if err != nil {
		return nil, named(err)
	}
	return answer, nil
}

// answer runs the use case, within a span and within its time.
func (h *handler) answer(ctx context.Context, payload []byte) (out []byte, err error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	ctx, span := h.traces.Start(ctx, h.invocation(ctx, payload))
	defer func() { telemetry.End(span, kind(err), err) }()
	answer, err := h.use(ctx, payload)
	if err != nil {
		h.log.ErrorContext(ctx, "invocation ended in an error", "error", err.Error(), "kind", kind(err))
		return nil, err
	}
	return json.Marshal(answer)
}

// spare is what an invocation keeps of its time for its answer.
const spare = 2 * time.Second

// inTime ends the context a little before Lambda ends the function. What has not been seen by then is unknown, and the answer
// says so beside all that was seen; a function that is ended answers nothing.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(spare, time.Until(deadline)/5)))
}

// maxMessage is how many bytes of an error's text are answered; the log has the rest. Step Functions bears 32,768 characters of an error,
// and a control character takes six.
const maxMessage = 4096

// named gives an error the name of its kind: Lambda reports the name of the Go type otherwise.
func named(err error) error {
	text := err.Error()
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage-len("...")], "") + "..."
	}
	return messages.InvokeResponse_Error{Type: kind(err), Message: text}
}

// kind is the kind of the error. One that has none is a defect of ours, and is not worth a retry.
func kind(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return string(e.Kind)
	}
	return string(policy.InternalError)
}
