package sim

import (
	"maps"
	"time"
)

// tally is what was counted in histories.
type tally struct {
	histories   int
	virtual     time.Duration
	steps       int
	faults      map[kind]int
	deaths      map[string]int
	invocations map[string]int
	decisions   map[string]int // By use case, action and reason.
	statuses    map[string]int // What the functions answered.
	transitions map[transition]int
	executions  map[string]int // Executions of the state machine, by how they ended.
	other       map[string]int
}

// transition is a way from one state of the state machine to the next.
type transition struct{ from, to string }

func newTally() *tally {
	return &tally{
		faults: map[kind]int{}, deaths: map[string]int{}, invocations: map[string]int{}, decisions: map[string]int{},
		statuses: map[string]int{}, transitions: map[transition]int{}, executions: map[string]int{}, other: map[string]int{},
	}
}

func (t *tally) count(what string) { t.other[what]++ }

func (t *tally) add(what string, n int) {
	if n != 0 {
		t.other[what] += n
	}
}

// merge adds another tally to this one.
func (t *tally) merge(o *tally) {
	t.histories += o.histories
	t.virtual += o.virtual
	t.steps += o.steps
	mergeCounts(t.faults, o.faults)
	mergeCounts(t.deaths, o.deaths)
	mergeCounts(t.invocations, o.invocations)
	mergeCounts(t.decisions, o.decisions)
	mergeCounts(t.statuses, o.statuses)
	mergeCounts(t.transitions, o.transitions)
	mergeCounts(t.executions, o.executions)
	mergeCounts(t.other, o.other)
}

func mergeCounts[K comparable](into, from map[K]int) {
	for k := range maps.Keys(from) {
		into[k] += from[k]
	}
}
