package broker

import "time"

// happening is what an event is about.
type happening uint8

const (
	workerReady happening = iota // A worker has booted, or has its connection again.
	workerEnded                  // A worker's process is gone.
	popArrives                   // A popped message reaches its worker.
	putBack                      // A worker gives back a message of a queue that it no longer consumes.
	etaComes                     // A message that a worker holds becomes due.
	rateAllows                   // A worker may start the next task of a limited rate.
	taskEnds                     // A task has taken its time.
	loopTurns                    // A Gevent worker acknowledges what has begun.
	controlDone                  // A command takes effect after it was answered.
	messageAges                  // The oldest unacked message may be past the visibility timeout.
	sweepComes                   // A worker looks for messages past the visibility timeout.
	serverBack                   // Redis answers again.
)

// event is something that will happen. An event whose subject has changed meanwhile finds that out by itself: by the
// request's or the worker's age, which it carries.
type event struct {
	at      time.Time
	seq     uint64 // Of equal times the earlier made comes first.
	what    happening
	worker  *Worker
	request *request
	age     int // The worker's or the request's when the event was made; of messageAges and sweepComes the watch's.
}

// events is a heap of what will happen, the next first.
type events struct {
	heap []event
	seq  uint64
}

func (q *events) before(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (q *events) add(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.before(i, parent) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// due takes the next event out if its time has come.
func (q *events) due(now time.Time) (event, bool) {
	if len(q.heap) == 0 || q.heap[0].at.After(now) {
		return event{}, false
	}
	first := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.before(child, least) {
				least = child
			}
		}
		if least == i {
			break
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
	return first, true
}

// at makes an event after d.
func (m *Model) at(d time.Duration, what happening, w *Worker, r *request) {
	e := event{at: m.now.Add(max(0, d)), what: what, worker: w, request: r}
	switch {
	case what == messageAges || what == sweepComes:
		e.age = m.watched
	case r != nil:
		e.age = r.age
	case w != nil:
		e.age = w.age
	}
	m.events.add(e)
}
