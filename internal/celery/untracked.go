package celery

import (
	"context"
	"encoding/json"
	"strings"

	"sluice/internal/policy"
)

// strategy is the attribute of a task that says how a worker executes it, and tracked is the one strategy that notes the task in
// the worker's own states. Source: celery.app.task.Task.Strategy, of 5.2 to 5.7 alike.
const (
	strategy = "Strategy"
	tracked  = "celery.worker.strategy:default"
)

// Untracked satisfies scaler.Broker. A task is named if its strategy is not Celery's own. Such a task may execute while its worker
// answers that nothing is active: celery-batches gathers messages, acknowledges them, and executes them all at once, with
// no note in the worker's states, keys or heartbeats. It asks the nodes, and waits for up to a second; a node that did not
// answer, or not well, is an error that names it.
func (b *Broker) Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error) {
	found := map[string][]string{}
	err := b.registered(ctx, "ask nodes for tasks with a strategy of their own", strategy, nodes, func(node string, answer json.RawMessage) error {
		names, err := untracked(answer)
		if len(names) > 0 {
			found[node] = names
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// untracked returns the tasks that a reply to registered names with another strategy than Celery's own.
func untracked(answer json.RawMessage) ([]string, error) {
	entries, err := taskInfo(answer)
	if err != nil {
		return nil, err
	}
	const mark = " [" + strategy + "="
	var names []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry, mark+tracked+"]") {
			name, _, _ := strings.Cut(entry, mark)
			names = append(names, shorten(name))
		}
	}
	return names, nil
}
