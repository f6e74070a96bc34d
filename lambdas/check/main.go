// Command check is the Lambda function that looks at all targets, or closely at one, and says what is to be done.
package main

import (
	"context"

	"sluice/internal/function"
	"sluice/internal/scaler"
)

func main() {
	function.Start("check", func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
		in, err := scaler.CheckInput(payload)
		if err != nil {
			return nil, err
		}
		if in.Target == "" {
			return s.CheckAll(ctx, in.Sweep), nil
		}
		return s.CheckOne(ctx, in)
	})
}
