package broker_test

import (
	"time"

	"sluice/lab/sim/broker"
)

// executing is how workers fetch, hold and execute.
var executing = []behaviour{
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
}
