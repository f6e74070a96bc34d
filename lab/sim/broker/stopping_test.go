package broker_test

import (
	"time"

	"sluice/lab/sim/broker"
)

// stopping is how workers stop, are killed and stand still, and what becomes of what they have.
var stopping = []behaviour{
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
