package broker_test

import (
	"time"

	"sluice/lab/sim/broker"
)

// told is how workers do what they are told, lose their connection, and go deaf.
var told = []behaviour{
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
	{name: "wedged: deaf until its connection is cut", before57: true, play: func(s *script) {
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
}
