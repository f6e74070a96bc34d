package policy

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawCount(t *rapid.T, label string) Count {
	n := rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 200), rapid.IntRange(0, 1<<62)).Draw(t, label)
	if rapid.IntRange(0, 3).Draw(t, label+" known") == 0 {
		return AtLeast(n, "drawn")
	}
	return Known(n)
}

func drawLimits(t *rapid.T) Limits {
	l := Limits{
		Min:               rapid.IntRange(0, 20).Draw(t, "min"),
		MessagesPerWorker: rapid.IntRange(1, 50).Draw(t, "messages per worker"),
		Settle:            time.Duration(rapid.IntRange(1, 600).Draw(t, "settle")) * time.Second,
		ScaleInStep:       rapid.IntRange(0, 5).Draw(t, "step"),
	}
	l.Max = max(1, l.Min) + rapid.IntRange(0, 30).Draw(t, "max")
	return l
}

func drawSignals(t *rapid.T) Signals {
	s := Signals{
		Desired:     rapid.IntRange(0, 60).Draw(t, "desired"),
		Deploying:   rapid.IntRange(0, 5).Draw(t, "deploying") == 0,
		Paused:      rapid.IntRange(0, 9).Draw(t, "paused") == 0,
		BadOverride: rapid.IntRange(0, 9).Draw(t, "bad override") == 0,
		Demand:      rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 1<<62)).Draw(t, "demand"),
		Floor:       rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 100)).Draw(t, "floor"),
		Backlog:     drawCount(t, "backlog"),
		Active:      drawCount(t, "active"),
		Held:        drawCount(t, "held"),
		Tasks: TaskCounts{
			Known:     rapid.Bool().Draw(t, "tasks known"),
			Young:     max(0, rapid.IntRange(-6, 3).Draw(t, "young")),
			Protected: max(0, rapid.IntRange(-6, 20).Draw(t, "protected")),
		},
		Seen: Sighting{
			At: now, Processed: rapid.Int64Range(0, 3).Draw(t, "processed"), Heard: rapid.IntRange(0, 2).Draw(t, "heard"),
		},
	}
	if rapid.IntRange(0, 3).Draw(t, "has prior") > 0 {
		s.Prior = &Sighting{
			At:        now.Add(-time.Duration(rapid.IntRange(-60, 1200).Draw(t, "prior age")) * time.Second),
			Processed: rapid.Int64Range(0, 3).Draw(t, "prior processed"),
			Heard:     rapid.IntRange(0, 2).Draw(t, "prior heard"),
		}
	}
	return s
}

// checkPromises fails if the decision breaks one of the promises of Decide.
func checkPromises(t interface{ Fatalf(string, ...any) }, s Signals, l Limits, d Decision) {
	switch d.Action {
	case Hold:
		if d.Desired != s.Desired {
			t.Fatalf("hold changes %d to %d", s.Desired, d.Desired)
		}
	case ScaleOut:
		if d.Desired <= s.Desired {
			t.Fatalf("scale-out goes from %d to %d", s.Desired, d.Desired)
		}
		if d.Desired < l.Min || d.Desired > l.Max {
			t.Fatalf("scale-out to %d leaves %d..%d", d.Desired, l.Min, l.Max)
		}
	case Candidate, ScaleIn:
		if d.Desired >= s.Desired {
			t.Fatalf("%s goes from %d to %d", d.Action, s.Desired, d.Desired)
		}
		if d.Desired < l.Min {
			t.Fatalf("%s to %d goes below min %d", d.Action, d.Desired, l.Min)
		}
		if d.Desired > l.Max && d.Desired != s.Desired-l.ScaleInStep && d.Desired != s.Tasks.Protected {
			t.Fatalf("%s to %d stays above max %d without a reason", d.Action, d.Desired, l.Max)
		}
		if d.Desired < s.Tasks.Protected {
			t.Fatalf("%s to %d goes below the %d protected tasks", d.Action, d.Desired, s.Tasks.Protected)
		}
		if l.ScaleInStep > 0 && s.Desired-d.Desired > l.ScaleInStep {
			t.Fatalf("%s from %d to %d is more than a step of %d", d.Action, s.Desired, d.Desired, l.ScaleInStep)
		}
		if d.Desired < min(s.Floor, l.Max) {
			t.Fatalf("%s to %d goes below the floor %d", d.Action, d.Desired, s.Floor)
		}
		for _, c := range []Count{s.Backlog, s.Active, s.Held} {
			if c != Known(0) {
				t.Fatalf("%s though a signal is %+v", d.Action, c)
			}
		}
		if s.Deploying || s.BadOverride || s.Tasks.Young > 0 {
			t.Fatalf("%s during a deployment, with a bad tag or a young task", d.Action)
		}
	default:
		t.Fatalf("unlisted action %q", d.Action)
	}
	if d.Action == ScaleIn {
		if s.Prior == nil || now.Sub(s.Prior.At) < l.Settle || !s.Tasks.Known {
			t.Fatalf("scale-in without proof: %+v", s)
		}
		if s.Prior.Heard > 0 && (s.Prior.Processed != s.Seen.Processed || s.Prior.Heard != s.Seen.Heard) {
			t.Fatalf("scale-in though workers moved: %+v", s)
		}
	}
	if s.Paused && d.Action != Hold {
		t.Fatalf("%s though paused", d.Action)
	}
	if len(d.Reasons) == 0 {
		t.Fatalf("a decision without a reason: %+v", d)
	}
	for _, r := range d.Reasons {
		if r.Sentence() == "" {
			t.Fatalf("unlisted reason %q", r)
		}
	}
}

func TestPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		d := Decide(s, l, now)
		checkPromises(t, s, l, d)
		if again := Decide(s, l, now); !reflect.DeepEqual(d, again) {
			t.Fatalf("the same input gives %+v and %+v", d, again)
		}
	})
}

func TestMoreWorkNeverLowersTheWish(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		before := Decide(s, l, now)
		s.Backlog.N += rapid.IntRange(0, 1<<61).Draw(t, "more")
		after := Decide(s, l, now)
		if after.Wish < before.Wish {
			t.Fatalf("more backlog lowers the wish from %d to %d", before.Wish, after.Wish)
		}
		if !s.Paused && after.Desired < before.Desired {
			t.Fatalf("more backlog lowers the count from %d to %d", before.Desired, after.Desired)
		}
	})
}

// TestDoubtNeverCostsWorkers turns known signals into lower bounds: the decision may only become more careful.
func TestDoubtNeverCostsWorkers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		sure := Decide(s, l, now)
		s.Active = AtLeast(s.Active.N, "silent")
		doubt := Decide(s, l, now)
		if doubt.Desired < sure.Desired {
			t.Fatalf("doubt lowers the count from %d to %d", sure.Desired, doubt.Desired)
		}
		if sure.Action == ScaleOut && doubt.Desired != sure.Desired {
			t.Fatalf("doubt blocks a scale-out: %+v, then %+v", sure, doubt)
		}
	})
}

func FuzzDecide(f *testing.F) {
	f.Add(2, 0, 0, 0, uint8(0), 0, 10, 10, 0, int64(60))
	f.Add(0, 1, 0, 0, uint8(0xff), 1, 5, 1, 1, int64(-5))
	f.Fuzz(func(t *testing.T, desired, backlog, active, held int, flags uint8, lo, span, per, step int, priorAge int64) {
		clamp := func(n, low, high int) int { return min(max(n, low), high) }
		count := func(n int, bit uint8) Count {
			c := Known(clamp(n, 0, 1<<62))
			c.Known = flags&bit == 0
			return c
		}
		s := Signals{
			Desired: clamp(desired, 0, 5000), Deploying: flags&1 != 0, Paused: flags&2 != 0,
			Backlog: count(backlog, 4), Active: count(active, 8), Held: count(held, 16),
			Tasks: TaskCounts{Known: flags&32 == 0},
		}
		if flags&64 == 0 {
			s.Prior = &Sighting{At: now.Add(-time.Duration(priorAge%100_000) * time.Second)}
		}
		l := Limits{
			Min: clamp(lo, 0, 100), MessagesPerWorker: max(1, per), Settle: time.Minute, ScaleInStep: max(0, step),
		}
		l.Max = max(1, l.Min) + clamp(span, 0, 100)
		checkPromises(t, s, l, Decide(s, l, now))
	})
}
