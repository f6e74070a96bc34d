package policy

import (
	"reflect"
	"slices"
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
	if rapid.IntRange(0, 7).Draw(t, "none at all") == 0 {
		l.Min, l.Max = 0, 0
	}
	return l
}

func drawSignals(t *rapid.T) Signals {
	s := Signals{
		Desired:     rapid.IntRange(0, 60).Draw(t, "desired"),
		Deploying:   rapid.IntRange(0, 5).Draw(t, "deploying") == 0,
		Paused:      rapid.IntRange(0, 9).Draw(t, "paused") == 0,
		PausedIn:    rapid.IntRange(0, 7).Draw(t, "paused in") == 0,
		PausedOut:   rapid.IntRange(0, 7).Draw(t, "paused out") == 0,
		DryRun:      rapid.IntRange(0, 7).Draw(t, "dry run") == 0,
		BadOverride: rapid.IntRange(0, 9).Draw(t, "bad override") == 0,
		Demand:      rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 1<<62)).Draw(t, "demand"),
		Floor:       rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 100)).Draw(t, "floor"),
		Backlog:     drawCount(t, "backlog"),
		Active:      drawCount(t, "active"),
		Held:        drawCount(t, "held"),
		Blind:       rapid.IntRange(0, 5).Draw(t, "blind") == 0,
		Tasks: TaskCounts{
			Known: rapid.Bool().Draw(t, "tasks known"),
			Young: max(0, rapid.IntRange(-6, 3).Draw(t, "young")),
			Live:  rapid.IntRange(0, 60).Draw(t, "live"),
			Told:  rapid.IntRange(0, 3).Draw(t, "told") > 0,
		},
		Seen: Sighting{
			At: now, Processed: rapid.Int64Range(0, 3).Draw(t, "processed"), Heard: rapid.IntRange(0, 2).Draw(t, "heard"),
		},
	}
	if rapid.IntRange(0, 2).Draw(t, "quiet") == 0 {
		s.Backlog, s.Active, s.Held, s.Demand = Known(0), Known(0), Known(0), 0
	}
	s.Tasks.Protected = min(s.Tasks.Live, max(0, rapid.IntRange(-6, 20).Draw(t, "protected")))
	if rapid.Bool().Draw(t, "some drained") {
		s.Drained.Tasks = rapid.IntRange(0, s.Desired+2).Draw(t, "drained")
		s.Drained.Idle = rapid.IntRange(0, s.Drained.Tasks).Draw(t, "drained and idle")
		// A drained worker that executes may share its task with one that fetches, and that task is then not drained.
		s.Drained.Executing = rapid.IntRange(0, 3).Draw(t, "executed by drained") + s.Drained.Tasks - s.Drained.Idle
		s.Active = s.Active.Add(Known(s.Drained.Executing))
	}
	// Whoever looks calls workers stuck only if messages wait, and all who answer have nothing to do.
	s.Stuck = rapid.Bool().Draw(t, "stuck") && s.Desired > 0 && s.Drained.Executing == 0
	if s.Stuck {
		s.Backlog, s.Active, s.Held, s.Blind = Known(max(1, s.Backlog.N)), Known(0), Known(0), false
		if rapid.Bool().Draw(t, "one is not heard from") {
			s.Active, s.Unheard = Unknown("1 task is not heard from"), 1
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "has prior") > 0 {
		s.Prior = &Sighting{
			At:        now.Add(-time.Duration(rapid.IntRange(-60, 1200).Draw(t, "prior age")) * time.Second),
			Processed: rapid.Int64Range(0, 3).Draw(t, "prior processed"),
			Heard:     rapid.IntRange(0, 2).Draw(t, "prior heard"),
			Stuck:     rapid.Bool().Draw(t, "stuck at prior"),
			Workers:   rapid.OneOf(rapid.Just(0), rapid.IntRange(0, s.Desired)).Draw(t, "prior workers"),
		}
	}
	return s
}

// fatal is what the promises need of a test.
type fatal interface{ Fatalf(string, ...any) }

// capacity is how many workers fetch once the decision has been carried out.
func capacity(s Signals, d Decision) int {
	n := max(0, s.Desired-s.Drained.Tasks) + d.Desired - s.Desired + d.Resume
	if s.Tasks.Known {
		// Idle ones that are more than are to run are on their way out.
		n = min(n+min(max(0, s.Drained.Idle-d.Resume), max(0, s.Tasks.Live-d.Desired)), max(n, d.Desired))
	}
	return n
}

