package fleet

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// each calls do for 0 to n-1, at most atOnce at a time, and returns the first error, which ends the context of the others. One
// alone needs no goroutine.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	if n == 1 {
		return do(ctx, 0)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
