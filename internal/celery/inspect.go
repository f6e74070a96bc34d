package celery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The only commands that are sent to inspect. Both answer from any pool but a solo one that executes, and neither can fail to
// be encoded by the worker: reserved, scheduled, stats, and active without safe leave a worker deaf if an argument of a
// task, or a transport option, cannot be written in the application's serializer.
const (
	methodQueues = "active_queues"
	methodActive = "active"
)

// What is read of the replies to one broadcast. What lies beyond counts as not answered. A worker's active tasks take
// about 1 KB each at rest, and 3 KB at most: their arguments come shortened.
const (
	maxReplies    = 5000
	maxReplyBytes = 32 << 20
)

// Reply bindings that a crashed run left behind are removed when they are this old.
const staleAfter = 10 * time.Minute

// oidPrefix marks the reply bindings of looks; the Unix time follows, for the sweep.
const oidPrefix = "sluice-"

// broadcast is what came of one round of commands.
type broadcast struct {
	listeners int  // How many workers heard it.
	counted   bool // Whether listeners is known: not in cluster mode.
	replies   []reply
}

// ask sends inspect commands to all workers and gathers the answers, for at most patience.
func (b *Broker) ask(ctx context.Context, methods []string, patience time.Duration) (broadcast, error) {
	now := time.Now()
	oid := oidPrefix + strconv.FormatInt(now.Unix(), 10) + "-" + uuid()
	tickets := map[string]string{}
	var frames [][]byte
	for _, method := range methods {
		c := command{method: method, ticket: uuid()}
		if method == methodActive {
			c.arguments = map[string]any{"safe": true}
		}
		frame, err := b.keys.frame(c, oid, now, patience)
		if err != nil {
			return broadcast{}, err
		}
		tickets[c.ticket] = method
		frames = append(frames, frame)
	}
	stale := []string{b.keys.replyBinding(oid)}
	defer func() { b.forget(ctx, stale) }()
	left, listeners, err := b.publish(ctx, oid, frames)
	if err != nil {
		return broadcast{}, err
	}
	stale = append(stale, left...)

	got := broadcast{counted: !b.opts.ClusterMode}
	due := 0
	for _, n := range listeners {
		due += n
		got.listeners = max(got.listeners, n)
	}
	if got.counted && due == 0 {
		return got, nil
	}
	if !got.counted || due > maxReplies {
		due = maxReplies
	}
	got.replies, err = b.gather(ctx, oid, tickets, due, patience)
	return got, err
}

// publish binds the reply queue and sends the frames. It returns how many workers each frame reached, and the bindings
// that are ours and stale.
func (b *Broker) publish(ctx context.Context, oid string, frames [][]byte) (stale []string, listeners []int, err error) {
	pipe := b.client.Pipeline()
	pipe.SAdd(ctx, b.keys.replyBindings(), b.keys.replyBinding(oid))
	// One step of a scan on each look: whatever the size of the set, it is gone through in time.
	scan := pipe.SScan(ctx, b.keys.replyBindings(), b.sweep.Load(), oidPrefix+"*", 100)
	if b.opts.ClusterMode {
		// The parts of a pipeline run on several nodes at once: the binding has to stand before any worker hears us.
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, nil, err
		}
		pipe = b.client.Pipeline()
	}
	var heard []*redis.IntCmd
	for _, frame := range frames {
		heard = append(heard, pipe.Publish(ctx, b.keys.controlChannel(), frame))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, err
	}
	for _, h := range heard {
		listeners = append(listeners, int(h.Val()))
	}
	members, cursor := scan.Val()
	b.sweep.Store(cursor)
	limit := time.Now().Add(-staleAfter).Unix()
	for _, m := range members {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(m, oidPrefix), "-")
		if at, err := strconv.ParseInt(stamp, 10, 64); err == nil && at < limit {
			stale = append(stale, m)
		}
	}
	return stale, listeners, nil
}

// gather reads up to due replies, for at most patience.
func (b *Broker) gather(ctx context.Context, oid string, tickets map[string]string, due int, patience time.Duration) ([]reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	queue := b.keys.lists(b.keys.replyQueue(oid))
	var replies []reply
	for size := 0; due > 0 && size < maxReplyBytes; {
		// Redis blocks for whole seconds here; the context ends the last wait early, and its connection with it.
		popped, err := b.client.BRPop(ctx, time.Second, queue...).Result()
		switch {
		case past(ctx):
			return replies, nil
		case errors.Is(err, redis.Nil):
			continue
		case errors.Is(err, errTooLarge):
			due--
			continue
		case err != nil:
			return nil, fmt.Errorf("wait for replies: %w", err)
		}
		size += len(popped[1])
		if r, ok := parseReply([]byte(popped[1]), tickets); ok {
			replies = append(replies, r)
			due--
		}
	}
	return replies, nil
}

// past tells that a context has ended. Its deadline is on the connection too, and there it is often noticed a moment earlier.
func past(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// forget removes reply bindings and whatever was replied to them, also when ctx has ended. What cannot be removed now is removed
// by the sweep of a later look.
func (b *Broker) forget(ctx context.Context, bindings []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	pipe := b.client.Pipeline()
	members := make([]any, len(bindings))
	for i, binding := range bindings {
		members[i] = binding
		oid, _, _ := strings.Cut(binding, b.keys.sep)
		pipe.Del(ctx, b.keys.lists(b.keys.replyQueue(oid))...)
	}
	pipe.SRem(ctx, b.keys.replyBindings(), members...)
	_, _ = pipe.Exec(ctx)
}
