package celery

import (
	"strconv"
)

// keys makes the names of all keys and channels that kombu and Celery use on Redis. Each is made here and nowhere else.
// The prefix is put before every key and channel, and before no member of a set.
type keys struct {
	prefix  string
	sep     string
	steps   []int
	db      int
	control string
	events  string
}

// lists are the keys of one queue: a list for each priority step. Producers LPUSH, workers BRPOP; empty lists vanish.
func (k keys) lists(queue string) []string {
	names := make([]string, 0, len(k.steps))
	for _, step := range k.steps {
		name := k.prefix + queue
		if step != 0 {
			name += k.sep + strconv.Itoa(step)
		}
		names = append(names, name)
	}
	return names
}

// unacked is a hash, owned by the workers: delivery tag to [message, exchange, routing key] of what they have fetched
// and not acknowledged, of all queues and all workers of the database.
func (k keys) unacked() string { return k.prefix + "unacked" }

// unackedIndex is a sorted set, owned by the workers: delivery tag by the time, in Unix seconds, at which it was fetched.
func (k keys) unackedIndex() string { return k.prefix + "unacked_index" }

// controlChannel is the channel that every worker with remote control is subscribed to. Channels know no databases, so
// the name carries it.
func (k keys) controlChannel() string {
	return k.prefix + "/" + strconv.Itoa(k.db) + "." + k.controlExchange()
}

// heartbeatChannel is the channel of the workers' heartbeats.
func (k keys) heartbeatChannel() string {
	return k.prefix + "/" + strconv.Itoa(k.db) + "." + k.events + "/worker.heartbeat"
}

func (k keys) controlExchange() string { return k.control + ".pidbox" }

func (k keys) replyExchange() string { return "reply." + k.control + ".pidbox" }

// replyBindings is a set, shared with every other client of the remote control: where workers send replies to.
func (k keys) replyBindings() string { return k.prefix + "_kombu.binding." + k.replyExchange() }

// replyBinding is our member of replyBindings while a look runs: routing key, pattern (none) and queue.
func (k keys) replyBinding(oid string) string {
	return oid + k.sep + k.sep + k.replyQueue(oid)
}

// replyQueue names the queue that workers push replies to; its lists are named like those of any queue.
func (k keys) replyQueue(oid string) string { return oid + "." + k.replyExchange() }

// lock is a string, owned by whoever's token it holds, which expires: the lock of that name. It is Sluice's own key, the only one.
func (k keys) lock(name string) string { return k.prefix + "sluice:lock:" + name }
