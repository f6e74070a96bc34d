package celery

import (
	"context"
	"strings"

	"sluice/internal/policy"
)

// rateLimit is the attribute of a task that is asked for.
const rateLimit = "rate_limit"

// RateLimited satisfies scaler.Broker. A task is named if any of the nodes limits it: by its own rate_limit, by
// task_annotations or task_default_rate_limit, or by the remote control since. It asks the nodes, and waits for up to a
// second; a node that did not answer, or not well, is an error that names it.
func (b *Broker) RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error) {
	info, wrong, err := b.registered(ctx, "ask nodes for rate limits", rateLimit, nodes)
	if err != nil {
		return nil, err
	}
	if names := sortedKeys(wrong); len(names) > 0 {
		return nil, wrong[names[0]]
	}
	limited := map[string]bool{}
	for _, tasks := range info {
		addLimited(limited, tasks)
	}
	return limited, nil
}

// addLimited adds the tasks that a reply to registered names with a limit. Each is the task's name, followed by
// " [rate_limit=10/m]" if it has one. An application may give its tasks any name: where an entry can be read in several ways, each
// of them is taken for limited. A name that is too long is left out: a message of such a task has no name either.
func addLimited(limited map[string]bool, info []string) {
	const mark = " [" + rateLimit + "="
	for _, task := range info {
		text, ok := strings.CutSuffix(task, "]")
		if !ok {
			continue
		}
		for at := range min(len(text), maxName+1) {
			if limit, ok := strings.CutPrefix(text[at:], mark); ok && limit != "None" {
				limited[text[:at]] = true
			}
		}
	}
}
