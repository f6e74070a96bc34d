package broker

import (
	"fmt"
	"slices"
	"time"
)

// server is what is in Redis, and how Redis itself is.
type server struct {
	queues   map[string]*queue
	ordered  []*queue   // The same, in order of first use.
	unacked  []*message // The hash with its index (section 2.1).
	tags     int
	locks    map[string]lock
	counters map[string]string

	fault    serverFault
	until    time.Time // When the fault ends.
	slow     time.Duration
	slowTill time.Time
	replica  *replica
	watches  bool // Whether messages are watched for the visibility timeout: a messageAges or sweepComes is among the events,
	watched  int  // and has this age.
}

// serverFault is what is wrong with Redis.
type serverFault uint8

const (
	well     serverFault = iota
	down                 // It refuses connections; those that were open are cut.
	hung                 // It answers nobody; connections stay.
	readOnly             // It refuses to write.
)

type lock struct {
	token string
	until time.Time
}

func newServer() server {
	return server{queues: map[string]*queue{}, locks: map[string]lock{}, counters: map[string]string{}}
}

func (s *server) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{name: name}
		s.queues[name] = q
		s.ordered = append(s.ordered, q)
	}
	return q
}

// Send sends a task. It errs while Redis cannot be written to.
func (m *Model) Send(t Task) (ID, error) {
	m.lock()
	defer m.mu.Unlock()
	if err := m.writable(); err != nil {
		return 0, fmt.Errorf("send task %s: %w", t.Name, err)
	}
	r := m.ledger.add(t, m.now)
	m.push(m.newMessage(r, t.ETA, t.Retries), false)
	return r.id, nil
}

func (m *Model) newMessage(r *record, eta time.Time, retries int) *message {
	m.tags++
	return &message{record: r, tag: m.tags, eta: eta, retries: retries, queue: m.queue(r.task.Queue), step: stepOf(r.task.Priority)}
}

// push puts a message into its list: at the back, or at the front, where it is the next to be popped. One of the workers that
// wait for it has it at once.
func (m *Model) push(msg *message, front bool) {
	msg.place, msg.since, msg.holder = listed, m.now, nil
	msg.record.live++
	msg.record.listed++
	if l := &msg.queue.lists[msg.step]; front {
		l.pushFront(msg)
	} else {
		l.pushBack(msg)
	}
	m.offer(msg.queue)
}

// reserve puts a message into the unacked hash (section 2.1).
func (m *Model) reserve(msg *message, w *Worker) {
	msg.place, msg.since, msg.holder, msg.index = unacked, m.now, w, len(m.unacked)
	m.unacked = append(m.unacked, msg)
	msg.record.live++
	msg.record.unacked++
	if !m.watches {
		m.watches = true
		m.at(m.opts.VisibilityTimeout, messageAges, nil, nil)
	}
}

// release takes a message out of the unacked hash; false if it is not there any more.
func (m *Model) release(msg *message) bool {
	if msg.place != unacked {
		return false
	}
	last := len(m.unacked) - 1
	m.unacked[msg.index] = m.unacked[last]
	m.unacked[msg.index].index = msg.index
	m.unacked[last] = nil
	m.unacked = m.unacked[:last]
	msg.place = nowhere
	msg.record.unacked--
	return true
}

// ack acknowledges a message, whoever holds it by now: its tag is the same. It fails while Redis cannot be written to; while it
// hangs, the worker waits, and nobody can see when it was done.
func (m *Model) ack(msg *message) bool {
	if m.fault == down || m.fault == readOnly || !m.release(msg) {
		return false
	}
	m.drop(msg.record)
	return true
}

// restore gives a message back to its list, if it is still unacknowledged. A worker's own return and the sweep push to the
// front, a rejection to the back (section 1.1). As ack, it may fail.
func (m *Model) restore(msg *message, front bool) bool {
	if m.fault == down || m.fault == readOnly || !m.release(msg) {
		return false
	}
	m.push(msg, front)
	m.drop(msg.record) // The copy in the hash; the one in the list is counted by now.
	return true
}

// watch looks for unacknowledged messages past the visibility timeout and, if there are any, has the first worker restore them that
// sweeps. With no worker alive nobody does (section 2.4).
func (m *Model) watch() {
	m.watched++
	m.watches = len(m.unacked) > 0
	if !m.watches {
		return
	}
	oldest := m.unacked[0].since
	for _, msg := range m.unacked {
		if msg.since.Before(oldest) {
			oldest = msg.since
		}
	}
	if expiry := oldest.Add(m.opts.VisibilityTimeout); expiry.After(m.now) {
		m.at(expiry.Sub(m.now), messageAges, nil, nil)
		return
	}
	var first *Worker
	for _, w := range m.workers {
		if w.sweeps() && (first == nil || w.sweepAfter(m.now).Before(first.sweepAfter(m.now))) {
			first = w
		}
	}
	switch {
	case first != nil:
		m.at(first.sweepAfter(m.now).Sub(m.now), sweepComes, first, nil)
	case len(m.workers) > 0:
		m.at(sweepEvery, messageAges, nil, nil) // One may be thawed, or fetch again.
	default:
		m.watches = false // The next worker that connects looks by itself.
	}
}

// sweep restores what is past the visibility timeout, of all queues.
func (m *Model) sweep() {
	if m.fault != well || len(m.unacked) == 0 {
		return
	}
	limit := m.now.Add(-m.opts.VisibilityTimeout)
	var old []*message
	for _, msg := range m.unacked {
		if !msg.since.After(limit) {
			old = append(old, msg)
		}
	}
	// Newest first, each in front of the one before (kombu's restore_visible asks in falling order).
	slices.SortFunc(old, func(a, b *message) int {
		if c := b.since.Compare(a.since); c != 0 {
			return c
		}
		return b.tag - a.tag
	})
	for _, msg := range old {
		d := msg.record.delivery(msg.tag) // Before it is restored: somebody else may fetch it at once.
		if m.restore(msg, true) && d >= 0 {
			msg.record.deliveries[d].Restored = m.now
		}
	}
}

// SetCounter sets a key that the application keeps; "" removes it.
func (m *Model) SetCounter(key, value string) {
	m.lock()
	defer m.mu.Unlock()
	if value == "" {
		delete(m.counters, key)
		return
	}
	m.counters[key] = value
}

// Len is how many messages wait in a queue's lists.
func (m *Model) Len(queue string) int {
	m.lock()
	defer m.mu.Unlock()
	if q := m.queues[queue]; q != nil {
		return q.len()
	}
	return 0
}

// Routed tells that something is fetched and not acknowledged of which the queue cannot be told.
func (m *Model) Routed() bool {
	m.lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.unacked, func(msg *message) bool { return msg.record.task.Routed })
}

// Unacked is how many messages are fetched and not acknowledged.
func (m *Model) Unacked() int {
	m.lock()
	defer m.mu.Unlock()
	return len(m.unacked)
}