// fetching is how many fetch without it.
func fetching(s Signals) int { return capacity(s, Decision{Desired: s.Desired}) }

// wanted is how many should, by all that asks for workers.
func wanted(s Signals, l Limits, d Decision) int {
	return min(max(d.Wish, s.Demand, s.Floor, l.Min), l.Max)
}

// checkPromises fails if the decision breaks one of the promises of Decide.
func checkPromises(t fatal, s Signals, l Limits, d Decision) {
	stuck := len(d.Reasons) > 0 && d.Reasons[0] == ReasonStuck
	switch d.Action {
	case Hold:
		checkHold(t, s, l, d)
	case ScaleOut:
		if !s.Paused && !s.recalls() {
			checkScaleOut(t, s, l, d)
		}
	case Candidate, ScaleIn:
		if stuck {
			break
		}
		checkFewer(t, s, l, d)
		if d.Action == ScaleIn {
			checkScaleIn(t, s, l, d)
		}
	default:
		t.Fatalf("unlisted action %q", d.Action)
	}
	if stuck && d.Action != Hold {
		checkReplace(t, s, l, d)
	}
	if s.Paused && (d.Desired != s.Desired || d.Action != Hold && d.Resume == 0) {
		t.Fatalf("%s though paused", d.Action)
	}
	if !s.Paused {
		checkHalted(t, s, l, d)
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

func checkHold(t fatal, s Signals, l Limits, d Decision) {
	if d.Desired != s.Desired || d.Resume != 0 {
		t.Fatalf("hold changes %d to %d and resumes %d", s.Desired, d.Desired, d.Resume)
	}
	// Work must not wait for ever beside drained workers, or below max; and in a pause nobody stays drained.
	if s.Paused && min(s.Desired, s.Drained.Tasks) > 0 {
		t.Fatalf("hold leaves %d drained in a pause", s.Drained.Tasks)
	}
	if !s.Paused && wanted(s, l, d) > fetching(s) && (s.Desired < l.Max && !s.PausedOut || min(s.Desired, s.Drained.Tasks) > 0) {
		t.Fatalf("hold with %d of %d workers that are wanted: %+v", fetching(s), wanted(s, l, d), s)
	}
}

func checkScaleOut(t fatal, s Signals, l Limits, d Decision) {
	if d.Desired <= s.Desired && (d.Desired < s.Desired || d.Resume == 0) {
		t.Fatalf("scale-out goes from %d to %d and resumes %d", s.Desired, d.Desired, d.Resume)
	}
	if d.Desired < l.Min && !s.PausedOut || d.Desired > max(l.Max, s.Desired) {
		t.Fatalf("scale-out to %d leaves %d..%d", d.Desired, l.Min, l.Max)
	}
	if d.Resume < 0 || d.Resume > s.Drained.Tasks || d.Resume > s.Desired {
		t.Fatalf("scale-out resumes %d of %d drained workers, of %d that are to run", d.Resume, s.Drained.Tasks, s.Desired)
	}
	full := d.Desired >= l.Max || s.PausedOut
	if d.Resume > s.Drained.Idle && !full {
		t.Fatalf("scale-out to %d resumes %d, which are not all idle, though max allows new ones", d.Desired, d.Resume)
	}
	if capacity(s, d) < fetching(s) {
		t.Fatalf("after the scale-out %d fetch, before it %d", capacity(s, d), fetching(s))
	}
	// It gets all that is wanted, or all that there is.
	if capacity(s, d) < wanted(s, l, d) && (!full || d.Resume < min(s.Desired, s.Drained.Tasks)) {
		t.Fatalf("scale-out to %d that fetch, of %d that are wanted", capacity(s, d), wanted(s, l, d))
	}
}

// checkFewer holds what a candidate and a scale-in have to keep to alike.
func checkFewer(t fatal, s Signals, l Limits, d Decision) {
	// Where none is to be left, and each is protected, all are told to fetch no more.
	tells := l.Max == 0 && s.Tasks.Told && !s.Blind && s.Tasks.Protected >= s.Desired && s.staying().Tasks < s.Desired
	if d.Desired > s.Desired || d.Desired == s.Desired && !tells || d.Resume != 0 {
		t.Fatalf("%s goes from %d to %d and resumes %d", d.Action, s.Desired, d.Desired, d.Resume)
	}
	allOrNone := s.Tasks.Known && !s.Tasks.Told && !s.Blind && d.Desired == 0
	if l.ScaleInStep > 0 && s.Desired-d.Desired > l.ScaleInStep && !allOrNone {
		t.Fatalf("%s from %d to %d is more than a step of %d", d.Action, s.Desired, d.Desired, l.ScaleInStep)
	}
	busy := s.Drained.Tasks - s.Drained.Idle
	if d.Desired < wanted(s, l, d)+busy {
		t.Fatalf("%s to %d, of which %d fetch nothing and %d are wanted", d.Action, d.Desired, busy, wanted(s, l, d))
	}
	if d.Desired < s.Tasks.Protected && d.Desired < s.Desired {
		t.Fatalf("%s to %d goes below the %d protected tasks", d.Action, d.Desired, s.Tasks.Protected)
	}
	idle := true
	for _, c := range []Count{s.Backlog, s.Active, s.Held} {
		if !c.Known {
			t.Fatalf("%s though a signal is %+v", d.Action, c)
		}
		idle = idle && c.N == 0
	}
	if !idle && (d.Desired == 0 && l.Max > 0 || s.Blind) {
		t.Fatalf("%s to %d with work: %+v", d.Action, d.Desired, s)
	}
	if s.Deploying || s.BadOverride || s.Tasks.Young > 0 {
		t.Fatalf("%s during a deployment, with a bad tag or a young task", d.Action)
	}
	// It takes no more than it has to explain: above what is wanted it stays only for a reason.
	explained := max(wanted(s, l, d)+busy, s.Tasks.Protected, min(1, l.Max))
	if s.Prior != nil {
		explained = max(explained, s.Prior.Workers+busy)
	}
	if l.ScaleInStep > 0 {
		explained = max(explained, s.Desired-l.ScaleInStep)
	}
	if d.Desired > explained {
		t.Fatalf("%s only to %d, and nothing asks for more than %d", d.Action, d.Desired, explained)
	}
}

func checkScaleIn(t fatal, s Signals, l Limits, d Decision) {
	if s.Prior == nil || now.Sub(s.Prior.At) < l.Settle || !s.Tasks.Known {
		t.Fatalf("scale-in without proof: %+v", s)
	}
	if d.Desired < s.Prior.Workers+s.Drained.Tasks-s.Drained.Idle {
		t.Fatalf("scale-in to %d, and %d were needed at the first look", d.Desired, s.Prior.Workers)
	}
	changed := s.Prior.Heard > 0 && (s.Prior.Processed != s.Seen.Processed || s.Prior.Heard != s.Seen.Heard)
	if changed && (d.Desired == 0 && l.Max > 0 || s.Blind) {
		t.Fatalf("scale-in to %d though workers moved: %+v", d.Desired, s)
	}
	if d.Desired > 0 && !s.Tasks.Told && !s.Blind {
		t.Fatalf("scale-in to %d of workers that cannot be told apart", d.Desired)
	}
}

// checkReplace holds what goes for workers that have nothing to do while messages wait.
func checkReplace(t fatal, s Signals, l Limits, d Decision) {
	step := d.Desired - s.Desired
	switch {
	case !s.Stuck || d.Resume != 0 || wanted(s, l, d) > fetching(s):
		t.Fatalf("%s of workers that are not stuck: %+v", d.Action, s)
	case d.Action == Candidate && step == 0:
		return
	case d.Action == ScaleIn && step != -1, d.Action == ScaleOut && step != 1 && !slices.Contains(d.Reasons, ReasonBlocked):
		t.Fatalf("%s replaces by a step of %d", d.Action, step)
	case s.Prior == nil || !s.Prior.Stuck || now.Sub(s.Prior.At) < l.Settle || !s.Tasks.Known:
		t.Fatalf("%s of stuck workers without proof: %+v", d.Action, s)
	case s.Deploying || s.BadOverride || s.Tasks.Young > 0:
		t.Fatalf("%s of stuck workers during a deployment, with a bad tag or a young task", d.Action)
	case d.Action == ScaleIn && (!s.Active.Known || !s.Tasks.Told || s.Tasks.Protected > d.Desired):
		t.Fatalf("%s of stuck workers of which not every one is known, idle and unprotected: %+v", d.Action, s)
	}
}

// check draws two thousand inputs: of a hundred, rapid's default, too few are idle, settled and known.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	for range 20 {
		rapid.Check(t, property)
		if t.Failed() {
			return
		}
	}
}

