package celery

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// What a look reads at most of messages themselves. Above, the mere count stands: a long list is a backlog whatever the
// ETAs in it, and what workers hold is then held by everyone. A message of small arguments has 700 bytes.
const (
	maxMessages = 200     // Messages of one list.
	maxHeld     = 2000    // Entries of the unacked hash: what all workers of the broker have fetched.
	maxRead     = 1 << 20 // Bytes of messages in one look, over all lists and the hash, which gets three quarters at most.
)

// peek reads the messages of short lists and of a small unacked hash, at one instant, within a budget of bytes.
//
//go:embed peek.lua
var peek string

// depth is what the keys say: of each list, and of what workers hold.
type depth struct {
	lists   map[string]list   // By key.
	heads   map[string]string // The message at the head of each list, as a digest, by key.
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
	err     error
	read    bool
	entries []entry
}

type entry struct {
	tag     string // Its delivery tag.
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
	heads := pipe.Eval(ctx, headsScript, names)
	var said redis.Error // Of one command: the server answers the others all the same.
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &said) {
		return depth{}, err
	}

	d := depth{lists: make(map[string]list, len(names)), heads: map[string]string{}}
	if digests, err := heads.StringSlice(); err == nil && len(digests) == len(names) {
		for i, name := range names {
			if len(digests[i]) <= digestLen {
				d.heads[name] = digests[i]
			}
		}
	}
	worth := false
	for i, name := range names {
		n, err := lens[i].Result()
		if err != nil && !ofOneKey(err) {
			return depth{}, err
		}
		length, wrong := countOf(n)
		d.lists[name] = list{len: length, err: firstErr(err, wrong)}
		worth = worth || length > 0 && length <= maxMessages
	}
	n, err := unacked.Result()
	if err != nil && !ofOneKey(err) {
		return depth{}, err
	}
	late, lateErr := expired.Result()
	if lateErr != nil && !ofOneKey(lateErr) {
		return depth{}, lateErr
	}
	length, wrong := countOf(n)
	_, lateWrong := countOf(late)
	d.unacked = hash{len: length, err: errors.Join(err, lateErr, wrong, lateWrong)}
	worth = worth || length > 0 && length <= maxHeld
	if !worth {
		return d, nil
	}
	return d, b.peek(ctx, names, expiry, &d)
}

// peek replaces what measure found by one instant's whole picture, with the messages where they are few. A server that
// does not allow scripts leaves the counts as they are: all of them due.
func (b *Broker) peek(ctx context.Context, names []string, expiry string, d *depth) error {
	keys := append([]string{b.keys.unacked(), b.keys.unackedIndex()}, names...)
	answer, err := b.client.Eval(ctx, peek, keys, maxMessages, maxHeld, maxRead, expiry).Slice()
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
	if n, messages, all, ok := partOf(answer[0], 3*maxHeld); ok {
		d.unacked.len, d.unacked.read = n, all
		for i := 0; i+2 < len(messages); i += 3 {
			tag, _ := messages[i].(string)
			value, _ := messages[i+2].(string)
			if len(tag) > maxName {
				d.unacked.read = false // Nothing tells it from another whose name begins like this.
				break
			}
			d.unacked.entries = append(d.unacked.entries, entry{tag: tag, expired: messages[i+1] == int64(1), value: value})
		}
	}
	for i, name := range names {
		n, messages, all, ok := partOf(answer[i+1], maxMessages)
		if !ok {
			continue // Not a list: measure has the error.
		}
		l := list{len: n, read: all}
		for _, m := range messages {
			message, _ := m.(string)
			l.messages = append(l.messages, message)
		}
		d.lists[name] = l
	}
	return nil
}

// partOf reads what the script answers of one key: its length, what there is of it, and whether that is all. It is not ok if the key
// is of another type, or if the script would not have answered so.
func partOf(answer any, most int) (length int, messages []any, all, ok bool) {
	part, _ := answer.([]any)
	if len(part) < 2 || len(part)-2 > most {
		return 0, nil, false, false
	}
	n, isNumber := part[0].(int64)
	length, err := countOf(n)
	return length, part[2:], part[1] == int64(1), isNumber && err == nil
}

// count sums the lists of each queue, and tells what is held of each, and what cannot be told: loose. started are the ids of
// the tasks that execute and have not been acknowledged: they are among the unacked, and are active, not held.
func (b *Broker) count(look *policy.Look, d depth, queues []string, started map[string]int) {
	due := look.At.Add(b.opts.Horizon)
	look.Queues = make(map[string]policy.Queue, len(queues))
	for _, name := range queues {
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
			q.HeadSince = older(q.HeadSince, b.heads.since(key, d.headOf(key, due), look.At))
		}
		look.Queues[name] = q
	}
	b.countHeld(look, d.unacked, due, started)
}

// countHeld tells what workers have fetched, singly and summed up. A task may be there twice under one id: its message executes in
// one worker, too slowly for the visibility timeout, and another has fetched it again, or a retry of it. As many are active as
// workers say, those without an ETA first.
func (b *Broker) countHeld(look *policy.Look, unacked hash, due time.Time, started map[string]int) {
	switch {
	case unacked.err != nil:
		look.Loose = policy.Unknown(fmt.Sprintf("read what workers hold: %v", unacked.err))
		return
	case !unacked.read:
		look.Loose = policy.Known(unacked.len)
		look.FetchedKnown = unacked.len == 0
		return
	}
	look.Loose = policy.Known(0)
	look.FetchedKnown = true
	type one struct {
		entry
		held
		err error
	}
	all := make([]one, len(unacked.entries))
	for i, e := range unacked.entries {
		all[i].entry = e
		all[i].held, all[i].err = parseHeld([]byte(e.value))
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(a.eta.Compare(b.eta), cmp.Compare(a.tag, b.tag)) })
	for _, e := range all {
		h, err := e.held, e.err
		queue, certain := h.queueOf(func(name string) bool { _, asked := look.Queues[name]; return asked })
		waits := h.eta.After(due)
		f := policy.Fetched{Tag: e.tag, Task: h.name, Due: h.eta, Expired: e.expired, Later: waits}
		q, asked := look.Queues[queue]
		switch {
		case err == nil && started[h.id] > 0 && !h.eta.After(look.At):
			started[h.id]--
			continue // Active. One whose ETA lies ahead is a retry of it.
		case certain && !asked:
			continue // Another target's.
		case !certain: // Nor is the queue of one that cannot be read.
			if !waits {
				look.Loose.N++
			}
			look.FetchedKnown = false
			look.Fetched = append(look.Fetched, f)
			continue
		case waits:
			q = later(q, h.eta)
		case e.expired:
			q.Backlog.N++
		default:
			q.Held.N++
		}
		look.Queues[queue] = q
		look.FetchedKnown = look.FetchedKnown && h.name != ""
		f.Queue = queue
		look.Fetched = append(look.Fetched, f)
	}
	slices.SortFunc(look.Fetched, func(a, b policy.Fetched) int { return cmp.Compare(a.Tag, b.Tag) })
}

func later(q policy.Queue, eta time.Time) policy.Queue {
	q.Later++
	if q.NextDue.IsZero() || eta.Before(q.NextDue) {
		q.NextDue = eta
	}
	return q
}
