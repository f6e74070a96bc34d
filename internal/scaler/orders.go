package scaler

import (
	"context"
	"errors"
	"slices"

	"sluice/internal/policy"
)

// refused says whether an order was answered, but not as hoped, in contrast to a broker that could not be asked.
func refused(err error) bool {
	var e *policy.Error
	return err != nil && !errors.As(err, &e)
}

// cancel tells those of the victims that fetch that they are to fetch no more.
func (r *release) cancel(ctx context.Context) error {
	var fetching []policy.Node
	for _, v := range r.victims {
		for _, n := range v.nodes {
			if v.drained == 0 && len(n.Queues) > 0 {
				fetching = append(fetching, n)
			}
		}
	}
	if len(fetching) == 0 {
		return nil
	}
	return r.Brokers[r.target.Broker].Cancel(ctx, fetching)
}

// resume makes victims fetch again from what they fetched from before.
func (r *release) resume(ctx context.Context, victims []*victim) error {
	var nodes []policy.Node
	for _, v := range victims {
		nodes = append(nodes, v.nodes...)
	}
	return r.consume(ctx, r.target, nodes)
}

// exchange has drained workers that stay fetch again, as many as are needed beside the others that stay. A drained worker stays
// where its task is protected, or where its zone would be left with too few. The victims then fetch in its place. To drain them
// would leave too few that fetch, so they would be resumed, and each sweep would drain and resume the same workers for ever.
func (r *release) exchange(ctx context.Context) error {
	if r.all() || r.none || r.stuck || r.live(r.seen) > r.seen.service.Desired {
		return nil // Of more tasks than are asked for, ECS is about to stop some: nobody fetches in these.
	}
	fetching := r.live(r.seen) - len(r.victims)
	var idle []*victim
	for _, t := range r.seen.tasks {
		v := &victim{task: t.ID, nodes: r.seen.workersIn(t.ID)}
		if t.State == policy.TaskStopping || among(r.victims, t) || len(v.nodes) == 0 || v.fetches() {
			continue
		}
		fetching--
		if v.idle() {
			idle = append(idle, v)
		}
	}
	return r.resume(ctx, idle[:max(0, min(r.want-fetching, len(idle)))])
}

// consume makes workers fetch again: those that were found without queues, from all of the target's. It watches until they do. With
// the pools gevent and eventlet an order takes effect up to two seconds late, and two of them in any order: one that was given
// up too early would have a worker fetch again that has been let go by then.
func (s *Scaler) consume(ctx context.Context, t Target, nodes []policy.Node) error {
	deaf := slices.Clone(nodes)
	for i := range deaf {
		if len(deaf[i].Queues) == 0 {
			deaf[i].Queues = t.Queues
		}
	}
	broker := s.Brokers[t.Broker]
	for deadline := s.Now().Add(consumePatience); len(deaf) > 0; {
		// What a worker answers is no matter, as long as it then fetches.
		if err := broker.Consume(ctx, deaf); err != nil && !refused(err) {
			return err
		}
		look, err := broker.Look(ctx, t.Queues, checkPatience)
		if err != nil {
			return err
		}
		deaf = slices.DeleteFunc(deaf, func(d policy.Node) bool {
			return slices.ContainsFunc(look.Nodes, func(n policy.Node) bool { return n.Name == d.Name && fetches(n, d.Queues) })
		})
		if len(deaf) == 0 || s.Now().After(deadline) {
			break
		}
		if err := s.pause(ctx, drainPause); err != nil {
			return err
		}
	}
	for _, n := range deaf {
		s.Log.WarnContext(ctx, "worker does not fetch again", "target", t.Name, "node", n.Name)
	}
	return nil
}

// fetches says whether the worker fetches from all of the queues.
func fetches(n policy.Node, queues []string) bool {
	return !slices.ContainsFunc(queues, func(q string) bool { return !slices.Contains(n.Queues, q) })
}

// queues are all that the victims fetched from: what they hold may be of any of them.
func (r *release) queues() []string {
	var queues []string
	for _, v := range r.victims {
		for _, n := range v.nodes {
			queues = append(queues, n.Queues...)
		}
	}
	slices.Sort(queues)
	return slices.Compact(queues)
}

// names are those of the victims' workers.
func (r *release) names() []string {
	var names []string
	for _, v := range r.victims {
		for _, n := range v.nodes {
			names = append(names, n.Name)
		}
	}
	return names
}
