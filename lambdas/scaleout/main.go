// Command scaleout is the Lambda function that an event invokes: it raises a target's count of workers at once.
package main

import (
	"context"

	"sluice/internal/function"
	"sluice/internal/scaler"
)

func main() {
	function.Start("scale_out", func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
		demand, err := s.Demand(payload)
		if err != nil {
			return nil, err
		}
		return s.ScaleOut(ctx, demand)
	})
}
