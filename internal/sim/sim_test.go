package sim

import (
	"flag"
	"testing"
	"time"
)

var tell = flag.Uint64("tell", 0, "tell the story of a seed")
var count = flag.Int("count", 200, "how many")

func TestStory(t *testing.T) {
	p := newPlan(*tell)
	r := run(p, true)
	if r.Breach == nil {
		t.Skip("not broken")
	}
	p, _ = shrink(p, r.Breach, 600)
	r = run(p, true)
	for _, line := range r.story(p, 60) {
		t.Log(line)
	}
}

func TestTry(t *testing.T) {
	began := time.Now()
	n := *count
	all := newTally()
	bad := map[Invariant]int{}
	for seed := range n {
		r := Run(uint64(seed))
		all.merge(r.tally)
		if r.Breach != nil {
			bad[r.Breach.Invariant]++
			if bad[r.Breach.Invariant] < 5 {
				t.Logf("seed %d at %v: %v", seed, r.Breach.At, r.Breach)
			}
		}
	}
	t.Logf("%d in %v", n, time.Since(began))
	t.Log(bad)
}
