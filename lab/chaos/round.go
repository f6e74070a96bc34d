package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"sluice/lab/cloud/ecs"
)

// arm is who scales in a round.
type arm string

const (
	sluice          arm = "sluice"
	emptyList       arm = "0 when LLEN is 0"
	checkThenReduce arm = "check then reduce"
)

// result is a round with all that was seen in it.
type result struct {
	plan    plan
	arm     arm
	dir     string
	facts   *facts
	verdict verdict
	story   []line // What happened, in order.
}

// perform runs one round.
func perform(ctx context.Context, p plan, a arm, lambdas, dir string) (*result, error) {
	w, err := newWorld(ctx, p, a, lambdas, dir)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.began = time.Now()
	if err := w.live(ctx, a); err != nil {
		return nil, err
	}
	settled := w.settle(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	w.emptyOut(ctx)
	f, rows, err := w.facts(ctx)
	if err != nil {
		return nil, err
	}
	f.settled = settled
	r := &result{plan: p, arm: a, dir: dir, facts: f, verdict: judge(f)}
	r.story = tell(f, rows, w.witness.happenings())
	return r, r.write()
}

// live sends the load and does the faults, and returns when both are over.
func (w *world) live(ctx context.Context, a arm) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	say := w.sayWork
	if a != sluice {
		rival := newRival(w, a)
		say = rival.event
		ruled := make(chan struct{})
		ruling, stop := context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			defer close(ruled)
			rival.rule(ruling)
		}()
		// It rules until the world ends.
		w.ends = append(w.ends, func() { stop(); <-ruled })
	}
	var mu sync.Mutex
	var errs []error
	fail := func(err error) {
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
		cancel()
	}
	var wg sync.WaitGroup
	for _, f := range w.plan.faults {
		wg.Go(func() { fail(w.inject(ctx, f)) })
	}
	for _, b := range w.plan.batches {
		pause(ctx, time.Until(w.began.Add(b.at)))
		if ctx.Err() != nil {
			break
		}
		if err := w.producer.send(b.jobs); err != nil {
			fail(err)
			break
		}
		if b.event {
			say()
		}
	}
	wg.Wait() // Some of the faults send, too.
	if ctx.Err() == nil {
		fail(w.producer.finish(ctx))
	}
	return errors.Join(errs...)
}

// settle waits until everything is accounted for, and says whether it came to that within the round's bound: the broker is
// empty, and nothing executes.
func (w *world) settle(ctx context.Context) bool {
	deadline := time.Now().Add(w.plan.bound())
	good := 0
	for good < 3 && time.Now().Before(deadline) && ctx.Err() == nil {
		pause(ctx, 500*time.Millisecond)
		if w.accounted() {
			good++
		} else {
			good = 0
		}
	}
	return good >= 3
}

// accounted says whether there is nothing that could still be done.
func (w *world) accounted() bool {
	quiet, at := w.witness.quiet()
	if !quiet || time.Since(at) > time.Second {
		return false
	}
	f, err := w.ledgerFacts()
	if err != nil {
		return false
	}
	for _, m := range f.messages {
		for _, a := range m.attempts {
			for _, r := range a.runs {
				// A run that is cut short on a worker that lives either goes on or was killed by us.
				if r.outcome == cut && f.alive(r.host) && !f.childKilled(r) {
					return false
				}
			}
		}
	}
	return true
}

// childKilled says whether the chaos killed a process of the run's worker since it began.
func (f *facts) childKilled(r *run) bool {
	for _, d := range f.deeds {
		if d.kind == killChild && d.host == r.host && d.from.After(r.start) {
			return true
		}
	}
	return false
}

// emptyOut gives the scaler the time to let the workers go that have nothing to do any more: the last scale-in is one
// that the round is to see.
func (w *world) emptyOut(ctx context.Context) {
	// Ten sweeps are more than a scaler needs; on a machine that is busy with other tests most of them come late, or see a worker
	// that does not answer in time.
	deadline := time.Now().Add(w.plan.settle + 60*sweepEvery + stopTimeout)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		services, tasks := w.cloud.ECS().Snapshot()
		alive := 0
		for _, t := range tasks {
			if t.Status != "STOPPED" {
				alive++
			}
		}
		if services[0].Desired <= w.plan.min && alive <= w.plan.min {
			return
		}
		pause(ctx, 250*time.Millisecond)
	}
}

// facts collects what everybody has to say.
func (w *world) facts(ctx context.Context) (*facts, []row, error) {
	w.witness.look(ctx, w.redis)
	f, err := w.ledgerFacts()
	if err != nil {
		return nil, nil, err
	}
	w.witness.testify(f)
	f.blameStops()
	rows, err := readLedger(w.ledger())
	return f, rows, err
}

// ledgerFacts are the facts without the witness's.
func (w *world) ledgerFacts() (*facts, error) {
	rows, err := readLedger(w.ledger())
	if err != nil {
		return nil, err
	}
	f := &facts{messages: map[string]*message{}, workers: map[string]*worker{}, pool: w.plan.pool, visibility: visibility, ended: time.Now()}
	_, tasks := w.cloud.ECS().Snapshot()
	for _, t := range tasks {
		f.workers[t.Hostname] = newWorker(t)
	}
	w.mu.Lock()
	f.deeds = append(f.deeds, w.deeds...)
	w.mu.Unlock()
	f.enter(rows)
	return f, nil
}

// newWorker is what ECS says of a task.
func newWorker(t ecs.TaskState) *worker {
	w := &worker{host: t.Hostname, id: t.ID, started: t.StartedAt, stopping: t.StoppingAt, deployment: t.Deployment}
	if t.Exit != nil {
		w.code, w.sigkilled = t.Exit.Code, t.Exit.Killed
		w.stopped = t.StoppedAt
		if w.stopped.IsZero() {
			w.stopped = t.StoppingAt // Nothing of it is left; ECS is still clearing up.
		}
	}
	switch {
	case t.StoppingAt.IsZero():
	case strings.HasPrefix(t.Reason, "Scaling activity"):
		w.by = scaleIn
		_, w.reason, _ = strings.Cut(t.Reason, "(deployment ")
		w.reason = strings.TrimSuffix(w.reason, ")")
	default:
		w.by = itself
	}
	return w
}

// blameStops tells the workers that a deployment replaced from those that a lower count stopped: they are of an older deployment
// than the one for which ECS stopped them, and the count was not lowered since that one began, which it must not be.
func (f *facts) blameStops() {
	for _, w := range f.workers {
		if w.by != scaleIn || w.reason == w.deployment {
			continue
		}
		lowered := false
		for _, d := range f.deeds {
			if d.kind != deploy || d.from.After(w.stopping) {
				continue
			}
			for _, c := range f.counts {
				lowered = lowered || c.to < c.from && c.at.After(d.from) && !c.at.After(w.stopping)
			}
		}
		if !lowered {
			w.by = deployment
		}
	}
}
