package scaler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// once has something happen before the n-th call that begins so, from now on.
func (w *world) once(n int, call string, do func()) {
	w.before = func(_ int, c string) {
		if strings.HasPrefix(c, call) {
			if n--; n == 0 {
				w.before = nil
				do()
			}
		}
	}
}

func (w *world) protect(task string, d time.Duration) {
	w.fleet.change("worker-svc", task, func(t *policy.Task) { t.ProtectedUntil = w.now.Add(d) })
}

// TestProtectionOfOursIsEndedByTheApplication has an application that ends the protection of each task when it has done with a
// message, without asking whose protection it is: ECS could stop that task, too.
func TestProtectionOfOursIsEndedByTheApplication(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {active: 1}}, oneByOne, keep(2))
	w.once(2, "lock", func() { w.protect("worker2", 0) })
	change, err := w.letGo(t)
	if err != nil || change.Status != "draining" || !slices.Equal(change.Reasons, []policy.Reason{policy.ReasonProtected}) || w.desired("worker") != 3 {
		t.Errorf("%+v, %v, count %d, stopped %v", change, err, w.desired("worker"), w.fleet.stopped)
	}
}

// TestTheApplicationProtectsWhileOthersDrain has it protect a task after the scale-in has begun: that is its own, too.
func TestTheApplicationProtectsWhileOthersDrain(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(2))
	w.once(2, "look", func() { w.protect("worker2", 2*time.Hour) })
	want := start.Add(2 * time.Hour)
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
		t.Errorf("%+v, %v", change, err)
	}
	for _, task := range w.fleet.tasks["worker-svc"] {
		if task.ID == "worker2" && !task.ProtectedUntil.Equal(want) {
			t.Errorf("the application's protection until %v is now until %v; calls %v", want, task.ProtectedUntil, w.calls)
		}
	}
}

// TestANewcomerIsNotStoppedWithTheRest has ECS start one more task, as it does where it evens out zones, while all others are drained
// to let them go. No grace keeps it.
func TestANewcomerIsNotStoppedWithTheRest(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"celery@new", "celery@somewhere"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}}, oneByOne, func(o *Options) { o.Targets[0].Limits.Grace = 0 })
			if name == "celery@somewhere" {
				for i := range 2 {
					w.fleet.tasks["worker-svc"][i].ID = fmt.Sprint("task", i)
				}
			}
			w.once(2, "lock", func() {
				w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{ID: "new", State: policy.TaskRunning, CreatedAt: w.now, StartedAt: w.now})
				w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: name, Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0)})
				w.broker.look.Listeners.N++
			})
			change, err := w.letGo(t)
			if err != nil || change.Status != "resumed" || w.desired("worker") != 2 {
				t.Errorf("%+v, %v, count %d, stopped %v", change, err, w.desired("worker"), w.fleet.stopped)
			}
		})
	}
}

// TestAnEventLeavesAScaleInAlone has an event, and a sweep, come while ECS has the new count and has stopped nobody yet. There are
// workers enough; the count must not be raised again for those that are on their way out.
func TestAnEventLeavesAScaleInAlone(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(w *world) (Change, error){
		"event": func(w *world) (Change, error) {
			return w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], ScaleTo: 1})
		},
		"sweep": func(w *world) (Change, error) {
			return w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {active: 1}, {active: 1}}, oneByOne, keep(2))
			w.fleet.idles = true
			var got Change
			var gotErr error
			w.once(1, "set desired", func() {
				w.once(1, "tasks", func() {
					got, gotErr = meanwhile(w)
					w.fleet.stopExcess("worker-svc")
				})
			})
			change, err := w.letGo(t)
			if gotErr != nil || got.Status != "unchanged" {
				t.Errorf("meanwhile %+v, %v", got, gotErr)
			}
			if err != nil || change.Status != "scaled in" || w.desired("worker") != 2 || !slices.Equal(w.fleet.stopped, []string{"worker0"}) {
				t.Errorf("%+v, %v, count %d, stopped %v", change, err, w.desired("worker"), w.fleet.stopped)
			}
		})
	}
}

