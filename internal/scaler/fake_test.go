package scaler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/policy"
)

// fakeBroker answers with what the test put into it.
type fakeBroker struct {
	mu      sync.Mutex
	look    policy.Look
	err     error
	beats   map[string]policy.Beat
	counter policy.Count
	looks   int
	asked   []string // The queues of the last look.
	onLook  func()

	orders     []string // What Cancel and Consume were told.
	limited    map[string]bool
	locks      map[string]string
	lockErr    error
	controlErr error
}

func (b *fakeBroker) Look(_ context.Context, queues []string, _ time.Duration) (policy.Look, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	b.asked = queues
	if b.onLook != nil {
		b.onLook()
	}
	return b.look, b.err
}

func (b *fakeBroker) Beats(context.Context, int) (map[string]policy.Beat, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beats, nil
}

// Cancel makes the nodes drained at once.
func (b *fakeBroker) Cancel(_ context.Context, nodes []policy.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, "cancel "+names(nodes))
	for _, n := range nodes {
		b.setQueues(n.Name, nil)
	}
	return b.controlErr
}

// Consume makes them fetch again at once.
func (b *fakeBroker) Consume(_ context.Context, nodes []policy.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, "consume "+names(nodes))
	for _, n := range nodes {
		b.setQueues(n.Name, n.Queues)
	}
	return b.controlErr
}

func names(nodes []policy.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (b *fakeBroker) setQueues(node string, queues []string) {
	b.look.Nodes = slices.Clone(b.look.Nodes)
	for i := range b.look.Nodes {
		if b.look.Nodes[i].Name == node {
			b.look.Nodes[i].Queues = queues
		}
	}
}

func (b *fakeBroker) RateLimited(context.Context, []policy.Node) (map[string]bool, error) {
	return b.limited, b.controlErr
}

func (b *fakeBroker) Lock(_ context.Context, name, token string, _ time.Duration) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locks == nil {
		b.locks = map[string]string{}
	}
	if held := b.locks[name]; held != "" && held != token {
		return false, nil
	}
	b.locks[name] = token
	return true, b.lockErr
}

func (b *fakeBroker) Unlock(_ context.Context, name, token string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locks[name] == token {
		delete(b.locks, name)
	}
	return nil
}

func (b *fakeBroker) Counter(context.Context, string) (policy.Count, error) {
	return b.counter, b.err
}

// fakeFleet is a set of services; SetDesired and SetTags change them.
type fakeFleet struct {
	mu        sync.Mutex
	services  map[string]policy.Service
	errs      map[string]error
	tasks     map[string][]policy.Task
	tasksErr  error
	setErr    error
	calls     []string
	described int // Services asked for.

	protectErr error
	stops      bool     // A lower count stops tasks.
	stopped    []string // Which, by ID.
}

func (f *fakeFleet) Describe(_ context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "describe")
	f.described += len(refs)
	out := map[policy.ServiceRef]policy.Described{}
	for _, ref := range refs {
		if err := f.errs[ref.Service]; err != nil {
			out[ref] = policy.Described{Err: err}
		} else if svc, ok := f.services[ref.Service]; ok {
			out[ref] = policy.Described{Service: svc}
		}
	}
	return out
}

func (f *fakeFleet) Tasks(_ context.Context, ref policy.ServiceRef) ([]policy.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "tasks")
	return f.tasks[ref.Service], f.tasksErr
}

func (f *fakeFleet) SetDesired(_ context.Context, ref policy.ServiceRef, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "set desired")
	if f.setErr != nil {
		return f.setErr
	}
	svc := f.services[ref.Service]
	svc.Desired = n
	f.services[ref.Service] = svc
	if f.stops {
		f.stop(ref.Service, n)
	}
	return nil
}

// stop stops tasks as ECS does: any that are not protected, here the first.
func (f *fakeFleet) stop(service string, n int) {
	tasks := slices.Clone(f.tasks[service])
	excess := len(tasks) - n
	f.tasks[service] = slices.DeleteFunc(tasks, func(t policy.Task) bool {
		if excess <= 0 || t.ProtectedUntil.After(start) {
			return false
		}
		excess--
		f.stopped = append(f.stopped, t.ID)
		return true
	})
}

// Match takes the host of a node for the ID of its task.
func (f *fakeFleet) Match(nodes []string, tasks []policy.Task) map[string]string {
	out := map[string]string{}
	for _, n := range nodes {
		for _, t := range tasks {
			if _, host, _ := strings.Cut(n, "@"); host == t.ID {
				out[n] = t.ID
			}
		}
	}
	return out
}

