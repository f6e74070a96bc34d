// Package delivery hands something to a target as EventBridge and EventBridge Scheduler do: again and again while that fails,
// as often and as long as a retry policy says. What is given up then is the caller's to put into a dead-letter queue.
//
// See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html.
package delivery

import (
	"context"
	"errors"
	"time"
)

// Policy is a retry policy. The zero value tries once.
type Policy struct {
	Retries int           // MaximumRetryAttempts: how often at most after the first time.
	MaxAge  time.Duration // MaximumEventAgeInSeconds: how long after the first time at the most.
}

// Default is the retry policy of a target that names none.
var Default = Policy{Retries: 185, MaxAge: 24 * time.Hour}

// Error is a failure with the code that EventBridge puts beside a dead letter. Any other error has the code SDK_CLIENT_ERROR.
type Error struct {
	Code, Message string
	Permanent     bool // To try again is of no use: it has no permission, or there is no such target.
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The limits that a delivery may run out of, as the attribute EXHAUSTED_RETRY_CONDITION of a dead letter names them.
const (
	MaximumRetryAttempts = "MaximumRetryAttempts"
	MaximumEventAge      = "MaximumEventAgeInSeconds"
)

// GaveUp is the error of a delivery that failed for good.
type GaveUp struct {
	Retries   int    // After the first attempt.
	Exhausted string // The limit that it ran out of; empty if it was of no use to try again.
	Code      string // Of the last failure.
	Err       error  // The last failure.
}

func (g *GaveUp) Error() string { return g.Err.Error() }

// Unwrap returns the last failure.
func (g *GaveUp) Unwrap() error { return g.Err }

// The waits between two attempts: they double from the first to the longest. AWS does not say what its own are; these are
// short, for nothing is learnt from waiting.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// Do calls attempt until it succeeds. It returns a *GaveUp if it does not within what the policy allows, and the last error
// itself if the context ends.
func (p Policy) Do(ctx context.Context, attempt func(context.Context) error) error {
	began := time.Now()
	for retries := 0; ; retries++ {
		err := attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		given := &GaveUp{Retries: retries, Code: "SDK_CLIENT_ERROR", Err: err}
		var e *Error
		if errors.As(err, &e) {
			given.Code = e.Code
		}
		wait := min(firstWait<<min(retries, 10), maxWait)
		switch {
		case e != nil && e.Permanent:
			return given
		case retries >= p.Retries:
			given.Exhausted = MaximumRetryAttempts
			return given
		case time.Since(began)+wait > p.MaxAge:
			given.Exhausted = MaximumEventAge
			return given
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
