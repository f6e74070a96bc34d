package fleet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/policy"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(time.Now, 90, 18)
		start := time.Now()
		for call := 1; call <= 181; call++ {
			if err := b.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start).Round(time.Millisecond)
			switch {
			case call <= 90 && took != 0:
				t.Fatalf("call %d waited %v, and the burst is 90", call, took)
			case call == 180 && took != 5*time.Second:
				t.Errorf("90 calls beyond the burst took %v, want 5s at 18/s", took)
			}
		}
	})
}

// TestBudgetWithinTheDeadline holds that a call waits for its turn if that comes before the deadline, and that whoever gives up while it
// waits leaves its turn to the next.
func TestBudgetWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(time.Now, 1, 1)
		start := time.Now()
		take := func(patience time.Duration, want error, after time.Duration) {
			t.Helper()
			ctx, cancel := context.WithDeadline(t.Context(), start.Add(time.Hour))
			time.AfterFunc(patience, cancel)
			if err := b.take(ctx); !errors.Is(err, want) || time.Since(start) != after {
				t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), want, after)
			}
		}
		take(time.Minute, nil, 0)
		take(100*time.Millisecond, context.Canceled, 100*time.Millisecond)
		take(time.Minute, nil, time.Second)
	})
}

// TestBudgetsAreBelowTheRatesOfECS holds the budgets against what AWS documents for an account and Region, of which we take nine tenths.
// Source: "Request throttling for the Amazon ECS API".
func TestBudgetsAreBelowTheRatesOfECS(t *testing.T) {
	f := New(nil, Options{})
	for name, c := range map[string]struct {
		budget         *budget
		burst, aSecond float64 // Of ECS.
	}{
		"cluster service reads":                 {f.services, 100, 20},
		"cluster resource reads":                {f.tasks, 100, 20},
		"task protection":                       {f.protection, 200, 80},
		"cluster service resource modification": {f.updates, 50, 5},
		"tags":                                  {f.tags, 50, 5},
	} {
		if burst, aSecond := float64(c.budget.calls.Burst()), float64(c.budget.calls.Limit()); burst != c.burst*9/10 || aSecond != c.aSecond*9/10 {
			t.Errorf("%s: %v at once and %v/s, of %v and %v/s", name, burst, aSecond, c.burst, c.aSecond)
		}
	}
}

func TestBudgetBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(time.Now, 1, 1)
		if err := b.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		before := time.Now()
		err := b.take(ctx)
		if !errors.Is(err, errBudget) || time.Since(before) != 0 {
			t.Errorf("got %v after %v, want a refusal at once", err, time.Since(before))
		}
		if got := fail("describe service a in cluster b", "", err); got.Kind != policy.FleetThrottled {
			t.Errorf("got %s: %v", got.Kind, got)
		}
		// What was refused has taken nothing.
		time.Sleep(time.Second)
		if err := b.take(ctx); err == nil {
			t.Error("the context is over, and the call was let through")
		}
		if err := b.take(t.Context()); err != nil || time.Since(before) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(before))
		}
	})
}
