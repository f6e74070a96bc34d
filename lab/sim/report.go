package sim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

// reasons are all that a decision can give.
var reasons = []policy.Reason{
	policy.ReasonBacklog, policy.ReasonDemand, policy.ReasonFloor, policy.ReasonMin, policy.ReasonResume, policy.ReasonBlocked,
	policy.ReasonMax, policy.ReasonStep, policy.ReasonSteady, policy.ReasonPaused, policy.ReasonCoalesced, policy.ReasonUnknown,
	policy.ReasonOverride, policy.ReasonDeployment, policy.ReasonGrace, policy.ReasonWork, policy.ReasonProtected,
	policy.ReasonMoved, policy.ReasonUntold, policy.ReasonOverlap, policy.ReasonSettle, policy.ReasonIdle, policy.ReasonSurplus,
	policy.ReasonStuck, policy.ReasonPausedIn, policy.ReasonPausedOut, policy.ReasonDryRun,
}

func sortBroken(all []Broken) {
	slices.SortFunc(all, func(a, b Broken) int { return cmp.Compare(a.Seed, b.Seed) })
}

// Write prints the report for people.
func (r Report) Write(out io.Writer) error {
	var b strings.Builder
	for _, broken := range r.Broken {
		fmt.Fprintf(&b, "BROKEN seed %d at %v: %v\n", broken.Seed, broken.Breach.At.Round(time.Millisecond), broken.Breach)
		for _, line := range broken.Story {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	fmt.Fprintf(&b, "%d kept histories, which once broke an invariant, hold\n", r.held)
	t := r.tally
	perSecond := float64(r.Histories) / r.Took.Seconds()
	fmt.Fprintf(&b, "%d histories in %v: %.0f a second, %d at a time; %.0f virtual hours; %d steps\n",
		r.Histories, r.Took.Round(10*time.Millisecond), perSecond, max(1, r.options.Workers), t.virtual.Hours(), t.steps)
	table(&b, "faults injected", t.faults)
	table(&b, "lambda deaths", summed(t.deaths))
	table(&b, "what happened", t.other)
	table(&b, "invocations", t.invocations)
	table(&b, "answers", t.statuses)
	table(&b, "sweeps ended", t.executions)
	table(&b, "decisions", t.decisions)
	r.coverage(&b)
	if len(r.Broken) == 0 {
		fmt.Fprintf(&b, "all invariants held\n")
	} else {
		fmt.Fprintf(&b, "%d histories broke an invariant\n", len(r.Broken))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// summed takes the names of targets and counts out of what Lambdas died at.
func summed(deaths map[string]int) map[string]int {
	out := map[string]int{}
	for at, n := range deaths {
		if head, _, ok := strings.Cut(at, " set "); ok {
			at = head + " set the count"
		}
		out[at] += n
	}
	return out
}

// coverage prints which ways of the state machine were gone, and which reasons given, and which never.
func (r Report) coverage(b *strings.Builder) {
	var never []string
	all := transitions()
	for _, t := range all {
		if r.tally.transitions[t] == 0 {
			never = append(never, t.from+" -> "+t.to)
		}
	}
	slices.Sort(never)
	fmt.Fprintf(b, "state machine: %d of %d transitions", len(all)-len(never), len(all))
	list(b, never)
	never = nil
	given := map[string]bool{}
	for d := range r.tally.decisions {
		given[d[strings.LastIndexByte(d, ' ')+1:]] = true
	}
	for _, reason := range reasons {
		if !given[string(reason)] {
			never = append(never, string(reason))
		}
	}
	fmt.Fprintf(b, "reasons: %d of %d", len(reasons)-len(never), len(reasons))
	list(b, never)
	never = nil
	for _, k := range slices.Concat(kinds, apart) {
		if r.tally.faults[k.kind] == 0 {
			never = append(never, string(k.kind))
		}
	}
	if len(never) > 0 {
		fmt.Fprintf(b, "faults")
		list(b, slices.Compact(never))
	}
}

func list(b *strings.Builder, never []string) {
	if len(never) > 0 {
		fmt.Fprintf(b, "; never: %s", strings.Join(never, ", "))
	}
	b.WriteByte('\n')
}

// table prints counts in columns, by name.
func table[K ~string](b *strings.Builder, title string, counts map[K]int) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintf(b, "%s:\n", title)
	names := slices.Sorted(maps.Keys(counts))
	const columns = 3
	rows := (len(names) + columns - 1) / columns
	for row := range rows {
		for column := range columns {
			if i := column*rows + row; i < len(names) {
				fmt.Fprintf(b, "  %9d %-44.44s", counts[names[i]], names[i])
			}
		}
		b.WriteByte('\n')
	}
}

// Summary is the report for programs.
type Summary struct {
	Histories    int             `json:"histories"`
	Seconds      float64         `json:"seconds"`
	PerSecond    float64         `json:"per_second"`
	VirtualHours float64         `json:"virtual_hours"`
	Faults       map[string]int  `json:"faults"`
	Broken       []SummaryBreach `json:"broken"`
}

// SummaryBreach is one broken history.
type SummaryBreach struct {
	Seed      uint64    `json:"seed"`
	Invariant Invariant `json:"invariant"`
	AtSeconds float64   `json:"at_seconds"`
	Text      string    `json:"text"`
	Story     []string  `json:"story,omitempty"`
}

// Summary returns the report in a form for programs.
func (r Report) Summary() Summary {
	s := Summary{
		Histories: r.Histories, Seconds: r.Took.Seconds(), PerSecond: float64(r.Histories) / r.Took.Seconds(),
		VirtualHours: r.tally.virtual.Hours(), Faults: map[string]int{}, Broken: []SummaryBreach{},
	}
	for k, n := range r.tally.faults {
		s.Faults[string(k)] = n
	}
	for _, b := range r.Broken {
		s.Broken = append(s.Broken, SummaryBreach{b.Seed, b.Breach.Invariant, b.Breach.At.Seconds(), b.Breach.Text, b.Story})
	}
	return s
}
