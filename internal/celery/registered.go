package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sluice/internal/policy"
)

// registered asks nodes for one attribute of each of their tasks, and hands on every answer. It waits for up to a second. A node that
// did not answer, or not well, is an error that names it.
func (b *Broker) registered(
	ctx context.Context, doing, attribute string, nodes []policy.Node, read func(node string, info []string),
) error {
	if err := checkNodes(nodes, false); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if len(nodes) == 0 {
		return nil
	}
	names, due := make([]string, len(nodes)), 0
	for i, n := range nodes {
		names[i] = n.Name
		due += workers(n)
	}
	got, err := b.ask(ctx, round{commands: []command{askTasks(attribute, names, due)}, patience: b.waits.control})
	if err != nil {
		return failure(doing, err)
	}
	answers := map[string]int{}
	for _, r := range got.replies {
		if r.err != nil {
			return fmt.Errorf("%s: node %s %w", doing, r.node, r.err)
		}
		read(r.node, r.info)
		answers[r.node]++
	}
	for _, n := range nodes {
		if answers[n.Name] < workers(n) {
			return fmt.Errorf("%s: node %s: %d of %d workers answered", doing, n.Name, answers[n.Name], workers(n))
		}
	}
	return nil
}

// taskInfo reads a reply to registered: for each task its name, followed by " [ATTRIBUTE=VALUE]" if the attribute is not None. It leaves
// out the tasks with Celery's own strategy, which are nearly all where that is asked for: nobody wants to know of them.
func taskInfo(answer json.RawMessage) ([]string, error) {
	var tasks []*string
	if err := json.Unmarshal(answer, &tasks); err != nil || tasks == nil {
		return nil, fmt.Errorf("answered %s with what is no list of tasks", methodRegistered)
	}
	var info []string
	for _, task := range tasks {
		if task == nil {
			return nil, fmt.Errorf("answered %s with a task without a name", methodRegistered)
		}
		if !strings.HasSuffix(*task, ordinaryTask) {
			info = append(info, *task)
		}
	}
	return info, nil
}
