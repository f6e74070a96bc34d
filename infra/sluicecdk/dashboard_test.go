package sluicecdk

import (
	"encoding/json"
	"fmt"
	"testing"

	"sluice/internal/config"
	"sluice/internal/price"
	"sluice/stepfunctions"
)

// TestQuietSweepCosts holds the transitions that the cost is made of to the state machine, and the sum to the README's.
func TestQuietSweepCosts(t *testing.T) {
	t.Parallel()
	var machine struct {
		StartAt string
		States  map[string]struct {
			Type, Next string
			Choices    []struct{ Next string }
		}
	}
	if err := json.Unmarshal([]byte(stepfunctions.ScaleIn), &machine); err != nil {
		t.Fatal(err)
	}
	entered, state := 1, machine.StartAt
	for ; machine.States[state].Type != "Succeed"; entered++ {
		next := machine.States[state].Next
		for _, c := range machine.States[state].Choices {
			if c.Next == "Quiet" {
				next = c.Next
			}
		}
		if state = next; entered > 10 {
			t.Fatalf("no quiet way through the machine: got to %q", state)
		}
	}
	if entered != price.QuietTransitions {
		t.Errorf("a quiet sweep enters %d states, not %d", entered, price.QuietTransitions)
	}
	const sweepsAMonth = 30 * 24 * 12
	if month := fmt.Sprintf("%.2f", sweepsAMonth*price.QuietTransitions*price.Of(price.Transition, "").USD); month != "0.65" {
		t.Errorf("the quiet sweeps of a month cost $%s, not $0.65", month)
	}
}

func TestFunctionCost(t *testing.T) {
	t.Parallel()
	r := &resources{plan: plan{config: &config.Config{}}}
	if got, want := r.functionCost("calls", "time", 512), "calls * 0.000000200 + time * 0.000000006666700"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTheStackIsAsItsPriceHasIt holds the numbers that the price of Sluice rests on to what is made.
func TestTheStackIsAsItsPriceHasIt(t *testing.T) {
	t.Parallel()
	if n := len([]sweepMetric{unknownTargets, strandedTargets}); n != price.StackMetrics {
		t.Errorf("%d metrics, not %d", n, price.StackMetrics)
	}
	if n := len(figures); n != price.WorkerAlarms {
		t.Errorf("%d alarms for each target, not %d", n, price.WorkerAlarms)
	}
}
