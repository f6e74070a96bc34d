package celery

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// What a look reads at most of messages themselves. Above, the mere count stands: a long list is a backlog whatever the
// ETAs in it, and what workers hold is then held by everyone. A message of small arguments has 700 bytes.
const (
	maxMessages = 200     // Messages of one list, and of the unacked hash.
	maxRead     = 1 << 20 // Bytes of messages in one look, over all lists.
)

// peek reads the messages of short lists and of a small unacked hash, at one instant, within a budget of bytes.
//
//go:embed peek.lua
var peek string

// depth is what the keys say: of each list, and of what workers hold.
type depth struct {
	lists   map[string]list // By key.
	unacked hash
}

// list is one priority list of a queue.
type list struct {
	len  int
	err  error // Why it could not be read; it then has no length.
	read bool  // Whether messages holds all of them.
	// messages are the messages themselves, if there are few.
	messages []string
}

// hash is the unacked hash.
type hash struct {
	len     int
	expired int // How many of them are past the visibility timeout.
	err     error
	read    bool
	entries []entry
}

type entry struct {
	expired bool
	value   string // Empty if it is too large to be read.
}

// measure reads the keys of the queues. now is the broker's clock.
func (b *Broker) measure(ctx context.Context, queues []string, now time.Time) (depth, error) {
	var names []string
	for _, q := range queues {
		names = append(names, b.keys.lists(q)...)
	}
	expiry := strconv.FormatFloat(float64(now.Add(-b.opts.VisibilityTimeout).UnixMilli())/1e3, 'f', 3, 64)

	pipe := b.client.Pipeline()
	lens := make([]*redis.IntCmd, len(names))
	for i, name := range names {
		lens[i] = pipe.LLen(ctx, name)
	}
	unacked := pipe.HLen(ctx, b.keys.unacked())
	expired := pipe.ZCount(ctx, b.keys.unackedIndex(), "-inf", expiry)
	if _, err := pipe.Exec(ctx); err != nil && !ofOneKey(err) {
		return depth{}, err
	}

	d := depth{lists: make(map[string]list, len(names))}
	worth := false
	for i, name := range names {
		n, err := lens[i].Result()
		if err != nil && !ofOneKey(err) {
			return depth{}, err
		}
		d.lists[name] = list{len: int(n), err: err}
		worth = worth || n > 0 && n <= maxMessages
	}
	n, err := unacked.Result()
	if err != nil && !ofOneKey(err) {
		return depth{}, err
	}
	late, lateErr := expired.Result()
	if lateErr != nil && !ofOneKey(lateErr) {
		return depth{}, lateErr
	}
	d.unacked = hash{len: int(n), expired: int(late), err: errors.Join(err, lateErr)}
	worth = worth || n > 0 && n <= maxMessages
	if !worth {
		return d, nil
	}
	return d, b.peek(ctx, names, expiry, &d)
}

// peek replaces what measure found by one instant's whole picture, with the messages where they are few. A server that
// does not allow scripts leaves the counts as they are: all of them due.
func (b *Broker) peek(ctx context.Context, names []string, expiry string, d *depth) error {
	keys := append([]string{b.keys.unacked(), b.keys.unackedIndex()}, names...)
	answer, err := b.client.Eval(ctx, peek, keys, maxMessages, maxRead, expiry).Slice()
	if err != nil {
		var refused redis.Error
		if errors.As(err, &refused) {
			return nil
		}
		return err
	}
	if len(answer) != len(keys)-1 {
		return fmt.Errorf("read messages: the script answered %d of %d keys", len(answer), len(keys)-1)
	}
	if part, ok := answer[0].([]any); ok && len(part) >= 2 {
		d.unacked.read = part[1] == int64(1)
		if n, ok := part[0].(int64); ok {
			d.unacked.len = int(n)
		}
		for i := 2; i+1 < len(part); i += 2 {
			value, _ := part[i+1].(string)
			d.unacked.entries = append(d.unacked.entries, entry{expired: part[i] == int64(1), value: value})
		}
	}
	for i, name := range names {
		part, ok := answer[i+1].([]any)
		if !ok || len(part) < 2 {
			continue // Not a list: measure has the error.
		}
		l := list{read: part[1] == int64(1)}
		if n, ok := part[0].(int64); ok {
			l.len = int(n)
		}
		for _, m := range part[2:] {
			message, _ := m.(string)
			l.messages = append(l.messages, message)
		}
		d.lists[name] = l
	}
	return nil
}

// count sums the lists of each queue, and tells what is held of each, and what cannot be told: loose. started are the ids of
// the tasks that execute: with late acknowledgement they are among the unacked, and are active, not held.
func (b *Broker) count(d depth, queues []string, now time.Time, started map[string]bool) (byQueue map[string]policy.Queue, loose policy.Count) {
	due := now.Add(b.opts.Horizon)
	byQueue = make(map[string]policy.Queue, len(queues))
	asked := make(map[string]bool, len(queues))
	for _, name := range queues {
		asked[name] = true
		q := policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
		for _, key := range b.keys.lists(name) {
			l := d.lists[key]
			switch {
			case l.err != nil:
				q.Backlog = q.Backlog.Add(policy.Unknown(fmt.Sprintf("read the length of %q: %v", key, l.err)))
			case !l.read:
				q.Backlog.N += l.len
			default:
				for _, m := range l.messages {
					if eta := parseTask([]byte(m)).eta; eta.After(due) {
						q = later(q, eta)
					} else {
						q.Backlog.N++
					}
				}
			}
		}
		byQueue[name] = q
	}
	if d.unacked.err != nil {
		return byQueue, policy.Unknown(fmt.Sprintf("read what workers hold: %v", d.unacked.err))
	}
	if !d.unacked.read {
		return byQueue, policy.Known(d.unacked.len)
	}
	loose = policy.Known(0)
	for _, e := range d.unacked.entries {
		h, err := parseHeld([]byte(e.value))
		queue, certain := h.queueOf(asked)
		waits := h.eta.After(due)
		q := byQueue[queue]
		switch {
		case err != nil || !certain:
			if !waits {
				loose.N++
			}
			continue
		case !asked[queue], started[h.id]:
			continue // Another target's, or active.
		case waits:
			q = later(q, h.eta)
		case e.expired:
			q.Backlog.N++
		default:
			q.Held.N++
		}
		byQueue[queue] = q
	}
	return byQueue, loose
}

func later(q policy.Queue, eta time.Time) policy.Queue {
	q.Later++
	if q.NextDue.IsZero() || eta.Before(q.NextDue) {
		q.NextDue = eta
	}
	return q
}
