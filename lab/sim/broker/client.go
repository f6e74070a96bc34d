package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// ClientOptions set up a Client.
type ClientOptions struct {
	Horizon time.Duration // As celery.Options.Horizon.
	// VisibilityTimeout is what the client takes it for; 0 is the model's.
	VisibilityTimeout time.Duration
	// Pause lets time pass: it returns when d is over, or ctx is done, with its error. It is called without the model's lock,
	// so that anything may happen meanwhile. nil returns at once.
	Pause func(ctx context.Context, d time.Duration) error
	// RoundTrip is the time of one command and its answer; 0 is 1 ms.
	RoundTrip time.Duration
	// Answer is the time that a worker takes to answer; 0 is 3 ms (section 4.5).
	Answer time.Duration
}

// Client is one connection pool to the Redis: a scaler.Broker.
type Client struct {
	m *Model
	o ClientOptions
}

// Client returns a client.
func (m *Model) Client(o ClientOptions) *Client {
	if o.VisibilityTimeout == 0 {
		o.VisibilityTimeout = m.opts.VisibilityTimeout
	}
	if o.RoundTrip == 0 {
		o.RoundTrip = time.Millisecond
	}
	if o.Answer == 0 {
		o.Answer = 3 * time.Millisecond
	}
	if o.Pause == nil {
		o.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
	return &Client{m: m, o: o}
}

// commandTimeout is the production adapter's: how long a Redis that does not answer is waited for.
const commandTimeout = 2 * time.Second

// reach makes one round trip, as far as Redis allows it, and leaves the model locked if it returns nil.
func (c *Client) reach(ctx context.Context, writes bool) error {
	c.m.lock()
	fault, trip := c.m.fault, c.o.RoundTrip
	if c.m.now.Before(c.m.slowTill) {
		trip += c.m.slow
	}
	c.m.mu.Unlock()
	if fault == hung {
		if err := c.o.Pause(ctx, commandTimeout); err != nil {
			return err
		}
		c.m.lock()
		if c.m.fault == hung {
			c.m.mu.Unlock()
			return errHung
		}
		return nil
	}
	if trip > commandTimeout {
		if err := c.o.Pause(ctx, commandTimeout); err != nil {
			return err
		}
		return errHung
	}
	if err := c.o.Pause(ctx, trip); err != nil {
		return err
	}
	c.m.lock()
	if err := c.m.writable(); err != nil && (writes || err != errReadOnly) {
		c.m.mu.Unlock()
		return err
	}
	return nil
}

func failure(doing string, err error) error {
	return &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("%s: %w", doing, err)}
}

// Counter satisfies scaler.Broker.
func (c *Client) Counter(ctx context.Context, key string) (policy.Count, error) {
	if err := c.reach(ctx, false); err != nil {
		return policy.Count{}, failure("read counter "+key, err)
	}
	defer c.m.mu.Unlock()
	text, ok := c.m.counters[key]
	if !ok {
		return policy.Known(0), nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return policy.Unknown(fmt.Sprintf("read counter %s: %q is no count", key, text)), nil
	}
	return policy.Known(n), nil
}

// Lock satisfies scaler.Broker.
func (c *Client) Lock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	if err := c.reach(ctx, true); err != nil {
		return false, failure("lock "+name, err)
	}
	defer c.m.mu.Unlock()
	if l, ok := c.m.locks[name]; ok && l.token != token && l.until.After(c.m.now) {
		return false, nil
	}
	c.m.locks[name] = lock{token: token, until: c.m.now.Add(ttl)}
	return true, nil
}

// Unlock satisfies scaler.Broker.
func (c *Client) Unlock(ctx context.Context, name, token string) error {
	if err := c.reach(ctx, true); err != nil {
		return failure("unlock "+name, err)
	}
	defer c.m.mu.Unlock()
	if l, ok := c.m.locks[name]; ok && l.token == token {
		delete(c.m.locks, name)
	}
	return nil
}
