package celery

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"sluice/internal/policy"
)

// activeTask is what a look needs of a task in the reply to active. Source: celery.worker.request.Request.info.
type activeTask struct {
	ID     string  `json:"id"`
	Args   opening `json:"args"`
	Kwargs opening `json:"kwargs"`
	// TimeStart is the Unix time in seconds at which a pool took it; null before.
	TimeStart *float64 `json:"time_start"`
	// Acknowledged says that its message is no longer among the unacked: with early acknowledgement it is not from its start on.
	Acknowledged bool `json:"acknowledged"`
}

// opening is the first byte of a JSON value, which tells its type; 0 where there is no value.
type opening byte

// UnmarshalJSON satisfies json.Unmarshaler.
func (o *opening) UnmarshalJSON(value []byte) error {
	*o = opening(value[0])
	return nil
}

// ignoresSafe tells a worker before Celery 5.2: asked for active with safe, it returns the arguments themselves and not
// their text. Both have to be so, since a foreign producer may put anything in the place of one.
func (t activeTask) ignoresSafe() bool {
	return t.Args == '[' && t.Kwargs == '{'
}

// heard gathers one node's answers.
type heard struct {
	queues, active int // How many answers to each command came under this name.
	node           policy.Node
	err            error
}

// nodes merges the replies by node name. started counts the active tasks of each id whose messages are not acknowledged, and old names the nodes whose answers show
// that they are older than Celery 5.2.
func nodes(replies []reply) (found []policy.Node, started map[string]int, old []string) {
	byName := map[string]*heard{}
	started = map[string]int{}
	for _, r := range replies {
		h := byName[r.node]
		if h == nil {
			h = &heard{node: policy.Node{Name: r.node, Active: policy.Known(0)}}
			byName[r.node] = h
		}
		switch r.method {
		case methodQueues:
			h.queues++
			h.err = firstErr(h.err, r.err)
			h.node.Queues = append(h.node.Queues, r.queues...)
		case methodActive:
			h.active++
			h.err = firstErr(h.err, r.err)
			h.addActive(r.tasks)
			for _, t := range r.tasks {
				if !t.Acknowledged && t.ID != "" {
					started[t.ID] = 1 // However many workers execute it: they share one message.
				}
				if t.ignoresSafe() {
					old = append(old, r.node)
				}
			}
		}
	}
	for _, h := range byName {
		found = append(found, h.result())
	}
	slices.SortFunc(found, func(a, b policy.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(old)
	return found, started, slices.Compact(old)
}

// queuesIn reads the answer to active_queues.
func queuesIn(value json.RawMessage) ([]string, error) {
	var queues []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(value, &queues); err != nil || queues == nil {
		return nil, fmt.Errorf("answered %s with what is no list of queues", methodQueues)
	}
	if len(queues) > maxQueues {
		return nil, fmt.Errorf("answered %s with %d queues: Sluice takes %d of one worker", methodQueues, len(queues), maxQueues)
	}
	names := make([]string, len(queues))
	for i, q := range queues {
		if len(q.Name) > maxName {
			return nil, fmt.Errorf("answered %s with a queue whose name has %d bytes: Sluice takes %d", methodQueues, len(q.Name), maxName)
		}
		names[i] = q.Name
	}
	return names, nil
}

// tasksIn reads the answer to active. A task whose id is longer than any of Celery's has none: it is active, and its message, if it
// is among the unacked, is held as well.
func tasksIn(value json.RawMessage) ([]activeTask, error) {
	var tasks []activeTask
	if err := json.Unmarshal(value, &tasks); err != nil || tasks == nil {
		return nil, fmt.Errorf("answered %s with what is no list of tasks", methodActive)
	}
	for i := range tasks {
		if len(tasks[i].ID) > maxName {
			tasks[i].ID = ""
		}
	}
	return tasks, nil
}

// addActive counts tasks that the node executes.
func (h *heard) addActive(tasks []activeTask) {
	h.node.Active.N += len(tasks)
	for _, t := range tasks {
		if t.TimeStart == nil || *t.TimeStart <= 0 || *t.TimeStart > maxCount {
			continue
		}
		whole, part := math.Modf(*t.TimeStart)
		start := time.Unix(int64(whole), int64(part*1e9)).UTC()
		if h.node.OldestStart.IsZero() || start.Before(h.node.OldestStart) {
			h.node.OldestStart = start
		}
	}
}

// result is the node, with its active tasks known only if every worker of this name answered both commands well.
func (h *heard) result() policy.Node {
	n := h.node
	n.Answers = max(h.queues, h.active)
	slices.Sort(n.Queues)
	n.Queues = slices.Compact(n.Queues)
	err := h.err
	switch {
	case err != nil:
	case h.active < h.queues:
		err = errors.New("did not answer active in time")
	case h.queues < h.active:
		err = errors.New("did not answer active_queues in time")
	}
	if err != nil {
		n.Active = policy.AtLeast(n.Active.N, n.Name+" "+err.Error())
	}
	return n
}

// firstErr returns the first of two errors.
func firstErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
