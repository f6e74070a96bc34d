package sim

import "time"

// Result is what came of one history.
type Result struct {
	Seed   uint64
	Hash   uint64  // Of everything that happened: equal for two runs of one seed.
	Breach *Breach // Nil if every invariant held.

	tally *tally
	notes []note
}

// Run runs the history of a seed.
func Run(seed uint64) Result {
	var pool coroutines
	defer pool.close()
	return pool.run(newPlan(seed), false)
}

// run runs the history of a plan; keep keeps what happened in words.
func (c *coroutines) run(p *plan, keep bool) Result {
	w := newWorld(p, c, keep)
	if c.sabotage != nil {
		c.sabotage(w)
	}
	w.run()
	return Result{Seed: p.Seed, Hash: w.trace.hash, Breach: w.first, tally: w.tally, notes: w.trace.notes}
}

// Virtual is how much time passed in the history.
func (r Result) Virtual() time.Duration { return r.tally.virtual }
