package celery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/celery/resp"
)

// What is read of the replies to one broadcast. What lies beyond counts as not answered. A worker's active tasks take
// about 1 KB each at rest, and 3 KB at most: their arguments come shortened.
const (
	maxReplies    = 5000
	maxReplyBytes = 32 << 20
)

// Reply bindings that a crashed run left behind are removed when they are this old.
const staleAfter = 10 * time.Minute

// What is taken of one step through the set of reply bindings: a few hundred as a rule, of 90 bytes.
const (
	maxStale   = 500
	maxBinding = 256
)

// oidPrefix marks the reply bindings of looks; the Unix time follows, for the sweep.
const oidPrefix = "sluice-"

// round is one round of commands over kombu's mailbox.
type round struct {
	commands []command
	patience time.Duration // How long answers are waited for.
	// linger is how long, once all that are due have come, more answers are waited for: those of workers that share a name.
	linger time.Duration
	// atomic has the server take all commands or none of them, whenever the connection breaks. In cluster mode it cannot be.
	atomic bool
}

// broadcast is what came of one round of commands.
type broadcast struct {
	listeners int  // How many workers heard it.
	counted   bool // Whether listeners is known: not in cluster mode.
	replies   []reply
}

// ask sends the commands of a round and gathers the answers.
func (b *Broker) ask(ctx context.Context, r round) (broadcast, error) {
	now := time.Now()
	oid := oidPrefix + strconv.FormatInt(now.Unix(), 10) + "-" + uuid()
	tickets := map[string]string{}
	var frames [][]byte
	for _, c := range r.commands {
		frame, err := b.keys.frame(c, oid, now, r.patience)
		if err != nil {
			return broadcast{}, err
		}
		tickets[c.ticket] = c.method
		frames = append(frames, frame)
	}
	stale := []string{b.keys.replyBinding(oid)}
	defer func() { b.forget(ctx, stale) }()
	left, listeners, err := b.publish(ctx, oid, frames, r.atomic)
	if err != nil {
		return broadcast{}, err
	}
	stale = append(stale, left...)

	got := broadcast{counted: !b.opts.ClusterMode}
	due, addressed := 0, false
	for i, n := range listeners {
		if c := r.commands[i]; c.nodes != nil {
			addressed = true
			due += c.answers
		} else {
			due += n
		}
		got.listeners = max(got.listeners, n)
	}
	if got.counted && got.listeners == 0 {
		return got, nil
	}
	if !addressed && !got.counted {
		due = maxReplies
	}
	got.replies, err = b.gather(ctx, oid, tickets, min(due, maxReplies), r)
	return got, err
}

// publish binds the reply queue and sends the frames. It returns how many workers each frame reached, and the bindings
// that are ours and stale.
func (b *Broker) publish(ctx context.Context, oid string, frames [][]byte, atomic bool) (stale []string, listeners []int, err error) {
	pipe := b.client.Pipeline()
	if atomic && !b.opts.ClusterMode {
		pipe = b.client.TxPipeline()
	}
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
	if sent, err := pipe.Exec(ctx); err != nil {
		return nil, nil, reason(sent, err)
	}
	for _, h := range heard {
		n, err := countOf(h.Val())
		if err != nil {
			return nil, nil, fmt.Errorf("count who listens: %w", err)
		}
		listeners = append(listeners, n)
	}
	members, cursor := scan.Val()
	b.sweep.Store(cursor)
	limit := time.Now().Add(-staleAfter).Unix()
	for _, m := range members {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(m, oidPrefix), "-")
		at, err := strconv.ParseInt(stamp, 10, 64)
		if err == nil && at < limit && len(m) <= maxBinding && len(stale) < maxStale {
			stale = append(stale, m)
		}
	}
	return stale, listeners, nil
}

// gather reads up to due replies, for at most the round's patience, and then what comes while it lingers.
func (b *Broker) gather(ctx context.Context, oid string, tickets map[string]string, due int, r round) ([]reply, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	queue := b.keys.lists(b.keys.replyQueue(oid))
	left := room(b.opts.AnswerBytes)
	var replies []reply
	for size := 0; due > 0 && size < maxReplyBytes; {
		// Redis blocks for whole seconds here; the context ends the last wait early, and its connection with it.
		popped, err := b.client.BRPop(ctx, time.Second, queue...).Result()
		switch {
		case past(ctx):
			return replies, nil
		case errors.Is(err, redis.Nil):
			breathe(ctx)
			continue
		case errors.Is(err, resp.ErrTooLarge):
			due--
			breathe(ctx)
			continue
		case err != nil:
			return nil, fmt.Errorf("wait for replies: %w", err)
		}
		if len(popped) != 2 { // The list and its element.
			return nil, fmt.Errorf("wait for replies: the server answers BRPOP with %d values", len(popped))
		}
		size += len(popped[1])
		if answer, ok := parseReply([]byte(popped[1]), tickets, &left); ok {
			replies = append(replies, answer)
			due--
		}
	}
	return b.linger(ctx, queue[0], tickets, r.linger, replies, &left)
}

// breathe waits a moment, or until ctx ends: a server that answers at once where it should wait must not keep a processor busy.
func breathe(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}

// linger adds the replies that come within d. It asks again and again, because Redis blocks for whole seconds.
func (b *Broker) linger(ctx context.Context, queue string, tickets map[string]string, d time.Duration, replies []reply, left *room) ([]reply, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end) && len(replies) < maxReplies; {
		select {
		case <-ctx.Done():
			return replies, nil
		case <-tick.C:
		}
		popped, err := b.client.RPop(ctx, queue).Result()
		switch {
		case past(ctx):
			return replies, nil
		case errors.Is(err, redis.Nil), errors.Is(err, resp.ErrTooLarge):
			continue
		case err != nil:
			return nil, fmt.Errorf("wait for replies: %w", err)
		}
		if answer, ok := parseReply([]byte(popped), tickets, left); ok {
			replies = append(replies, answer)
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
