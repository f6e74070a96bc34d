// Command check is the Lambda function that looks at all targets, or closely at one, and says what is to be done. Asked for a plan, it
// says what a sweep would do now, and leaves no trace.
package main

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"sluice/internal/function"
	"sluice/internal/scaler"
)

func main() {
	function.StartWith("check", func(setup function.Setup) (function.Handler, error) {
		s, err := function.Scaler(setup)
		return func(ctx context.Context, payload []byte) (any, error) {
			in, err := scaler.CheckInput(payload)
			switch {
			case err != nil:
				return nil, err
			case in.Plan != nil:
				trace.SpanFromContext(ctx).SetName("plan")
				plan, err := s.Plan(ctx, *in.Plan)
				return function.Plan{Plan: plan, Config: setup.Config.Fingerprint()}, err
			case in.Target == "":
				return s.CheckAll(ctx, in.Sweep), nil
			default:
				return s.CheckOne(ctx, in)
			}
		}, err
	})
}
