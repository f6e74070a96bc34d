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
	ID     string          `json:"id"`
	Args   json.RawMessage `json:"args"`
	Kwargs json.RawMessage `json:"kwargs"`
	// TimeStart is the Unix time in seconds at which a pool took it; null before.
	TimeStart *float64 `json:"time_start"`
	// Acknowledged says that its message is no longer among the unacked: with early acknowledgement it is not from its start on.
	Acknowledged bool `json:"acknowledged"`
}

// ignoresSafe tells a worker before Celery 5.2: asked for active with safe, it returns the arguments themselves and not
// their text. Both have to be so, since a foreign producer may put anything in the place of one.
func (t activeTask) ignoresSafe() bool {
	return len(t.Args) > 0 && t.Args[0] == '[' && len(t.Kwargs) > 0 && t.Kwargs[0] == '{'
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
			h.err = firstErr(h.err, h.readQueues(r))
		case methodActive:
			h.active++
			tasks, err := h.readActive(r)
			h.err = firstErr(h.err, err)
			for _, t := range tasks {
				if !t.Acknowledged {
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

func (h *heard) readQueues(r reply) error {
	if r.err != nil {
		return r.err
	}
	var queues []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(r.value, &queues); err != nil || queues == nil {
		return fmt.Errorf("answered %s with what is no list of queues", r.method)
	}
	for _, q := range queues {
		h.node.Queues = append(h.node.Queues, q.Name)
	}
	return nil
}

func (h *heard) readActive(r reply) ([]activeTask, error) {
	if r.err != nil {
		return nil, r.err
	}
	var tasks []activeTask
	if err := json.Unmarshal(r.value, &tasks); err != nil || tasks == nil {
		return nil, fmt.Errorf("answered %s with what is no list of tasks", r.method)
	}
	h.node.Active.N += len(tasks)
	for _, t := range tasks {
		if t.TimeStart == nil || *t.TimeStart <= 0 {
			continue
		}
		whole, part := math.Modf(*t.TimeStart)
		start := time.Unix(int64(whole), int64(part*1e9)).UTC()
		if h.node.OldestStart.IsZero() || start.Before(h.node.OldestStart) {
			h.node.OldestStart = start
		}
	}
	return tasks, nil
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
