package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/policy"
)

// rounds is how often a benchmark is repeated: each round's mean is one value of its row.
const rounds = 7

// decide measures one decision, which a sweep takes a thousand times.
func decide(context.Context, *lab) ([]row, error) {
	now := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	limits := policy.Limits{
		Max: 50, MessagesPerWorker: 10, Grace: 90 * time.Second, Settle: time.Minute, ScaleInStep: 5,
	}
	out := policy.Signals{
		Desired: 2, Demand: 3, Backlog: policy.Known(480), Active: policy.Known(8), Held: policy.Known(12),
	}
	in := policy.Signals{
		Desired: 12, Backlog: policy.Known(0), Active: policy.Known(0), Held: policy.Known(0),
		Tasks: policy.TaskCounts{Known: true},
		Seen:  policy.Sighting{At: now, Processed: 900, Heard: 12},
		Prior: &policy.Sighting{At: now.Add(-2 * time.Minute), Processed: 900, Heard: 12},
	}
	held := in
	held.Active, held.Deploying = policy.AtLeast(3, "2 workers listen and do not answer"), true
	held.Tasks.Young = 2
	var rows []row
	for _, c := range []struct {
		name    string
		signals policy.Signals
		want    policy.Action
	}{{"scale-out", out, policy.ScaleOut}, {"scale-in", in, policy.ScaleIn}, {"held back by four reasons", held, policy.Hold}} {
		took, allocs, err := repeated(func() error {
			if got := policy.Decide(c.signals, limits, now); got.Action != c.want {
				return fmt.Errorf("decide %s: got %s %v", c.name, got.Action, got.Reasons)
			}
			return nil
		})
		if err != nil {
			return rows, err
		}
		rows = append(rows,
			measured("one decision, "+c.name, "us", scaled(took, 1e6)).timed(2),
			measured("one decision, "+c.name+": allocations", "allocs", allocs))
	}
	return rows, nil
}

// loading measures the reading of sluice.yaml, which a cold start waits for.
func loading(_ context.Context, l *lab) ([]row, error) {
	var rows []row
	for _, c := range []struct{ targets, brokers int }{{1, 1}, {100, 5}, {1000, 50}} {
		path, err := l.write("sluice.yaml", yaml("127.0.0.1:6379", c.targets, c.brokers))
		if err != nil {
			return rows, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return rows, err
		}
		took, _, err := repeated(func() error {
			_, err := config.Load(path)
			return err
		})
		if err != nil {
			return rows, err
		}
		rows = append(rows, measured(fmt.Sprintf("load sluice.yaml of %.1f kB, targets: %d", float64(info.Size())/1e3, c.targets),
			"ms", scaled(took, 1e3)))
	}
	return rows, nil
}

// repeated benchmarks f in rounds of 0.2 s, and returns each round's mean in seconds and its allocations.
func repeated(f func() error) (seconds, allocs []float64, err error) {
	for range rounds {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err = f(); err != nil {
					b.FailNow()
				}
			}
		})
		if err != nil {
			return nil, nil, err
		}
		seconds = append(seconds, r.T.Seconds()/float64(r.N))
		allocs = append(allocs, float64(r.AllocsPerOp()))
	}
	return seconds, allocs, nil
}

func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}
