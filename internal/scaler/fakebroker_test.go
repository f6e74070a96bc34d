package scaler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/policy"
)

// ports notes the calls to both fakes in the order in which they come, and lets a test step in at each.
type ports struct {
	mu     sync.Mutex
	calls  []string
	before func(n int, call string) // Before the n-th call (from 1) has its effect; nil: nothing.
	after  func(n int, call string) // When it has had it.
}

// enter begins a call; what it returns ends it.
func (p *ports) enter(call string) (leave func()) {
	p.mu.Lock()
	p.calls = append(p.calls, call)
	n := len(p.calls)
	p.mu.Unlock()
	if p.before != nil {
		p.before(n, call)
	}
	return func() {
		if p.after != nil {
			p.after(n, call)
		}
	}
}

// made returns the calls that begin with one of the words, in their order.
func (p *ports) made(words ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, c := range p.calls {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(c, w) }) {
			out = append(out, c)
		}
	}
	return out
}

// fakeBroker answers with what the test put into it. Its workers obey Cancel and Consume, at once or later.
type fakeBroker struct {
	*ports
	mu      sync.Mutex
	now     func() time.Time
	look    policy.Look
	err     error
	beats   map[string]policy.Beat
	counter policy.Count
	looks   int
	asked   []string // The queues of the last look.
	onLook  func()

	obeyAfter    time.Duration   // How long a worker takes to do what Cancel or Consume told it.
	deaf         map[string]bool // Workers that never do.
	told         []effect        // What has been told and not done yet.
	limited      map[string]bool
	untracked    map[string][]string // By node.
	untrackedErr error
	limitedErr   error
	controlErr   error

	locks   map[string]fakeLock
	lockErr error
	// stuckLock is how many times the lock cannot be freed before it can.
	stuckLock int
}

// effect is what a worker will have done at a time.
type effect struct {
	at     time.Time
	node   string
	queues []string
}

type fakeLock struct {
	token string
	until time.Time
}

func (b *fakeBroker) Look(_ context.Context, queues []string, _ time.Duration) (policy.Look, error) {
	defer b.enter("look")()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	b.asked = queues
	b.obey()
	if b.onLook != nil {
		b.onLook()
	}
	look := b.look
	look.At = b.now()
	look.Nodes = slices.Clone(look.Nodes)
	return look, b.err
}

func (b *fakeBroker) Beats(context.Context, int) (map[string]policy.Beat, error) {
	defer b.enter("beats")()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beats, nil
}

func (b *fakeBroker) Cancel(_ context.Context, nodes []policy.Node) error {
	defer b.enter("cancel " + names(nodes))()
	return b.control(nodes, func(policy.Node) []string { return nil })
}

func (b *fakeBroker) Consume(_ context.Context, nodes []policy.Node) error {
	defer b.enter("consume " + names(nodes))()
	return b.control(nodes, func(n policy.Node) []string { return n.Queues })
}

// control refuses what the real broker refuses.
func (b *fakeBroker) control(nodes []policy.Node, queues func(policy.Node) []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, n := range nodes {
		if len(n.Queues) == 0 || slices.ContainsFunc(nodes[:i], func(m policy.Node) bool { return m.Name == n.Name }) {
			return fmt.Errorf("tell node %s: no queue is given, or it is listed twice", n.Name)
		}
	}
	if b.err != nil {
		return b.err
	}
	for _, n := range nodes {
		if !b.deaf[n.Name] {
			b.told = append(b.told, effect{b.now().Add(b.obeyAfter), n.Name, queues(n)})
		}
	}
	b.obey()
	return b.controlErr
}

// obey does what has been told and is due.
func (b *fakeBroker) obey() {
	now := b.now()
	b.told = slices.DeleteFunc(b.told, func(e effect) bool {
		if e.at.After(now) {
			return false
		}
		b.setQueues(e.node, e.queues)
		return true
	})
}

func (b *fakeBroker) setQueues(node string, queues []string) {
	b.change(node, func(n *policy.Node) { n.Queues = queues })
}

// change changes a worker, for the looks that follow.
func (b *fakeBroker) change(node string, change func(*policy.Node)) {
	b.look.Nodes = slices.Clone(b.look.Nodes)
	for i := range b.look.Nodes {
		if b.look.Nodes[i].Name == node {
			change(&b.look.Nodes[i])
		}
	}
}

func names(nodes []policy.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, strings.TrimPrefix(n.Name, "celery@"))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (b *fakeBroker) RateLimited(_ context.Context, nodes []policy.Node) (map[string]bool, error) {
	defer b.enter("rate limited " + names(nodes))()
	return b.limited, b.limitedErr
}

func (b *fakeBroker) Untracked(_ context.Context, nodes []policy.Node) (map[string][]string, error) {
	defer b.enter("untracked " + names(nodes))()
	return b.untracked, b.untrackedErr
}

func (b *fakeBroker) Lock(_ context.Context, name, token string, ttl time.Duration) (bool, error) {
	defer b.enter("lock")()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locks == nil {
		b.locks = map[string]fakeLock{}
	}
	if b.lockErr != nil {
		return false, b.lockErr
	}
	if held := b.locks[name]; b.now().Before(held.until) && held.token != token {
		return false, nil
	}
	b.locks[name] = fakeLock{token, b.now().Add(ttl)}
	return true, nil
}

func (b *fakeBroker) Unlock(_ context.Context, name, token string) error {
	defer b.enter("unlock")()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuckLock > 0 {
		b.stuckLock--
		return broken(policy.BrokerUnavailable, "failing over")
	}
	if b.locks[name].token == token {
		delete(b.locks, name)
	}
	return nil
}

func (b *fakeBroker) Counter(context.Context, string) (policy.Count, error) {
	return b.counter, b.err
}
