package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/sim/broker"
)

// plain is a world with one target of two workers, without faults and, if it is not given any, without load.
func plain(sends ...sendPlan) *plan {
	return &plan{
		Seed: 1, SweepEvery: 5 * time.Minute, Calm: time.Minute, Quiet: time.Minute, Length: time.Hour,
		Provisioning: time.Second, Deprovisioning: time.Second,
		Brokers: []brokerPlan{{Visibility: time.Hour, Horizon: time.Minute}},
		Targets: []targetPlan{{
			Name: "orders", Queues: []string{"orders"}, Naming: byHost, Initial: 2, Zones: 2,
			Limits:      policy.Limits{Min: 1, Max: 3, MessagesPerWorker: 1, Settle: 30 * time.Second},
			StopTimeout: 30 * time.Second, Pending: 5 * time.Second,
			Worker: broker.Spec{Queues: []string{"orders"}, Concurrency: 1, Prefetch: 1, Boot: time.Second},
		}},
		Sends: sends,
	}
}

// message is one message that takes so long.
func message(at, takes time.Duration) sendPlan {
	return sendPlan{At: at, Task: broker.Task{Name: "work", Queue: "orders", Duration: takes}}
}

// mistake changes a world so that production code goes wrong in it; nil of a world that is well.
type mistake func(w *world)

// instead has a function of ours do something else than it does.
func instead(name string, do func(ctx context.Context, w *world, s *scaler.Scaler) (any, error)) mistake {
	return func(w *world) {
		w.functions[name].handle = func(ctx context.Context, s *scaler.Scaler, _ []byte) (any, error) { return do(ctx, w, s) }
	}
}

// also has a function of ours do something before it does what it does.
func also(name string, do func(ctx context.Context, w *world, s *scaler.Scaler)) mistake {
	return func(w *world) {
		handle := w.functions[name].handle
		w.functions[name].handle = func(ctx context.Context, s *scaler.Scaler, payload []byte) (any, error) {
			do(ctx, w, s)
			return handle(ctx, s, payload)
		}
	}
}

// after has something happen at a time.
func after(d time.Duration, do func(w *world)) mistake {
	return func(w *world) { w.loop.at(epoch.Add(d), func() { do(w) }) }
}

// both makes two mistakes.
func both(a, b mistake) mistake { return func(w *world) { a(w); b(w) } }

// protectAll has the application protect its tasks.
func protectAll(w *world) {
	hour := int32(60)
	for _, k := range slices.Clone(w.targets[0].live) {
		w.protect(k, &hour)
	}
}

func ids(w *world) []string {
	var ids []string
	for _, k := range w.targets[0].live {
		ids = append(ids, k.id)
	}
	return ids
}