func TestPromises(t *testing.T) {
	t.Parallel()
	check(t, func(t *rapid.T) {
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
	check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		before := Decide(s, l, now)
		s.Backlog.N += rapid.IntRange(0, 1<<61).Draw(t, "more")
		after := Decide(s, l, now)
		if after.Wish < before.Wish {
			t.Fatalf("more backlog lowers the wish from %d to %d", before.Wish, after.Wish)
		}
		if s.Paused {
			return
		}
		if capacity(s, after) < min(capacity(s, before), fetching(s)) {
			t.Fatalf("with more backlog %d fetch instead of %d", capacity(s, after), capacity(s, before))
		}
		if before.Action == ScaleOut && capacity(s, after) < capacity(s, before) {
			t.Fatalf("more backlog scales out to %d that fetch instead of %d", capacity(s, after), capacity(s, before))
		}
	})
}

// TestDoubtNeverCostsWorkers turns known signals into lower bounds: the decision may only become more careful.
func TestDoubtNeverCostsWorkers(t *testing.T) {
	t.Parallel()
	check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		sure := Decide(s, l, now)
		s.Active = AtLeast(s.Active.N, "silent")
		doubt := Decide(s, l, now)
		if doubt.Desired < sure.Desired {
			t.Fatalf("doubt lowers the count from %d to %d", sure.Desired, doubt.Desired)
		}
		if sure.Action == ScaleOut && !reflect.DeepEqual(doubt, sure) {
			t.Fatalf("doubt blocks a scale-out: %+v, then %+v", sure, doubt)
		}
	})
}

