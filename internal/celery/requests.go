package celery

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// requests tells of each request: it is a hook of the client.
type requests func(operation string, err error)

// DialHook satisfies redis.Hook: a connection that cannot be made fails the request that it was for.
func (c requests) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook satisfies redis.Hook.
func (c requests) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		waited := cmd.Name() == "brpop" && past(ctx) // Nobody answered in time, and that is an answer.
		if errors.Is(err, redis.Nil) || waited {
			c(cmd.Name(), nil)
		} else {
			c(cmd.Name(), err)
		}
		return err
	}
}

// ProcessPipelineHook satisfies redis.Hook. What fails as a whole is an error; one key of another type is not.
func (c requests) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		if errors.Is(err, redis.Nil) || ofOneKey(err) {
			c("pipeline", nil)
		} else {
			c("pipeline", err)
		}
		return err
	}
}
