package ecs

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	gocmp "github.com/google/go-cmp/cmp"
)

func TestInterrupt(t *testing.T) {
	s := newStage(t, Options{Provisioning: 5 * time.Second}, ServiceConfig{Name: "a", Desired: 2, StopTimeout: 100 * time.Second})
	if err := s.Interrupt(s.tasks[1].id); err != nil {
		t.Fatal(err)
	}
	s.expect("one that is on its way up is replaced at once", provisioning, provisioning)
	s.pass(5 * time.Second)
	s.expect("the new one is up", running, running)
	first := s.tasks[0]
	s.protect(60, first)
	if err := s.Interrupt(first.id); err != nil {
		t.Fatal(err)
	}
	s.expect("protection does not help, and a new one comes", stopping, running, provisioning)
	a := s.acts[first.id]
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
	s.Tick()
	d := s.describeTask(first)
	if d.StopCode != "SpotInterruption" || aws.ToString(d.StoppedReason) != "Your Spot Task was interrupted." {
		t.Errorf("got %s, %s", d.StopCode, aws.ToString(d.StoppedReason))
	}
	for _, id := range []string{first.id, "nobody"} {
		if err := s.Interrupt(id); err == nil {
			t.Errorf("%s: it does not run, and nothing is said", id)
		}
	}
}

func TestDeployFromTheHost(t *testing.T) {
	s := newStage(t, Options{}, ServiceConfig{Cluster: "prod", Name: "a", Desired: 2})
	if err := s.Deploy("prod", "a"); err != nil {
		t.Fatal(err)
	}
	s.expect("all are replaced", stopping, stopping, running, running)
	for _, c := range [][2]string{{"", "a"}, {"prod", "b"}} {
		if err := s.Deploy(c[0], c[1]); err == nil {
			t.Errorf("%v: no such service, and nothing is said", c)
		}
	}
}

func TestFailStarts(t *testing.T) {
	s := newStage(t, Options{Pending: time.Second, RestartBackoff: 10 * time.Second}, ServiceConfig{Name: "a"}, ServiceConfig{Name: "b", Desired: 1})
	const reason = "CannotPullContainerError: not found"
	fail := func(n int) {
		t.Helper()
		if err := s.FailStarts("", "a", n, reason); err != nil {
			t.Fatal(err)
		}
	}
	fail(2)
	s.desired(1)
	s.pass(time.Second)
	first := s.describeTask(s.tasks[1])
	if first.StopCode != "TaskFailedToStart" || aws.ToString(first.Containers[0].Reason) != reason || first.StartedAt != nil {
		t.Errorf("got %s, %s", first.StopCode, aws.ToString(first.Containers[0].Reason))
	}
	s.pass(time.Minute)
	s.expect("the third one starts, and b is left alone", running, running)
	fail(-1)
	s.desired(2)
	s.pass(24 * time.Hour)
	s.expect("no further one starts", running, running)
	fail(0)
	s.pass(16 * time.Minute)
	s.expect("the image is there again", running, running, running)
	if err := s.FailStarts("", "x", 1, reason); err == nil {
		t.Error("no such service, and nothing is said")
	}
}

// TestBlockedDeployment holds what ECS does while protected tasks keep a deployment from its end: it protects none any more.
func TestBlockedDeployment(t *testing.T) {
	s := newStage(t, Options{Pending: 10 * time.Second}, ServiceConfig{Name: "a", Desired: 2})
	s.pass(10 * time.Second)
	old := s.tasks[0]
	s.protect(60, old)
	if err := s.Deploy("", "a"); err != nil {
		t.Fatal(err)
	}
	s.protect(60, old) // It has only begun: what it waits for are its own tasks.
	s.pass(10 * time.Second)
	s.expect("the protected task is in its way", running, stopping, running, running)
	in := &ecs.UpdateTaskProtectionInput{ProtectionEnabled: true, Tasks: []string{old.id, s.tasks[2].id}}
	out, err := s.updateTaskProtection(in)
	if err != nil || len(out.ProtectedTasks) != 0 || len(out.Failures) != 2 || *out.Failures[0].Reason != "DEPLOYMENT_BLOCKED" {
		t.Errorf("got %+v, %v", out, err)
	}
	in.ProtectionEnabled, in.Tasks = false, in.Tasks[:1]
	if out, err := s.updateTaskProtection(in); err != nil || len(out.ProtectedTasks) != 1 {
		t.Errorf("release: got %+v, %v", out, err)
	}
	s.Tick()
	s.expect("the old one may go", stopping, stopping, running, running)
	s.protect(60, s.tasks[2])
}