// TestAStrangersWorkerIsLeftDrained has a drained worker of somebody else's service on the same broker, and a task of ours that is not
// heard from. Where names tell our tasks it is none of ours: it would throw away what it is made to fetch.
func TestAStrangersWorkerIsLeftDrained(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}}, oneByOne)
	w.broker.change("celery@worker1", func(n *policy.Node) { n.Name, n.Queues = "celery@ip-10-9-9-9", nil })
	w.setBacklog("celery", 15)
	if change, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true}); err != nil {
		t.Errorf("%+v, %v", change, err)
	}
	if calls := w.made("consume"); len(calls) > 0 {
		t.Errorf("calls: %v", calls)
	}
}

// TestWhoIsStoppedByOthersIsNotResumed has the task of a drained worker be told to stop, by a deployment or for want of capacity,
// when work comes.
func TestWhoIsStoppedByOthersIsNotResumed(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne)
	w.once(2, "lock", func() {
		w.fleet.change("worker-svc", "worker1", func(t *policy.Task) { t.State = policy.TaskStopping })
		w.setBacklog("celery", 25)
	})
	change, err := w.letGo(t)
	if err != nil || change.Status != "resumed" {
		t.Errorf("%+v, %v", change, err)
	}
	if diff := cmp.Diff([]string{"consume worker0 worker2"}, w.made("consume")); diff != "" {
		t.Errorf("who fetches again (-want +got):\n%s", diff)
	}
}

// TestNothingIsLeftProtectedWhenResumingFails pauses the service at the last look, and then loses the broker.
func TestNothingIsLeftProtectedWhenResumingFails(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.once(2, "lock", func() {
		w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagPaused: "true"} })
		w.once(1, "consume", func() { w.broker.err = broken(policy.BrokerUnavailable, "refused") })
	})
	if change, err := w.letGo(t); kindOf(err) != policy.BrokerUnavailable {
		t.Errorf("%+v, %v", change, err)
	}
	for _, task := range w.fleet.tasks["worker-svc"] {
		if !task.ProtectedUntil.IsZero() {
			t.Errorf("task %s is left protected", task.ID)
		}
	}
}

// TestAWorkerFetchesAgainFromAllItsQueues has one that obeys for one of its two queues at first.
func TestAWorkerFetchesAgainFromAllItsQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneByOne, func(o *Options) { o.Targets[0].Queues = []string{"a", "b"} })
	w.broker.look = emptyLook("a", "b")
	w.run("worker", 1, "a", "b")
	w.broker.setQueues("celery@worker0", nil)
	w.setBacklog("b", 1)
	heard := 0
	w.broker.onLook = func() {
		if len(w.made("consume")) == 1 {
			if heard++; heard == 1 {
				w.broker.setQueues("celery@worker0", []string{"a"})
			}
		}
	}
	if change, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true}); err != nil || change.Status != "resumed" {
		t.Errorf("%+v, %v", change, err)
	}
	if n := len(w.made("consume")); n != 2 {
		t.Errorf("told %d times, want 2", n)
	}
}

// TestAnIdleWorkerMayHoldADueMessage has a message that is due and was fetched before the workers were drained. A child process of a
// prefork pool that is being replaced takes seconds to boot, in which nothing is active: measured with Celery 5.7, a
// worker_process_init of 3.5 s and worker_max_tasks_per_child 1, up to 9 s.
func TestAnIdleWorkerMayHoldADueMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		busy   int // What worker0, which stays, executes.
		begins int // Before which look worker1 begins the message; 0 is never.
		status string
	}{
		{"another is at work: after a while it is that one's", 1, 0, "scaled in"},
		{"another is at work, and it begins after seconds", 1, 9, "draining"},
		{"nobody is at work: it must be in one of these", 0, 0, "draining"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{active: tt.busy}, {}}, oneByOne, keep(1))
			w.broker.limited = map[string]bool{} // No task's rate is.
			w.broker.onLook = func() {
				w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail"}}
				w.setHeld("celery", 1)
				if tt.begins > 0 && w.broker.looks >= tt.begins {
					w.broker.look.Fetched = nil
					w.setHeld("celery", 0)
					w.broker.change("celery@worker1", func(n *policy.Node) { n.Active = policy.Known(1) })
				}
			}
			want := map[string]int{"draining": 2, "scaled in": 1}[tt.status]
			if change, err := w.letGo(t); err != nil || change.Status != tt.status || w.desired("worker") != want {
				t.Errorf("%+v, %v, count %d; want %s", change, err, w.desired("worker"), tt.status)
			}
		})
	}
}

