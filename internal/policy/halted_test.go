package policy

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestHalted is what a person at work means: no scaling in one direction, a dry run, or no worker at all.
func TestHalted(t *testing.T) {
	t.Parallel()
	drained := Drained{Tasks: 2, Idle: 1, Executing: 1}
	tests := []struct {
		name   string
		change func(s *Signals, l *Limits)
		want   Decision
	}{
		// Nothing is let go.
		{
			"paused-in: idle workers stay",
			func(s *Signals, _ *Limits) { s.PausedIn = true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonPausedIn}, 0},
		},
		{
			"paused-in: at the first look as well",
			func(s *Signals, _ *Limits) { s.PausedIn, s.Prior = true, nil },
			Decision{Hold, 2, 2, 0, []Reason{ReasonPausedIn}, 0},
		},
		{
			"paused-in: all else that holds is named as well",
			func(s *Signals, _ *Limits) { s.PausedIn, s.Deploying, s.Active = true, true, Unknown("x") },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown, ReasonPausedIn, ReasonDeployment}, 0},
		},
		{
			"paused-in: new ones come as ever",
			func(s *Signals, _ *Limits) { s.PausedIn, s.Backlog = true, Known(30) },
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog}, 0},
		},
		{
			"paused-in: a count that fits is steady",
			func(s *Signals, _ *Limits) { s.PausedIn, s.Backlog = true, Known(20) },
			Decision{Hold, 2, 2, 2, []Reason{ReasonSteady}, 0},
		},
		{
			"paused-in: the drained fetch again, busy or not",
			func(s *Signals, _ *Limits) { s.PausedIn, s.Active, s.Drained = true, Known(1), drained },
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonPausedIn, ReasonResume}, 2},
		},
		{
			"paused-in: they are capacity then, and new ones are started for the rest",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Active, s.Backlog, s.Drained = true, Known(1), Known(25), drained
			},
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog, ReasonResume}, 2},
		},
		{
			"paused-in: a single one is capacity, too, and they are enough",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Backlog, s.Drained = true, Known(11), Drained{Tasks: 1, Idle: 1}
			},
			Decision{ScaleOut, 2, 2, 2, []Reason{ReasonPausedIn, ReasonResume}, 1},
		},
		{
			"paused-in: another is at the drained ones",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Active, s.Drained, s.Overlap = true, Known(1), drained, true
			},
			Decision{Hold, 2, 2, 0, []Reason{ReasonPausedIn}, 0},
		},
		{
			"paused-in: stuck ones are not replaced",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Backlog, s.Stuck, s.Prior.Stuck = true, Known(3), true, true
			},
			Decision{Hold, 2, 2, 1, []Reason{ReasonStuck, ReasonPausedIn}, 0},
		},
		{
			"paused-in: beside one that is not heard from another is started",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = true, Known(3), Unknown("1 of 2"), 1, true, true
			},
			Decision{ScaleOut, 2, 3, 1, []Reason{ReasonStuck}, 0},
		},

		{
			"paused-in: while some are drained the others are not stuck for certain",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = true, Known(3), Unknown("1 of 2"), 1, true, true
				s.Drained = Drained{Tasks: 1, Idle: 1}
			},
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonPausedIn, ReasonResume}, 1},
		},

		// Nothing is started.
		{
			"paused-out: work waits",
			func(s *Signals, _ *Limits) { s.PausedOut, s.Backlog = true, Known(30) },
			Decision{Hold, 2, 2, 3, []Reason{ReasonBacklog, ReasonPausedOut}, 0},
		},
		{
			"paused-out: min and an event are no exception",
			func(s *Signals, l *Limits) { s.PausedOut, s.Desired, s.Demand, l.Min = true, 0, 2, 1 },
			Decision{Hold, 0, 0, 0, []Reason{ReasonDemand, ReasonPausedOut}, 0},
		},
		{
			"paused-out: workers are let go as ever",
			func(s *Signals, _ *Limits) { s.PausedOut = true },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"paused-out: drained ones fetch again, all that are needed",
			func(s *Signals, _ *Limits) {
				s.PausedOut, s.Backlog, s.Drained = true, Known(1), Drained{Tasks: 2, Idle: 2}
			},
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"paused-out: where they are too few all of them fetch again, the busy ones too",
			func(s *Signals, _ *Limits) {
				s.PausedOut, s.Active, s.Backlog, s.Drained = true, Known(1), Known(30), drained
			},
			Decision{ScaleOut, 2, 2, 3, []Reason{ReasonBacklog, ReasonResume, ReasonPausedOut}, 2},
		},
		{
			"paused-out: stuck ones are not replaced, since a new one would start",
			func(s *Signals, _ *Limits) {
				s.PausedOut, s.Backlog, s.Stuck, s.Prior.Stuck = true, Known(3), true, true
			},
			Decision{Hold, 2, 2, 1, []Reason{ReasonStuck, ReasonPausedOut}, 0},
		},
		{
			"paused-out: a count that ECS could not get down to is put back, which starts nobody",
			func(s *Signals, _ *Limits) { s.PausedOut, s.Desired, s.Tasks.Live, s.Tasks.Protected = true, 1, 3, 2 },
			Decision{ScaleOut, 1, 3, 0, []Reason{ReasonBlocked}, 0},
		},
		{
			"paused in both directions",
			func(s *Signals, _ *Limits) {
				s.PausedIn, s.PausedOut, s.Active, s.Drained = true, true, Known(40), drained
			},
			Decision{ScaleOut, 2, 2, 4, []Reason{ReasonPausedIn, ReasonResume}, 2},
		},

		// A dry run.
		{
			"dry run: what would be started is said",
			func(s *Signals, _ *Limits) { s.DryRun, s.Backlog = true, Known(30) },
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog, ReasonDryRun}, 0},
		},
		{
			"dry run: what would be let go is said",
			func(s *Signals, _ *Limits) { s.DryRun = true },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle, ReasonDryRun}, 0},
		},
		{
			"dry run: nothing to do is nothing to do",
			func(s *Signals, _ *Limits) { s.DryRun, s.Backlog = true, Known(20) },
			Decision{Hold, 2, 2, 2, []Reason{ReasonSteady}, 0},
		},
		{
			"dry run: the drained fetch again, which is done",
			func(s *Signals, _ *Limits) { s.DryRun, s.Active, s.Drained = true, Known(1), drained },
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonDryRun, ReasonResume}, 2},
		},
		{
			"paused goes before dry run",
			func(s *Signals, _ *Limits) { s.Paused, s.DryRun, s.Backlog = true, true, Known(30) },
			Decision{Hold, 2, 2, 3, []Reason{ReasonPaused}, 0},
		},

		// Somebody wants no worker at all.
		{
			"none: workers go although messages wait",
			func(s *Signals, l *Limits) { s.Backlog, l.Max = Known(500), 0 },
			Decision{ScaleIn, 2, 0, 50, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: though they execute, as they are drained first",
			func(s *Signals, l *Limits) { s.Active, s.Backlog, l.Max = Known(8), Known(500), 0 },
			Decision{ScaleIn, 2, 0, 51, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: who is drained and busy stays until it is done",
			func(s *Signals, l *Limits) { s.Active, s.Backlog, s.Drained, l.Max = Known(1), Known(500), drained, 0 },
			Decision{ScaleIn, 2, 1, 50, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: all are drained and busy",
			func(s *Signals, l *Limits) {
				s.Active, s.Backlog, s.Drained, l.Max = Known(2), Known(500), Drained{Tasks: 2, Executing: 2}, 0
			},
			Decision{Hold, 2, 2, 50, []Reason{ReasonSteady, ReasonMax}, 0},
		},
		{
			"none: who is protected stays, and is told to fetch no more",
			func(s *Signals, l *Limits) { l.Max, s.Active, s.Tasks.Protected = 0, Known(2), 2 },
			Decision{ScaleIn, 2, 2, 1, []Reason{ReasonSurplus, ReasonProtected}, 0},
		},
		{
			"none: who is protected and has been told",
			func(s *Signals, l *Limits) {
				l.Max, s.Tasks.Protected, s.Drained = 0, 2, Drained{Tasks: 2, Idle: 2}
			},
			Decision{Hold, 2, 2, 0, []Reason{ReasonProtected}, 0},
		},
		{
			"none: who is protected and cannot be asked cannot be told either",
			func(s *Signals, l *Limits) { l.Max, s.Tasks.Protected, s.Blind = 0, 2, true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonProtected}, 0},
		},
		{
			"none: the last one, drained and done",
			func(s *Signals, l *Limits) {
				s.Desired, s.Tasks.Live, s.Backlog, s.Drained, l.Max = 1, 1, Known(500), Drained{Tasks: 1, Idle: 1}, 0
			},
			Decision{ScaleIn, 1, 0, 50, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: work that was taken on meanwhile needs nobody else",
			func(s *Signals, l *Limits) { s.Backlog, s.Seen.Processed, l.Max = Known(500), 9, 0 },
			Decision{ScaleIn, 2, 0, 50, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: nor does it if it is done",
			func(s *Signals, l *Limits) { s.Seen.Processed, l.Max = 9, 0 },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"none: workers with nothing to do are let go, not replaced",
			func(s *Signals, l *Limits) { s.Backlog, s.Stuck, s.Prior.Stuck, l.Max = Known(3), true, true, 0 },
			Decision{ScaleIn, 2, 0, 1, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: unknown is never taken for idle",
			func(s *Signals, l *Limits) { s.Active, l.Max = Unknown("1 of 2 is not heard from"), 0 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"none: workers that cannot be asked cannot be drained, so they stay until there is no work",
			func(s *Signals, l *Limits) { s.Blind, s.Backlog, l.Max = true, Known(500), 0 },
			Decision{Hold, 2, 2, 50, []Reason{ReasonWork}, 0},
		},
		{
			"none: workers that are not told by their tasks go all together",
			func(s *Signals, l *Limits) { s.Tasks.Told, s.Backlog, l.Max = false, Known(500), 0 },
			Decision{ScaleIn, 2, 0, 50, []Reason{ReasonSurplus}, 0},
		},
		{
			"none: it was not so at the first look",
			func(s *Signals, l *Limits) { s.Prior.Workers, s.Backlog, l.Max = 2, Known(500), 0 },
			Decision{Hold, 2, 2, 50, []Reason{ReasonMoved}, 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, l := idle(), limits
			tt.change(&s, &l)
			if diff := cmp.Diff(tt.want, Decide(s, l, now)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

// checkHalted holds what a pause in one direction and a dry run have to keep to.
func checkHalted(t fatal, s Signals, l Limits, d Decision) {
	beside := s.Unheard > 0 && d.Reasons[0] == ReasonStuck // A candidate for one more.
	if s.PausedIn && d.Action != Hold && d.Action != ScaleOut && !beside {
		t.Fatalf("%s though nothing is to be let go", d.Action)
	}
	if s.PausedOut && d.Desired > s.Desired && !slices.Contains(d.Reasons, ReasonBlocked) {
		t.Fatalf("from %d to %d though nothing is to be started", s.Desired, d.Desired)
	}
	if s.DryRun && d.Action != Hold && !slices.Contains(d.Reasons, ReasonDryRun) {
		t.Fatalf("%s in a dry run, for %v", d.Action, d.Reasons)
	}
	if back := min(s.Drained.Tasks, s.Desired); (s.PausedIn || s.DryRun) && back > 0 {
		if d.Action != ScaleOut || d.Resume != back || d.Desired < s.Desired {
			t.Fatalf("%d are drained, and it resumes %d: %+v", back, d.Resume, d)
		}
		if wanted(s, l, d) > d.Desired && d.Desired < l.Max && !s.PausedOut {
			t.Fatalf("%d fetch of the %d that are wanted: %+v", d.Desired, wanted(s, l, d), d)
		}
	}
}

// recalls says whether drained workers fetch again because of a pause or a dry run, which is for checkHalted alone to judge.
func (s Signals) recalls() bool {
	return (s.PausedIn || s.DryRun) && min(s.Drained.Tasks, s.Desired) > 0
}

// TestNoneLeavesNobody repeats decisions on a target that is to have no worker, as if each were carried out and each worker were done
// with its work by the next: in the end there is none, whatever waits.
func TestNoneLeavesNobody(t *testing.T) {
	t.Parallel()
	check(t, func(t *rapid.T) {
		s, l := idle(), drawLimits(t)
		l.Min, l.Max = 0, 0
		s.Desired = rapid.IntRange(1, 20).Draw(t, "workers")
		s.Backlog = Known(rapid.IntRange(0, 1000).Draw(t, "backlog"))
		s.Active = Known(rapid.IntRange(0, s.Desired).Draw(t, "active"))
		s.Held = Known(rapid.IntRange(0, 10).Draw(t, "held"))
		s.Prior = &Sighting{At: now.Add(-time.Hour)}
		for range 40 {
			s.Tasks = TaskCounts{Known: true, Live: s.Desired, Told: true}
			s.Prior.Workers = Want(s, l)
			d := Decide(s, l, now)
			if d.Action == ScaleOut {
				t.Fatalf("%+v", d)
			}
			// Those that are to go, and work, are drained and stay; so all do what they had.
			s.Desired, s.Drained = d.Desired, Drained{}
			s.Active, s.Held = Known(0), Known(0)
		}
		if s.Desired > 0 {
			t.Fatalf("%d stay: %+v", s.Desired, Decide(s, l, now))
		}
	})
}
