package scaler

import (
	"context"
	"math"
	"slices"
	"time"

	"sluice/internal/policy"
)

// newView returns the view of a broker that has not been looked at.
func newView(targets []Target) *brokerView {
	return &brokerView{
		missing: map[string]int{}, own: map[string][]policy.Node{},
		stopping: map[string]int{}, targets: targets,
	}
}

// brokerView is one look at one broker, with what is known of the targets that share it.
type brokerView struct {
	at      time.Time // When the look began.
	look    policy.Look
	err     error
	targets []Target // All targets of the broker in the configuration, looked at or not.
	// missing is, for each target of the broker that was looked at and asks its workers, how many of its running tasks
	// did not answer.
	missing map[string]int
	silent  int // Listeners that did not answer.
	// own are, for each target, the drained workers that are known to be its. It is not in heard.
	own map[string][]policy.Node
	// stopping is how many tasks of a target are being stopped, where its tasks have been looked at.
	stopping map[string]int
	// listed are the queues of all targets of the broker. workers are, for each target, those that answered and consume from one of its
	// queues, and serves is how many targets a worker serves. Workers and their queues are many, if somebody makes them up: they are
	// gone through once for each look, and not for each target.
	listed  map[string]bool
	workers map[string][]policy.Node
	serves  map[string]int
	// named says that some worker's name tells the task of a target in which it runs.
	named bool
	// rescuer is the target that brings a worker up for messages that nobody holds any more; "" if none can.
	rescuer string
}

// orphaned says whether messages are fetched that no worker holds any more, and that cannot be told apart by queue.
func (v *brokerView) orphaned() bool {
	return v.err == nil && v.look.Listeners == policy.Known(0) && v.look.Loose != policy.Known(0)
}

// chooseRescuer chooses the first target that can be scaled out.
func (v *brokerView) chooseRescuer(described map[policy.ServiceRef]policy.Described, now time.Time) {
	for _, t := range v.targets {
		d, ok := described[t.Ref]
		if !ok || d.Err != nil {
			continue
		}
		if o := t.overrides(d.Service.Tags, now); !o.Paused && !o.PausedOut && !t.dry(o) && o.Limits.Max > 0 {
			v.rescuer = t.Name
			return
		}
	}
}

// heard returns the workers of the target among those that answered: those that consume from one of its queues. A worker
// that consumes from none (it has been drained) is nobody's: it cannot stand for a running task of a certain target.
func (v *brokerView) heard(t Target) []policy.Node { return v.workers[t.Name] }

// tellApart notes whose the workers are that answered.
func (v *brokerView) tellApart() {
	owners := map[string][]string{}
	v.listed, v.workers, v.serves = map[string]bool{}, map[string][]policy.Node{}, map[string]int{}
	for _, t := range v.targets {
		for _, q := range t.Queues {
			v.listed[q] = true
			owners[q] = append(owners[q], t.Name)
		}
	}
	for _, n := range v.look.Nodes {
		served := map[string]bool{}
		for _, q := range n.Queues {
			for _, target := range owners[q] {
				if !served[target] {
					served[target] = true
					v.workers[target] = append(v.workers[target], n)
				}
			}
		}
		v.serves[n.Name] = len(served)
	}
}

// drained returns the workers that answered and consume from no queue at all.
func (v *brokerView) drained() []policy.Node {
	var nodes []policy.Node
	for _, n := range v.look.Nodes {
		if len(n.Queues) == 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// lookAt looks at the broker for the targets that are asked about.
func (v *brokerView) lookAt(ctx context.Context, b Broker, members []*observation, how budget) {
	var queues []string
	if how.alone {
		for _, o := range members {
			queues = append(queues, o.target.Queues...)
		}
	} else {
		// What is fetched can be told apart only by queues that are asked for, whosever they are.
		for _, t := range v.targets {
			queues = append(queues, t.Queues...)
		}
	}
	for _, q := range how.also {
		if !slices.Contains(queues, q) {
			queues = append(queues, q)
		}
	}
	v.look, v.err = b.Look(ctx, queues, how.patience)
	v.tellApart()
	if v.look.Listeners.Known {
		v.silent = max(0, v.look.Listeners.N-v.look.Heard())
	}
	for _, o := range members {
		if o.target.Source != SourceCounter {
			continue
		}
		o.counter, o.counterErr = b.Counter(ctx, o.target.CounterKey)
		if o.counterErr != nil {
			o.counter = policy.Unknown(o.counterErr.Error())
		}
	}
}

// countMissing counts, for each target that could be described, the running tasks that were not heard from.
func (v *brokerView) countMissing(described map[policy.ServiceRef]policy.Described) {
	if v.err != nil {
		return
	}
	for _, t := range v.targets {
		if d, ok := described[t.Ref]; ok && d.Err == nil && t.Source == SourceInspect {
			v.missing[t.Name] = max(0, d.Service.Running-v.answers(t))
		}
	}
	if !v.shared() {
		return
	}
	// A worker that serves several targets stands for one task only: all of them together must not have more tasks than answers.
	running, answered := 0, 0
	for _, t := range v.targets {
		if d, ok := described[t.Ref]; !ok || d.Err != nil {
			running += math.MaxInt32 // It cannot be told: no answer of theirs counts.
		} else {
			running += d.Service.Running
		}
	}
	for _, n := range v.look.Nodes {
		if v.served(n) > 0 {
			answered += n.Answers
		}
	}
	for _, t := range v.targets {
		alone := !slices.ContainsFunc(v.heard(t), func(n policy.Node) bool { return v.served(n) > 1 })
		if m, ok := v.missing[t.Name]; ok && !alone {
			v.missing[t.Name] = max(m, min(running-answered, described[t.Ref].Service.Running))
		}
	}
}

// missingOfAll is how many running tasks were not heard from, of all targets that ask their workers; all says whether it is known of
// each of them.
func (v *brokerView) missingOfAll() (total int, all bool) {
	all = true
	for _, t := range v.targets {
		m, ok := v.missing[t.Name]
		total += m
		all = all && (ok || t.Source != SourceInspect)
	}
	return total, all
}

// tellsSilent says whether it is known whose the silent workers are: as many running tasks are missing.
func (v *brokerView) tellsSilent() bool {
	total, all := v.missingOfAll()
	return all && total == v.silent
}

// served is how many targets the worker serves: a worker may drain more queues than its own target's, and workers of several
// targets may bear the same name.
func (v *brokerView) served(n policy.Node) int { return v.serves[n.Name] }

// shared says whether a worker serves more than one target.
func (v *brokerView) shared() bool {
	return slices.ContainsFunc(v.look.Nodes, func(n policy.Node) bool { return v.served(n) > 1 })
}

// answers is how many workers of the target answered, equal names counted each.
func (v *brokerView) answers(t Target) int {
	n := 0
	for _, node := range v.heard(t) {
		n += node.Answers
	}
	return n
}
