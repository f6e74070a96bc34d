package broker

import (
	"slices"
	"time"

	"sluice/internal/policy"
)

// command is a message on the control channel that a worker has received and may not have dealt with yet.
type command struct {
	ask    *asking
	queue  string
	cancel bool // cancel_consumer; else, if queue is not empty, add_consumer.
	tasks  bool // Which tasks it has.
}

// asking is one broadcast and what has been answered to it.
type asking struct {
	listeners int
	answers   []answer
	closed    bool // Nobody waits for answers any more.
}

// answer is what one worker said of itself.
type answer struct {
	name   string
	queue  string // Of cancel_consumer and add_consumer.
	queues []string
	active int
	open   []ID // Of the active ones those whose message is still to be acknowledged.
	oldest time.Time
	// Of the tasks that it has: those whose rate is limited, and those with a strategy of their own.
	rates     map[string]*rate
	untracked []string
}

// broadcast gives a command to every worker that listens, or to those of the names, and returns how many heard it.
func (m *Model) broadcast(c command, names []string) int {
	heard := 0
	for _, w := range m.workers {
		if !w.listens() {
			continue
		}
		heard++
		if names == nil || slices.Contains(names, w.spec.Name) {
			if !w.wedged {
				w.inbox = append(w.inbox, c)
			}
		}
	}
	return heard
}

// answerAll has every worker that can deal with what it received do so.
func (m *Model) answerAll() {
	for _, w := range m.workers {
		if len(w.inbox) > 0 {
			m.awake(w)
		}
	}
}

// serve deals with one command. The answer to cancel_consumer and add_consumer comes before their effect (section 5).
func (m *Model) serve(w *Worker, c command) {
	a := answer{name: w.spec.Name}
	switch {
	case c.queue != "":
		a.queue = c.queue
		m.command(w, c)
	case c.tasks:
		a.rates, a.untracked = w.rates, w.spec.Untracked
	default:
		a.queues = slices.Clone(w.consuming)
		if w.spec.Pool == Solo {
			break
		}
		for _, r := range w.running {
			if w.untracked(r) {
				continue
			}
			a.active++
			if r.unacked && !slices.Contains(w.owed, r) {
				a.open = append(a.open, r.msg.record.id)
			}
			if at := r.delivery().Started; a.oldest.IsZero() || at.Before(a.oldest) {
				a.oldest = at
			}
		}
	}
	if !c.ask.closed {
		c.ask.answers = append(c.ask.answers, a)
	}
}

// untracked tells that a request executes by a strategy of its task's own: no answer and no total shows it.
func (w *Worker) untracked(r *request) bool {
	return slices.Contains(w.spec.Untracked, r.msg.record.task.Name)
}

// command begins the effect of cancel_consumer or add_consumer.
func (m *Model) command(w *Worker, c command) {
	lag := resumeLag
	switch {
	case c.cancel && w.spec.Pool == Gevent:
		lag = cancelLagGevent
	case c.cancel:
		lag = cancelLag
	case w.spec.Version == V52:
		lag = time.Duration(m.opts.Rand.Int64N(int64(resumeLagOld)))
	}
	r := &request{worker: w, msg: &message{queue: m.queue(c.queue)}, eta: c.cancel}
	m.at(lag, controlDone, w, r)
}

// obey is the effect.
func (m *Model) obey(w *Worker, e event) {
	if w.phase != ready {
		return
	}
	name, cancel := e.request.msg.queue.name, e.request.eta
	at := slices.Index(w.consuming, name)
	switch {
	case cancel:
		w.selection = slices.DeleteFunc(w.selection, func(q string) bool { return q == name })
		if at >= 0 {
			if w.room() {
				w.stray()
			}
			w.consuming = slices.Delete(w.consuming, at, at+1)
		}
	case at < 0:
		w.consuming = append(w.consuming, name)
		// Up to Celery 5.6 a known queue is consumed again and not selected again: a reconnect forgets it (section 5).
		if w.spec.Version == V57 || !slices.Contains(w.known, name) {
			w.selection = append(w.selection, name)
		}
	}
}

// node is what a look says of a worker that has answered.
func (a answer) node() policy.Node {
	queues := append([]string(nil), a.queues...)
	slices.Sort(queues)
	return policy.Node{Name: a.name, Answers: 1, Queues: queues, Active: policy.Known(a.active), OldestStart: a.oldest}
}
