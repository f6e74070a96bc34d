package scaler

import (
	"testing"
	"time"

	"sluice/internal/policy"
)

// A worker that listens and does not answer is at work on one message at least. As many count for a target as must be its own: what it
// does not know holds a scale-in, and what it does know asks for workers.
func TestWhatSilentWorkersCountFor(t *testing.T) {
	t.Parallel()
	unknown := policy.AtLeast
	tests := []struct {
		name   string
		silent int
		a, b   int  // Running tasks of target a, and of target b on the same broker, that are not heard from.
		alone  bool // There is no target b.
		lost   bool // Target b cannot be described.
		old    int  // How many of a's tasks run for so long that their workers must have connected.
		want   policy.Count
	}{
		{name: "all of them", silent: 2, a: 2, alone: true, want: policy.Known(2)},
		{name: "one, and another task still starts", silent: 1, a: 2, alone: true, want: unknown(1, "")},
		{name: "one, and five tasks still start: they are no work", silent: 1, a: 6, alone: true, want: unknown(1, "")},
		{name: "more than tasks: those that leave ask for nobody", silent: 3, a: 2, alone: true, want: unknown(2, "")},
		{name: "nobody's", silent: 2, a: 0, alone: true, want: unknown(0, "")},
		{name: "of two targets, all of them", silent: 5, a: 3, b: 2, want: policy.Known(3)},
		{name: "of two targets, one more", silent: 6, a: 3, b: 2, want: unknown(3, "")},
		{name: "of two targets, one fewer: it may be ours that starts", silent: 4, a: 3, b: 2, want: unknown(2, "")},
		{name: "of two targets, as many as the other's: none must be ours", silent: 2, a: 3, b: 2, want: unknown(0, "")},
		{name: "one more, and it is not ours", silent: 1, a: 0, b: 0, want: unknown(0, "")},
		{name: "nobody knows how many the other has", silent: 5, a: 3, b: 2, lost: true, want: unknown(0, "")},
		{name: "two are at work, or lost: either takes no message", silent: 1, a: 3, alone: true, old: 2, want: unknown(2, "")},
		{name: "of two targets, one is at work, or lost", silent: 2, a: 1, b: 2, old: 1, want: unknown(1, "")},
		{name: "so it is where nobody knows how many the other has", silent: 5, a: 3, b: 2, lost: true, old: 2, want: unknown(2, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) {
				o.Targets = []Target{target("a", "qa"), target("b", "qb")}
				if tt.alone {
					o.Targets = o.Targets[:1]
				}
			})
			w.fleet.services = map[string]policy.Service{}
			w.broker.look = emptyLook("qa", "qb")
			w.run("a", tt.a, "qa")
			w.run("b", tt.b, "qb")
			for i := range w.fleet.tasks["a-svc"][tt.old:] {
				w.fleet.tasks["a-svc"][tt.old+i].StartedAt = start.Add(-time.Minute)
			}
			w.broker.look.Nodes, w.broker.look.Listeners = nil, policy.Known(tt.silent)
			if tt.lost {
				w.fleet.errs["b-svc"] = broken(policy.FleetUnavailable, "503")
			}
			o := w.observe(t.Context(), w.Targets[:1], budget{look: checkLook, patience: checkPatience})[0]
			got := o.active()
			if got.N != tt.want.N || got.Known != tt.want.Known || got.Known != (got.Cause == "") {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
