package celery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

const (
	// controlPatience is how long the answers to commands are waited for. They come in milliseconds, before their effect; a
	// worker that is blocked, or stopped, gives none.
	controlPatience = time.Second
	// controlLinger is how long more answers than are due are waited for. One tells that a worker of the same name has come.
	controlLinger = 50 * time.Millisecond
)

// Cancel satisfies scaler.Broker: it sends cancel_consumer for each queue to the nodes that have it, all of it or, if the
// connection breaks before the server has it all, nothing. It waits up to a second for the answers.
//
// An error of kind policy.BrokerUnavailable or policy.BrokerRefused is the broker's, and the nodes may have been told or not.
// Any other error says that nothing was sent (a node without a name or queues, or listed twice), that a worker answered
// with an error, or that more workers answered under a name than the node's Answers: the command has reached them all.
//
// A worker carries out a command after it has answered: within milliseconds where its pool is prefork, threads or solo, within
// 2 s where it is gevent or eventlet, and there not before a task ends if the worker has fetched one that has no room in its
// pool. Commands that it has not carried out yet have no order: gevent and eventlet of Celery 5.2 to 5.6 take the last first.
// So nothing opposite may be sent, and no worker be taken for drained for good, before a look has shown the effect of the
// last command. Source: celery.worker.consumer.Consumer.call_soon.
func (b *Broker) Cancel(ctx context.Context, nodes []policy.Node) error {
	return b.control(ctx, methodCancel, "stop fetching", nodes)
}

// Consume satisfies scaler.Broker: it sends add_consumer for each queue to the nodes that have it. Everything else is as with
// Cancel: a worker may still look drained for 2 s and then fetch, so it must not be let go meanwhile. A worker of Celery 5.2 to 5.6 consumes until its connection to the broker breaks, and is then deaf on the queue,
// until it is told again.
func (b *Broker) Consume(ctx context.Context, nodes []policy.Node) error {
	return b.control(ctx, methodAdd, "fetch again", nodes)
}

func (b *Broker) control(ctx context.Context, method, doing string, nodes []policy.Node) error {
	if err := checkNodes(nodes, true); err != nil {
		return fmt.Errorf("tell nodes to %s: %w", doing, err)
	}
	if len(nodes) == 0 {
		return nil
	}
	commands, queues := perQueue(method, nodes)
	got, err := b.ask(ctx, round{commands: commands, patience: b.waits.control, linger: b.waits.linger, atomic: true})
	if err != nil {
		return failure("tell nodes to "+doing, err)
	}
	if err := judge(got.replies, nodes, queues); err != nil {
		return fmt.Errorf("tell nodes to %s: %w", doing, err)
	}
	return nil
}

// perQueue makes one command for each queue, to the nodes that have it, and returns which queue each ticket is for.
func perQueue(method string, nodes []policy.Node) (commands []command, queues map[string]string) {
	names, answers := map[string][]string{}, map[string]int{}
	for _, n := range nodes {
		for _, q := range slices.Compact(slices.Sorted(slices.Values(n.Queues))) {
			names[q] = append(names[q], n.Name)
			answers[q] += workers(n)
		}
	}
	queues = map[string]string{}
	for _, q := range sortedKeys(names) {
		c := consumer(method, q, names[q], answers[q])
		queues[c.ticket] = q
		commands = append(commands, c)
	}
	return commands, queues
}

// workers is how many workers are known to bear the node's name.
func workers(n policy.Node) int { return max(1, n.Answers) }

// checkNodes refuses what must not be sent: an empty destination reaches every worker, and one name twice would be taken for
// two workers, though each command reaches all that bear it.
func checkNodes(nodes []policy.Node, withQueues bool) error {
	listed := map[string]bool{}
	for i, n := range nodes {
		switch {
		case n.Name == "":
			return fmt.Errorf("node %d of %d has no name", i+1, len(nodes))
		case listed[n.Name]:
			return fmt.Errorf("node %s is listed twice: %w", n.Name, errEqualNames)
		case withQueues && len(n.Queues) == 0:
			return fmt.Errorf("node %s: no queue is given", n.Name)
		case withQueues && slices.Contains(n.Queues, ""):
			return fmt.Errorf("node %s: a queue has no name", n.Name)
		}
		listed[n.Name] = true
	}
	return nil
}

var errEqualNames = errors.New("a command reaches all workers of a name, so names have to be unique (celery worker -n)")

// maxWrong is how many errors of workers are named.
const maxWrong = 5

// judge returns what is wrong with the answers to commands: errors, and more of them than workers are known.
func judge(replies []reply, nodes []policy.Node, queues map[string]string) error {
	type question struct{ node, ticket string }
	answers := map[question]int{}
	most := map[string]int{}
	var wrong []string
	for _, r := range replies {
		q := question{r.node, r.ticket}
		answers[q]++
		most[r.node] = max(most[r.node], answers[q])
		if e := (workerError{}); errors.As(r.err, &e) {
			wrong = append(wrong, fmt.Sprintf("node %s, queue %s: it %v", r.node, queues[r.ticket], r.err))
		}
	}
	slices.Sort(wrong)
	var errs []error
	for _, text := range slices.Compact(wrong) {
		if len(errs) == maxWrong {
			errs = append(errs, errors.New("and more"))
			break
		}
		errs = append(errs, errors.New(text))
	}
	for _, n := range nodes {
		if len(errs) > 2*maxWrong {
			break
		}
		if most[n.Name] > workers(n) {
			errs = append(errs, fmt.Errorf("node %s: %d workers answered under this name, %d known: %w",
				n.Name, most[n.Name], workers(n), errEqualNames))
		}
	}
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
