package sim

import (
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// process is production code that runs in virtual time: a Lambda invocation, an execution of the state machine, or a part of
// one that runs beside another part. It is a coroutine: it runs alone until it waits for something, and whoever resumes it
// goes on when it waits again. Code that is to run as a process must start no goroutine that outlives a call.
type process struct {
	loop    *loop
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	turn    uint64      // How often it has waited; see waker.
	owner   *invocation // The Lambda invocation that it is part of; nil if of none.
	dying   bool
	ended   bool
	crashed string // The panic that ended it, with its stack; empty if none did.
	onEnd   func()
}

// killed unwinds a process that is ended from outside.
type killed struct{}

// spawn starts a process in the present, after the step that runs. onEnd hears when it has returned or panicked, not when
// it was killed; it may be nil.
func (l *loop) spawn(owner *invocation, run func(), onEnd func(*process)) *process {
	p := &process{loop: l, owner: owner}
	p.onEnd = func() {
		if onEnd != nil {
			onEnd(p)
		}
	}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer p.finish()
		run()
	})
	l.alive[p] = true
	l.at(l.now, p.resume)
	return p
}

// finish ends the process, whatever it ended with.
func (p *process) finish() {
	p.ended = true
	delete(p.loop.alive, p)
	r := recover()
	if _, ok := r.(killed); ok || p.dying {
		return
	}
	if r != nil {
		p.crashed = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
	}
	p.onEnd()
}

// resume lets the process run until it waits. It is called by the loop only.
func (p *process) resume() {
	if p.ended {
		return
	}
	p.loop.current = p
	p.next()
	p.loop.current = nil
}

// kill ends the process at once, without a word to anybody: what it deferred runs, and reaches nothing any more. It must not
// be called by the process itself.
func (p *process) kill() {
	if p.ended {
		return
	}
	p.dying = true
	before := p.loop.current
	p.loop.current = p
	p.stop()
	p.loop.current = before
	p.ended = true // Also if it never began.
	delete(p.loop.alive, p)
}

// waker returns what resumes the process from the wait that it is about to begin, and from no other: of several that are made
// for one wait the first to be called wakes it.
func (p *process) waker() func() {
	turn := p.turn
	return func() {
		if p.turn == turn {
			p.resume()
		}
	}
}

// park waits until a waker is called.
func (p *process) park() {
	p.live()
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
	p.turn++
}

// live unwinds a dying process further: what it deferred must reach nothing.
func (p *process) live() {
	if p.dying {
		panic(killed{})
	}
}

// sleepUntil waits until the given time.
func (p *process) sleepUntil(t time.Time) {
	p.live()
	p.loop.at(t, p.waker())
	p.park()
}

// together runs the functions side by side in processes of their own, and returns when all have returned.
func (l *loop) together(calls ...func()) {
	me := l.current
	me.live()
	switch len(calls) {
	case 0:
		return
	case 1:
		calls[0]()
		return
	}
	left, wake := len(calls), me.waker()
	var crashed string
	for _, call := range calls {
		l.spawn(me.owner, call, func(p *process) {
			left--
			if p.crashed != "" {
				crashed = p.crashed
			}
			if left == 0 {
				l.at(l.now, wake)
			}
		})
	}
	me.park()
	if crashed != "" {
		panic(crashed)
	}
}

// close ends all processes that still run, so that nothing of a history outlives it.
func (l *loop) close() {
	for len(l.alive) > 0 {
		for p := range l.alive {
			p.kill()
		}
	}
}
