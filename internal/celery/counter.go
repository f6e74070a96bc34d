package celery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// Counter satisfies scaler.Broker. The key is the application's own: the key prefix, which is kombu's, is not put before
// it.
func (b *Broker) Counter(ctx context.Context, key string) (policy.Count, error) {
	text, err := b.client.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return policy.Known(0), nil
	case err != nil && ofOneKey(err):
		return policy.Unknown(fmt.Sprintf("read counter %s: %v", key, err)), nil
	case err != nil:
		return policy.Count{}, failure("read counter "+key, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 || n > maxCount {
		return policy.Unknown(fmt.Sprintf("read counter %s: %q is no count", key, shorten(text))), nil
	}
	return policy.Known(n), nil
}
