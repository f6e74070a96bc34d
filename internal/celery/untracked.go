package celery

import (
	"context"
	"strings"

	"sluice/internal/policy"
)

// strategy is the attribute of a task that says how a worker executes it. ordinaryTask ends what is said of a task with Celery's own, which
// notes the task in the worker's states. Source: celery.app.task.Task.Strategy, of 5.2 to 5.7 alike.
const (
	strategy     = "Strategy"
	ordinaryTask = " [" + strategy + "=celery.worker.strategy:default]"
)

// Untracked satisfies scaler.Broker. A task is named if its strategy is not Celery's own. Such a task may execute while its worker
// answers that nothing is active: celery-batches gathers messages, acknowledges them, and executes them all at once, with
// no note in the worker's states, keys or heartbeats. It asks the nodes, and waits for up to a second.
func (b *Broker) Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error) {
	info, wrong, err := b.registered(ctx, "ask nodes for tasks with a strategy of their own", strategy, nodes)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for node, tasks := range info {
		for _, task := range tasks {
			name, _, _ := strings.Cut(task, " ["+strategy+"=")
			found[node] = append(found[node], shorten(name))
		}
	}
	for node := range wrong {
		if found[node] == nil {
			found[node] = []string{}
		}
	}
	return found, nil
}
