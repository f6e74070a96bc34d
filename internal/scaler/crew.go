package scaler

import (
	"cmp"
	"context"
	"slices"

	"sluice/internal/policy"
)

// addTasks looks at the single tasks of the targets for which the counts do not tell enough: where a worker of the broker has been
// drained, and may be one of theirs, where a worker is missing, and where more tasks run than were asked for. alone is for an event,
// which does not pay for finding out whose the silent workers are.
func (s *Scaler) addTasks(ctx context.Context, out []observation, alone bool) {
	var calls []func()
	for i := range out {
		o := &out[i]
		if o.tasksKnown || o.tasksErr != nil || o.serviceErr != nil || o.target.Source != SourceInspect {
			continue
		}
		missing := o.view.missing[o.target.Name] > 0
		drained := missing && len(o.view.drained()) > 0
		// Somebody who is connected to nothing any more has to be named, or nobody would ever know.
		lost := missing && o.service.Pending == 0 && (o.view.silent == 0 || !alone && !o.view.tellsSilent())
		if drained || lost || o.service.Running > o.service.Desired {
			calls = append(calls, func() {
				o.tasks, o.tasksErr = s.Fleet.Tasks(ctx, o.target.Ref)
				o.tasksKnown = o.tasksErr == nil
			})
		}
	}
	s.Together(calls...)
	for i := range out {
		if out[i].tasksKnown {
			out[i].matchWorkers(s.Fleet)
		}
	}
}

// matchWorkers tells in which of the target's tasks each worker runs, and claims those that have been drained: by their queues they
// are nobody's.
func (o *observation) matchWorkers(f Fleet) {
	o.match = f.Match(o.view.names(), o.tasks)
	stopping := map[string]bool{}
	for _, t := range o.tasks {
		if t.State == policy.TaskStopping {
			stopping[t.ID] = true
		}
	}
	o.view.stopping[o.target.Name] = len(stopping)
	o.view.named = o.view.named || len(o.match) > 0
	for _, n := range o.view.drained() {
		id := o.match[n.Name]
		// A worker that still answers in a task that is being stopped is on its way out, whatever it is told.
		if id != "" && !stopping[id] || id == "" && slices.Contains(o.mine, n.Name) {
			o.view.claim(o.target.Name, n)
		}
	}
	if len(o.match) == 0 || o.target.Source != SourceInspect {
		return
	}
	// The names tell: a running task in which no worker was heard is missing, however many others answered. A worker outside
	// ECS on the same queues must not stand in for it.
	missing := 0
	for _, t := range o.tasks {
		if t.State == policy.TaskRunning && len(o.workersIn(t.ID)) == 0 {
			missing++
		}
	}
	o.view.missing[o.target.Name] = missing
}

// names are those of the workers that answered, without those that several bear: they tell of none.
func (v *brokerView) names() []string {
	var names []string
	for _, n := range v.look.Nodes {
		if n.Answers == 1 {
			names = append(names, n.Name)
		}
	}
	return names
}

// unheard are the running tasks in which no worker was heard, where the names tell.
func (o observation) unheard() []string {
	var ids []string
	for _, t := range o.tasks {
		if len(o.match) > 0 && t.State == policy.TaskRunning && len(o.workersIn(t.ID)) == 0 {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// workersIn returns the workers that answered and run in the task.
func (o observation) workersIn(task string) []policy.Node {
	var nodes []policy.Node
	for _, n := range o.view.look.Nodes {
		if o.match[n.Name] == task {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// told says whether each worker of the target is known to run in a certain task of it. A worker outside ECS on the same queues is
// enough that it is not: it cannot be told from one whose name does not say where it runs.
func (o observation) told() bool {
	for _, n := range o.workers() {
		if o.match[n.Name] == "" {
			return false
		}
	}
	return true
}

// drained sums up the target's workers that fetch nothing.
func (o observation) drained() policy.Drained {
	var d policy.Drained
	counted := map[string]bool{}
	for _, n := range o.view.own[o.target.Name] {
		if !n.Active.Known {
			continue // Nor are its queues: perhaps it fetches.
		}
		d.Executing += n.Active.N
		id, told := o.match[n.Name]
		tasks, workers := n.Answers, []policy.Node{n}
		if told {
			if counted[id] {
				continue
			}
			counted[id] = true
			tasks, workers = 1, o.workersIn(id)
		}
		if slices.ContainsFunc(workers, func(n policy.Node) bool { return len(n.Queues) > 0 }) {
			continue // Another worker in the same task still fetches.
		}
		d.Tasks += tasks
		if !slices.ContainsFunc(workers, func(n policy.Node) bool { return n.Active != policy.Known(0) }) {
			d.Idle += tasks
		}
	}
	return d
}

// resumable returns the workers of so many drained tasks, those first that are idle.
func (o observation) resumable(n int) []policy.Node {
	own := slices.DeleteFunc(slices.Clone(o.view.own[o.target.Name]), func(n policy.Node) bool { return !n.Active.Known })
	slices.SortStableFunc(own, func(a, b policy.Node) int {
		busy := func(n policy.Node) int {
			if n.Active == policy.Known(0) {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(busy(a), busy(b)), cmp.Compare(a.Name, b.Name))
	})
	var out []policy.Node
	chosen := map[string]bool{}
	for _, node := range own {
		task := cmp.Or(o.match[node.Name], node.Name)
		if chosen[task] || len(chosen) < n {
			chosen[task] = true
			out = append(out, node)
		}
	}
	return out
}

// claim notes that a drained worker is the target's.
func (v *brokerView) claim(target string, n policy.Node) {
	v.own[target] = append(v.own[target], n)
	v.missing[target] = max(0, v.missing[target]-n.Answers)
}

// claimRest gives the drained workers whose names tell nothing to the target, if no other shares the broker, it misses as many, no
// worker's name tells one of its tasks, and it is known that none of these is being stopped: that worker, too, would answer for
// a moment. In any other case it would be a guess: it may be another target's, or of a service that is not Sluice's, and a worker
// that is made to fetch what is not meant for it throws it away.
func (v *brokerView) claimRest() {
	if len(v.targets) != 1 {
		return
	}
	target := v.targets[0].Name
	var rest []policy.Node
	answers := 0
	for _, n := range v.drained() {
		if !slices.ContainsFunc(v.own[target], func(o policy.Node) bool { return o.Name == n.Name }) {
			rest = append(rest, n)
			answers += n.Answers
		}
	}
	stopping, known := v.stopping[target]
	if answers > v.missing[target] || !known || stopping > 0 || v.named {
		return
	}
	for _, n := range rest {
		v.claim(target, n)
	}
}
