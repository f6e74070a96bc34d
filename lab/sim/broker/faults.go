package broker

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// replica is what a replica has, since it follows no more.
type replica struct {
	listed  []*message // In the order of their lists.
	unacked []*message
	since   map[*message]time.Time
	locks   map[string]lock
}

// Outage has Redis refuse connections for d, and cuts those that are open: a restart that keeps its data, a network that
// rejects. Workers come back after it, and behave as after Reconnect.
func (m *Model) Outage(d time.Duration) {
	m.lock()
	defer m.mu.Unlock()
	m.breaks(down, d)
	for _, w := range slices.Clone(m.workers) {
		m.cut(w)
	}
}

// Hang has Redis answer nobody for d; connections stay: SIGSTOP, a slow disk, a huge command.
func (m *Model) Hang(d time.Duration) {
	m.lock()
	defer m.mu.Unlock()
	m.breaks(hung, d)
}

// ReadOnly has Redis refuse writes for d: a replica that clients still take for the primary. Workers fetch nothing meanwhile.
func (m *Model) ReadOnly(d time.Duration) {
	m.lock()
	defer m.mu.Unlock()
	m.breaks(readOnly, d)
}

// Slow has each answer to a client take d longer, for the time given.
func (m *Model) Slow(d, during time.Duration) {
	m.lock()
	defer m.mu.Unlock()
	m.slow, m.slowTill = d, m.now.Add(during)
}

func (m *Model) breaks(f serverFault, d time.Duration) {
	m.fault, m.until = f, m.now.Add(d)
	m.at(d, serverBack, nil, nil)
}

// back is the end of a fault, if no later one holds.
func (m *Model) back() {
	if m.fault == well || m.until.After(m.now) {
		return
	}
	m.fault = well
	for _, w := range slices.Clone(m.workers) {
		m.fetch(w)
	}
}

// Lag has the replica follow no more from now on: what Failover then promotes lacks all later writes.
func (m *Model) Lag() {
	m.lock()
	defer m.mu.Unlock()
	r := &replica{since: map[*message]time.Time{}, locks: maps.Clone(m.locks), unacked: slices.Clone(m.unacked)}
	for _, q := range m.ordered {
		for i := range q.lists {
			r.listed = append(r.listed, q.lists[i].all()...)
		}
	}
	for _, msg := range r.listed {
		r.since[msg] = msg.since
	}
	for _, msg := range r.unacked {
		r.since[msg] = msg.since
	}
	m.replica = r
}

// Failover promotes the replica after an outage of d. What was written since Lag is gone, locks too: what was sent meanwhile is
// lost, what was fetched or acknowledged is back. Without Lag nothing is lost.
func (m *Model) Failover(d time.Duration) {
	m.lock()
	defer m.mu.Unlock()
	m.breaks(down, d)
	for _, w := range slices.Clone(m.workers) {
		m.cut(w)
	}
	if m.replica == nil {
		return
	}
	var before []*record
	for _, q := range m.ordered {
		for i := range q.lists {
			for _, msg := range q.lists[i].all() {
				msg.place = nowhere
				msg.record.listed--
				before = append(before, msg.record)
			}
			q.lists[i] = list{}
		}
	}
	for _, msg := range slices.Clone(m.unacked) {
		m.release(msg)
		before = append(before, msg.record)
	}
	for _, msg := range m.replica.listed {
		msg.place, msg.since = listed, m.replica.since[msg]
		msg.record.listed++
		msg.record.live++
		msg.queue.lists[msg.step].pushBack(msg)
	}
	for _, msg := range m.replica.unacked {
		m.reserve(msg, nil)
		msg.since = m.replica.since[msg]
	}
	m.watch() // They may be older than what was watched for.
	m.locks, m.replica = m.replica.locks, nil
	for _, r := range before {
		m.drop(r)
	}
	// What was lost since may be there again.
	m.lost = slices.DeleteFunc(m.lost, func(id ID) bool {
		m.records[id].lost = m.records[id].live == 0
		return !m.records[id].lost
	})
}

// Errors of a Redis that is not well.
var (
	errDown     = errors.New("connect: connection refused")
	errHung     = errors.New("i/o timeout")
	errReadOnly = errors.New("READONLY You can't write against a read only replica")
)

// writable is why Redis cannot be written to; nil if it can.
func (m *Model) writable() error {
	switch m.fault {
	case down:
		return errDown
	case hung:
		return errHung
	case readOnly:
		return errReadOnly
	}
	return nil
}
