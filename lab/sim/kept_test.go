package sim

import "testing"

// Every history that once broke an invariant is well. `go run ./lab/sim/cmd -tell SEED -keep lab/sim/kept` keeps one.
func TestKeptHistoriesHold(t *testing.T) {
	plans, err := keptPlans()
	if err != nil || len(plans) == 0 {
		t.Fatalf("%d histories are kept, %v", len(plans), err)
	}
	broken, held := runKept()
	for _, b := range broken {
		t.Errorf("seed %d: %v", b.Seed, b.Breach)
		for _, line := range b.Story {
			t.Log(line)
		}
	}
	if held+len(broken) != len(plans) {
		t.Errorf("%d hold and %d are broken, of %d", held, len(broken), len(plans))
	}
}
