package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sluice/internal/policy"
)

// rateLimit is the attribute of a task that is asked for.
const rateLimit = "rate_limit"

// RateLimited satisfies scaler.Broker. A task is named if any of the nodes limits it: by its own rate_limit, by
// task_annotations or task_default_rate_limit, or by the remote control since. It asks the nodes, and waits for up to a
// second; a node that did not answer, or not well, is an error that names it.
func (b *Broker) RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error) {
	const doing = "ask nodes for rate limits"
	if err := checkNodes(nodes, false); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	limited := map[string]bool{}
	if len(nodes) == 0 {
		return limited, nil
	}
	names, due := make([]string, len(nodes)), 0
	for i, n := range nodes {
		names[i] = n.Name
		due += workers(n)
	}
	got, err := b.ask(ctx, round{commands: []command{askRates(names, due)}, patience: b.waits.control})
	if err != nil {
		return nil, failure(doing, err)
	}
	answers := map[string]int{}
	for _, r := range got.replies {
		if r.err == nil {
			r.err = addLimited(limited, r.value)
		}
		if r.err != nil {
			return nil, fmt.Errorf("%s: node %s %w", doing, r.node, r.err)
		}
		answers[r.node]++
	}
	for _, n := range nodes {
		if answers[n.Name] < workers(n) {
			return nil, fmt.Errorf("%s: node %s: %d of %d workers answered", doing, n.Name, answers[n.Name], workers(n))
		}
	}
	return limited, nil
}

// addLimited adds the tasks that a reply to registered names with a limit. Each is the task's name, followed by
// " [rate_limit=10/m]" if it has one. An application may give its tasks any name: where an entry can be read in several ways, each
// of them is taken for limited.
func addLimited(limited map[string]bool, value json.RawMessage) error {
	var tasks []*string
	if err := json.Unmarshal(value, &tasks); err != nil || tasks == nil {
		return fmt.Errorf("answered %s with what is no list of tasks", methodRegistered)
	}
	const mark = " [" + rateLimit + "="
	for _, task := range tasks {
		if task == nil {
			return fmt.Errorf("answered %s with a task without a name", methodRegistered)
		}
		text, ok := strings.CutSuffix(*task, "]")
		if !ok {
			continue
		}
		for at := range text {
			if limit, ok := strings.CutPrefix(text[at:], mark); ok && limit != "None" {
				limited[text[:at]] = true
			}
		}
	}
	return nil
}
