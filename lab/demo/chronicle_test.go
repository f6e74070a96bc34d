package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChronicle(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		story func(*chronicle)
		want  facts
	}{
		{
			"an event at zero is answered by the next raise, one with workers wanted is owed nothing",
			func(c *chronicle) {
				c.event(1*s, false)
				c.event(2*s, false)
				c.count(3*s, 2)
				c.event(4*s, false)
				c.count(5*s, 3)
			},
			facts{events: 3, peak: 3, zeroAt: -1, answers: []answer{{1 * s, 2 * s}, {2 * s, 1 * s}}},
		},
		{
			"an event that is never answered",
			func(c *chronicle) { c.event(1*s, false) },
			facts{events: 1, answers: []answer{{1 * s, -1}}},
		},
		{
			"a lost event is a repair of the sweep",
			func(c *chronicle) {
				c.event(1*s, true)
				c.count(6*s, 1)
			},
			facts{events: 1, dropped: 1, peak: 1, zeroAt: -1, repairs: []answer{{1 * s, 5 * s}}},
		},
		{
			"a lost event that nobody repairs",
			func(c *chronicle) { c.event(1*s, true) },
			facts{events: 1, dropped: 1, repairs: []answer{{1 * s, -1}}},
		},
		{
			"zero is when the last worker is gone, not when none is wanted any more",
			func(c *chronicle) {
				c.count(1*s, 1)
				c.task(2*s, "a", false)
				c.count(10*s, 0)
				c.task(11*s, "a", false) // Stopping.
				c.task(12*s, "a", true)
				c.task(13*s, "a", true) // Said twice.
			},
			facts{peak: 1, zeroAt: 12 * s},
		},
		{
			"back from zero",
			func(c *chronicle) {
				c.count(1*s, 1)
				c.count(2*s, 0)
				c.count(3*s, 2)
			},
			facts{peak: 2, zeroAt: -1},
		},
		{
			"sweeps",
			func(c *chronicle) {
				c.sweepEnded("a", false)
				c.sweepEnded("b", true)
			},
			facts{sweeps: 2, failedSweep: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := newChronicle()
			c.story(ch)
			var got facts
			ch.tell(&got)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(facts{}, answer{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
