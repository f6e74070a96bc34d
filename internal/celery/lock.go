package celery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lock satisfies scaler.Broker. ttl is counted in whole milliseconds, by the server's clock. A lock whose holder is still at
// work when it expires is anybody's: Lock again, with the same token, tells whether it is still ours and prolongs it.
//
// The lock lives in one Redis. A failover may lose it, since replication is asynchronous: the new primary has then never heard
// of it, and two may hold it at once, until each asks again. Redlock and its kin would need several independent servers,
// which a Celery broker does not have. So the lock is there to keep two runs out of each other's way, and nothing rests on it
// alone: a worker is let go only when it has been seen drained and empty, whoever has drained it, and the holder looks
// again and asks again right before it acts. What two holders at once can do is resume what the other has drained, and the
// other then sees it consume. Losing the lock the other way, to a primary that is cut off, makes Lock err: nothing is done.
//
// No script is used, since some servers allow none; WATCH is there wherever kombu works, which needs it itself.
func (b *Broker) Lock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	switch {
	case name == "" || token == "":
		return false, errors.New("take a lock: it needs a name and a token")
	case ttl < time.Millisecond:
		return false, fmt.Errorf("take lock %s: its time to live, %v, is less than a millisecond", name, ttl)
	}
	ours, err := b.lock(ctx, b.keys.lock(name), token, ttl)
	if err != nil {
		return false, failure("take lock "+name, err)
	}
	return ours, nil
}

func (b *Broker) lock(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	err := b.client.SetArgs(ctx, key, token, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if !errors.Is(err, redis.Nil) {
		return err == nil, err
	}
	var kept *redis.BoolCmd
	ours, err := b.ifOurs(ctx, key, token, func(pipe redis.Pipeliner) { kept = pipe.PExpire(ctx, key, ttl) })
	return ours && kept.Val(), err
}

// Unlock satisfies scaler.Broker. A lock that has expired, or is another's by now, is no error.
func (b *Broker) Unlock(ctx context.Context, name, token string) error {
	if name == "" || token == "" {
		return errors.New("free a lock: it needs a name and a token")
	}
	key := b.keys.lock(name)
	if _, err := b.ifOurs(ctx, key, token, func(pipe redis.Pipeliner) { pipe.Del(ctx, key) }); err != nil {
		return failure("free lock "+name, err)
	}
	return nil
}

// ifOurs does something to a lock that token holds; the server does it only if nobody has touched the lock since that was read.
func (b *Broker) ifOurs(ctx context.Context, key, token string, do func(redis.Pipeliner)) (bool, error) {
	ours := false
	err := b.client.Watch(ctx, func(tx *redis.Tx) error {
		holder, err := tx.Get(ctx, key).Result()
		if errors.Is(err, redis.Nil) || err == nil && holder != token {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			do(pipe)
			return nil
		})
		ours = err == nil
		return err
	}, key)
	if errors.Is(err, redis.TxFailedErr) {
		return false, nil // Another has taken it in between.
	}
	return ours, err
}