// TestACountRaisedWhileHeartbeatsAreHeardIsSeen has somebody raise the count in the two seconds of the last look in which it listens.
func TestACountRaisedWhileHeartbeatsAreHeardIsSeen(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.once(2, "beats", func() {
		w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 5 })
	})
	prior := &policy.Sighting{At: start.Add(-2 * time.Minute), Heard: 3, Processed: 15}
	change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: prior})
	if err != nil || change.Status != "draining" || w.desired("worker") != 5 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
}

// TestALostWorkerIsReplacedOnce has a worker that nobody hears from, and messages that come and go. One more is started beside it if
// those that are heard are too few, and not again at each sweep, up to max.
func TestALostWorkerIsReplacedOnce(t *testing.T) {
	t.Parallel()
	for backlog, want := range map[int]int{1: 3, 9: 3, 19: 4} { // Ten are work for one, and the two that are heard execute one.
		t.Run(fmt.Sprint(backlog), func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {active: 1}, {}}, oneByOne)
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[1:], policy.Known(2)
			w.setBacklog("celery", backlog+1)
			prior := &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}
			change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: prior})
			if err != nil || w.desired("worker") != want {
				t.Errorf("%+v, %v, count %d, want %d", change, err, w.desired("worker"), want)
			}
		})
	}
}

// TestTheLockOutlivesARaisedCount has somebody raise the count when ECS has just chosen whom to stop, and does not say so yet. Were the
// lock free at once, a worker would be made to fetch again that is being stopped.
func TestTheLockOutlivesARaisedCount(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {active: 1}, {active: 1}}, oneByOne, keep(2))
	w.fleet.idles = true
	w.once(1, "set desired", func() {
		w.once(1, "tasks", func() {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 3 })
			w.once(1, "tasks", func() {
				w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.State = policy.TaskStopping })
			})
		})
	})
	change, err := w.letGo(t)
	if err != nil || change.Status != "scaled in" || w.fleet.tasks["worker-svc"][0].State != policy.TaskStopping {
		t.Errorf("%+v, %v, tasks %v", change, err, w.fleet.tasks["worker-svc"])
	}
}

// TestQueuesThatSluiceDoesNotKnow has a worker that fetches from a queue beyond those of its target, and holds a message of it: the
// target looks wholly idle.
func TestQueuesThatSluiceDoesNotKnow(t *testing.T) {
	t.Parallel()
	for queue, status := range map[string]string{"celery": "scaled in", "extra": "draining"} {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}}, oneByOne)
			w.broker.setQueues("celery@worker0", []string{"celery", queue})
			w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "extra", Task: "mail", Due: start.Add(time.Minute)}}
			if change, err := w.letGo(t); err != nil || change.Status != status {
				t.Errorf("%+v, %v; want %s", change, err, status)
			}
		})
	}
}

// TestACountThatCannotBeReachedIsPutBackToThoseThatLive has the application protect one of two that are let go, right before ECS chooses.
// The other one goes, and nobody is started in its place.
func TestACountThatCannotBeReachedIsPutBackToThoseThatLive(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {active: 1}}, oneByOne)
	w.once(1, "set desired", func() {
		w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.ProtectedUntil = w.now.Add(time.Hour) })
	})
	if change, err := w.letGo(t); err != nil || w.desired("worker") != 2 || !slices.Equal(w.fleet.stopped, []string{"worker1"}) {
		t.Errorf("%+v, %v, count %d, stopped %v", change, err, w.desired("worker"), w.fleet.stopped)
	}
	if diff := cmp.Diff([]string{"set desired 1", "set desired 2"}, w.made("set desired")); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
