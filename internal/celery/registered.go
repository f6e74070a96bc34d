package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sluice/internal/policy"
)

// registered asks nodes for one attribute of each of their tasks, and returns what each says, and what is wrong with those that did not all
// answer well. It waits for up to a second.
func (b *Broker) registered(
	ctx context.Context, doing, attribute string, nodes []policy.Node,
) (info map[string][]string, wrong map[string]error, err error) {
	if err := checkNodes(nodes, false); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	info, wrong = map[string][]string{}, map[string]error{}
	if len(nodes) == 0 {
		return info, wrong, nil
	}
	names, due := make([]string, len(nodes)), 0
	for i, n := range nodes {
		names[i] = n.Name
		due += workers(n)
	}
	got, err := b.ask(ctx, round{commands: []command{askTasks(attribute, names, due)}, patience: b.waits.control})
	if err != nil {
		return nil, nil, failure(doing, err)
	}
	answers := map[string]int{}
	for _, r := range got.replies {
		if r.err != nil {
			wrong[r.node] = fmt.Errorf("%s: node %s %w", doing, r.node, r.err)
		}
		info[r.node] = append(info[r.node], r.info...)
		answers[r.node]++
	}
	for _, n := range nodes {
		if wrong[n.Name] == nil && answers[n.Name] < workers(n) {
			wrong[n.Name] = fmt.Errorf("%s: node %s: %d of %d workers answered", doing, n.Name, answers[n.Name], workers(n))
		}
	}
	return info, wrong, nil
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
