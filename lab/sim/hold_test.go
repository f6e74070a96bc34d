package sim

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// The seeds that every test run tries. `make sim SEEDS=N` tries others.
const (
	firstSeed = 1
	seeds     = 400
)

func TestInvariantsHold(t *testing.T) {
	n := seeds
	if testing.Short() {
		n = 50
	}
	report := RunAll(Options{Seeds: n, From: firstSeed, Workers: runtime.GOMAXPROCS(0), Story: 200})
	for _, b := range report.Broken {
		t.Errorf("seed %d: %v", b.Seed, b.Breach)
		for _, line := range b.Story {
			t.Log(line)
		}
	}
	if report.Histories != n {
		t.Errorf("%d histories ran, want %d", report.Histories, n)
	}
	// A simulation in which nothing happens proves nothing.
	for what, least := range map[string]int{
		"stops by us": n, "tasks protected": n / 2, "workers drained": n, "workers resumed": n / 10, "messages done": 10 * n,
	} {
		if got := report.tally.other[what]; got < least {
			t.Errorf("%s: %d in %d histories, want at least %d", what, got, n, least)
		}
	}
}

// Two runs of a seed are the same, event by event, also where the second one finds coroutines that others have used.
func TestSameSeedSameHistory(t *testing.T) {
	var pool coroutines
	defer pool.close()
	for seed := range uint64(40) {
		first, second := Run(seed), pool.run(newPlan(seed), seed%2 == 0)
		if b := differs(first, second); b != nil {
			t.Errorf("seed %d: %v", seed, b)
		}
		if seed > 0 && first.Hash == Run(seed-1).Hash {
			t.Errorf("seeds %d and %d have one history", seed-1, seed)
		}
	}
}

// No real time passes in a history, and no timer of the real clock runs out: in a bubble of synctest all sleepers would be
// woken by its clock, and this test's own sleep is the first.
func TestNoRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		Run(7)
		if passed := time.Since(began); passed != 0 {
			t.Errorf("%v of the real clock passed", passed)
		}
	})
}
