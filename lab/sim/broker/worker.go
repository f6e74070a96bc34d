package broker

import (
	"cmp"
	"slices"
	"time"
)

// Version is a class of Celery versions that behave alike.
type Version uint8

// The classes, each with its kombu.
const (
	V57 Version = iota // 5.7: what was resumed survives a reconnect.
	V55                // 5.3 to 5.6.
	V52                // 5.2: loses what is popped while it stops.
)

func (v Version) String() string { return [...]string{"5.7.0", "5.6.3", "5.2.7"}[v] }

// Pool is what a worker executes its tasks in.
type Pool uint8

// The pools.
const (
	Prefork Pool = iota
	Threads
	Solo
	Gevent
)

// Spec says what worker to start.
type Spec struct {
	Name        string // The node's, such as celery@ip-10-0-0-7.ec2.internal. Several workers may bear one.
	Queues      []string
	Version     Version
	Pool        Pool
	Concurrency int // 0 is 1. Of Solo it is 1.
	// Prefetch is the prefetch multiplier: a window of Prefetch x Concurrency messages; 0 is Celery's 4.
	Prefetch int
	AcksLate bool // task_acks_late.
	// Rates limit tasks by name: the time between two starts in this worker.
	Rates         map[string]time.Duration
	Untracked     []string      // Names of tasks with a strategy of their own, such as celery-batches'.
	NoHeartbeats  bool          // --without-heartbeat.
	NoControl     bool          // worker_enable_remote_control=False.
	Boot          time.Duration // From the start to being ready. It takes nothing before (section 2.3).
	NeverReady    bool          // It boots for ever: a broken setting, a dependency that does not answer.
	StopsNot      bool          // It overhears SIGTERM, as under a shell that does not pass it on.
	ExitAfterStop time.Duration // From the end of its work to the end of its process.
	// Ended is called by Tick, once, when the process has ended, with its exit status and whether Kill ended it; nil: nobody
	// cares.
	Ended func(code int, killed bool) `json:"-"`
}

// phase is where a worker is in its life.
type phase uint8

const (
	booting phase = iota
	ready         // It has its connection.
	cut           // It has lost its connection and is about to have it again.
	stopping
	exiting // Its work is done, its process still there.
	gone
)

// Worker is one Celery worker.
type Worker struct {
	m    *Model
	spec Spec
	id   int
	age  int // It changes when events that were made before mean nothing any more.

	phase   phase
	since   time.Time // When it was ready last: the phase of its sweeps and heartbeats.
	told    bool      // It was told to stop,
	keeps   bool      // and gives nothing back,
	hangs   bool      // or never ends.
	frozen  bool
	wedged  bool // Deaf: no connection that is listened to, no loop.
	starved bool // It answers, claims its queues, and fetches nothing (kombu #2629).

	known     []string // The queues that it was configured with.
	selection []string // What it consumes after a reconnect.
	consuming []string // What it consumes; the order is that of its next pop.

	flight   *request   // Popped for it, and not with it yet.
	asked    time.Time  // When it first asked for what it has not been given yet.
	strays   []string   // The queues of a pop that is outstanding while nobody reads it,
	strayTo  time.Time  // and until when Redis keeps it open (section 2.3).
	fetched  []*request // What it has in unacked by its own reckoning, in order of fetching.
	etas     int        // How many of them are held for their ETA: the window grows by each.
	reserved []*request // What waits for room in the pool.
	running  []*request // What the pool executes.
	surplus  int        // How many more than it executes a Prefork pool has taken.
	owed     []*request // What its loop is yet to acknowledge though it takes it for done: see owes.
	rates    map[string]*rate

	orphans   []*message // What it had fetched when its connection was cut.
	processed int
	inbox     []command
	deferred  []event // What has happened while its loop stood still.
	frozenAt  time.Time
	exitCode  int
}

// rate is a token bucket with room for one.
type rate struct {
	every time.Duration
	next  time.Time // When the next may start.
	held  []*request
}