// Each invariant is broken by a world that is made for it, and by no world that is merely like it.
func TestJudge(t *testing.T) {
	long, late := message(10*time.Second, 50*time.Minute), message(2*time.Minute, time.Hour)
	lowerTo := func(n int) func(context.Context, *world, *scaler.Scaler) {
		return func(ctx context.Context, w *world, s *scaler.Scaler) {
			_ = s.Fleet.SetDesired(ctx, w.targets[0].ref, n)
		}
	}
	for _, c := range []struct {
		name    string
		plan    *plan
		mistake mistake
		want    Invariant // "" if nothing is broken.
		says    string
	}{
		{name: "nothing wrong", plan: plain(long, message(20*time.Second, time.Second))},
		{
			name: "a count is lowered while all work", plan: plain(long, long),
			mistake: also(check, lowerTo(1)), want: Lossless, says: "executes 1 and holds 0",
		},
		{
			name:    "a count is lowered while one holds a message",
			plan:    plain(long, long, message(time.Minute, time.Second), message(time.Minute, time.Second)),
			mistake: also(check, lowerTo(1)), want: Lossless, says: "executes 1 and holds",
		},
		{
			name: "an operator lowers it himself", plan: plain(long, long),
			mistake: after(2*time.Minute, func(w *world) { _ = w.setDesired(w.targets[0], nil, 1) }),
		},
		{
			name: "a deployment stops all that work", plan: plain(long, long),
			mistake: after(2*time.Minute, func(w *world) { w.deploy(&fault{faultPlan: faultPlan{Kind: deployment}}) }),
		},
		{
			name: "Spot takes one that works", plan: plain(long, long),
			mistake: after(2*time.Minute, func(w *world) { w.interrupt(&fault{faultPlan: faultPlan{Kind: spotLoss}}) }),
		},
		{
			name: "a scale-out always fails", plan: plain(late, late, late, message(2*time.Minute, time.Second)),
			mistake: instead(scaleOut, func(context.Context, *world, *scaler.Scaler) (any, error) { return nil, errors.New("broken") }),
			want:    Sane, says: "InternalError",
		},
		{
			name: "a scale-out does nothing", plan: plain(late, late, late, message(2*time.Minute, time.Second)),
			mistake: instead(scaleOut, func(_ context.Context, w *world, _ *scaler.Scaler) (any, error) {
				return scaler.Change{Status: "unchanged", Target: "orders"}, nil
			}),
			want: Live, says: "have waited for workers of orders",
		},
		{
			name: "drained workers are never resumed", plan: plain(message(3*time.Minute, time.Second)),
			mistake: both(
				after(2*time.Minute, func(w *world) {
					w.loop.spawn(&invocation{function: w.functions[check]}, func() {
						for _, k := range w.targets[0].live {
							node := policy.Node{Name: k.worker.Name(), Queues: []string{"orders"}}
							_ = w.newScaler().Brokers["redis0"].Cancel(context.Background(), []policy.Node{node})
						}
					}, nil)
				}),
				instead(scaleOut, func(_ context.Context, w *world, _ *scaler.Scaler) (any, error) {
					return scaler.Change{Status: "unchanged", Target: "orders"}, nil
				}),
			),
			want: Live, says: "0 fetch",
		},
		{name: "more than max", plan: plain(), mistake: also(check, lowerTo(4)), want: Bounded, says: "1..3 are in force"},
		{name: "less than min", plan: plain(), mistake: also(check, lowerTo(0)), want: Bounded, says: "1..3 are in force"},
		{
			name: "within a max that an operator has raised", plan: plain(long, long, long, long, long),
			mistake: after(time.Minute, func(w *world) { w.tag(w.targets[0], tagMax, "5") }),
		},
		{
			name: "a paused service is left alone", plan: plain(long, long, long),
			mistake: after(5*time.Second, func(w *world) { w.tag(w.targets[0], tagPaused, "true") }),
		},
		{
			name: "a paused service is not left alone", plan: plain(),
			mistake: both(after(time.Second, func(w *world) { w.tag(w.targets[0], tagPaused, "true") }), also(check, lowerTo(1))),
			want:    Bounded, says: "although it is paused",
		},
		{
			name: "a scale-in does nothing", plan: plain(),
			mistake: instead(scaleIn, func(_ context.Context, w *world, _ *scaler.Scaler) (any, error) {
				return scaler.Change{Status: "held", Target: "orders"}, nil
			}),
			want: Frugal, says: "its count is still 2 (min 1)",
		},
		{
			name: "the application's protection is ended", plan: plain(),
			mistake: both(after(10*time.Second, protectAll), also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				_, _ = s.Fleet.Tasks(ctx, w.targets[0].ref)
				_ = s.Fleet.Release(ctx, w.targets[0].ref, ids(w))
			})),
			want: Spared, says: "releases task",
		},
		{
			name: "the application's protection is changed", plan: plain(),
			mistake: both(after(10*time.Second, protectAll), also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				_, _ = s.Fleet.Tasks(ctx, w.targets[0].ref)
				_, _ = s.Fleet.Protect(ctx, w.targets[0].ref, ids(w), time.Hour)
			})),
			want: Spared, says: "protects task",
		},
		{
			name: "the count goes below what is protected", plan: plain(),
			mistake: both(after(10*time.Second, protectAll), also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				_, _ = s.Fleet.Tasks(ctx, w.targets[0].ref)
				_ = s.Fleet.SetDesired(ctx, w.targets[0].ref, 1)
			})),
			want: Spared, says: "the application protects 2 tasks",
		},
		{
			name: "our own protection stays", plan: plain(long),
			mistake: also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				if w.loop.now.Sub(epoch) > 45*time.Minute {
					_, _ = s.Fleet.Protect(ctx, w.targets[0].ref, ids(w)[:1], 40*time.Minute)
				}
			}),
			want: Spared, says: "is still protected by us",
		},
		{
			name: "a service is blocked by us, and nobody sees to it", plan: plain(long, long),
			mistake: instead(check, func(ctx context.Context, w *world, s *scaler.Scaler) (any, error) {
				if w.loop.now.Sub(epoch) < 6*time.Minute {
					_, _ = s.Fleet.Protect(ctx, w.targets[0].ref, ids(w), 2*time.Hour)
					_ = s.Fleet.SetDesired(ctx, w.targets[0].ref, 1)
				}
				return scaler.SweepCheck{Targets: []scaler.TargetCheck{}}, nil
			}),
			want: Spared, says: "is blocked",
		},
		{
			name: "zones are left uneven", plan: func() *plan {
				p := plain()
				p.Targets[0].Initial, p.Targets[0].Max, p.Targets[0].Rebalances, p.Targets[0].Min = 4, 4, true, 0
				return p
			}(),
			mistake: also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				var stay []string
				for _, k := range w.targets[0].live {
					if strings.HasSuffix(k.zone, "a") {
						stay = append(stay, k.id)
					}
				}
				_, _ = s.Fleet.Protect(ctx, w.targets[0].ref, stay, time.Minute)
				_ = s.Fleet.SetDesired(ctx, w.targets[0].ref, 2)
			}),
			want: Even, says: "differ by 2",
		},
		{
			name: "a function panics", plan: plain(),
			mistake: also(check, func(context.Context, *world, *scaler.Scaler) { panic("at once") }),
			want:    Sane, says: "check panicked: panic: at once",
		},
		{
			name: "an answer without targets", plan: plain(),
			mistake: instead(check, func(context.Context, *world, *scaler.Scaler) (any, error) { return map[string]any{}, nil }),
			want:    Sane, says: "UnexpectedAnswer",
		},
		{
			name: "a lock for an hour", plan: plain(),
			mistake: also(check, func(ctx context.Context, w *world, s *scaler.Scaler) {
				_, _ = s.Brokers["redis0"].Lock(ctx, "prod/orders", "x", time.Hour)
			}),
			want: Sane, says: "is taken for 1h0m0s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pool coroutines
			defer pool.close()
			w := newWorld(c.plan, &pool, true)
			if c.mistake != nil {
				c.mistake(w)
			}
			w.run()
			switch {
			case c.want == "" && w.first == nil:
			case c.want == "":
				t.Errorf("broken: %v", w.first)
			case w.first == nil:
				t.Errorf("nothing was broken, want %s", c.want)
			case w.first.Invariant != c.want || !strings.Contains(w.first.Text, c.says):
				t.Errorf("broken: %v, want %s: ... %s ...", w.first, c.want, c.says)
			}
			if t.Failed() {
				for _, n := range w.trace.notes {
					t.Log(n)
				}
			}
		})
	}
}
