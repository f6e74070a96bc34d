package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/policy"
)

// fetchesFor reports whether the worker fetches from a queue of the target.
func fetchesFor(n policy.Node, t config.Target) bool {
	return slices.ContainsFunc(n.Queues, func(q string) bool { return slices.Contains(t.Queues, q) })
}

// ownersOf are those of the targets that the worker fetches for. A drained one has none.
func ownersOf(n policy.Node, targets []config.Target) (owners []config.Target) {
	for _, t := range targets {
		if fetchesFor(n, t) {
			owners = append(owners, t)
		}
	}
	return owners
}

// inspected reports whether the worker may be one of a target that asks its workers what they do.
func inspected(n policy.Node, targets []config.Target) bool {
	owners := ownersOf(n, targets)
	return len(owners) == 0 || slices.ContainsFunc(owners, func(t config.Target) bool { return t.Activity.Source == config.ActivityInspect })
}

// tasksUntracked tells of tasks that execute in nobody's `active`.
func tasksUntracked(j *judgement, f *Facts, b Broker, look policy.Look) {
	tasks, ok := known(j, b.subject(), b.Untracked)
	if !ok {
		return
	}
	if n := look.Listeners.N - look.Heard(); look.Listeners.Known && n > 0 {
		j.unchecked(b.subject(), fmt.Errorf("%d of %s that listen did not answer", n, count(look.Listeners.N, "worker")))
	}
	var unclaimed []policy.Node // Drained, or fetching from queues that no target lists.
	for _, n := range look.Nodes {
		if len(ownersOf(n, f.Config.TargetsOf(b.Name))) == 0 {
			unclaimed = append(unclaimed, n)
		}
	}
	untrackedOf(j, b.subject(), unclaimed, tasks)
	for _, t := range f.Targets {
		if t.Broker != b.Name || t.Activity.Source != config.ActivityInspect {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(look.Nodes), func(n policy.Node) bool { return !fetchesFor(n, t.Target) })
		if len(own) == 0 && len(unclaimed) == 0 {
			j.unchecked(t.subject(), errors.New("no worker of it is heard: bring one up with `sluice trigger`, and look again"))
		}
		untrackedOf(j, t.subject(), own, tasks)
	}
}

// untrackedOf tells of those of the workers that have such tasks. A worker whose answers cannot be read was not asked.
func untrackedOf(j *judgement, subject string, workers []policy.Node, tasks map[string][]string) {
	var who, what []string
	for _, n := range workers {
		switch names, found := tasks[n.Name]; {
		case !n.Active.Known:
			j.unchecked(subject, fmt.Errorf("what worker %s answers cannot be read", n.Name))
		case found && len(names) == 0:
			j.unchecked(subject, fmt.Errorf("worker %s does not say which tasks it has", n.Name))
		case found:
			who, what = append(who, n.Name), append(what, names...)
		}
	}
	if len(who) > 0 {
		j.find(subject, "tasks have a strategy of their own: %s; they run in %s", few(what), few(who))
	}
}

// mostNames is how many names of a kind a finding lists.
const mostNames = 3

// few are names in a sentence, each once, and how many more there are.
func few(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	more := ""
	if n := len(names) - mostNames; n > 0 {
		names, more = names[:mostNames], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ") + more
}