// request is a worker's memory of one message.
type request struct {
	worker  *Worker
	msg     *message
	way     int // Its place among the deliveries of its record.
	age     int
	unacked bool // Whether the worker still has to acknowledge it.
	eta     bool // Held for its ETA.
	ends    time.Time
	over    bool // Its execution has ended, and the worker has not noticed yet.
	mute    bool // It began in a warm stop of Prefork: nobody acknowledges it.
}

func (r *request) delivery() *Delivery { return &r.msg.record.deliveries[r.way] }

func (r *request) late() bool { return r.worker.spec.AcksLate || r.msg.record.task.AcksLate }

// Start starts a worker.
func (m *Model) Start(s Spec) *Worker {
	m.lock()
	defer m.mu.Unlock()
	s.Concurrency = max(1, s.Concurrency)
	if s.Pool == Solo {
		s.Concurrency = 1
	}
	s.Prefetch = cmp.Or(s.Prefetch, 4)
	m.started++
	w := &Worker{m: m, spec: s, id: m.started, known: s.Queues, selection: slices.Clone(s.Queues)}
	for name, every := range s.Rates {
		if w.rates == nil {
			w.rates = make(map[string]*rate, len(s.Rates))
		}
		w.rates[name] = &rate{every: every}
	}
	m.workers = append(m.workers, w)
	if !s.NeverReady {
		m.at(s.Boot, workerReady, w, nil)
	}
	return w
}

// Name is the node's name.
func (w *Worker) Name() string { return w.spec.Name }

// Spec is what the worker was started with.
func (w *Worker) Spec() Spec { return w.spec }

// connect is a worker's first connection, or a new one after one that was cut. It looks for expired messages first (section
// 2.4), and consumes what its selection says: what was cancelled stays so, and what was resumed is forgotten up to Celery 5.6
// (section 5).
func (m *Model) connect(w *Worker) {
	if m.fault == down {
		m.at(m.until.Sub(m.now), workerReady, w, nil)
		return
	}
	for _, msg := range w.orphans {
		m.restore(msg, true) // Whoever holds it by now: its tag is the same.
	}
	w.orphans = nil
	m.sweep()
	if !m.watches {
		m.watch()
	}
	w.phase, w.since, w.wedged, w.starved = ready, m.now, false, false
	w.consuming = append(w.consuming[:0], w.selection...)
	m.fetch(w)
}

// loops tells that the worker's loop runs and has a connection: that it fetches, and notices what has happened.
func (w *Worker) loops() bool { return w.phase == ready && !w.frozen && !w.wedged && !w.blocked() }

// speaks tells that the worker answers what it is asked. Gevent does so beside its loop (section 4.4).
func (w *Worker) speaks() bool {
	return w.phase == ready && !w.frozen && !w.wedged && (w.spec.Pool == Gevent || !w.blocked())
}

// blocked tells that its loop waits for a task: of Solo while it executes, of Gevent while its pool has no room for what it has
// just fetched.
func (w *Worker) blocked() bool {
	switch w.spec.Pool {
	case Solo:
		return len(w.running) > 0
	case Gevent:
		return len(w.reserved) > 0
	}
	return false
}

// sweeps tells that the worker looks for expired messages from time to time. One without queues does not (kombu's
// maybe_restore_messages), nor does Gevent, whose loop would have to hear nothing at all for two seconds: the answer to its own
// BRPOP comes each second (measured: never, with one worker and with three, Celery 5.2 and 5.7). It looks when it connects.
func (w *Worker) sweeps() bool { return w.loops() && len(w.consuming) > 0 && w.spec.Pool != Gevent }

// sweepEvery is kombu's: each tenth call of a timer of 10 s.
const sweepEvery = 100 * time.Second

// sweepAfter is when the worker sweeps next, after t.
func (w *Worker) sweepAfter(t time.Time) time.Time {
	return w.since.Add((t.Sub(w.since)/sweepEvery + 1) * sweepEvery)
}

// listens tells that PUBLISH on the control channel counts the worker. A blocked and a frozen one are counted (section 4.4).
func (w *Worker) listens() bool {
	return w.phase == ready && !w.spec.NoControl && (!w.wedged || w.spec.Version == V57)
}
