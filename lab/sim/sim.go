// Package sim tries to break the promises of Sluice, in seeded worlds and in virtual time.
//
// A history is a world drawn from a seed: one to three targets, their load, and what goes wrong. In it runs the code that
// ships, unchanged: the use cases (internal/scaler), the decisions (internal/policy), the fleet (internal/fleet) and the
// state machine's own file. Around them stand models: ECS (lab/cloud/ecs), Step Functions (lab/cloud/asl), Redis
// with Celery's workers (lab/sim/broker, held against real ones), and in this package Lambda, EventBridge and the
// people who operate it.
//
// There is one line of time (loop.go), on which one thing happens after the other. Each Lambda invocation and each
// execution of the state machine is a coroutine (process.go) that runs alone until it calls a port: there time passes, the
// world goes on, calls fail, answers get lost, and the invocation may die, before the effect of the call or after it
// (ports.go, lambda.go). All chance comes from the seed, so that a seed is a history: two runs of it are compared by a hash
// of all that happened.
//
// A judge (judge.go) watches after every step. Its invariants, each with its bounds, are the constants of type Invariant.
// Faults end some time before a history does, so that it can be judged whether all comes to rest. An invariant that is
// broken ends the history, which is then made as short as possible (shrink.go) and told (story.go).
//
// What it does not show: real networks, real clocks, and whatever the models leave out (see their packages); targets whose
// activity comes from a counter or which protect themselves, since those cannot be drained; more than three targets.
package sim

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
