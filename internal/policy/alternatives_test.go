package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAlternatives(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(s *Signals, l *Limits)
		want   []string
	}{
		{"idle, at the first look", func(s *Signals, _ *Limits) { s.Prior = nil }, []string{
			"if 1 more message waited: 2 -> 1",
			"if an event asked for 1: 2 -> 1",
			"if it still were so in 1m0s (settle): 2 -> 0",
		}},
		{"three workers, two tasks", func(s *Signals, _ *Limits) { s.Desired, s.Tasks.Live, s.Active, s.Prior = 3, 3, Known(2), nil }, []string{
			"if the 2 executing tasks ended: 3 -> 0",
			"if 9 more messages waited: 3 -> 2",
			"if an event asked for 2: 3 -> 2",
			"if it still were so in 1m0s (settle): 3 -> 1",
		}},
		{"work for one more than max", func(s *Signals, l *Limits) { s.Backlog, l.Max = Known(21), 2 }, []string{
			"if 11 of the 21 waiting messages were done: 2 -> 1",
			"if max were 3 instead of 2: 2 -> 3",
		}},
		{"paused, with work", func(s *Signals, _ *Limits) { s.Paused, s.Backlog = true, Known(21) }, []string{
			"if the tag sluice:paused were gone: 2 -> 3",
		}},
		{"a dry run", func(s *Signals, _ *Limits) { s.DryRun, s.Backlog = true, Known(21) }, []string{
			"if it were no dry run: 2 -> 3",
			"if 1 of the 21 waiting messages were done: stay at 2",
			"if 10 more messages waited: 2 -> 4",
			"if an event asked for 4: 2 -> 4",
		}},
		{"a deployment", func(s *Signals, _ *Limits) { s.Deploying = true }, []string{
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
			"if no deployment were in progress: 2 -> 0",
		}},
		{"a floor", func(s *Signals, _ *Limits) { s.Floor = 2 }, []string{
			"if 21 more messages waited: 2 -> 3",
			"if the floor were 1 instead of 2: 2 -> 1",
			"if an event asked for 3: 2 -> 3",
		}},
		{"min", func(_ *Signals, l *Limits) { l.Min = 2 }, []string{
			"if 21 more messages waited: 2 -> 3",
			"if min were 1 instead of 2: 2 -> 1",
			"if an event asked for 3: 2 -> 3",
		}},
		{"protected", func(s *Signals, _ *Limits) { s.Tasks.Protected = 2 }, []string{
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
			"if the protection of the 2 protected tasks ended: 2 -> 0",
		}},
		{"young", func(s *Signals, _ *Limits) { s.Tasks.Young = 1 }, []string{
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
			"if the young task had run for 1m30s (grace): 2 -> 0",
		}},
		{"without a look at the tasks", func(s *Signals, _ *Limits) { s.Prior, s.Tasks, s.Active = nil, TaskCounts{}, Known(1) }, []string{
			"if the executing task ended: 2 -> 0",
			"if 10 more messages waited: stay at 2",
			"if an event asked for 2: stay at 2",
			"if it still were so in 1m0s (settle): 2 -> 1",
		}},
		{"drained workers", func(s *Signals, _ *Limits) { s.Drained, s.Prior = Drained{Tasks: 2, Idle: 2}, nil }, []string{
			"if 1 more message waited: have 1 fetch again",
			"if an event asked for 1: have 1 fetch again",
			"if it still were so in 1m0s (settle): 2 -> 0",
		}},
		{"unknown", func(s *Signals, _ *Limits) { s.Active = AtLeast(1, "1 of 2 silent") }, []string{
			"if all could be seen, and there were nothing more: 2 -> 1",
			"if 20 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
		}},
		{"not yet settled", func(s *Signals, _ *Limits) { s.Prior.At = now.Add(-30 * time.Second) }, []string{
			"if 1 more message waited: 2 -> 1",
			"if an event asked for 1: 2 -> 1",
		}},
		{"held in one direction", func(s *Signals, _ *Limits) { s.PausedIn = true }, []string{
			"if the tag sluice:paused-in were gone: 2 -> 0",
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
		}},
		{"held in the other, with work", func(s *Signals, _ *Limits) { s.PausedOut, s.Backlog = true, Known(21) }, []string{
			"if the tag sluice:paused-out were gone: 2 -> 3",
			"if 11 of the 21 waiting messages were done: 2 -> 1",
		}},
		{"a tag with a typing error", func(s *Signals, _ *Limits) { s.BadOverride = true }, []string{
			"if the sluice: tags could be understood: 2 -> 0",
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
		}},
		{"a message is held", func(s *Signals, _ *Limits) { s.Held = Known(1) }, []string{
			"if the held message were done: 2 -> 0",
			"if 10 more messages waited: stay at 2",
			"if an event asked for 2: stay at 2",
		}},
		{"one task is protected", func(s *Signals, _ *Limits) {
			s.Desired, s.Tasks = 1, TaskCounts{Known: true, Live: 1, Protected: 1, Told: true}
		}, []string{
			"if 11 more messages waited: 1 -> 2",
			"if an event asked for 2: 1 -> 2",
			"if the protection of the protected task ended: 1 -> 0",
		}},
		{"by steps", func(s *Signals, l *Limits) { s.Desired, s.Tasks.Live, l.ScaleInStep = 3, 3, 1 }, []string{
			"if 21 more messages waited: stay at 3",
			"if an event asked for 3: stay at 3",
			"if scale_in_step set no limit: 3 -> 0",
		}},
		{"drained workers, and work for one", func(s *Signals, _ *Limits) { s.Backlog, s.Drained = Known(1), Drained{Tasks: 2, Idle: 2} }, []string{
			"if the waiting message were done: 2 -> 0",
			"if 10 more messages waited: have 2 fetch again",
			"if an event asked for 2: have 2 fetch again",
		}},
		{"drained workers, and work for more than max", func(s *Signals, l *Limits) { s.Backlog, s.Drained, l.Max = Known(35), Drained{Tasks: 1, Idle: 1}, 2 }, []string{
			"if 25 of the 35 waiting messages were done: 2 -> 1",
			"if max were 3 instead of 2: 2 -> 3",
		}},
		{"stuck, in a deployment: without it they are watched, and the count stays", func(s *Signals, _ *Limits) { s.Stuck, s.Backlog, s.Deploying = true, Known(3), true }, []string{
			"if 18 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
			"if no deployment were in progress: 2 -> 2",
		}},
		{"unknown backlog", func(s *Signals, _ *Limits) { s.Backlog = Unknown("WRONGTYPE") }, []string{
			"if all could be seen, and there were nothing more: 2 -> 0",
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
		}},
		{"unknown what is held", func(s *Signals, _ *Limits) { s.Held = Unknown("WRONGTYPE") }, []string{
			"if all could be seen, and there were nothing more: 2 -> 0",
			"if 21 more messages waited: 2 -> 3",
			"if an event asked for 3: 2 -> 3",
		}},
		{
			"beside one that is not heard from another is to be started",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = Known(3), Unknown("1 of 2"), 1, true, true
			},
			[]string{
				"if all could be seen, and there were nothing more: 2 -> 1",
				"if 28 more messages waited: 2 -> 4",
				"if an event asked for 4: 2 -> 4",
			},
		},
		{
			"at the first look, and the tasks have been looked at: what is not told does not become so",
			func(s *Signals, _ *Limits) { s.Prior, s.Active, s.Tasks.Told = nil, Known(1), false },
			[]string{
				"if the executing task ended: 2 -> 0",
				"if 20 more messages waited: 2 -> 3",
				"if an event asked for 3: 2 -> 3",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, l := idle(), limits
			tt.change(&s, &l)
			var got []string
			for _, a := range Alternatives(s, l, now) {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("alternatives (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnAlternativeIsAnother holds each alternative against what it is said to be: another decision, in words of its own. The search
// itself is held by the next test.
func TestAnAlternativeIsAnother(t *testing.T) {
	t.Parallel()
	check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		before, limitsBefore := s, l
		was := Decide(s, l, now)
		words := map[string]bool{}
		for _, a := range Alternatives(s, l, now) {
			if same(was, a.Decision) {
				t.Fatalf("if %s it were the same: %+v", a.If, a.Decision)
			}
			if words[a.If] || strings.Contains(a.String(), "%!") {
				t.Fatalf("told twice, or badly: %q", a)
			}
			words[a.If] = true
		}
		if !reflect.DeepEqual(s, before) || l != limitsBefore {
			t.Fatal("the signals or limits have been changed")
		}
	})
}

// TestAnAlternativeIsTheSmallest makes each change one smaller: it must not be enough.
func TestAnAlternativeIsTheSmallest(t *testing.T) {
	t.Parallel()
	check(t, func(t *rapid.T) {
		s, l := drawSignals(t), drawLimits(t)
		s.Prior = &Sighting{At: now.Add(-time.Hour)}
		was := Decide(s, l, now)
		found := map[string]bool{}
		for _, a := range Alternatives(s, l, now) {
			found[a.If] = true
		}
		for _, c := range changes(s, l, now) {
			for n := 1; n <= min(c.most, 100); n++ {
				s, l := s, l
				c.apply(&s, &l, n)
				if another := !same(was, Decide(s, l, now)); another != found[c.words(n)] {
					if another {
						t.Fatalf("%q is enough, and is not told: %v", c.words(n), found)
					}
				} else if another {
					break
				}
			}
		}
	})
}