func (f *fakeFleet) Protect(_ context.Context, ref policy.ServiceRef, ids []string, d time.Duration) (map[string]time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(ids)
	f.calls = append(f.calls, "protect "+strings.Join(ids, " "))
	if f.protectErr != nil {
		return nil, f.protectErr
	}
	out := map[string]time.Time{}
	tasks := slices.Clone(f.tasks[ref.Service])
	for i := range tasks {
		if slices.Contains(ids, tasks[i].ID) {
			tasks[i].ProtectedUntil = start.Add(d)
			out[tasks[i].ID] = tasks[i].ProtectedUntil
		}
	}
	f.tasks[ref.Service] = tasks
	return out, nil
}

func (f *fakeFleet) Release(_ context.Context, ref policy.ServiceRef, ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(ids)
	f.calls = append(f.calls, "release "+strings.Join(ids, " "))
	tasks := slices.Clone(f.tasks[ref.Service])
	for i := range tasks {
		if slices.Contains(ids, tasks[i].ID) {
			tasks[i].ProtectedUntil = time.Time{}
		}
	}
	f.tasks[ref.Service] = tasks
	return nil
}

func (f *fakeFleet) SetTags(_ context.Context, arn string, tags map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "set tags")
	for name, svc := range f.services {
		if svc.ARN == arn {
			svc.Tags = tags
			f.services[name] = svc
		}
	}
	return nil
}

func (f *fakeFleet) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a scaler over fakes: target "worker" with queue "celery" on broker "main", nothing running, nothing to do.
type world struct {
	*Scaler
	broker *fakeBroker
	fleet  *fakeFleet
	now    time.Time
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{
		broker: &fakeBroker{look: emptyLook("celery")},
		fleet: &fakeFleet{
			stops: true, services: map[string]policy.Service{"worker-svc": {ARN: "arn:worker"}},
			errs: map[string]error{}, tasks: map[string][]policy.Task{},
		},
		now: start,
	}
	o := Options{
		Targets: []Target{target("worker", "celery")},
		Brokers: map[string]Broker{"main": w.broker},
		Fleet:   w.fleet,
		Log:     slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Now:     func() time.Time { return w.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			w.now = w.now.Add(d)
			return nil
		},

		EventSource: "custom.celery.monitor", EventDetailType: "celery.task.queue_full", Coalesce: time.Second,
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Scaler = s
	return w
}

func target(name string, queues ...string) Target {
	return Target{
		Name: name, Ref: policy.ServiceRef{Cluster: "prod", Service: name + "-svc"}, Broker: "main", Queues: queues,
		Source: SourceInspect,
		Limits: policy.Limits{Max: 10, MessagesPerWorker: 10, Grace: time.Minute, Settle: time.Minute},
	}
}

// emptyLook is a broker with these queues, no message and no worker.
func emptyLook(queues ...string) policy.Look {
	l := policy.Look{
		Queues: map[string]policy.Queue{}, Loose: policy.Known(0), Listeners: policy.Known(0), FetchedKnown: true,
	}
	for _, q := range queues {
		l.Queues[q] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	}
	return l
}

// run sets the service's count and lets as many tasks run, old enough, each with a worker that answers and is idle.
func (w *world) run(name string, n int, queues ...string) {
	svc := w.fleet.services[name+"-svc"]
	svc.ARN, svc.Desired, svc.Running = "arn:"+name, n, n
	w.fleet.services[name+"-svc"] = svc
	w.broker.beats = map[string]policy.Beat{}
	for i := range n {
		node := policy.Node{
			Name: "celery@" + name + string(rune('0'+i)), Answers: 1, Queues: queues, Active: policy.Known(0),
		}
		w.broker.look.Nodes = append(w.broker.look.Nodes, node)
		w.broker.look.Listeners.N++
		w.fleet.tasks[name+"-svc"] = append(w.fleet.tasks[name+"-svc"], policy.Task{
			ID: strings.TrimPrefix(node.Name, "celery@"), State: policy.TaskRunning, CreatedAt: start.Add(-time.Hour), StartedAt: start.Add(-time.Hour),
		})
	}
	for _, node := range w.broker.look.Nodes {
		w.broker.beats[node.Name] = policy.Beat{Processed: 5}
	}
}

func (w *world) setBacklog(queue string, n int) {
	w.broker.look.Queues[queue] = policy.Queue{Backlog: policy.Known(n), Held: policy.Known(0)}
}

func (w *world) desired(name string) int { return w.fleet.services[name+"-svc"].Desired }

// kindOf is the kind of the error, or "" if it has none.
func kindOf(err error) policy.Kind {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func broken(kind policy.Kind, text string) error {
	return &policy.Error{Kind: kind, Err: errors.New(text)}
}

func has(d policy.Decision, r policy.Reason) bool { return slices.Contains(d.Reasons, r) }
