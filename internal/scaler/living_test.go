package scaler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
)

// living is a world that goes on by itself: the workers of target "worker" fetch messages, execute them and obey what they are
// told; ECS starts tasks that are lacking and stops ones that are too many, whenever protection lets it. Of the tasks that it may
// stop it takes the busiest. Each call to broker or fleet takes a moment.
type living struct {
	*world
	host    string // A worker's name is this and its task.
	waiting []*message
	hands   map[string]*message // What each worker executes, by node.
	broken  map[string]bool     // Workers that say that they fetch, and do not.
	done    []string
	killed  []string
	stops   map[string]time.Time // When SIGTERM comes, by task.
	tasks   int                  // How many there have ever been.
	stepped time.Time
	dead    bool // The invocation that is under way has died: none of its calls does anything.
	diesAt  int  // At which call; 0 is never.
	after   bool // After that call has had its effect.
	onCall  map[int]func()
}

type message struct {
	name  string
	takes time.Duration
	since time.Time // When it was begun.
}

const (
	callTakes = 20 * time.Millisecond
	startTime = 20 * time.Second // From the new count to a worker that fetches.
	termDelay = 2 * time.Second  // From STOPPING to SIGTERM.
	oldEnough = -time.Hour
)

// died is what a call of a dead invocation panics with.
type died struct{}

func newLiving(t *testing.T, workers int, untold bool, change ...func(*Options)) *living {
	t.Helper()
	l := &living{host: "celery@", hands: map[string]*message{}, broken: map[string]bool{}, stops: map[string]time.Time{}, onCall: map[int]func(){}, stepped: start}
	if untold {
		l.host = "celery@host-of-"
	}
	change = append([]func(*Options){func(o *Options) {
		o.Sleep = func(_ context.Context, d time.Duration) error {
			l.pass(d)
			return nil
		}
		o.Together = func(calls ...func()) {
			for _, call := range calls {
				call()
			}
		}
		o.Targets[0].Limits.MessagesPerWorker = 1
	}}, change...)
	l.world = newWorld(t, change...)
	l.fleet.services["worker-svc"] = policy.Service{ARN: "arn:worker", Desired: workers}
	l.fleet.worth = l.worth
	l.fleet.onStop = func(id string) { l.stops[id] = l.now.Add(termDelay) }
	for range workers {
		l.startTask(start.Add(oldEnough), policy.TaskRunning)
	}
	l.before = func(n int, _ string) {
		l.mayDie(n, false)
		l.pass(callTakes)
		if f := l.onCall[n]; f != nil {
			f()
		}
	}
	l.ports.after = func(n int, _ string) { l.mayDie(n, true) }
	l.step()
	return l
}

func (l *living) mayDie(n int, after bool) {
	if l.dead || n == l.diesAt && after == l.after {
		l.dead = true
		panic(died{})
	}
}

// invoke calls a use case, which may die. What it has deferred then does nothing either.
func (l *living) invoke(call func()) (survived bool) {
	l.calls = nil
	defer func() {
		if r := recover(); r != nil && r != any(died{}) {
			panic(r)
		}
		survived, l.dead, l.diesAt = !l.dead, false, 0
	}()
	call()
	return true
}

// come lets messages come.
func (l *living) come(takes ...time.Duration) {
	for _, d := range takes {
		name := fmt.Sprintf("message %d", len(l.waiting)+len(l.hands)+len(l.done)+len(l.killed)+1)
		l.waiting = append(l.waiting, &message{name: name, takes: d})
	}
	l.step()
}

// pass lets time pass.
func (l *living) pass(d time.Duration) {
	step := max(500*time.Millisecond, d/100)
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(min(step, end.Sub(l.now)))
		l.step()
	}
}

func (l *living) startTask(created time.Time, state policy.TaskState) {
	task := policy.Task{
		ID: fmt.Sprintf("worker%d", l.tasks), State: state, CreatedAt: created, Zone: string(rune('a' + l.tasks%2)),
	}
	l.tasks++
	l.fleet.tasks["worker-svc"] = append(l.fleet.tasks["worker-svc"], task)
	if state == policy.TaskRunning {
		l.startWorker(task.ID, created)
	}
}

