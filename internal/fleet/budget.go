package fleet

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

// errBudget says that our own limit, and not ECS, refused a call.
var errBudget = errors.New("our own budget of calls, kept below ECS's rate limit, leaves no call before the deadline")

// budget keeps calls below a rate limit. It is a rate.Limiter by a clock of its own: the limiter's own Wait knows only
// that of the machine.
type budget struct {
	now   func() time.Time
	calls *rate.Limiter
}

// newBudget allows burst calls at once, and perSecond in the long run.
func newBudget(now func() time.Time, burst int, perSecond rate.Limit) *budget {
	return &budget{now, rate.NewLimiter(perSecond, burst)}
}

// take waits until a call may be made. It errs at once if that would be after ctx's deadline.
func (b *budget) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := b.now()
	turn := b.calls.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && now.Add(wait).After(deadline) {
		turn.CancelAt(now)
		return errBudget
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.CancelAt(b.now())
		return ctx.Err()
	}
}
