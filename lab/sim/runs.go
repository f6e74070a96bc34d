package sim

import (
	"sync"
	"sync/atomic"
	"time"
)

// Options say which histories to run.
type Options struct {
	Seeds       int    // How many.
	From        uint64 // The first seed.
	StopAtFirst bool   // Begin no further history once an invariant has been broken.
	Workers     int    // How many run at the same time.
	// Again runs every history with a seed that this divides twice, and compares; 0 is none.
	Again uint64
	// Kept runs only the histories that once broke an invariant. They are run first in any case but with StopAtFirst.
	Kept bool
	// Story bounds how many histories may be run to make a broken one shorter; 0 tells none.
	Story int
}

// Report is what came of many histories.
type Report struct {
	Histories int
	Took      time.Duration
	Broken    []Broken // By seed.
	held      int      // Kept histories that hold.
	tally     *tally
	options   Options
}

// Broken is one history in which an invariant was broken.
type Broken struct {
	Seed   uint64
	Breach Breach
	Story  []string // The shortest that was found, a line each.
}

// maxStories bounds how many broken histories are made shorter and told: they are likely to be the same one.
const maxStories = 5

// RunAll runs the histories of many seeds, several at a time, after those that once broke an invariant.
func RunAll(o Options) Report {
	var again []Broken
	held := 0
	if o.Kept || !o.StopAtFirst { // Who looks for the first seed that breaks asks for nothing else.
		again, held = runKept()
	}
	if o.Kept {
		o.Seeds = 0
	}
	var (
		next    atomic.Uint64
		stop    atomic.Bool
		mu      sync.Mutex
		wg      sync.WaitGroup
		began   = time.Now()
		report  = Report{tally: newTally(), options: o}
		stories int
	)
	for range max(1, o.Workers) {
		wg.Go(func() {
			var pool coroutines
			defer pool.close()
			mine := newTally()
			for !stop.Load() {
				i := next.Add(1) - 1
				if i >= uint64(o.Seeds) {
					break
				}
				seed := o.From + i
				p := newPlan(seed)
				r := pool.run(p, false)
				mine.merge(r.tally)
				if r.Breach == nil && o.Again > 0 && seed%o.Again == 0 {
					r.Breach = differs(r, pool.run(newPlan(seed), false))
				}
				if r.Breach == nil {
					continue
				}
				if o.StopAtFirst {
					stop.Store(true)
				}
				b := Broken{Seed: seed, Breach: *r.Breach}
				mu.Lock()
				stories++
				tell := o.Story > 0 && stories <= maxStories && r.Breach.Invariant != Same
				mu.Unlock()
				if tell {
					b.Story = pool.tell(p, r.Breach, o.Story)
				}
				mu.Lock()
				report.Broken = append(report.Broken, b)
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			report.tally.merge(mine)
		})
	}
	wg.Wait()
	report.Histories, report.held = report.tally.histories, held
	report.Broken = append(report.Broken, again...)
	report.Took = time.Since(began)
	sortBroken(report.Broken)
	return report
}

// differs compares two runs of one seed.
func differs(a, b Result) *Breach {
	if a.Hash == b.Hash {
		return nil
	}
	return &Breach{Invariant: Same, Target: -1, Text: "two runs of the seed differ"}
}

// maxLines is how long a story is at most, besides the world that it happens in.
const maxLines = 40

// tell makes a broken history as short as it can and tells it.
func (c *coroutines) tell(p *plan, b *Breach, tries int) []string {
	short, _ := c.shrink(p, b, tries)
	return c.run(short, true).story(short, maxLines)
}

// Tell tells the story of a seed, whether or not an invariant is broken in it, all of it if it is asked for.
func Tell(seed uint64, all bool, tries int) []string {
	var pool coroutines
	defer pool.close()
	p := newPlan(seed)
	r := pool.run(p, true)
	if r.Breach == nil || all {
		return r.story(p, len(r.notes))
	}
	return pool.tell(p, r.Breach, tries)
}
