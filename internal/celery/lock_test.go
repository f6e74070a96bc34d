package celery

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

func TestLock(t *testing.T) {
	m := miniredis.RunT(t)
	o := lookOptions(m.Addr())
	o.KeyPrefix = "acme:"
	broker := newBroker(t, o)
	lock := func(name, token string, ttl time.Duration, want bool) {
		t.Helper()
		if got, err := broker.Lock(t.Context(), name, token, ttl); err != nil || got != want {
			t.Errorf("lock %s by %s: %v, %v; want %v", name, token, got, err, want)
		}
	}
	unlock := func(name, token string) {
		t.Helper()
		if err := broker.Unlock(t.Context(), name, token); err != nil {
			t.Errorf("unlock %s by %s: %v", name, token, err)
		}
	}
	const key = "acme:sluice:lock:web"
	lock("web", "a", time.Minute, true)
	if got, _ := m.Get(key); got != "a" || m.TTL(key) != time.Minute {
		t.Errorf("the key holds %q for %v", got, m.TTL(key))
	}
	lock("web", "b", time.Minute, false)
	lock("mail", "b", time.Minute, true) // Another lock.
	unlock("web", "b")                   // Not b's.
	lock("web", "b", time.Minute, false)

	lock("web", "a", time.Hour, true) // Prolonged.
	if got := m.TTL(key); got != time.Hour {
		t.Errorf("the key lives for %v", got)
	}
	m.FastForward(2 * time.Minute)
	lock("web", "b", time.Minute, false)
	m.FastForward(time.Hour)
	lock("web", "b", time.Minute, true) // Expired: b's now.
	lock("web", "a", time.Minute, false)
	unlock("web", "a")
	lock("web", "b", time.Minute, true)
	unlock("web", "b")
	unlock("web", "b") // Nobody's.
	lock("web", "a", time.Minute, true)
}

func TestLockRefuses(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	for name, call := range map[string]func() error{
		"no name": func() error {
			ours, err := broker.Lock(t.Context(), "", "a", time.Minute)
			if ours {
				return nil
			}
			return err
		},
		"no token": func() error { _, err := broker.Lock(t.Context(), "web", "", time.Minute); return err },
		"no time": func() error {
			ours, err := broker.Lock(t.Context(), "web", "a", 0)
			if ours {
				return nil
			}
			return err
		},
		"too little time": func() error { _, err := broker.Lock(t.Context(), "web", "a", time.Millisecond-1); return err },
		"no name to free": func() error { return broker.Unlock(t.Context(), "", "a") },
		"no token's":      func() error { return broker.Unlock(t.Context(), "web", "") },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if keys := m.Keys(); len(keys) != 0 {
		t.Errorf("keys %q were made", keys)
	}
	if ours, err := broker.Lock(t.Context(), "web", "a", time.Millisecond); !ours || err != nil {
		t.Errorf("for a millisecond: %v, %v", ours, err)
	}
}

// Of many that want it at once one gets it, and the lock passes on only when it has been freed.
func TestLockIsOnes(t *testing.T) {
	_, addr := realRedis(t)
	var holders, taken atomic.Int64
	var all sync.WaitGroup
	for _, token := range []string{"a", "b", "c", "d"} {
		broker := newBroker(t, lookOptions(addr))
		all.Go(func() {
			for range 100 {
				ours, err := broker.Lock(t.Context(), "web", token, time.Minute)
				if err != nil {
					t.Errorf("lock by %s: %v", token, err)
				}
				if !ours {
					continue
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				again, err := broker.Lock(t.Context(), "web", token, time.Minute)
				if err != nil || !again {
					t.Errorf("prolong by %s: %v, %v", token, again, err)
				}
				holders.Add(-1)
				if err := broker.Unlock(t.Context(), "web", token); err != nil {
					t.Errorf("unlock by %s: %v", token, err)
				}
			}
		})
	}
	all.Wait()
	if taken.Load() < 2 {
		t.Errorf("the lock was taken %d times", taken.Load())
	}
}

// A lock that passes to another between reading it and freeing it, or prolonging it, is left to the other.
func TestLockLostInBetween(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, b *Broker) (bool, error){
		"prolong": func(ctx context.Context, b *Broker) (bool, error) { return b.Lock(ctx, "web", "a", time.Minute) },
		"free":    func(ctx context.Context, b *Broker) (bool, error) { return false, b.Unlock(ctx, "web", "a") },
	} {
		t.Run(name, func(t *testing.T) {
			client, addr := realRedis(t)
			key := testKeys().lock("web")
			client.Set(t.Context(), key, "a", time.Minute)
			broker := newBroker(t, lookOptions(addr))
			broker.client.AddHook(before{"multi", func() { client.Set(t.Context(), key, "b", time.Hour) }})
			if ours, err := call(t.Context(), broker); ours || err != nil {
				t.Errorf("ours %v, %v", ours, err)
			}
			if holder, ttl := client.Get(t.Context(), key).Val(), client.TTL(t.Context(), key).Val(); holder != "b" || ttl < 59*time.Minute {
				t.Errorf("the lock is %q's for %v, want b's for an hour", holder, ttl)
			}
		})
	}
}

// A lock that expires while it is prolonged is nobody's.
func TestLockExpiresInBetween(t *testing.T) {
	broker := newBroker(t, lookOptions(respServer(t, func(command []string) string {
		return map[string]string{
			"SET": "$-1\r\n", "WATCH": "+OK\r\n", "GET": "$1\r\na\r\n", "MULTI": "+OK\r\n", "PEXPIRE": "+QUEUED\r\n", "EXEC": "*1\r\n:0\r\n",
			"HELLO": "-ERR unknown command 'HELLO'\r\n", "UNWATCH": "+OK\r\n",
		}[command[0]]
	})))
	if ours, err := broker.Lock(t.Context(), "web", "a", time.Minute); ours || err != nil {
		t.Errorf("ours %v, %v", ours, err)
	}
}

func TestLockAtBrokenBroker(t *testing.T) {
	closed := testenv.RefusingAddr(t)
	guarded := miniredis.RunT(t)
	guarded.RequireAuth("another")
	odd := miniredis.RunT(t)
	_, _ = odd.Lpush(testKeys().lock("web"), "a list")
	for name, c := range map[string]struct {
		addr string
		kind policy.Kind
		says string
	}{
		"refused":      {closed, policy.BrokerUnavailable, "connection refused"},
		"no password":  {guarded.Addr(), policy.BrokerRefused, "NOAUTH"},
		"another type": {odd.Addr(), policy.BrokerUnavailable, "WRONGTYPE"},
	} {
		t.Run(name, func(t *testing.T) {
			broker := newBroker(t, lookOptions(c.addr))
			ours, err := broker.Lock(t.Context(), "web", "a", time.Minute)
			for what, err := range map[string]error{"take": err, "free": broker.Unlock(t.Context(), "web", "a")} {
				var typed *policy.Error
				if !errors.As(err, &typed) || typed.Kind != c.kind || !strings.HasPrefix(err.Error(), what+" lock web: ") || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v; want kind %s and %q", what, err, c.kind, c.says)
				}
			}
			if ours {
				t.Error("the lock was taken")
			}
		})
	}
}

// before calls a function before each pipeline that begins with the named command is sent; a transaction's is multi.
type before struct {
	name string
	call func()
}

func (b before) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b before) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if commands[0].Name() == b.name {
			b.call()
		}
		return next(ctx, commands)
	}
}
