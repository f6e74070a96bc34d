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
	on      *coroutine  // What it runs on; nil before it begins and after it has ended.
	turn    uint64      // How often it has waited; see waker.
	owner   *invocation // The Lambda invocation that it is part of; nil if of none.
	run     func()
	onEnd   func(*process)
	dying   bool
	ended   bool
	crashed string // The panic that ended it, with its stack; empty if none did.
}

// coroutine runs one process after the other. They are kept for the next history, since each has grown a stack.
type coroutine struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	job   *process
}

// coroutines are those that have nothing to do.
type coroutines struct {
	idle []*coroutine
	// sabotage changes each world before its history begins: a test's own mistake. It is nil but for tests.
	sabotage func(*world)
}

func (c *coroutines) take() *coroutine {
	if n := len(c.idle); n > 0 {
		one := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return one
	}
	one := &coroutine{}
	one.next, one.stop = iter.Pull(func(yield func(struct{}) bool) {
		one.yield = yield
		for {
			one.job.do()
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return one
}

// close ends the coroutines that have nothing to do.
func (c *coroutines) close() {
	for _, one := range c.idle {
		one.stop()
	}
	c.idle = nil
}

// killed unwinds a process that is ended from outside.
type killed struct{}

// spawn starts a process in the present, after the step that runs. onEnd hears when it has returned or panicked, not when
// it was killed; it may be nil.
func (l *loop) spawn(owner *invocation, run func(), onEnd func(*process)) *process {
	p := &process{loop: l, owner: owner, run: run, onEnd: onEnd}
	l.alive = append(l.living(), p)
	l.at(l.now, p.resume)
	return p
}

// do runs the process to its end, whatever that is.
func (p *process) do() {
	defer func() {
		p.ended = true
		r := recover()
		if _, ok := r.(killed); ok || p.dying {
			return
		}
		if r != nil {
			p.crashed = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
		}
		if p.onEnd != nil {
			p.onEnd(p)
		}
	}()
	p.run()
}

// resume lets the process run until it waits. It is called by the loop only.
func (p *process) resume() {
	if p.ended {
		return
	}
	if p.on == nil {
		p.on = p.loop.pool.take()
		p.on.job = p
	}
	before := p.loop.current
	p.loop.current = p
	p.on.next()
	p.loop.current = before
	if p.ended {
		p.on.job = nil
		p.loop.pool.idle = append(p.loop.pool.idle, p.on)
		p.on = nil
		p.loop.buried++
	}
}

// kill ends the process at once, without a word to anybody: what it deferred runs, and reaches nothing any more. It must not
// be called by the process itself.
func (p *process) kill() {
	if p.ended {
		return
	}
	p.dying = true
	if p.on == nil { // It never began.
		p.ended = true
		p.loop.buried++
		return
	}
	p.resume()
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
	p.on.yield(struct{}{})
	p.turn++
	p.live()
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

// living returns the processes that have not ended, in the order of their start.
func (l *loop) living() []*process {
	if l.buried > 8 && l.buried > len(l.alive)/2 {
		kept := l.alive[:0]
		for _, p := range l.alive {
			if !p.ended {
				kept = append(kept, p)
			}
		}
		clear(l.alive[len(kept):])
		l.alive, l.buried = kept, 0
	}
	return l.alive
}

// close ends all processes that still run, so that nothing of a history outlives it.
func (l *loop) close() {
	for _, p := range l.alive {
		p.kill()
	}
}
