package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// newest stands for the Celery of build/venv.
const newest = "newest"

// The versions and pools that rounds go through in turn.
var (
	versions = []string{newest, "5.2"}
	pools    = []string{"prefork", "threads", "solo", "gevent"}
)

// The times of all rounds. On Fargate everything is some ten times slower, and Celery's own visibility timeout is an hour.
const (
	window      = 28 * time.Second // In which the load comes and the faults begin.
	sweepEvery  = 4 * time.Second
	startDelay  = 300 * time.Millisecond
	stopTimeout = 8 * time.Second
	visibility  = 40 * time.Second
	horizon     = 6 * time.Second
	longest     = 16 * time.Second // Of a task: well beyond the stop timeout, and within the visibility timeout.
)

// plan is a round: all that is decided by chance is decided here, from the seed.
type plan struct {
	number int
	seed   uint64

	version, pool       string
	concurrency         int
	min, max, perWorker int
	prefetch            int
	late                bool // acks_late.
	sameName            bool // All workers bear one name.
	quiet               bool // Workers run without heartbeats, gossip and mingle, as many do.
	settle, grace       time.Duration
	load                load
	batches             []batch
	faults              []fault
	window              time.Duration
}

// batch is what is sent at one time.
type batch struct {
	at    time.Duration
	jobs  []job
	event bool // Whether the sender says that there is work, as the application's API would.
}

// job is one message.
type job struct {
	id        string
	name      string // Of the task.
	seconds   float64
	retries   int
	countdown float64
	priority  int
}

// newPlan makes the plan of round number of a run with that seed. It depends on nothing else.
func newPlan(seed uint64, number int) plan {
	r := newRand(seed, number)
	p := plan{
		number: number, seed: seed,
		version: versions[(number+number/len(pools))%len(versions)], pool: pools[number%len(pools)],
		concurrency: 2, min: pick(r, 0, 0, 1), max: 3 + r.IntN(2), perWorker: 2 + r.IntN(4),
		prefetch: pick(r, 1, 4), late: r.IntN(2) == 0, sameName: r.IntN(6) == 0, quiet: r.IntN(3) == 0,
		settle: time.Duration(2+r.IntN(2)) * time.Second, grace: time.Duration(1+r.IntN(2)) * time.Second,
		window: window,
	}
	if p.pool == "solo" {
		p.concurrency = 1
	}
	// Every fourth round has the load in which some workers have long tasks and others none, and all names of their own: it is the
	// one that shows partial scale-ins, and the first of them has no faults that could hinder them.
	p.load = pick(r, idleLoad, trickle, bursts, saturated, mixed)
	calm := number%8 == 0
	if number%4 == 0 {
		p.load, p.sameName, p.max = tail, false, max(p.max, 4)
	}
	p.batches = p.load.batches(r, p)
	if !calm {
		p.faults = newFaults(r, p.window)
	}
	return p
}

// newRand is the chance of a round.
func newRand(seed uint64, number int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(number))) }

// pick returns one of the values by chance.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// jobs is how many messages the round sends at most: an ambush needs a scale-in.
func (p plan) jobs() int {
	n := 0
	for _, b := range p.batches {
		n += len(b.jobs)
	}
	for _, f := range p.faults {
		n += len(f.jobs)
	}
	return n
}

// bound is how long after its last fault and message a round may take until everything is accounted for. What comes back only
// after the visibility timeout takes that long; a function that died, or that lost the broker, may leave the lock for a scale-in
// behind, which expires after three minutes.
func (p plan) bound() time.Duration {
	bound := 30*time.Second + visibility
	if len(p.faults) > 0 {
		bound += 4 * time.Minute
	}
	return bound
}

// label names a round's set-up in a few words.
func (p plan) label() string {
	words := []string{p.pool, p.version, string(p.load), fmt.Sprintf("%d..%d", p.min, p.max)}
	if p.late {
		words = append(words, "late")
	} else {
		words = append(words, "early")
	}
	words = append(words, fmt.Sprintf("prefetch %d", p.prefetch))
	if p.sameName {
		words = append(words, "one name")
	}
	if p.quiet {
		words = append(words, "no heartbeats")
	}
	return strings.Join(words, ", ")
}

// String is the plan as it is printed before a run.
func (p plan) String() string {
	var faults []string
	for _, f := range p.faults {
		faults = append(faults, f.String())
	}
	if len(faults) == 0 {
		faults = []string{"no faults"}
	}
	return fmt.Sprintf("round %2d: %s; %d messages; %s", p.number, p.label(), p.jobs(), strings.Join(faults, ", "))
}
