package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/internal/policy"
)

const (
	// controlPatience is how long answers to orders and questions are waited for, and controlLinger how long more of them
	// than are due: one tells that another worker bears the name. Both are the production adapter's.
	controlPatience = time.Second
	controlLinger   = 50 * time.Millisecond
)

// Cancel satisfies scaler.Broker.
func (c *Client) Cancel(ctx context.Context, nodes []policy.Node) error {
	return c.control(ctx, "stop fetching", nodes, true)
}

// Consume satisfies scaler.Broker.
func (c *Client) Consume(ctx context.Context, nodes []policy.Node) error {
	return c.control(ctx, "fetch again", nodes, false)
}

func (c *Client) control(ctx context.Context, doing string, nodes []policy.Node, cancel bool) error {
	if err := check(nodes, true); err != nil {
		return fmt.Errorf("tell nodes to %s: %w", doing, err)
	}
	if len(nodes) == 0 {
		return nil
	}
	var commands []command
	var names [][]string
	due := 0
	for _, n := range nodes {
		for _, q := range slices.Compact(slices.Sorted(slices.Values(n.Queues))) {
			i := slices.IndexFunc(commands, func(o command) bool { return o.queue == q })
			if i < 0 {
				i = len(commands)
				commands, names = append(commands, command{queue: q, cancel: cancel}), append(names, nil)
			}
			names[i] = append(names[i], n.Name)
			due += max(1, n.Answers)
		}
	}
	a, err := c.ask(ctx, commands, names, asked{due: due, patience: controlPatience, linger: controlLinger})
	if err != nil {
		return failure("tell nodes to "+doing, err)
	}
	for _, n := range nodes {
		for _, q := range n.Queues {
			got := 0
			for _, one := range a.answers {
				if one.name == n.Name && one.queue == q {
					got++
				}
			}
			if got > max(1, n.Answers) {
				return fmt.Errorf("tell nodes to %s: node %s: %d workers answered under this name, %d known: %w",
					doing, n.Name, got, max(1, n.Answers), errEqualNames)
			}
		}
	}
	return nil
}

var errEqualNames = errors.New("a command reaches all workers of a name")

// check refuses what the production adapter refuses to send.
func check(nodes []policy.Node, withQueues bool) error {
	for i, n := range nodes {
		switch {
		case n.Name == "":
			return fmt.Errorf("node %d of %d has no name", i+1, len(nodes))
		case slices.ContainsFunc(nodes[:i], func(o policy.Node) bool { return o.Name == n.Name }):
			return fmt.Errorf("node %s is listed twice: %w", n.Name, errEqualNames)
		case withQueues && (len(n.Queues) == 0 || slices.Contains(n.Queues, "")):
			return fmt.Errorf("node %s: a queue is missing", n.Name)
		}
	}
	return nil
}

// RateLimited satisfies scaler.Broker.
func (c *Client) RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error) {
	const doing = "ask nodes for rate limits"
	answers, short, err := c.registered(ctx, doing, nodes)
	if err == nil && len(short) > 0 {
		err = fmt.Errorf("%s: node %s: not all workers answered", doing, short[0])
	}
	limited := map[string]bool{}
	for _, a := range answers {
		for task := range a.rates {
			limited[task] = true
		}
	}
	return limited, err
}

// Untracked satisfies scaler.Broker.
func (c *Client) Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error) {
	answers, short, err := c.registered(ctx, "ask nodes for tasks with a strategy of their own", nodes)
	found := map[string][]string{}
	for _, name := range short {
		found[name] = []string{}
	}
	for _, a := range answers {
		if len(a.untracked) > 0 {
			found[a.name] = a.untracked
		}
	}
	return found, err
}

// registered asks nodes for their tasks, and returns which of them did not all answer.
func (c *Client) registered(ctx context.Context, doing string, nodes []policy.Node) (answers []answer, short []string, err error) {
	if err := check(nodes, false); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	if len(nodes) == 0 {
		return nil, nil, nil
	}
	var names []string
	due := 0
	for _, n := range nodes {
		names = append(names, n.Name)
		due += max(1, n.Answers)
	}
	a, err := c.ask(ctx, []command{{tasks: true}}, [][]string{names}, asked{due: due, patience: controlPatience})
	if err != nil {
		return nil, nil, failure(doing, err)
	}
	answered := map[string]int{}
	for _, one := range a.answers {
		answered[one.name]++
	}
	for _, n := range nodes {
		if answered[n.Name] < max(1, n.Answers) {
			short = append(short, n.Name)
		}
	}
	return a.answers, short, nil
}

// asked is what answers are waited for.
type asked struct {
	due      int           // Negative: one of each listener.
	patience time.Duration // For all of them.
	linger   time.Duration // For more, when all have come.
}

// ask sends commands, each to the workers of its names (nil: all), and waits for answers. It errs if they could not be sent, or
// Redis is gone before all have come; what is not answered is no error.
func (c *Client) ask(ctx context.Context, commands []command, names [][]string, wait asked) (*asking, error) {
	a := &asking{}
	if err := c.reach(ctx, true); err != nil {
		return nil, err
	}
	for i, cmd := range commands {
		cmd.ask = a
		a.listeners = max(a.listeners, c.m.broadcast(cmd, names[i]))
	}
	if wait.due < 0 {
		wait.due = a.listeners
	}
	if a.listeners == 0 {
		wait.due = 0
	}
	a.closed = wait.due == 0
	c.m.mu.Unlock()
	step, left := min(c.o.Answer, wait.patience), wait.patience
	for !a.closed {
		err := c.o.Pause(ctx, step)
		left -= step
		c.m.lock()
		c.m.answerAll()
		gone := err == nil && (c.m.fault == down || c.m.fault == hung)
		enough := len(a.answers) >= wait.due
		switch {
		case enough && wait.linger > 0 && err == nil:
			step, left, wait.linger = wait.linger, wait.linger, 0
		case gone || enough || err != nil || left <= 0:
			a.closed = true
		default:
			step = min(left, max(wait.patience/8, c.o.Answer))
		}
		c.m.mu.Unlock()
		if gone && !enough {
			return nil, fmt.Errorf("wait for replies: %w", errHung)
		}
	}
	return a, nil
}
