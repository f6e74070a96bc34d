package asl

import (
	"context"
	"sync"
	"time"
)

// Clock is the time that an execution lives in, and how things happen at once in it.
type Clock interface {
	Now() time.Time
	// Sleep waits. It returns the context's error if that ends before.
	Sleep(ctx context.Context, d time.Duration) error
	// Within returns a context that ends after d in this time, or never by itself if d is 0.
	Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Join runs the functions at once and returns when all of them have returned.
	Join(fs ...func())
}

// RealClock is the time of the wall clock (and, within testing/synctest, of its bubble), with goroutines.
type RealClock struct{}

// Now returns the time.
func (RealClock) Now() time.Time { return time.Now() }

// Sleep waits for d or the end of the context.
func (RealClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Within is context.WithTimeout.
func (RealClock) Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// Join runs each function on a goroutine.
func (RealClock) Join(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}
