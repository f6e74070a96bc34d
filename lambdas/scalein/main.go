// Command scalein is the Lambda function that lowers a target's count of workers, after it has seen for itself that the
// target is idle.
package main

import (
	"context"

	"sluice/internal/function"
	"sluice/internal/scaler"
)

func main() {
	function.Start("scale_in", func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
		in, err := scaler.ScaleInInput(payload)
		if err != nil {
			return nil, err
		}
		return s.ScaleIn(ctx, in)
	})
}
