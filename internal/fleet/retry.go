package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
)

// read has a call tried again as the SDK does by default: on throttling, 5xx, broken connections; and on lost answers.
func (f *Fleet) read(b *budget) func(*ecs.Options) {
	late := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if errors.As(err, new(*lateError)) {
			return aws.TrueTernary
		}
		return aws.UnknownTernary
	})
	return f.call(b, append([]retry.IsErrorRetryable{late}, retry.DefaultRetryables...))
}

// write has a call tried again only if ECS refused it because of its rate, and so surely did not do it.
func (f *Fleet) write(b *budget) func(*ecs.Options) {
	return f.call(b, []retry.IsErrorRetryable{
		retry.IsErrorRetryableFunc(func(err error) aws.Ternary { return aws.BoolTernary(throttled(err)) }),
	})
}

func (f *Fleet) call(b *budget, retryables []retry.IsErrorRetryable) func(*ecs.Options) {
	return func(o *ecs.Options) {
		o.Retryer = paced{b, retry.NewStandard(func(so *retry.StandardOptions) {
			so.MaxAttempts = f.opts.Attempts
			so.MaxBackoff = f.opts.MaxBackoff
			so.Retryables = retryables
		})}
		o.APIOptions = append(slices.Clip(o.APIOptions), func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(f.deadline(), "Retry", middleware.After)
		})
	}
}

// paced takes every attempt out of the budget, the first one and the further ones: one that is throttled costs as much as
// one that is answered.
type paced struct {
	budget *budget
	*retry.Standard
}

func (p paced) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := p.budget.take(ctx); err != nil {
		return nil, err
	}
	return p.Standard.GetAttemptToken(ctx)
}

// lateError is an attempt that ECS did not answer in time. The SDK takes an expired context for the caller's wish to end
// the call, and would not try again.
type lateError struct{ after time.Duration }

func (e *lateError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

// deadline bounds each attempt, and tells of it.
func (f *Fleet) deadline() middleware.FinalizeMiddleware {
	return middleware.FinalizeMiddlewareFunc("AttemptDeadline", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		attempt, cancel := context.WithTimeout(ctx, f.opts.AttemptTimeout)
		defer cancel()
		out, md, err := next.HandleFinalize(attempt, in)
		if err != nil && attempt.Err() != nil && ctx.Err() == nil {
			err = &lateError{f.opts.AttemptTimeout}
		}
		f.opts.Called(awsmiddleware.GetOperationName(ctx), err)
		return out, md, err
	})
}
