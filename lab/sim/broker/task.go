package broker

import "time"

// Forever is the Duration of a task that ends when End says so.
const Forever time.Duration = -1

// Task is what an application sends.
type Task struct {
	Name     string
	Queue    string
	Priority int           // 0 to 9. In Redis 0 is served first (section 1.1).
	Duration time.Duration // How long it executes; Forever until End.
	ETA      time.Time     // Zero: due when it is sent.
	Expires  time.Time     // From then on nobody executes it; zero: never.
	AcksLate bool          // Acknowledged at its end, not at its start. Spec.AcksLate makes it so for all tasks of a worker.
	// Retries is how often it ends by sending itself again, RetryIn ahead, with its old identity (task.retry(countdown=...)).
	Retries int
	RetryIn time.Duration
	// Routed says that it was sent through an exchange of another name, so that what is fetched of it does not tell its queue.
	Routed bool
}

// ID tells the tasks of a Model apart: 0 is the first that was sent.
type ID int

// place is where in Redis a message is.
type place uint8

const (
	nowhere place = iota // On its way, or acknowledged, or lost.
	listed
	unacked
)

// message is one message in Redis. A restored or returned message is the same one, with the same delivery tag; a retry is a new
// message of the same task.
type message struct {
	record  *record
	tag     int
	eta     time.Time
	retries int // How many are left.
	queue   *queue
	step    int // Of the queue's lists.

	place  place
	since  time.Time // When it came to where it is: in the unacked index, the time of reservation.
	index  int       // In the unacked hash.
	holder *Worker   // Who has fetched it last; not in Redis.
}

// steps are kombu's priority steps, one list each (section 1.1).
var steps = [...]int{0, 3, 6, 9}

// stepOf is the list for a priority: that of the largest step that is not above it.
func stepOf(priority int) int {
	at := 0
	for i, s := range steps {
		if priority >= s {
			at = i
		}
	}
	return at
}

// queue is one queue: a list for each priority step, and who is waiting is found among the workers.
type queue struct {
	name  string
	lists [len(steps)]list
}

func (q *queue) len() int {
	n := 0
	for i := range q.lists {
		n += q.lists[i].len()
	}
	return n
}

// list is a Redis list: producers push at the back, workers pop at the front.
type list struct {
	items []*message
	head  int
}

func (l *list) len() int { return len(l.items) - l.head }

func (l *list) all() []*message { return l.items[l.head:] }

func (l *list) pushBack(m *message) { l.items = append(l.items, m) }

func (l *list) pushFront(m *message) {
	if l.head == 0 {
		// Room for as many again, so that returning a whole window stays cheap.
		grown := make([]*message, len(l.items)+8, 2*len(l.items)+16)
		copy(grown[8:], l.items)
		l.items, l.head = grown, 8
	}
	l.head--
	l.items[l.head] = m
}

func (l *list) pop() *message {
	m := l.items[l.head]
	l.items[l.head] = nil
	l.head++
	if l.head == len(l.items) {
		l.items, l.head = l.items[:0], 0
	}
	return m
}
