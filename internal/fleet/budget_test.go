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
