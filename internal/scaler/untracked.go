package scaler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/internal/policy"
)

// askUntracked asks the workers of candidates whether they may execute something that no look shows. It is asked of nobody else:
// where nobody is let go it does not matter.
func (s *Scaler) askUntracked(ctx context.Context, observations []observation) {
	candidates := map[string][]*observation{}
	for i := range observations {
		o := &observations[i]
		letsGo := o.decide(s.Now(), 0).Action
		if o.target.Source == SourceInspect && (letsGo == policy.Candidate || letsGo == policy.ScaleIn) {
			candidates[o.target.Broker] = append(candidates[o.target.Broker], o)
		}
	}
	var calls []func()
	for _, name := range slices.Sorted(maps.Keys(candidates)) {
		calls = append(calls, func() {
			ctx, cancel := context.WithTimeout(ctx, checkLook)
			defer cancel()
			var nodes []policy.Node
			for _, o := range candidates[name] {
				nodes = append(nodes, o.workers()...)
			}
			if len(nodes) == 0 {
				return
			}
			tasks, err := s.Brokers[name].Untracked(ctx, unique(nodes))
			for _, o := range candidates[name] {
				o.untracked = causeOf(o.workers(), tasks, err)
			}
		})
	}
	s.Together(calls...)
}

// workers are those that answered and are the target's: those that fetch from its queues, and the drained ones that are known to be its.
func (o observation) workers() []policy.Node {
	return slices.Concat(o.view.heard(o.target), o.view.own[o.target.Name])
}

// unique returns each node once: a worker may serve several targets.
func unique(nodes []policy.Node) []policy.Node {
	slices.SortFunc(nodes, func(a, b policy.Node) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(nodes, func(a, b policy.Node) bool { return a.Name == b.Name })
}

// causeOf says why it is not known whether the workers execute something; "" if it is.
func causeOf(workers []policy.Node, tasks map[string][]string, err error) string {
	if err != nil {
		return err.Error()
	}
	for _, n := range workers {
		names, found := tasks[n.Name]
		switch {
		case !found:
		case len(names) == 0:
			return fmt.Sprintf("worker %s does not say which tasks it has, so that it may execute one that cannot be seen", n.Name)
		default:
			more := ""
			if len(names) > 1 {
				more = fmt.Sprintf(" and %d more", len(names)-1)
			}
			return fmt.Sprintf("worker %s runs task %s%s with a strategy of its own (as celery-batches does), so what it executes cannot be seen: "+
				"set activity: counter or none for this target", n.Name, names[0], more)
		}
	}
	return ""
}
