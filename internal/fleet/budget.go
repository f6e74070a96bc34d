package fleet

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errBudget says that our own limit, and not ECS, refused a call.
var errBudget = errors.New("our own budget of calls, kept below ECS's rate limit, leaves no call before the deadline")

// budget is a token bucket that keeps calls below a rate limit.
type budget struct {
	now         func() time.Time
	burst, rate float64 // Calls; calls a second.

	mu     sync.Mutex
	tokens float64 // Negative while calls are waiting.
	at     time.Time
}

func newBudget(now func() time.Time, burst, rate float64) *budget {
	return &budget{now: now, burst: burst, rate: rate, tokens: burst, at: now()}
}

// take waits until a call may be made. It errs at once if that would be after ctx's deadline.
func (b *budget) take(ctx context.Context) error {
	wait, err := b.reserve(ctx)
	if err != nil || wait <= 0 {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *budget) reserve(ctx context.Context) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := b.now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	wait := time.Duration((1 - b.tokens) / b.rate * float64(time.Second))
	if deadline, ok := ctx.Deadline(); ok && wait > 0 && now.Add(wait).After(deadline) {
		return 0, errBudget
	}
	b.tokens--
	return wait, nil
}
