package sim

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/awsname"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// ports are the world as the production code sees it: a call takes its time, goes wrong as the faults say, and is a moment
// at which the invocation that makes it may die, before its effect or after.

// begin is the beginning of a call: the invocation may die here, or stand still.
func (w *world) begin(op string) *invocation {
	p := w.loop.current
	p.live()
	inv := p.owner
	inv.calls++
	w.mayDie(inv, op, false)
	if f := w.faults.once(lambdaStall, -1, w.loop.now); f != nil {
		w.note(noteStall, -1, "%s stands still for %v before it would %s", inv.function.name, f.Length, op)
		p.sleepUntil(w.loop.now.Add(f.Length))
	}
	return inv
}

// mayDie kills the invocation if this is the moment that was drawn for it.
func (w *world) mayDie(inv *invocation, op string, after bool) {
	d := inv.death
	if d == nil || d.N != inv.calls || d.After != after {
		return
	}
	when := "before it would"
	if after {
		when = "after it did"
	}
	w.tally.deaths[fmt.Sprintf("%s, %s %s", inv.function.name, when, op)]++
	w.note(noteDeath, -1, "%s dies %s %s", inv.function.name, when, op)
	w.loop.at(w.loop.now, func() { w.end(inv, "Runtime.ExitError") })
	w.loop.current.park() // For ever.
}

// How long a call of ECS is waited for (fleet.Options: Attempts, AttemptTimeout), and how long after it was sent it takes effect at the
// most, though nobody waits for it any more. Nothing can be done against a write that ECS carries out half a minute late: it has no
// compare-and-set.
const (
	readPatience  = 13 * time.Second
	writePatience = 3 * time.Second
	slowestEffect = 6 * time.Second
)

// fleetPort is scaler.Fleet over the production fleet.
type fleetPort struct{ w *world }

// call makes one call of ECS. What it does happens once, in between; the answer may be lost.
func (p fleetPort) call(ctx context.Context, op string, subject int, write bool, effect func() error) error {
	w := p.w
	inv := w.begin(op)
	refuse := func(k policy.Kind, text string) error {
		return &policy.Error{Kind: k, Err: fmt.Errorf("%s: %s", op, text)}
	}
	there, back := w.draw.between(4*time.Millisecond, 30*time.Millisecond), w.draw.between(4*time.Millisecond, 30*time.Millisecond)
	if f := w.faults.take(ecsSlow, subject, w.loop.now); f != nil {
		w.note(noteFault, subject, "ECS takes %v to %s", f.Length, op)
		if f.After {
			back += f.Length
		} else {
			there += min(f.Length, slowestEffect)
		}
		// So long does the production fleet wait: a write once, a read four times.
		patience := newContext(ctx, w.loop)
		patience.limit(w.loop.now.Add(readPatience))
		if write {
			patience.limit(w.loop.now.Add(writePatience))
		}
		ctx = patience
	}
	if w.faults.take(ecsThrottle, subject, w.loop.now) != nil {
		if err := w.wait(ctx, there+back); err != nil {
			return refuse(policy.FleetUnavailable, err.Error())
		}
		w.note(noteFault, subject, "ECS refuses to %s: rate exceeded", op)
		return refuse(policy.FleetThrottled, "rate exceeded")
	}
	if w.faults.take(ecsError, subject, w.loop.now) != nil {
		if err := w.wait(ctx, there+back); err != nil {
			return refuse(policy.FleetUnavailable, err.Error())
		}
		w.note(noteFault, subject, "ECS fails to %s", op)
		return refuse(policy.FleetUnavailable, "server error")
	}
	if deadline, ok := ctx.Deadline(); write && ok && w.loop.now.Add(there).After(deadline) {
		// The request is on its way, and the caller has gone when it arrives.
		w.loop.after(there, func() { _ = effect() })
	}
	if err := w.wait(ctx, there); err != nil {
		return refuse(policy.FleetUnavailable, err.Error())
	}
	err := effect()
	w.mayDie(inv, op, true)
	lost := w.faults.take(ecsAnswerLost, subject, w.loop.now) != nil
	if late := w.wait(ctx, back); late != nil {
		return refuse(policy.FleetUnavailable, late.Error())
	}
	if lost {
		w.note(noteFault, subject, "ECS did %s, and its answer is lost", op)
		return refuse(policy.FleetUnavailable, "no answer")
	}
	return err
}

// wait lets time pass for the running process, as far as its context goes.
func (w *world) wait(ctx context.Context, d time.Duration) error {
	return clock{w.loop}.Sleep(ctx, d)
}

func (p fleetPort) Describe(ctx context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	var out map[policy.ServiceRef]policy.Described
	subject := -1
	if len(refs) > 0 {
		subject = p.w.byRef[refs[0]].index
	}
	err := p.call(ctx, "describe", subject, false, func() error {
		out = p.w.fleet.Describe(context.Background(), refs)
		return nil
	})
	if err == nil {
		return out
	}
	out = map[policy.ServiceRef]policy.Described{}
	for _, ref := range refs {
		out[ref] = policy.Described{Err: err}
	}
	return out
}

