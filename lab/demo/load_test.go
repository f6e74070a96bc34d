package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlanIsTheSameForTheSameSeed(t *testing.T) {
	first, second := plan(1)
	again, secondAgain := plan(1)
	other, _ := plan(2)
	unexported := cmp.AllowUnexported(wave{}, post{})
	if diff := cmp.Diff([]wave{first, second}, []wave{again, secondAgain}, unexported); diff != "" {
		t.Errorf("two plans of one seed differ:\n%s", diff)
	}
	if cmp.Equal(first, other, unexported) {
		t.Error("plans of two seeds are equal")
	}
}

func TestPlanIsWhatTheDemoPromises(t *testing.T) {
	for seed := range uint64(50) {
		first, second := plan(seed)
		numbers := map[int]bool{}
		for _, w := range []wave{first, second} {
			express, ordinary, long := 0, 0, 0
			var last time.Duration
			for _, p := range w.posts {
				if p.after < last {
					t.Errorf("seed %d: posts are out of order", seed)
				}
				last = p.after
				for _, o := range p.orders {
					numbers[o.Number] = true
					if o.Express {
						express++
					} else {
						ordinary++
					}
				}
				for _, r := range p.reports {
					numbers[r.Number] = true
					if s := float64(r.Days) * r.SecondsPerDay; s < 8 || s > 15 {
						t.Errorf("seed %d: a report takes %v s, want 8 to 15", seed, s)
					}
					long++
				}
			}
			if express == 0 || ordinary <= express || long == 0 {
				t.Errorf("seed %d: %d express and %d ordinary orders, %d reports", seed, express, ordinary, long)
			}
		}
		if len(numbers) != 116 {
			t.Errorf("seed %d: %d different numbers, want 116", seed, len(numbers))
		}
	}
}
