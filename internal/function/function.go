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
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// configEnv names the configuration file. It is sluice.yaml beside the function's code if it is not set.
const configEnv = "SLUICE_CONFIG"

// UseCase handles one invocation: it reads the payload, calls the scaler and returns what is to be answered as JSON.
type UseCase func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error)

// Start runs the use case as a Lambda function. It does not return.
func Start(use UseCase) {
	log := lambdacontext.NewLogger()
	s, err := load(log)
	if err != nil {
		log.Error("configuration cannot be used", "error", err.Error())
	}
	lambda.Start(&handler{scaler: s, err: err, use: use, log: log})
}

func load(log *slog.Logger) (*scaler.Scaler, error) {
	path := os.Getenv(configEnv)
	if path == "" {
		path = filepath.Join(os.Getenv("LAMBDA_TASK_ROOT"), "sluice.yaml")
	}
	s, err := New(path, log, time.Now)
	if err != nil {
		return nil, &policy.Error{Kind: policy.InvalidConfig, Err: err}
	}
	return s, nil
}

// handler is the Lambda function. It takes and gives bytes, since a payload that is no JSON has to be answered, too.
type handler struct {
	scaler *scaler.Scaler
	err    error // Why there is no scaler.
	use    UseCase
	log    *slog.Logger
}

// Invoke handles one invocation.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if h.err != nil {
		return nil, named(h.err)
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	answer, err := h.use(ctx, h.scaler, payload)
	if err != nil {
		h.log.ErrorContext(ctx, "invocation ended in an error", "error", err.Error(), "kind", kind(err))
		return nil, named(err)
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

// named gives an error the name of its kind: Lambda reports the name of the Go type otherwise.
func named(err error) error {
	return messages.InvokeResponse_Error{Type: kind(err), Message: err.Error()}
}

// kind is the kind of the error. One that has none is a defect of ours, and is not worth a retry.
func kind(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return string(e.Kind)
	}
	return "InternalError"
}
