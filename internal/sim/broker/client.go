package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Cancel satisfies scaler.Broker.
func (c *Client) Cancel(ctx context.Context, nodes []policy.Node) error {
	return c.control(ctx, "cancel consumers", nodes, true)
}

// Consume satisfies scaler.Broker.
func (c *Client) Consume(ctx context.Context, nodes []policy.Node) error {
	return c.control(ctx, "add consumers", nodes, false)
}

// controlPatience is how long answers to Cancel, Consume and RateLimited are waited for.
const controlPatience = time.Second

func (c *Client) control(ctx context.Context, doing string, nodes []policy.Node, cancel bool) error {
	var commands []command
	var names [][]string
	for _, n := range nodes {
		for _, q := range n.Queues {
			commands = append(commands, command{queue: q, cancel: cancel})
			names = append(names, []string{n.Name})
		}
	}
	if len(commands) == 0 {
		return nil
	}
	if _, err := c.ask(ctx, commands, names, len(commands), controlPatience); err != nil {
		return failure(doing, err)
	}
	return nil
}

// RateLimited satisfies scaler.Broker.
func (c *Client) RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error) {
	limited := map[string]bool{}
	var names []string
	due := 0
	for _, n := range nodes {
		names = append(names, n.Name)
		due += n.Answers
	}
	if len(names) == 0 {
		return limited, nil
	}
	a, err := c.ask(ctx, []command{{rates: true}}, [][]string{names}, due, controlPatience)
	if err != nil {
		return nil, failure("ask for rate limits", err)
	}
	answered := map[string]bool{}
	for _, one := range a.answers {
		answered[one.name] = true
		for _, task := range one.rates {
			limited[task] = true
		}
	}
	for _, name := range names {
		if !answered[name] {
			return nil, failure("ask for rate limits", fmt.Errorf("%s did not answer", name))
		}
	}
	return limited, nil
}

// ask sends commands, each to the workers of its names (nil: all), and waits for due answers, for at most patience. It errs if
// they could not be sent; what is not answered is no error.
func (c *Client) ask(ctx context.Context, commands []command, names [][]string, due int, patience time.Duration) (*asking, error) {
	a := &asking{}
	if err := c.reach(ctx, true); err != nil {
		return nil, err
	}
	for i, cmd := range commands {
		cmd.ask = a
		a.listeners = max(a.listeners, c.m.broadcast(cmd, names[i]))
	}
	c.m.mu.Unlock()
	if due < 0 {
		due = a.listeners
	}
	wait := min(c.o.Answer, patience)
	for left := patience; due > 0; {
		err := c.o.Pause(ctx, wait)
		left -= wait
		c.m.lock()
		c.m.answerAll()
		over := err != nil || len(a.answers) >= due || left <= 0
		failed := c.m.fault == down || c.m.fault == hung
		c.m.mu.Unlock()
		switch {
		case failed && err == nil:
			return nil, fmt.Errorf("wait for replies: %w", errHung)
		case over:
			return a, nil
		}
		wait = min(left, max(patience/8, c.o.Answer))
	}
	return a, nil
}

// beatEvery and beatWindow are Celery's interval between heartbeats (section 3), and how long Beats listens.
const (
	beatEvery  = 2 * time.Second
	beatWindow = 2200 * time.Millisecond
)

// Beats satisfies scaler.Broker.
func (c *Client) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	heard := map[string]policy.Beat{}
	if expect <= 0 {
		return heard, nil
	}
	if err := c.reach(ctx, false); err != nil {
		return nil, failure("listen for heartbeats", err)
	}
	type beat struct {
		at time.Time
		w  *Worker
	}
	var due []beat
	begin := c.m.now
	for _, w := range c.m.workers {
		if w.phase == ready && !w.spec.NoHeartbeats {
			next := w.since.Add((begin.Sub(w.since)/beatEvery + 1) * beatEvery)
			due = append(due, beat{next, w})
		}
	}
	c.m.mu.Unlock()
	slices.SortStableFunc(due, func(a, b beat) int { return a.at.Compare(b.at) })
	at := begin
	for _, b := range due {
		if len(heard) >= expect {
			return heard, nil
		}
		if err := c.o.Pause(ctx, b.at.Sub(at)); err != nil {
			return heard, past(err)
		}
		at = b.at
		c.m.lock()
		w := b.w
		if w.phase == ready && !w.frozen && !(w.spec.Pool == Solo && len(w.running) > 0) {
			active := len(w.running)
			heard[w.spec.Name] = policy.Beat{Active: active, Processed: int64(w.processed), Version: w.spec.Version.String(), At: c.m.now}
		}
		c.m.mu.Unlock()
	}
	if len(heard) < expect {
		if err := c.o.Pause(ctx, begin.Add(beatWindow).Sub(at)); err != nil {
			return heard, past(err)
		}
	}
	return heard, nil
}

// past is the error of a context that was cancelled; one whose time is over is none: what was heard until then stands.
func past(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return failure("listen for heartbeats", err)
}
