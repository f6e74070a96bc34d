package ecs

import (
	"slices"
	"time"
)

// Runner starts what runs inside tasks.
type Runner interface {
	// Start starts the task and returns at once; an error means that it could not be started. The Runner calls ended
	// exactly once when nothing of the task is left, never before Start has returned and not from inside a call to the
	// Process; the model's lock is held during Start and the Process's methods. A simulator in one goroutine has them note
	// what is to come, and calls ended from its own loop when that time has come; what follows from it, the next Tick does.
	Start(spec Spec, ended func(Exit)) (Process, error)
}

// Process is a running task, as the Runner's caller holds it.
type Process interface {
	Terminate() // Ask the main process to end (SIGTERM), and only it.
	Kill()      // End everything that belongs to the task (SIGKILL).
}

// Spec says what to run as a task.
type Spec struct {
	TaskID      string // 32 hexadecimal digits.
	TaskARN     string
	Cluster     string
	Service     string
	PrivateIPv4 string
	Hostname    string // What Fargate would call the host: ip-a-b-c-d.ec2.internal in us-east-1.
	Zone        string
	Command     []string // May hold {hostname}, {task_id}, {private_ip}.
	Env         []string // NAME=value, added to the environment of this process; may hold the same.
	Dir         string
}

// Exit is how a task ended.
type Exit struct {
	Code   int  // The exit status of the main process; 128 + the signal's number if a signal ended it.
	Killed bool // It was killed by Kill.
}

// inert is a Runner whose tasks do nothing and stop when they are told to.
type inert struct{}

func (inert) Start(_ Spec, ended func(Exit)) (Process, error) { return inertProcess{ended}, nil }

type inertProcess struct{ ended func(Exit) }

func (p inertProcess) Terminate() { go p.ended(Exit{}) }
func (p inertProcess) Kill()      { go p.ended(Exit{Code: 137, Killed: true}) }

// Event is a change that an observer may want to show.
type Event struct {
	At      time.Time
	Cluster string
	Service string
	// Desired is the service's desired count, Previous what it was: they differ if the count is what changed.
	Desired, Previous int
	Task              string // The id of the task that changed; empty if the service did.
	Status            string // The task's new status, such as "RUNNING"; or the service's.
	Reason            string // Why the task stopped, or what ECS would say in the service's events.
}

// Subscribe calls watch for every change until cancel is called, with the model's lock held: watch must be quick and must
// not call the model.
func (m *Model) Subscribe(watch func(Event)) (cancel func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, &watch)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(w *func(Event)) bool { return w == &watch })
	}
}

func (m *Model) tell(e Event) {
	for _, watch := range m.watchers {
		(*watch)(e)
	}
	m.touch()
}

// touch has the next tick look at everything, and Run tick at once.
func (m *Model) touch() {
	m.touched = true
	m.poke()
}