func (l *living) startWorker(task string, at time.Time) {
	l.fleet.change("worker-svc", task, func(t *policy.Task) { t.State, t.StartedAt = policy.TaskRunning, at })
	l.broker.look.Nodes = append(l.broker.look.Nodes, policy.Node{
		Name: l.host + task, Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0),
	})
}

// worth is how bad it would be to stop the task.
func (l *living) worth(task string) int {
	for _, n := range l.broker.look.Nodes {
		if n.Name == l.host+task {
			return 2*n.Active.N + min(1, len(n.Queues))
		}
	}
	return 0
}

// step brings the world up to the present.
func (l *living) step() {
	l.ecs()
	l.broker.obey()
	l.broker.look.Nodes = slices.Clone(l.broker.look.Nodes)
	for i := range l.broker.look.Nodes {
		l.work(&l.broker.look.Nodes[i])
	}
	l.broker.look.Listeners = policy.Known(len(l.broker.look.Nodes))
	l.setBacklog("celery", len(l.waiting))
	running := 0
	for _, t := range l.fleet.tasks["worker-svc"] {
		if t.State != policy.TaskPending {
			running++ // Those that are on their way out included: the count lags.
		}
	}
	l.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = running })
}

// ecs starts and stops tasks.
func (l *living) ecs() {
	for id, at := range l.stops {
		if !l.now.Before(at) {
			l.terminate(id)
		}
	}
	alive := 0
	for _, t := range l.fleet.tasks["worker-svc"] {
		if t.State == policy.TaskPending && l.now.Sub(t.CreatedAt) >= startTime {
			l.startWorker(t.ID, l.now)
		}
		if t.State != policy.TaskStopping {
			alive++
		}
	}
	for ; alive < l.desired("worker"); alive++ {
		l.startTask(l.now, policy.TaskPending)
	}
	l.fleet.stopExcess("worker-svc")
}

// terminate sends SIGTERM. A worker that executes something then is one that we had stopped too early.
func (l *living) terminate(task string) {
	delete(l.stops, task)
	node := l.host + task
	if m := l.hands[node]; m != nil {
		l.killed = append(l.killed, m.name+" in "+task)
		delete(l.hands, node)
	}
	gone := func(n policy.Node) bool { return n.Name == node }
	l.broker.look.Nodes = slices.DeleteFunc(slices.Clone(l.broker.look.Nodes), gone)
	l.fleet.tasks["worker-svc"] = slices.DeleteFunc(slices.Clone(l.fleet.tasks["worker-svc"]), func(t policy.Task) bool {
		return t.ID == task
	})
}

// work lets a worker finish what it executes, and fetch if it does.
func (l *living) work(n *policy.Node) {
	if m := l.hands[n.Name]; m != nil && l.now.Sub(m.since) >= m.takes {
		l.done = append(l.done, m.name)
		delete(l.hands, n.Name)
	}
	if l.hands[n.Name] == nil && len(n.Queues) > 0 && len(l.waiting) > 0 && !l.broken[n.Name] {
		m := l.waiting[0]
		l.waiting, m.since = l.waiting[1:], l.now
		l.hands[n.Name] = m
	}
	n.Active, n.OldestStart = policy.Known(0), time.Time{}
	if m := l.hands[n.Name]; m != nil {
		n.Active, n.OldestStart = policy.Known(1), m.since
	}
}

