package broker

import (
	"slices"
	"time"
)

// State is where a task is.
type State uint8

// The states of a task. Of several copies the one that is furthest counts.
const (
	Waiting   State = iota // In a list, or unacknowledged by a worker that is gone.
	Flying                 // Popped, and not yet with its worker: in no key.
	Fetched                // With a worker that has not begun it.
	Executing              // With a worker that executes it.
	Done                   // It has run to its end, at least once.
	Expired                // A worker dropped it since its time to be executed was over.
	Lost                   // It is nowhere, and has not run to its end.
)

func (s State) String() string {
	return [...]string{"waiting", "flying", "fetched", "executing", "done", "expired", "lost"}[s]
}

// Delivery is one way of a task to a worker. Times that have not come are zero.
type Delivery struct {
	Worker  *Worker
	Tag     int       // Of the message: a restored one keeps it, a retry has another.
	Popped  time.Time // Taken from its list.
	Fetched time.Time // With the worker, and in unacked.
	Started time.Time
	Ended   time.Time // Zero if its execution was cut off.
	Acked   time.Time
	Back    time.Time // Given back to its list by the worker itself.
	// Restored is when its message was given back behind the worker's back, past the visibility timeout. What the worker still has is
	// a second copy, which is in no key.
	Restored time.Time
}

// Record is what is known of one task.
type Record struct {
	ID   ID
	Task Task
	Sent time.Time
	// State is as of now. Worker is who has it, where State is Flying, Fetched or Executing.
	State  State
	Worker *Worker
	// Runs counts the executions that came to their end; more than 1 is a doubled task, unless it retried.
	Runs    int
	Retried int
	Cut     int // Executions that were cut off.
	// Deliveries are all its ways to workers, oldest first. They must not be changed.
	Deliveries []Delivery
}

// record is one line of the ledger. live counts the copies that can still be executed or acknowledged: messages in Redis,
// messages on their way, requests in workers' memories.
type record struct {
	id      ID
	task    Task
	sent    time.Time
	live    int
	listed  int
	unacked int
	flying  int
	fetched int
	running int
	runs    int
	retried int
	cut     int
	done    bool
	expired bool
	lost    bool

	deliveries []Delivery
	one        [1]Delivery // The room of the first, which is nearly always the only one.
}

func (r *record) state() State {
	switch {
	case r.running > 0:
		return Executing
	case r.fetched > 0:
		return Fetched
	case r.flying > 0:
		return Flying
	case r.listed > 0, r.unacked > 0 && !r.done:
		return Waiting
	case r.done:
		return Done
	case r.expired:
		return Expired
	case r.live > 0:
		return Waiting
	}
	return Lost
}

// delivery is the place of the last delivery of the message with this tag; -1 if there is none.
func (r *record) delivery(tag int) int {
	for i := len(r.deliveries) - 1; i >= 0; i-- {
		if r.deliveries[i].Tag == tag {
			return i
		}
	}
	return -1
}

// ledger is what happened to every task.
type ledger struct {
	records []*record
	slab    []record // Room for the next records.
	done    int
	expired int
	lost    []ID
}

func (l *ledger) add(t Task, now time.Time) *record {
	if len(l.slab) == 0 {
		l.slab = make([]record, 64)
	}
	r := &l.slab[0]
	l.slab = l.slab[1:]
	r.id, r.task, r.sent = ID(len(l.records)), t, now
	r.deliveries = r.one[:0]
	l.records = append(l.records, r)
	return r
}

// drop notes that a copy of a task is no more.
func (l *ledger) drop(r *record) {
	r.live--
	if r.live == 0 && !r.done && !r.expired && !r.lost {
		r.lost = true
		l.lost = append(l.lost, r.id)
	}
}

// Sent is how many tasks were sent.
func (m *Model) Sent() int {
	m.lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// Done is how many tasks have run to their end, each counted once.
func (m *Model) Done() int {
	m.lock()
	defer m.mu.Unlock()
	return m.ledger.done
}

// Expired is how many tasks were dropped because they were too late.
func (m *Model) Expired() int {
	m.lock()
	defer m.mu.Unlock()
	return m.ledger.expired
}

// Lost returns the tasks that are nowhere and have not run to their end, in the order in which they were lost.
func (m *Model) Lost() []ID {
	m.lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lost)
}

// Record returns what is known of a task.
func (m *Model) Record(id ID) Record {
	m.lock()
	defer m.mu.Unlock()
	r := m.records[id]
	out := Record{
		ID: id, Task: r.task, Sent: r.sent, State: r.state(), Runs: r.runs, Retried: r.retried, Cut: r.cut,
		Deliveries: slices.Clip(r.deliveries),
	}
	if n := len(r.deliveries); n > 0 && out.State >= Flying && out.State <= Executing {
		out.Worker = r.deliveries[n-1].Worker
	}
	return out
}

// WaitingSince tells since when a task has been due and without a live worker that has it: since it was sent, became due or
// came back; a message that a vanished worker holds, since its visibility timeout ended. ok is false while it does not wait.
func (m *Model) WaitingSince(id ID) (since time.Time, ok bool) {
	m.lock()
	defer m.mu.Unlock()
	r := m.records[id]
	if r.state() != Waiting {
		return time.Time{}, false
	}
	for _, q := range m.ordered {
		for i := range q.lists {
			for _, msg := range q.lists[i].all() {
				if msg.record == r {
					since = m.waits(msg)
				}
			}
		}
	}
	for _, msg := range m.unacked {
		if msg.record == r {
			since = m.waits(msg)
		}
	}
	return since, !since.IsZero() && !since.After(m.now)
}

// LongestWait tells which task of the queues has waited longest in the sense of WaitingSince; ok is false if none waits. It
// looks at what is in Redis now, not at all that was ever sent.
func (m *Model) LongestWait(queues ...string) (id ID, since time.Time, ok bool) {
	m.lock()
	defer m.mu.Unlock()
	consider := func(msg *message) {
		at := m.waits(msg)
		if at.IsZero() || at.After(m.now) || ok && !at.Before(since) {
			return
		}
		id, since, ok = msg.record.id, at, true
	}
	for _, name := range queues {
		q := m.queues[name]
		if q == nil {
			continue
		}
		for i := range q.lists {
			for _, msg := range q.lists[i].all() {
				consider(msg)
			}
		}
	}
	for _, msg := range m.unacked {
		if slices.Contains(queues, msg.queue.name) {
			consider(msg)
		}
	}
	return id, since, ok
}

// waits is when a message began to wait for a worker, or will begin; zero if a live worker has it.
func (m *Model) waits(msg *message) time.Time {
	at := msg.since
	if msg.place == unacked {
		if msg.record.fetched+msg.record.running > 0 {
			return time.Time{}
		}
		at = at.Add(m.opts.VisibilityTimeout)
	}
	if msg.eta.After(at) {
		at = msg.eta
	}
	return at
}
