package broker

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"sluice/internal/policy"
)

// What the production adapter reads at most of messages themselves: of one list, and of the unacked hash.
const (
	maxListed  = 200
	maxUnacked = 2000
)

// Look satisfies scaler.Broker. The keys are read first, then time passes, then the workers are asked.
func (c *Client) Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	if err := c.reach(ctx, false); err != nil {
		return policy.Look{}, failure("look at broker", err)
	}
	look := policy.Look{At: c.m.now, Queues: make(map[string]policy.Queue, len(queues)), Loose: policy.Known(0)}
	for _, name := range queues {
		look.Queues[name] = c.waiting(name)
	}
	held, read := c.held()
	c.m.mu.Unlock()

	a, err := c.ask(ctx, []command{{}}, [][]string{nil}, asked{due: -1, patience: patience})
	if err != nil {
		return policy.Look{}, failure("look at broker", err)
	}
	look.Listeners = policy.Known(a.listeners)
	nodes, started := merge(a.answers)
	look.Nodes = nodes
	c.count(&look, held, read, started)
	return look, nil
}

// waiting is what waits in a queue's lists.
func (c *Client) waiting(name string) policy.Queue {
	out := policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	q := c.m.queues[name]
	if q == nil {
		return out
	}
	due := c.m.now.Add(c.o.Horizon)
	for i := range q.lists {
		all := q.lists[i].all()
		if len(all) > maxListed {
			out.Backlog.N += len(all)
			continue
		}
		for _, msg := range all {
			if msg.eta.After(due) {
				out = later(out, msg.eta)
			} else {
				out.Backlog.N++
			}
		}
	}
	return out
}

func later(q policy.Queue, eta time.Time) policy.Queue {
	q.Later++
	if q.NextDue.IsZero() || eta.Before(q.NextDue) {
		q.NextDue = eta
	}
	return q
}

// heldMessage is one entry of the unacked hash as it was read.
type heldMessage struct {
	id      ID
	fetched policy.Fetched
}

// held reads the unacked hash.
func (c *Client) held() (held []heldMessage, read bool) {
	if len(c.m.unacked) > maxUnacked {
		return make([]heldMessage, len(c.m.unacked)), false
	}
	limit := c.m.now.Add(-c.o.VisibilityTimeout)
	due := c.m.now.Add(c.o.Horizon)
	for _, msg := range c.m.unacked {
		f := policy.Fetched{
			Tag: "d" + strconv.Itoa(msg.tag), Queue: msg.queue.name, Task: msg.record.task.Name, Due: msg.eta,
			Later: msg.eta.After(due), Expired: !msg.since.After(limit),
		}
		if msg.record.task.Routed {
			f.Queue = ""
		}
		held = append(held, heldMessage{msg.record.id, f})
	}
	return held, true
}

// count tells what is held of each queue, and what cannot be told. What executes is not held, though with late acknowledgement
// it is in the hash: as many messages of a task as workers execute, those without an ETA first.
func (c *Client) count(look *policy.Look, held []heldMessage, read bool, started map[ID]int) {
	if !read {
		look.Loose = policy.Known(len(held))
		look.FetchedKnown = false
		return
	}
	look.FetchedKnown = true
	slices.SortFunc(held, func(a, b heldMessage) int {
		return cmp.Or(a.fetched.Due.Compare(b.fetched.Due), cmp.Compare(a.fetched.Tag, b.fetched.Tag))
	})
	for _, h := range held {
		f := h.fetched
		q, asked := look.Queues[f.Queue]
		switch {
		case started[h.id] > 0 && !f.Due.After(look.At): // One that is not due yet is a retry: it does not execute.
			started[h.id]--
			continue
		case f.Queue != "" && !asked:
			continue
		case f.Queue == "":
			if !f.Later {
				look.Loose.N++
			}
			look.FetchedKnown = false
		case f.Later:
			q = later(q, f.Due)
		case f.Expired:
			q.Backlog.N++
		default:
			q.Held.N++
		}
		if asked {
			look.Queues[f.Queue] = q
		}
		look.Fetched = append(look.Fetched, f)
	}
	slices.SortFunc(look.Fetched, func(a, b policy.Fetched) int { return cmp.Compare(a.Tag, b.Tag) })
}

// merge makes nodes of answers, those of equal names one.
func merge(answers []answer) (nodes []policy.Node, started map[ID]int) {
	started = map[ID]int{}
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(a.name, b.name) })
	for _, a := range answers {
		for _, id := range a.open {
			started[id] = 1 // However many workers execute it: they share one message.
		}
		n := a.node()
		if last := len(nodes) - 1; last >= 0 && nodes[last].Name == n.Name {
			o := &nodes[last]
			o.Answers++
			o.Active.N += n.Active.N
			o.Queues = append(o.Queues, n.Queues...)
			slices.Sort(o.Queues)
			o.Queues = slices.Compact(o.Queues)
			if o.OldestStart.IsZero() || !n.OldestStart.IsZero() && n.OldestStart.Before(o.OldestStart) {
				o.OldestStart = n.OldestStart
			}
			continue
		}
		nodes = append(nodes, n)
	}
	return nodes, started
}
