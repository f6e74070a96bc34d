package ecs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stage is a model in virtual time, with a Runner whose tasks end when the test says so.
type stage struct {
	*Model
	t    *testing.T
	now  time.Time
	acts map[string]*actor // By task id.
	fail error             // Of the next starts.
}

type actor struct {
	ended  func(Exit)
	termed bool
	killed bool
}

func (a *actor) Terminate() { a.termed = true }
func (a *actor) Kill()      { a.killed = true }

func (s *stage) Start(spec Spec, ended func(Exit)) (Process, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	a := &actor{ended: ended}
	s.acts[spec.TaskID] = a
	return a, nil
}

func newStage(t *testing.T, o Options, services ...ServiceConfig) *stage {
	t.Helper()
	s := &stage{t: t, now: epoch, acts: map[string]*actor{}}
	o.Now, o.Runner = func() time.Time { return s.now }, s
	s.Model = New(o)
	for _, c := range services {
		if err := s.CreateService(c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// pass lets time pass, stopping at each moment when the model has something to do.
func (s *stage) pass(d time.Duration) {
	end := s.now.Add(d)
	for {
		next, ok := s.Next()
		if !ok || next.After(end) {
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		s.Tick()
	}
	s.now = end
	s.Tick()
}

// expect compares the states of all tasks that have not stopped, in their order of creation.
func (s *stage) expect(when string, want ...string) {
	s.t.Helper()
	var got []string
	for _, t := range s.tasks {
		if t.status != stopped {
			got = append(got, t.status)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s, after %v (-want +got):\n%s", when, s.now.Sub(epoch), diff)
	}
}

func (s *stage) desired(n int) {
	s.t.Helper()
	if _, err := s.updateService(&ecs.UpdateServiceInput{Service: aws.String("a"), DesiredCount: aws.Int32(int32(n))}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) protect(minutes int32, tasks ...*task) {
	s.t.Helper()
	in := &ecs.UpdateTaskProtectionInput{ProtectionEnabled: true, ExpiresInMinutes: &minutes}
	for _, t := range tasks {
		in.Tasks = append(in.Tasks, t.arn)
	}
	out, err := s.updateTaskProtection(in)
	if err != nil || len(out.Failures) > 0 {
		s.t.Fatalf("protect: %v, %v", out, err)
	}
}

func TestAServiceMayHaveADelayOfItsOwn(t *testing.T) {
	s := newStage(t, Options{Pending: 10 * time.Second},
		ServiceConfig{Name: "a", Desired: 1}, ServiceConfig{Name: "b", Desired: 1, Pending: 20 * time.Second})
	s.pass(10 * time.Second)
	s.expect("the model's delay has passed", running, pending)
	s.pass(10 * time.Second)
	s.expect("the service's own delay has passed", running, running)
}

func TestTaskLife(t *testing.T) {
	s := newStage(t, Options{Provisioning: 10 * time.Second, Pending: 15 * time.Second, Deprovisioning: 5 * time.Second},
		ServiceConfig{Name: "a", Desired: 1, StopTimeout: 100 * time.Second})
	var story []string
	s.Subscribe(func(e Event) {
		if e.Task != "" {
			story = append(story, fmt.Sprintf("%v %s", e.At.Sub(epoch), e.Status))
		}
	})
	s.expect("it is created", provisioning)
	s.pass(10 * time.Second)
	s.expect("it has its address", pending)
	s.pass(15 * time.Second)
	s.expect("it has its image", running)
	s.desired(0)
	s.expect("it is told to stop", stopping)
	a := s.acts[s.tasks[0].id]
	if !a.termed || a.killed {
		t.Errorf("asked to end: %v, killed: %v", a.termed, a.killed)
	}
	s.pass(99 * time.Second)
	if a.killed {
		t.Error("it was killed before its stop timeout")
	}
	s.pass(time.Second)
	if !a.killed {
		t.Error("it was not killed after its stop timeout")
	}
	a.ended(Exit{Code: 137, Killed: true})
	s.expect("it is dead", deprovisioning)
	s.pass(5 * time.Second)
	s.expect("it has gone")
	want := []string{"10s PENDING", "25s RUNNING", "25s STOPPING", "2m5s DEPROVISIONING", "2m10s STOPPED"}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("story (-want +got):\n%s", diff)
	}
	_, tasks := s.Snapshot()
	if got := tasks[0]; got.Exit == nil || !got.Exit.Killed || got.StopCode != "ServiceSchedulerInitiated" ||
		!strings.HasPrefix(got.Reason, "Scaling activity initiated by (deployment ecs-svc/") {
		t.Errorf("got %+v", got)
	}
	s.pass(time.Hour + time.Second)
	if _, tasks := s.Snapshot(); len(tasks) != 0 {
		t.Error("a stopped task is remembered for more than an hour")
	}
}

func TestProtectionBlocksScaleIn(t *testing.T) {
	s := newStage(t, Options{}, ServiceConfig{Name: "a", Desired: 3})
	s.protect(60, s.tasks[0], s.tasks[2])
	s.desired(1)
	s.expect("one is free", running, stopping, running)
	services, _ := s.Snapshot()
	if services[0].Desired != 1 || services[0].Running != 2 {
		t.Errorf("got %+v", services[0])
	}
	s.pass(59*time.Minute + 59*time.Second)
	s.expect("two are protected", running, stopping, running)
	s.pass(time.Second)
	if n := len(s.services[serviceKey{"default", "a"}].live("")); n != 1 {
		t.Errorf("%d tasks when the protection has expired, want 1", n)
	}
}

func TestTooManyTasksAreStoppedAfterAWhile(t *testing.T) {
	s := newStage(t, Options{Reducing: 7 * time.Second}, ServiceConfig{Name: "a", Desired: 3})
	s.desired(2)
	if next, ok := s.Next(); !ok || next.Sub(s.now) != 7*time.Second {
		t.Errorf("something happens next at %v (%t), want in 7 s", next, ok)
	}
	s.pass(6 * time.Second)
	s.expect("not yet", running, running, running)
	s.desired(3)
	s.pass(2 * time.Second)
	s.expect("the count is as it was", running, running, running)
	s.desired(2)
	s.protect(60, s.tasks[0], s.tasks[1]) // Who is chosen when the time has come must not have been protected since.
	s.pass(6 * time.Second)
	s.expect("the time begins anew", running, running, running)
	s.pass(time.Second)
	s.expect("now", running, running, stopping)
}

func TestProtectionRefusals(t *testing.T) {
	s := newStage(t, Options{}, ServiceConfig{Name: "a", Desired: 2})
	leaving := s.tasks[1]
	s.protect(1, s.tasks[0])
	s.desired(1)
	out, err := s.updateTaskProtection(&ecs.UpdateTaskProtectionInput{ProtectionEnabled: true, Tasks: []string{leaving.id, "nobody"}})
	if err != nil || len(out.Failures) != 2 || *out.Failures[0].Reason != "TASK_NOT_VALID" || *out.Failures[1].Reason != "MISSING" {
		t.Errorf("got %+v, %v", out, err)
	}
	for _, minutes := range []int32{0, 2881} {
		_, err := s.updateTaskProtection(&ecs.UpdateTaskProtectionInput{
			ProtectionEnabled: true, Tasks: []string{s.tasks[0].id}, ExpiresInMinutes: &minutes,
		})
		var e *apiError
		if !errors.As(err, &e) || e.code != "InvalidParameterException" {
			t.Errorf("%d minutes: got %v", minutes, err)
		}
	}
	if _, err := s.getTaskProtection(&ecs.GetTaskProtectionInput{Tasks: make([]string, 11)}); err == nil {
		t.Error("eleven tasks in a call")
	}
}

func TestWhoIsStoppedIsChance(t *testing.T) {
	victims := func(seed uint64) (out []int) {
		s := newStage(t, Options{Seed: seed}, ServiceConfig{Name: "a", Desired: 8, Zones: []string{"z"}})
		s.desired(4)
		for i, t := range s.tasks {
			if t.desired == stopped {
				out = append(out, i)
			}
		}
		return out
	}
	if !slices.Equal(victims(1), victims(1)) {
		t.Error("the same seed chooses others")
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		seen[fmt.Sprint(victims(seed))] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 seeds made %d different choices", len(seen))
	}
}

func TestScaleInKeepsZonesEven(t *testing.T) {
	for seed := range uint64(10) {
		s := newStage(t, Options{Seed: seed}, ServiceConfig{Name: "a", Desired: 6, Zones: []string{"x", "y", "z"}})
		s.desired(3)
		zones := map[string]int{}
		for _, t := range s.services[serviceKey{"default", "a"}].live("") {
			zones[t.zone]++
		}
		if diff := cmp.Diff(map[string]int{"x": 1, "y": 1, "z": 1}, zones); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestCrashesComeBackLaterAndLater(t *testing.T) {
	s := newStage(t, Options{RestartBackoff: 10 * time.Second}, ServiceConfig{Name: "a", Desired: 1})
	for i, wait := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second} {
		last := s.tasks[len(s.tasks)-1]
		if last.status != running {
			t.Fatalf("crash %d: the task is %s", i, last.status)
		}
		s.acts[last.id].ended(Exit{Code: 1})
		if wait > 0 {
			s.pass(wait - time.Second)
			if s.tasks[len(s.tasks)-1] != last {
				t.Errorf("crash %d: replaced before %v", i, wait)
			}
			s.pass(time.Second)
		} else {
			s.Tick()
		}
		if s.tasks[len(s.tasks)-1] == last {
			t.Errorf("crash %d: not replaced after %v", i, wait)
		}
		if last.stopCode != "EssentialContainerExited" || last.stoppedReason != exitedReason || last.exit.Code != 1 {
			t.Errorf("crash %d: got %s, %s, %+v", i, last.stopCode, last.stoppedReason, last.exit)
		}
	}
	// One that has worked for a while is replaced at once.
	s.pass(2 * time.Minute)
	last := s.tasks[len(s.tasks)-1]
	s.acts[last.id].ended(Exit{})
	s.Tick()
	s.expect("a new one", running)
}

func TestTasksThatNeverStart(t *testing.T) {
	s := newStage(t, Options{RestartBackoff: time.Minute}, ServiceConfig{Name: "a"})
	s.fail = errors.New("no such image")
	s.desired(1)
	s.pass(10 * time.Minute)
	_, tasks := s.Snapshot()
	if n := len(tasks); n < 3 || n > 6 {
		t.Errorf("%d tries in 10 minutes", n)
	}
	if got := tasks[0]; got.StopCode != "TaskFailedToStart" || got.Status != stopped {
		t.Errorf("got %+v", got)
	}
	d := s.describeTask(s.tasks[0])
	if got := aws.ToString(d.Containers[0].Reason); got != "CannotStartContainerError: no such image" {
		t.Errorf("got %q", got)
	}
}

func TestCountsLag(t *testing.T) {
	s := newStage(t, Options{CountLag: 5 * time.Second}, ServiceConfig{Name: "a"})
	s.pass(time.Minute)
	expect := func(when string, want int32) {
		t.Helper()
		out, err := s.describeServices(&ecs.DescribeServicesInput{Services: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Services[0].RunningCount; got != want {
			t.Errorf("%s: got %d, want %d", when, got, want)
		}
	}
	s.desired(2)
	s.Tick()
	expect("at once", 0)
	s.pass(4 * time.Second)
	expect("after 4 s", 0)
	s.pass(time.Second)
	expect("after 5 s", 2)
}

func TestDeployment(t *testing.T) {
	s := newStage(t, Options{Pending: 10 * time.Second}, ServiceConfig{Name: "a", Desired: 2})
	a := s.services[serviceKey{"default", "a"}]
	rollout := func() string {
		var out []string
		for _, d := range a.deployments {
			out = append(out, d.state)
		}
		return strings.Join(out, " ")
	}
	expect := func(when, want string) {
		t.Helper()
		if got := rollout(); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
	expect("a new service", rolling)
	s.pass(10 * time.Second)
	expect("it is steady", completed)
	s.desired(3)
	expect("it is scaling out", completed)
	s.pass(10 * time.Second)
	s.protect(1, s.tasks[0])
	if _, err := s.updateService(&ecs.UpdateServiceInput{Service: aws.String("a"), ForceNewDeployment: true}); err != nil {
		t.Fatal(err)
	}
	expect("a deployment begins", rolling+" "+completed)
	s.expect("old and new", running, running, running, pending, pending, pending)
	s.pass(10 * time.Second)
	expect("a protected task blocks it", rolling+" "+completed)
	s.expect("the protected one stays", running, stopping, stopping, running, running, running)
	s.pass(time.Minute)
	expect("the protection has expired", completed)
	s.expect("the new ones stay", stopping, stopping, stopping, running, running, running)
}

func TestClose(t *testing.T) {
	m := New(Options{})
	if err := m.CreateService(ServiceConfig{Name: "a", Desired: 3}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m.Tick()
	_, tasks := m.Snapshot()
	for _, task := range tasks {
		if task.Exit == nil || !task.Exit.Killed {
			t.Errorf("got %+v", task)
		}
	}
	if len(tasks) != 3 {
		t.Errorf("%d tasks, want the same 3", len(tasks))
	}
}
