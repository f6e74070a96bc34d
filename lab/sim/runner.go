package sim

import (
	"slices"
	"strings"

	"sluice/internal/policy"
	"sluice/lab/cloud/ecs"
	"sluice/lab/sim/broker"
)

// runner makes each ECS task a worker of the broker's model.
type runner struct{ w *world }

// Start starts a worker.
func (r runner) Start(spec ecs.Spec, ended func(ecs.Exit)) (ecs.Process, error) {
	w := r.w
	t := w.byRef[policy.ServiceRef{Cluster: spec.Cluster, Service: spec.Service}]
	k := w.byTask[spec.TaskID]
	k.zone = spec.Zone
	s := t.plan.Worker
	switch t.plan.Naming {
	case byHost:
		s.Name = "celery@" + spec.Hostname
	case byTask:
		s.Name = "celery@" + spec.TaskID
	case byTarget:
		s.Name = "worker@" + t.plan.Name
	default:
		s.Name = "worker@prod"
	}
	s.Boot += t.placement
	k.start = func() {
		var me *broker.Worker
		s.Ended = func(code int, killed bool) {
			if k.worker != me {
				return // Another one has taken its place in the task.
			}
			w.note(noteTask, t.index, "worker %s has ended with %d", short(k.id), code)
			w.judge.over(k)
			ended(ecs.Exit{Code: code, Killed: killed})
		}
		me = t.broker.Start(s)
		k.worker = me
	}
	k.start()
	return processOf{w, k}, nil
}

// processOf is a worker as ECS holds it.
type processOf struct {
	w *world
	k *task
}

// Terminate notes what the worker holds at the moment at which it is told to stop, and tells it. A message that was beyond the
// horizon when we looked, and is within it some seconds later, is given back in time: so it is those that are due within half
// of it, less what ECS has taken since the count was lowered.
func (p processOf) Terminate() {
	t := p.k.target
	horizon := p.w.plan.Brokers[t.plan.Broker].Horizon / 2
	if t.ours > 0 {
		horizon = max(0, horizon-p.w.loop.now.Sub(t.loweredAt))
	}
	p.k.executing, p.k.held = p.k.worker.Holding(horizon)
	p.k.lost = len(p.k.target.broker.Lost())
	if p.k.executing+p.k.held > 0 {
		p.w.judge.possessions(p.k)
	}
	p.k.worker.Terminate()
}

// Kill is SIGKILL.
func (p processOf) Kill() { p.k.worker.Kill() }

// watch hears of every change in ECS, while its model is locked.
func (w *world) watch(e ecs.Event) {
	t := w.byRef[policy.ServiceRef{Cluster: e.Cluster, Service: e.Service}]
	if t == nil {
		return
	}
	if e.Task == "" {
		if strings.Contains(e.Reason, "deployment completed") {
			t.rolling = false
		}
		if strings.Contains(e.Reason, "to balance the Availability Zones") {
			w.tally.faults[rebalance]++
			w.note(noteFault, t.index, "ECS begins to even out the zones of %s", t.plan.Name)
		}
		if e.Desired != e.Previous {
			w.note(noteCount, t.index, "count of %s: %d -> %d", t.plan.Name, e.Previous, e.Desired)
		}
		return
	}
	k := w.byTask[e.Task]
	switch e.Status {
	case "PROVISIONING":
		k = &task{id: e.Task, target: t, generation: t.generation}
		w.byTask[e.Task] = k
		t.live = append(t.live, k)
		t.even = false
	case "RUNNING":
		w.note(noteTask, t.index, "task %s of %s runs", short(k.id), t.plan.Name)
	case "STOPPING":
		w.note(noteTask, t.index, "task %s of %s is told to stop (%s), executing %d and holding %d",
			short(k.id), t.plan.Name, e.Reason, k.executing, k.held)
		w.judge.stops(k, e.Reason)
		w.gone(k)
		w.judge.lowered(t)
	case "DEPROVISIONING":
		if slices.Contains(t.live, k) {
			t.even = false // Somebody else's doing: see judge.lowered.
		}
		w.gone(k)
	case "STOPPED":
		delete(w.byTask, k.id)
	}
}

// gone takes a task from those that are meant to run.
func (w *world) gone(k *task) {
	t := k.target
	for i, o := range t.live {
		if o == k {
			t.live = append(t.live[:i], t.live[i+1:]...)
			break
		}
	}
	t.ours = min(t.ours, max(0, len(t.live)-t.desired))
}
