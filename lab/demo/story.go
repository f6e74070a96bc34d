package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// tick is how often the driver looks at how things stand.
const tick = 100 * time.Millisecond

// run plays the story to its end and returns the facts. With an error the facts are those of a story that broke off.
func (d *driver) run(ctx context.Context) (facts, error) {
	stop, cancel := context.WithCancel(ctx)
	defer cancel() // Ends what still posts.
	d.start = time.Now()
	d.passed = d.chronicle.sweeps
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var err error
	for d.act != ended && err == nil {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case e := <-d.api.ended:
			d.api.ended <- e
			err = fmt.Errorf("the shop's API ended with exit status %d", e.Code)
		case happen := <-d.happened:
			err = happen()
		case <-ticker.C:
			err = d.look(stop)
		}
	}
	f := d.facts()
	// Also after a story that broke off: what is done is done, and has to be right. The context may have ended by then.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancelLast()
	var noResults error
	f.results, noResults = d.shop.results(last)
	return f, cmp.Or(err, noResults)
}

// look reads the ledger, shows how things stand, and goes on to the next act when it is time.
func (d *driver) look(ctx context.Context) error {
	if err := d.ledger.read(ctx, d.redis, d.key); err != nil {
		return err
	}
	if err := d.show(ctx); err != nil {
		return err
	}
	if d.opts.sabotage != nil && d.act == firstWork && d.onlyLongWork() {
		d.opts.sabotage()
		d.opts.sabotage = nil
	}
	quiet := time.Since(d.ledger.moved)
	if (d.act == idle || d.act == letGo) && quiet > 2*d.zeroBound() {
		return fmt.Errorf("nothing has happened for %.0f s", quiet.Seconds())
	}
	// No message waits, and no task that was begun can take that long: what has not ended by then is lost, and the story
	// goes on without it.
	stalled := d.waiting == 0 && quiet > d.opts.patience
	working := d.ledger.unfinished() > 0 && !stalled
	switch d.act {
	case beginning:
		if d.chronicle.sweeps > d.passed {
			d.start = time.Now() // What came before was set-up.
			d.post(ctx, d.first, firstWork)
		}
	case firstWork:
		if !working {
			d.act = idle
		}
	case idle:
		// On a slow machine the workers may be gone before the driver sees that they were to go.
		if len(d.chronicle.settling) > 0 || d.chronicle.zeroAt >= 0 {
			d.tell(onLoad, "second wave: it comes while the idle workers are about to be let go")
			d.post(ctx, d.second, secondWork)
		}
	case secondWork:
		if !working {
			d.act = letGo
		}
	case letGo:
		if d.chronicle.zeroAt >= 0 {
			d.act = ended
		}
	}
	return nil
}

// onlyLongWork says that long tasks execute, and that there is no other work.
func (d *driver) onlyLongWork() bool {
	long := d.ledger.progress(kinds["reports"])
	return long.running > 0 && long.running == d.ledger.unfinished()
}

// kinds are the Celery tasks of the queues, as examples/shop/tasks.py routes them.
var kinds = map[string]string{"orders": "shop.confirm", "reports": "shop.report"}

// show shows how things stand.
func (d *driver) show(ctx context.Context) error {
	s := status{at: d.since(time.Now()), waitingFor: waits[d.act]}
	d.waiting = 0
	for _, q := range d.config.Targets[0].Queues {
		n, err := d.backlog(ctx, q)
		if err != nil {
			return err
		}
		d.waiting += n
		s.queues = append(s.queues, queueStatus{name: q, backlog: n, progress: d.ledger.progress(kinds[q])})
	}
	d.cloud.count(&s)
	d.view.show(s)
	return nil
}

// post posts a wave in the background, and goes on to the next act when all of it is posted.
func (d *driver) post(ctx context.Context, w wave, next act) {
	if next == firstWork {
		d.act = firstWave
	} else {
		d.act = secondWave
	}
	began := time.Now()
	go func() {
		for _, p := range w.posts {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(began.Add(p.after))):
			}
			d.happen(ctx, func() error {
				d.tell(onLoad, "%v", p)
				return nil
			})
			expected, err := d.send(ctx, p)
			d.happen(ctx, func() error {
				if err != nil {
					return fmt.Errorf("post %v: %w", p, err)
				}
				maps.Copy(d.expected, expected)
				return nil
			})
		}
		d.happen(ctx, func() error {
			d.act = next
			return nil
		})
	}()
}

// happen has the driver's own goroutine do something.
func (d *driver) happen(ctx context.Context, do func() error) {
	select {
	case d.happened <- do:
	case <-ctx.Done():
	}
}

// send posts orders and reports, and returns what their tasks have to come to.
func (d *driver) send(ctx context.Context, p post) (map[string]json.RawMessage, error) {
	expected := map[string]json.RawMessage{}
	if len(p.orders) > 0 {
		ids, err := d.shop.postOrders(ctx, p.orders)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			expected[id] = p.orders[i].result()
		}
	}
	if len(p.reports) > 0 {
		ids, err := d.shop.postReports(ctx, p.reports)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			expected[id] = p.reports[i].result()
		}
	}
	return expected, nil
}

// facts gathers what was observed.
func (d *driver) facts() facts {
	f := facts{
		tasks: d.ledger.tasks, expected: d.expected, calls: d.cloud.calls(),
		ready: -time.Second,
		// A sweep finds what a lost event would have told.
		repairBound: d.config.LocalSweepEvery() + slack + d.opts.leeway,
		leeway:      d.opts.leeway,
		zeroBound:   d.zeroBound(),
	}
	d.chronicle.tell(&f)
	f.killed = d.cloud.killed()
	if !d.ledger.lastEnded.IsZero() {
		f.lastDone = d.since(d.ledger.lastEnded)
	}
	if !d.ledger.firstStarted.IsZero() && d.chronicle.firstEvent >= 0 {
		f.ready = d.since(d.ledger.firstStarted) - d.chronicle.firstEvent
	}
	return f
}

// zeroBound is how long after the last task the workers may stay: until a sweep finds them idle, two more looks after the settle
// time say the same, and they have been drained.
func (d *driver) zeroBound() time.Duration {
	t := d.config.Targets[0]
	return d.config.LocalSweepEvery() + t.Grace.Std() + t.Settle.Std() + 3*look + drain + slack + d.opts.leeway
}
