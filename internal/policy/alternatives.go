package policy

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Alternative is a single change of what was seen, or of what is allowed, and the decision that it would give.
type Alternative struct {
	If       string   `json:"if"` // The change in words, such as "the 2 executing tasks ended".
	Decision Decision `json:"decision"`
}

func (a Alternative) String() string {
	d := a.Decision
	switch {
	case d.Action == Hold:
		return fmt.Sprintf("if %s: stay at %d", a.If, d.Current)
	case d.Desired == d.Current && d.Resume > 0:
		return fmt.Sprintf("if %s: have %d fetch again", a.If, d.Resume)
	}
	return fmt.Sprintf("if %s: %d -> %d", a.If, d.Current, d.Desired)
}

// change is one kind of change by some amount. The search finds the smallest amount from 1 to most that gives another decision; one
// that has no amount is made or not, and has most 1.
type change struct {
	most  int
	words func(n int) string
	apply func(s *Signals, l *Limits, n int)
}

// mostAsked is how many messages more, or workers more, are tried at most.
const mostAsked = 1 << 30

// Alternatives tries a closed list of single changes, and returns for each that can give another decision the smallest that does.
// It is pure, as Decide is. What a decision depends on together with something else is not found: it tries no two changes at once.
func Alternatives(s Signals, l Limits, now time.Time) []Alternative {
	was := Decide(s, l, now)
	var out []Alternative
	for _, c := range changes(s, l, now) {
		with := func(n int) Decision {
			s, l := s, l
			c.apply(&s, &l, n)
			return Decide(s, l, now)
		}
		if c.most < 1 || same(was, with(c.most)) {
			continue
		}
		n := 1 + sort.Search(c.most-1, func(i int) bool { return !same(was, with(i+1)) })
		out = append(out, Alternative{If: c.words(n), Decision: with(n)})
	}
	return out
}

// same says whether two decisions come to the same. A dry run comes to nothing, whatever it decides.
func same(a, b Decision) bool {
	dry := func(d Decision) bool { return slices.Contains(d.Reasons, ReasonDryRun) }
	return a.Action == b.Action && a.Desired == b.Desired && a.Resume == b.Resume && dry(a) == dry(b)
}

// changes are all that are tried, those first that a person would look for first.
func changes(s Signals, l Limits, now time.Time) []change {
	list := []change{
		once(s.Paused, "the tag sluice:paused were gone", func(s *Signals, _ *Limits) { s.Paused = false }),
		once(s.PausedIn, "the tag sluice:paused-in were gone", func(s *Signals, _ *Limits) { s.PausedIn = false }),
		once(s.PausedOut, "the tag sluice:paused-out were gone", func(s *Signals, _ *Limits) { s.PausedOut = false }),
		once(s.DryRun, "it were no dry run", func(s *Signals, _ *Limits) { s.DryRun = false }),
		once(s.BadOverride, "the sluice: tags could be understood", func(s *Signals, _ *Limits) { s.BadOverride = false }),
		once(!(s.Backlog.Known && s.Active.Known && s.Held.Known), "all could be seen, and there were nothing more", func(s *Signals, _ *Limits) {
			s.Backlog, s.Active, s.Held = Known(s.Backlog.N), Known(s.Active.N), Known(s.Held.N)
			s.Unheard = 0
		}),
	}
	return append(list,
		change{s.Active.N, fewer(s.Active.N, "executing task", "ended"), func(s *Signals, _ *Limits, n int) { s.Active.N -= n }},
		change{s.Held.N, fewer(s.Held.N, "held message", "were done"), func(s *Signals, _ *Limits, n int) { s.Held.N -= n }},
		change{s.Backlog.N, fewer(s.Backlog.N, "waiting message", "were done"), func(s *Signals, _ *Limits, n int) { s.Backlog.N -= n }},
		change{
			mostAsked, func(n int) string { return number(n, "more message") + " waited" },
			func(s *Signals, _ *Limits, n int) { s.Backlog.N = min(s.Backlog.N, mostAsked) + n },
		},
		change{
			s.Floor, func(n int) string { return fmt.Sprintf("the floor were %d instead of %d", s.Floor-n, s.Floor) },
			func(s *Signals, _ *Limits, n int) { s.Floor -= n },
		},
		change{
			l.Min, func(n int) string { return fmt.Sprintf("min were %d instead of %d", l.Min-n, l.Min) },
			func(_ *Signals, l *Limits, n int) { l.Min -= n },
		},
		change{
			mostAsked, func(n int) string { return fmt.Sprintf("max were %d instead of %d", l.Max+n, l.Max) },
			func(_ *Signals, l *Limits, n int) { l.Max += n },
		},
		change{
			mostAsked, func(n int) string { return fmt.Sprintf("an event asked for %d", s.Demand+n) },
			func(s *Signals, _ *Limits, n int) { s.Demand += n },
		},
		once(s.Deploying, "no deployment were in progress", func(s *Signals, _ *Limits) { s.Deploying = false }),
		once(s.Tasks.Young > 0, fmt.Sprintf("%s had run for %v (grace)", the(s.Tasks.Young, "young task"), l.Grace),
			func(s *Signals, _ *Limits) { s.Tasks.Young = 0 }),
		once(s.Tasks.Protected > 0, fmt.Sprintf("the protection of %s ended", the(s.Tasks.Protected, "protected task")),
			func(s *Signals, _ *Limits) { s.Tasks.Protected = 0 }),
		once(s.Prior == nil, fmt.Sprintf("it still were so in %v (settle)", l.Settle), func(s *Signals, l *Limits) {
			// As a confirmation would find it, if nothing changed; which looks at the single tasks, too.
			if !s.Tasks.Known {
				s.Tasks = TaskCounts{Known: true, Live: s.Desired, Told: true}
			}
			s.Prior = &Sighting{
				At: now.Add(-l.Settle), Processed: s.Seen.Processed, Heard: s.Seen.Heard, Workers: Want(*s, *l), Stuck: s.Stuck,
			}
		}),
		once(l.ScaleInStep > 0, "scale_in_step set no limit", func(_ *Signals, l *Limits) { l.ScaleInStep = 0 }),
	)
}

// once is a change without an amount, tried where there is something to change.
func once(there bool, words string, apply func(*Signals, *Limits)) change {
	most := 0
	if there {
		most = 1
	}
	return change{most, func(int) string { return words }, func(s *Signals, l *Limits, _ int) { apply(s, l) }}
}

// fewer says what became of k of the n things, such as "2 of the 3 executing tasks ended".
func fewer(n int, thing, became string) func(k int) string {
	return func(k int) string {
		if k == n {
			return the(n, thing) + " " + became
		}
		return fmt.Sprintf("%d of the %s %s", k, number(n, thing), became)
	}
}

// the is all of n things.
func the(n int, thing string) string {
	if n == 1 {
		return "the " + thing
	}
	return "the " + number(n, thing)
}

// number is so many of a thing.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
