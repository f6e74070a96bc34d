package celery

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A key that is not there is an answer, and so is that nobody answered in time. All else that fails is told.
func TestCalled(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	broken, wrong := errors.New("i/o timeout"), redisError("WRONGTYPE Operation against a key holding the wrong kind of value")
	for _, c := range []struct {
		name      string
		ctx       context.Context
		operation string // "pipeline" is one.
		err, want error
	}{
		{"well", t.Context(), "get", nil, nil},
		{"no such key", t.Context(), "get", redis.Nil, nil},
		{"broken", t.Context(), "get", broken, broken},
		{"of another type", t.Context(), "get", wrong, wrong},
		{"out of time", over, "get", broken, broken},
		{"nobody answered in time", over, "brpop", broken, nil},
		{"broken while it waited", t.Context(), "brpop", broken, broken},
		{"a pipeline", t.Context(), "pipeline", nil, nil},
		{"a pipeline, no such key", t.Context(), "pipeline", redis.Nil, nil},
		{"a pipeline, one key of another type", t.Context(), "pipeline", wrong, nil},
		{"a pipeline that is broken", t.Context(), "pipeline", broken, broken},
	} {
		type call struct {
			operation string
			err       error
		}
		var told []call
		hook := requests(func(operation string, err error) { told = append(told, call{operation, err}) })
		var err error
		if c.operation == "pipeline" {
			err = hook.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return c.err })(c.ctx, nil)
		} else {
			err = hook.ProcessHook(func(context.Context, redis.Cmder) error { return c.err })(c.ctx, redis.NewCmd(c.ctx, c.operation, "key"))
		}
		if len(told) != 1 || told[0] != (call{c.operation, c.want}) || !errors.Is(err, c.err) {
			t.Errorf("%s: told of %v, and returned %v; want %v, %v", c.name, told, err, c.want, c.err)
		}
	}
}

// redisError is an error as the server answers it.
type redisError string

func (e redisError) Error() string { return string(e) }

func (redisError) RedisError() {}

// TestUnreached holds that nothing is read from, or written to, a connection that could not be made.
func TestUnreached(t *testing.T) {
	refused := errors.New("connection refused")
	conn := unreached{refused}
	for name, do := range map[string]func([]byte) (int, error){"read": conn.Read, "write": conn.Write} {
		if n, err := do(make([]byte, 8)); n != 0 || !errors.Is(err, refused) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}