func (p fleetPort) Tasks(ctx context.Context, ref policy.ServiceRef) ([]policy.Task, error) {
	var out []policy.Task
	t := p.w.byRef[ref]
	inv := p.w.loop.current.owner
	err := p.call(ctx, "list the tasks", t.index, false, func() (err error) {
		inv.lastTasks = p.w.loop.now
		out, err = p.w.fleet.Tasks(context.Background(), ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p fleetPort) SetDesired(ctx context.Context, ref policy.ServiceRef, n int) error {
	t := p.w.byRef[ref]
	inv := p.w.loop.current.owner
	return p.call(ctx, fmt.Sprintf("set %s to %d", t.plan.Name, n), t.index, true, func() error {
		return p.w.setDesired(t, inv, n)
	})
}

func (p fleetPort) Match(nodes []string, tasks []policy.Task) map[string]string {
	return p.w.fleet.Match(nodes, tasks)
}

func (p fleetPort) Protect(
	ctx context.Context, ref policy.ServiceRef, ids []string, d time.Duration,
) (map[string]time.Time, error) {
	t := p.w.byRef[ref]
	inv := p.w.loop.current.owner
	var out map[string]time.Time
	err := p.call(ctx, "protect", t.index, true, func() (err error) {
		p.w.judge.protects(t, inv, ids, d)
		out, err = p.w.fleet.Protect(context.Background(), ref, ids, d)
		p.w.judge.protected(t, out)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p fleetPort) Release(ctx context.Context, ref policy.ServiceRef, ids []string) error {
	t := p.w.byRef[ref]
	inv := p.w.loop.current.owner
	return p.call(ctx, "release", t.index, true, func() error {
		p.w.judge.releases(t, inv, ids)
		return p.w.fleet.Release(context.Background(), ref, ids)
	})
}

func (p fleetPort) SetTags(ctx context.Context, arn string, tags map[string]string) error {
	inv := p.w.loop.current.owner
	return p.call(ctx, "tag", -1, true, func() error {
		if i := p.w.index(awsname.Last(arn)); i >= 0 {
			p.w.judge.acts(p.w.targets[i], inv, "sets a tag")
		}
		return p.w.fleet.SetTags(context.Background(), arn, tags)
	})
}

// brokerPort is scaler.Broker over the model of a Redis with its workers, whose own faults are in the model.
type brokerPort struct {
	w      *world
	client scaler.Broker
}

// call makes one call of the broker.
func (p brokerPort) call(op string, effect func()) {
	inv := p.w.begin(op)
	p.w.loop.current.sleepUntil(p.w.loop.now.Add(p.w.draw.between(time.Millisecond, 12*time.Millisecond)))
	effect()
	p.w.mayDie(inv, op, true)
}

func (p brokerPort) Look(ctx context.Context, queues []string, patience time.Duration) (look policy.Look, err error) {
	p.call("look", func() { look, err = p.client.Look(ctx, queues, patience) })
	return look, err
}

func (p brokerPort) Beats(ctx context.Context, expect int) (beats map[string]policy.Beat, err error) {
	p.call("listen to heartbeats", func() { beats, err = p.client.Beats(ctx, expect) })
	return beats, err
}

func (p brokerPort) Counter(ctx context.Context, key string) (c policy.Count, err error) {
	p.call("read the counter", func() { c, err = p.client.Counter(ctx, key) })
	return c, err
}

func (p brokerPort) Cancel(ctx context.Context, nodes []policy.Node) (err error) {
	p.call("drain", func() {
		err = p.client.Cancel(ctx, nodes)
		p.w.drained(nodes, true)
	})
	return err
}

func (p brokerPort) Consume(ctx context.Context, nodes []policy.Node) (err error) {
	p.call("resume", func() {
		err = p.client.Consume(ctx, nodes)
		p.w.drained(nodes, false)
	})
	return err
}

func (p brokerPort) RateLimited(ctx context.Context, nodes []policy.Node) (names map[string]bool, err error) {
	p.call("ask for rate limits", func() { names, err = p.client.RateLimited(ctx, nodes) })
	return names, err
}

func (p brokerPort) Untracked(ctx context.Context, nodes []policy.Node) (names map[string][]string, err error) {
	p.call("ask for untracked tasks", func() { names, err = p.client.Untracked(ctx, nodes) })
	return names, err
}

func (p brokerPort) Lock(ctx context.Context, name, token string, ttl time.Duration) (ok bool, err error) {
	p.call("lock", func() {
		ok, err = p.client.Lock(ctx, name, token, ttl)
		if ok && err == nil {
			p.w.judge.locked(name, token, ttl)
		}
	})
	return ok, err
}

func (p brokerPort) Unlock(ctx context.Context, name, token string) (err error) {
	p.call("unlock", func() { err = p.client.Unlock(ctx, name, token) })
	return err
}
