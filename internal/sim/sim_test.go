package sim

import (
	"flag"
	"testing"
	"time"
)

var tell = flag.Uint64("tell", 0, "tell the story of a seed")
var count = flag.Int("count", 200, "how many")

func TestStory(t *testing.T) {
	var pool coroutines
	defer pool.close()
	p := newPlan(*tell)
	r := pool.run(p, true)
	if r.Breach == nil {
		t.Skip("not broken")
	}
	p, _ = pool.shrink(p, r.Breach, 600)
	r = pool.run(p, true)
	for _, line := range r.story(p, 60) {
		t.Log(line)
	}
}

func TestTry(t *testing.T) {
	began := time.Now()
	n := *count
	all := newTally()
	var pool coroutines
	defer pool.close()
	bad := map[Invariant]int{}
	for seed := range n {
		r := pool.run(newPlan(uint64(seed)), false)
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