func FuzzDecide(f *testing.F) {
	f.Add(2, 0, 0, 0, uint16(0), 0, 10, 10, 0, int64(60), 0, 0, 2, 0, 0)
	f.Add(0, 1, 0, 0, uint16(0xfff), 1, 5, 1, 1, int64(-5), 0, 0, 0, 0, 0)
	f.Add(3, 1, 1, 0, uint16(128), 0, 10, 1, 0, int64(60), 2, 1, 3, 1, 2)
	f.Add(1, 0, 0, 0, uint16(128), 0, 10, 1, 0, int64(60), 0, 0, 3, 2, 0)
	f.Fuzz(func(t *testing.T, desired, backlog, active, held int, flags uint16, lo, span, per, step int, priorAge int64,
		drained, drainedIdle, live, protected, priorWorkers int,
	) {
		clamp := func(n, low, high int) int { return min(max(n, low), high) }
		count := func(n int, bit uint16) Count {
			c := Known(clamp(n, 0, 1<<62))
			c.Known = flags&bit == 0
			return c
		}
		s := Signals{
			Desired: clamp(desired, 0, 5000), Deploying: flags&1 != 0, Paused: flags&2 != 0,
			PausedIn: flags&512 != 0, PausedOut: flags&1024 != 0, DryRun: flags&2048 != 0,
			Backlog: count(backlog, 4), Active: count(active, 8), Held: count(held, 16),
			Blind: flags&256 != 0,
			Tasks: TaskCounts{Known: flags&32 == 0, Told: flags&128 != 0, Live: clamp(live, 0, 5000)},
		}
		s.Tasks.Protected = clamp(protected, 0, s.Tasks.Live)
		s.Drained.Tasks = clamp(drained, 0, 5000)
		s.Drained.Idle = clamp(drainedIdle, 0, s.Drained.Tasks)
		s.Drained.Executing = s.Drained.Tasks - s.Drained.Idle
		s.Active = s.Active.Add(Known(s.Drained.Executing))
		if flags&64 == 0 {
			s.Prior = &Sighting{
				At: now.Add(-time.Duration(priorAge%100_000) * time.Second), Workers: clamp(priorWorkers, 0, s.Desired),
			}
		}
		l := Limits{
			Min: clamp(lo, 0, 100), MessagesPerWorker: max(1, per), Settle: time.Minute, ScaleInStep: max(0, step),
		}
		l.Max = max(1, l.Min) + clamp(span, 0, 100)
		if flags&4096 != 0 {
			l.Min, l.Max = 0, 0
		}
		checkPromises(t, s, l, Decide(s, l, now))
	})
}