// sweep does what the state machine does, from the check of all targets to the scale-out after a scale-in. Each of the calls may die,
// and then ends it.
func (l *living) sweep(t *testing.T) (log []string) {
	t.Helper()
	var first TargetCheck
	l.invoke(func() {
		all := l.CheckAll(t.Context(), Shard{})
		if len(all.Targets) == 1 {
			first = all.Targets[0]
		}
	})
	look := first
	if first.ShouldScaleIn && !first.ShouldScaleOut {
		l.pass(time.Duration(first.SettleSeconds) * time.Second)
		look = l.check(t, &first.Seen)
		if look.ShouldScaleIn && !look.ShouldScaleOut {
			log = append(log, l.scaleIn(t, first.Seen))
			look = l.check(t, nil)
		}
	}
	if look.ShouldScaleOut {
		log = append(log, l.scaleOut(t))
	}
	return log
}

func (l *living) check(t *testing.T, previous *policy.Sighting) (c TargetCheck) {
	t.Helper()
	l.invoke(func() {
		var err error
		if c, err = l.CheckOne(t.Context(), Input{Target: "worker", Previous: previous}); err != nil {
			t.Error(err)
		}
	})
	return c
}

// scaleIn says what came of a scale-in.
func (l *living) scaleIn(t *testing.T, previous policy.Sighting) string {
	t.Helper()
	var c Change
	var err error
	if !l.invoke(func() { c, err = l.ScaleIn(t.Context(), Input{Target: "worker", Previous: &previous}) }) {
		return "died"
	}
	return outcome(c, err)
}

func (l *living) scaleOut(t *testing.T) string {
	t.Helper()
	var c Change
	var err error
	if !l.invoke(func() { c, err = l.ScaleOut(t.Context(), Demand{Target: l.Targets[0], Direct: true}) }) {
		return "died"
	}
	return outcome(c, err)
}

func outcome(c Change, err error) string {
	if err != nil {
		return fmt.Sprintf("%s, error %s", c.Status, kindOf(err))
	}
	return fmt.Sprintf("%s %d->%d", c.Status, c.Previous, c.DesiredCount)
}

// settled is what a first look sees: too many workers, long enough ago.
func (l *living) settled(workers int) policy.Sighting {
	return policy.Sighting{At: l.now.Add(-2 * time.Minute), Workers: workers}
}

// checkNothingLost fails if a message was killed or lost.
func (l *living) checkNothingLost(t *testing.T) {
	t.Helper()
	if len(l.killed) > 0 {
		t.Errorf("killed: %v", l.killed)
	}
}

// checkServed fails if messages wait and nobody is there or on the way who will take them.
func (l *living) checkServed(t *testing.T) {
	t.Helper()
	l.step()
	if len(l.waiting) == 0 {
		return
	}
	for _, task := range l.fleet.tasks["worker-svc"] {
		if task.State == policy.TaskPending {
			return
		}
	}
	if !slices.ContainsFunc(l.broker.look.Nodes, func(n policy.Node) bool {
		return len(n.Queues) > 0 && l.stops[strings.TrimPrefix(n.Name, l.host)].IsZero()
	}) {
		t.Errorf("%d messages wait, and no worker fetches: %s", len(l.waiting), l)
	}
}

// String tells the state of the world in a line.
func (l *living) String() string {
	var out []string
	for _, task := range l.fleet.tasks["worker-svc"] {
		what := "-"
		for _, n := range l.broker.look.Nodes {
			if n.Name != l.host+task.ID {
				continue
			}
			what = "drained"
			if len(n.Queues) > 0 {
				what = "fetches"
			}
			if n.Active.N > 0 {
				what += " busy"
			}
		}
		if task.ProtectedUntil.After(l.now) {
			what += " protected"
		}
		out = append(out, fmt.Sprintf("%s %s %s", task.ID, task.State, what))
	}
	slices.SortFunc(out, cmp.Compare)
	return fmt.Sprintf("desired %d, %d waiting, %d done: %s", l.desired("worker"), len(l.waiting), len(l.done), strings.Join(out, "; "))
}

// watch adds the calls to broker and fleet, which each invocation begins anew, to a story.
func (l *living) watch(story *[]string, do func()) {
	after := l.ports.after
	l.ports.after = func(n int, call string) {
		*story = append(*story, call)
		after(n, call)
	}
	do()
	l.ports.after = after
}