// act does one thing by chance, of those that a simulator does to a model, and says so.
func (s *stage) act(r *rand.Rand) string {
	var up []*task
	for _, t := range s.tasks {
		if t.desired == running {
			up = append(up, t)
		}
	}
	var gone []*task // Whose processes have been asked to end.
	for _, t := range s.tasks {
		if a := s.acts[t.id]; t.process != nil && a != nil && a.termed {
			gone = append(gone, t)
		}
	}
	switch n := r.IntN(9); {
	case n == 0:
		count := r.IntN(8)
		s.desired(count)
		return fmt.Sprint("desired ", count)
	case n == 1 && len(up) > 0:
		t := up[r.IntN(len(up))]
		return fmt.Sprint("interrupt ", t.id, s.Interrupt(t.id))
	case n == 2:
		return fmt.Sprint("deploy ", s.Deploy("", "a"))
	case n == 3:
		return fmt.Sprint("fail a start ", s.FailStarts("", "a", 1, "no"))
	case n == 4 && len(up) > 0:
		t := up[r.IntN(len(up))]
		out, err := s.updateTaskProtection(&ecs.UpdateTaskProtectionInput{
			ProtectionEnabled: true, Tasks: []string{t.id}, ExpiresInMinutes: aws.Int32(1 + r.Int32N(3)),
		})
		return fmt.Sprint("protect ", t.id, len(out.ProtectedTasks), err)
	case n == 5 && len(up) > 0:
		t := up[r.IntN(len(up))]
		if t.process != nil {
			s.acts[t.id].ended(Exit{Code: 1})
		}
		return "crash " + t.id
	case len(gone) > 0:
		// The simulator's own loop ends a process at a time of its choice.
		t := gone[r.IntN(len(gone))]
		s.acts[t.id].ended(Exit{Killed: s.acts[t.id].killed})
		return "end " + t.id
	}
	d := time.Duration(r.IntN(90_000)) * time.Millisecond
	s.pass(d)
	return fmt.Sprint("pass ", d)
}

// TestSameSeedSameStory lives through many random worlds, each twice: all of both stories is the same, and with another seed
// it is another.
func TestSameSeedSameStory(t *testing.T) {
	story := func(seed uint64) string {
		s := newStage(t, Options{
			Seed: seed, Provisioning: 3 * time.Second, Pending: 7 * time.Second, Deprovisioning: time.Second, CountLag: 2 * time.Second,
		}, ServiceConfig{Name: "a", Desired: 3, Rebalancing: true}, ServiceConfig{Name: "b", Desired: 2})
		var out strings.Builder
		for i := range 2 {
			s.Subscribe(func(e Event) { fmt.Fprintf(&out, "%d %+v\n", i, e) })
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for range 200 {
			fmt.Fprintln(&out, s.act(r))
			checkModel(t, seed, s)
		}
		services, tasks := s.Snapshot()
		fmt.Fprintf(&out, "%+v\n%+v\n", services, func() (out []TaskState) {
			for _, task := range tasks {
				task.Exit = nil // An address.
				out = append(out, task)
			}
			return out
		}())
		return out.String()
	}
	for seed := range uint64(12) {
		one := story(seed)
		if diff := gocmp.Diff(one, story(seed)); diff != "" {
			t.Fatalf("seed %d (-one +other):\n%s", seed, diff)
		}
		if one == story(seed+1000) {
			t.Errorf("seeds %d and %d tell the same story", seed, seed+1000)
		}
	}
}

// checkModel fails if a tick that finds nothing due has missed something: one that looks at everything changes nothing.
func checkModel(t *testing.T, seed uint64, s *stage) {
	t.Helper()
	s.Tick()
	state := func() string {
		var out strings.Builder
		for _, task := range s.tasks {
			fmt.Fprintln(&out, task.id, task.status, task.desired, task.due, cmp.Or(task.stopCode, "-"))
		}
		for _, service := range s.ordered {
			fmt.Fprintln(&out, service.Name, service.desired, len(service.deployments), len(service.tasks), len(service.history), service.blocked)
		}
		return out.String()
	}
	before, next := state(), s.next
	s.mu.Lock()
	s.touched = true
	s.tick()
	s.mu.Unlock()
	if diff := gocmp.Diff(before, state()); diff != "" || !s.next.Equal(next) {
		t.Fatalf("seed %d: at rest, and yet there was something to do (next %v and %v):\n%s", seed, next, s.next, diff)
	}
}
