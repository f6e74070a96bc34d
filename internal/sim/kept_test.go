package sim

import "testing"

// Every history that once broke an invariant is well. `go run ./internal/sim/cmd -tell SEED -keep internal/sim/kept` keeps one.
func TestKeptHistoriesHold(t *testing.T) {
	results, err := Kept()
	if err != nil || len(results) == 0 {
		t.Fatalf("%d histories are kept, %v", len(results), err)
	}
	for name, r := range results {
		if r.Breach != nil {
			t.Errorf("%s: %v", name, r.Breach)
		}
		if r.tally.other["sweeps"] == 0 {
			t.Errorf("%s: nothing has happened", name)
		}
	}
}
