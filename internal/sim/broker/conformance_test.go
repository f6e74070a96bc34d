package broker_test

import (
	"cmp"
	"os"
	"testing"
	"time"

	"sluice/internal/sim/broker"
	"sluice/internal/testenv"
)

// behaviours are what the proof rests on.
var behaviours = []struct {
	name       string
	visibility time.Duration // 0: an hour.
	pop        time.Duration // The time of a pop that finds nothing; 0: a second.
	play       func(s *script)
}{
	{name: "prefork, early: executing tasks are outside the window, and in no key", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{}, labels("n", 12)...)
		s.see("12 tasks")
		s.ends("n01", "n02")
		s.see("two have ended")
	}},
	{name: "prefork, late: executing tasks are in the window", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, AcksLate: true})
		s.sends(order{}, labels("n", 12)...)
		s.see("12 tasks")
		s.ends("n01")
		s.see("one has ended")
	}},
	{name: "prefetch multiplier 1, late", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, AcksLate: true, Prefetch: 1})
		s.sends(order{}, labels("n", 5)...)
		s.see("5 tasks")
	}},
	{name: "threads", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, Pool: broker.Threads})
		s.sends(order{}, labels("n", 12)...)
		s.see("12 tasks")
	}},
	{name: "solo is silent while it executes", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Pool: broker.Solo})
		s.see("idle")
		s.sends(order{}, labels("n", 3)...)
		s.see("it executes")
		s.ends("n01", "n02", "n03")
		s.see("done")
	}},
	{name: "gevent: a full pool blocks the loop, not the answers", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, Pool: broker.Gevent})
		s.sends(order{}, "n01", "n02")
		s.see("full")
		s.sends(order{}, "n03", "n04", "n05")
		s.see("blocked")
		s.ends("n01")
		if s.version == broker.V57 { // Before, it is chance whether what begins now is acknowledged before the loop is blocked again.
			s.see("one has ended")
		}
	}},
	{name: "gevent: a cancel waits for room in the pool", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 1, Pool: broker.Gevent})
		s.sends(order{}, "n01")
		s.see("full")
		s.sends(order{}, "n02", "n03", "n04")
		s.see("blocked")
		s.cancels("w1@a", "celery")
		s.see("cancelled")
		s.ends("n01", "n02")
		s.see("two have ended")
	}},
	{name: "gevent: a cancel when idle", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, Pool: broker.Gevent})
		s.see("idle")
		s.cancels("w1@a", "celery")
		s.see("cancelled")
		s.sends(order{}, "a")
		s.see("one waits")
		s.consumes("w1@a", "celery")
		s.see("resumed")
	}},
	{name: "gevent, warm stop", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, Pool: broker.Gevent})
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{}, "n01", "n02")
		s.see("full")
		s.sends(order{}, "n03")
		s.see("blocked")
		s.terminate("w1@a")
		s.see("told to stop, and blocked")
		s.ends("n01")
		s.see("there was room")
		s.ends("n02")
		if s.version != broker.V52 {
			s.ends("n03")
		}
		s.see("gone")
	}},
	{name: "prefork, warm stop: what is reserved goes back at the end", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{}, labels("n", 8)...)
		s.see("busy")
		s.terminate("w1@a")
		s.see("stopping")
		s.ends("n01")
		s.see("one has ended")
		s.ends("n02")
		s.see("gone")
	}},
	{name: "prefork, late, warm stop", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, AcksLate: true})
		s.sends(order{}, labels("n", 8)...)
		s.see("busy")
		s.terminate("w1@a")
		s.see("stopping")
		s.ends("n01", "n02")
		s.see("gone")
	}},
	{name: "threads, warm stop: up to 5.6 all that is reserved is executed", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2, Pool: broker.Threads})
		s.sends(order{}, labels("n", 4)...)
		s.see("busy")
		s.terminate("w1@a")
		s.see("stopping")
		s.ends("n01", "n02")
		if s.version != broker.V57 {
			s.ends("n03", "n04")
		}
		s.see("gone")
	}},
	{name: "solo, warm stop", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Pool: broker.Solo})
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{}, labels("n", 2)...)
		s.see("busy")
		s.terminate("w1@a")
		if s.version == broker.V52 {
			s.see("gone, and what executed with it")
			return
		}
		s.see("stopping")
		s.ends("n01")
		s.see("gone")
	}},
	{name: "solo, late, warm stop", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Pool: broker.Solo, AcksLate: true})
		s.sends(order{}, labels("n", 2)...)
		s.see("busy")
		s.terminate("w1@a")
		if s.version == broker.V52 {
			s.see("gone")
			return
		}
		s.see("stopping")
		s.ends("n01")
		s.see("gone")
	}},
	{name: "killed, early: what executed is lost, what was reserved waits for a new worker after the timeout", visibility: 2 * time.Second, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{}, labels("n", 4)...)
		s.elapse(3 * time.Second)
		s.see("busy")
		s.kill("w1@a")
		s.see("killed")
		s.start(broker.Spec{Name: "w2@a", Concurrency: 2, Queues: []string{"video"}})
		s.see("a worker of another queue restores")
		s.start(broker.Spec{Name: "w3@a", Concurrency: 2})
		s.ends("n03", "n04")
		s.see("done")
	}},
	{name: "killed, late: what executed is executed again", visibility: 2 * time.Second, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{task: "hold_late"}, labels("n", 3)...)
		s.elapse(3 * time.Second)
		s.see("busy")
		s.kill("w1@a")
		s.see("killed")
		s.start(broker.Spec{Name: "w2@a", Concurrency: 3})
		s.see("again")
		s.ends(labels("n", 3)...)
		s.see("done")
	}},
	{name: "late, longer than the timeout: executed twice at once", visibility: 2 * time.Second, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.sends(order{task: "hold_late"}, "a")
		s.elapse(3 * time.Second)
		s.see("busy")
		s.start(broker.Spec{Name: "w2@a"})
		s.see("twice")
		s.ends("a")
		s.see("one has ended")
		s.ends("a")
		s.see("both have")
	}},
	{name: "messages with an ETA are fetched without limit, others flow meanwhile", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Prefetch: 1})
		s.sends(order{countdown: time.Hour}, labels("eta", 9)...)
		s.see("9 with an ETA")
		s.sends(order{}, labels("n", 3)...)
		s.see("3 without")
		s.cancels("w1@a", "celery")
		s.ends("n01", "n02")
		s.see("drained")
		s.terminate("w1@a")
		s.see("all back")
	}},
	{name: "messages with an ETA become due", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Prefetch: 1})
		s.sends(order{countdown: 2 * time.Second}, labels("eta", 3)...)
		s.elapse(2 * time.Second)
		s.see("due")
		s.ends("eta01", "eta02", "eta03")
		s.see("done")
	}},
	{name: "messages with an ETA wait in the list while nobody is there", play: func(s *script) {
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{countdown: 45 * time.Second}, "soon")
		s.sends(order{}, "n")
		s.see("nobody")
		s.start(broker.Spec{Name: "w1@a"})
		s.see("fetched")
	}},
	{name: "a limited rate holds messages in unacked only", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{task: "seldom"}, labels("r", 4)...)
		s.see("one executes")
		s.ends("r01")
		s.see("none executes")
		s.limits("w1@a")
		s.sends(order{}, labels("n", 9)...)
		s.see("others flow, in what is left of the window")
		s.ends("n01", "n02", "n03", "n04", "n05", "n06", "n07", "n08", "n09")
		s.cancels("w1@a", "celery")
		s.see("drained, and yet it holds three")
		s.terminate("w1@a")
		s.see("all back")
	}},
	{name: "cancelled: what is reserved is executed, what waits stays, a resume takes it up", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Queues: []string{"celery", "video"}, Prefetch: 2})
		s.sends(order{}, labels("n", 5)...)
		s.see("busy")
		s.cancels("w1@a", "celery")
		s.see("one queue cancelled")
		s.sends(order{queue: "video"}, "v01")
		s.see("the other goes on")
		s.ends("n01", "n02", "n03")
		s.see("what was reserved is done")
		s.cancels("w1@a", "video")
		s.ends("v01")
		s.see("drained")
		s.consumes("w1@a", "celery", "video")
		s.see("resumed")
	}},
	{name: "a cancelled queue stays cancelled over a reconnect", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.see("idle")
		s.cancels("w1@a", "celery")
		s.see("drained")
		s.cut()
		s.elapse(time.Second)
		s.see("reconnected")
		s.sends(order{}, "a")
		s.see("nobody takes it")
		s.consumes("w1@a", "celery")
		s.see("resumed")
	}},
	{name: "a resumed queue and a reconnect", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.see("idle")
		s.cancels("w1@a", "celery")
		s.see("drained")
		s.consumes("w1@a", "celery")
		s.see("resumed")
		s.cut()
		s.elapse(time.Second)
		s.sends(order{}, "a")
		s.see("reconnected")
		s.consumes("w1@a", "celery")
		s.see("told again")
	}},
	{name: "a reconnect, early", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.sends(order{countdown: time.Hour}, "eta")
		s.sends(order{}, labels("n", 7)...)
		s.see("busy")
		s.cut()
		s.elapse(time.Second)
		s.see("reconnected")
		s.ends("n01")
		s.see("one has ended")
		s.terminate("w1@a")
		s.see("stopping")
		s.ends("n05")
		if s.version != broker.V57 {
			s.see("up to Celery 5.6 the pool had one more")
			s.ends("n04")
			s.see("it hangs")
			s.kill("w1@a")
		}
		s.see("gone")
	}},
	{name: "a reconnect, late", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Prefetch: 2})
		s.sends(order{task: "hold_late"}, labels("n", 3)...)
		s.see("busy")
		s.cut()
		s.elapse(time.Second)
		s.see("reconnected")
		s.ends("n01")
		s.see("one has ended")
	}},
	{name: "a reconnect, threads", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Pool: broker.Threads, Prefetch: 2})
		s.sends(order{}, labels("n", 4)...)
		s.see("busy")
		s.cut()
		s.elapse(time.Second)
		s.see("reconnected")
		s.ends("n01")
		s.see("one has ended")
	}},
	{name: "a pop outstanding as its queue is cancelled: its message is put back, at the end", pop: 2 * time.Minute, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.see("idle")
		s.cancels("w1@a", "celery")
		s.see("drained")
		s.freeze("w1@a")
		s.sends(order{}, "a", "b")
		s.see("one is nowhere")
		s.thaw("w1@a")
		s.see("both wait")
		s.start(broker.Spec{Name: "w2@a", Prefetch: 1, AcksLate: true})
		s.see("the second executes")
	}},
	{name: "a pop outstanding at a warm stop: its message is in no key until the end", pop: 2 * time.Minute, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.sends(order{}, "n")
		s.see("busy")
		s.terminate("w1@a")
		s.see("stopping")
		s.sends(order{}, "a", "b")
		s.see("one is nowhere")
		s.ends("n")
		s.see("both wait")
		s.start(broker.Spec{Name: "w2@a", Prefetch: 1, AcksLate: true})
		s.see("one of them executes")
	}},
	{name: "a pop outstanding at a warm stop that ends in a kill: its message is lost", pop: 2 * time.Minute, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", AcksLate: true})
		s.sends(order{}, "n")
		s.see("busy")
		s.terminate("w1@a")
		s.see("stopping")
		s.sends(order{}, "a", "b")
		s.see("one is nowhere")
		s.kill("w1@a")
		s.see("killed")
	}},
	{name: "a pop outstanding in a frozen worker", pop: 2 * time.Minute, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.see("idle")
		s.freeze("w1@a")
		s.sends(order{}, "a", "b")
		s.see("one is nowhere")
		s.thaw("w1@a")
		s.see("thawed")
	}},
	{name: "a pop outstanding as solo executes what became due", pop: 2 * time.Minute, play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Pool: broker.Solo})
		s.see("idle")
		s.sends(order{countdown: 2 * time.Second}, "eta")
		s.elapse(2 * time.Second)
		s.see("it executes")
		s.sends(order{}, "a", "b")
		s.see("one is nowhere")
		s.ends("eta")
		s.see("it has arrived")
	}},
	{name: "equal names", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Prefetch: 1, AcksLate: true})
		s.twin(broker.Spec{Name: "w1@a", Prefetch: 1, AcksLate: true})
		s.sends(order{}, labels("n", 3)...)
		s.see("both busy")
	}},
	{name: "without remote control", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", NoControl: true})
		s.sends(order{}, labels("n", 2)...)
		s.see("busy")
	}},
	{name: "frozen: it listens and is silent", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 1, Prefetch: 1})
		s.sends(order{}, labels("n", 3)...)
		s.see("busy")
		s.freeze("w1@a")
		s.see("frozen")
		s.ends("n01")
		s.see("its child has ended a task")
		s.thaw("w1@a")
		s.see("thawed")
	}},
	{name: "too late to be executed", play: func(s *script) {
		s.sends(order{expires: time.Second}, "a", "b")
		s.sends(order{}, "c")
		s.elapse(2 * time.Second)
		s.see("nobody")
		s.start(broker.Spec{Name: "w1@a"})
		s.see("two were dropped")
	}},
	{name: "a retry comes as a message with an ETA", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a", Concurrency: 2})
		s.sends(order{task: "again", retries: 2}, "a")
		s.see("first try")
		s.ends("a")
		s.see("it waits")
		s.terminate("w1@a")
		s.see("back in the list")
	}},
	{name: "priorities: the lowest number first", play: func(s *script) {
		for i, priority := range []int{9, 3, 0, 6, 5, 0, 4} {
			s.sends(order{priority: priority}, "n"+string(rune('1'+i)))
		}
		s.see("nobody")
		s.start(broker.Spec{Name: "w1@a", Prefetch: 1, AcksLate: true})
		s.inOrder(7)
		s.see("done")
	}},
	{name: "wedged: up to Celery 5.6 deaf until its connection is cut", play: func(s *script) {
		if s.version == broker.V57 {
			return // Nothing wedges it.
		}
		s.start(broker.Spec{Name: "w1@a", Prefetch: 2})
		s.sends(order{set: true}, "n01")
		s.sends(order{}, "n02", "n03", "n04")
		s.see("busy")
		s.wedge("w1@a")
		s.see("wedged")
		s.ends("n01")
		s.see("one has ended")
		s.ends("n02", "n03")
		s.see("what it had is done")
		s.cut()
		s.elapse(time.Second)
		s.see("reconnected")
	}},
	{name: "a killed child's task is lost, and the next one begins", play: func(s *script) {
		s.start(broker.Spec{Name: "w1@a"})
		s.sends(order{}, "a", "b")
		s.sends(order{task: "hold_late"}, "c", "d")
		s.see("busy")
		s.killChild("w1@a")
		s.see("one child killed")
		s.ends("b")
		s.see("the late one executes")
		s.killChild("w1@a")
		s.see("its child killed, too")
	}},
}

func TestModelIsLikeCelery(t *testing.T) {
	t.Run("newest", func(t *testing.T) { conform(t, testenv.Python(t), broker.V57) })
	if os.Getenv("SLUICE_COMPAT") == "" {
		t.Log("SKIPPED: older versions of Celery: set SLUICE_COMPAT=1 (`make test-compat` does)")
		return
	}
	t.Run("5.6", func(t *testing.T) { conform(t, testenv.PythonWithCelery(t, "5.6"), broker.V55) })
	t.Run("5.2", func(t *testing.T) { conform(t, testenv.PythonWithCelery(t, "5.2"), broker.V52) })
}

// conform plays each behaviour on the model, and then on the real thing, which has to look the same.
func conform(t *testing.T, python string, v broker.Version) {
	t.Helper()
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			visibility, pop := cmp.Or(b.visibility, time.Hour), cmp.Or(b.pop, time.Second)
			pictures := play(t, newModelStage(t, visibility, pop, v), v, b.play, nil)
			play(t, newRealStage(t, python, visibility, pop), v, b.play, pictures)
		})
	}
}
