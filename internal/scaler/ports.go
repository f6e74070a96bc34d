package scaler

import (
	"context"
	"time"

	"sluice/internal/policy"
)

// Broker is a message broker with its workers, as the scaler needs to see it.
type Broker interface {
	// Look looks at the queues and asks the workers what they do, within ctx's deadline. patience bounds the wait for
	// answers of workers that listen and do not answer; what has not been answered by then is unknown. No worker at all
	// is data, not an error; an error is a broker that could not be asked (a *policy.Error tells the kind).
	Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error)

	// Beats listens to the workers' own heartbeats until expect different workers have been heard, or ctx is done or
	// the heartbeat interval has passed, whichever is first. It returns those heard, by node name; none is data, not
	// an error (many workers run without heartbeats).
	Beats(ctx context.Context, expect int) (map[string]policy.Beat, error)

	// Counter reads a counter that the application keeps: how many of its tasks are executing. A missing key is 0; a
	// value that is no count is unknown with its cause.
	Counter(ctx context.Context, key string) (policy.Count, error)

	// Cancel tells workers to fetch nothing more: each node, from each of its Queues. It returns when all have answered, or
	// have had a second to do so. An answer is no proof, since it comes before the effect, and its lack is no error: a Look
	// tells what is true. A name that more workers bear reaches all of them.
	Cancel(ctx context.Context, nodes []policy.Node) error

	// Consume tells workers to fetch again: each node, from each of its Queues. As with Cancel, a Look tells what is true.
	Consume(ctx context.Context, nodes []policy.Node) error

	// RateLimited returns the names of the tasks whose rate is limited on any of the nodes: a message of theirs may wait in
	// an idle worker. It errs if not every node answered.
	RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error)

	// Untracked returns, for each of the nodes that has any, the names of the tasks that it may execute although a Look says that
	// nothing is active. A node that did not say which tasks it has is there without a name: what it may execute is not known.
	Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error)

	// Lock takes the lock of that name for ttl, or prolongs it if token holds it already; false if another token holds it.
	// Whoever dies leaves it to expire.
	Lock(ctx context.Context, name, token string, ttl time.Duration) (bool, error)

	// Unlock frees the lock if token holds it.
	Unlock(ctx context.Context, name, token string) error
}

// Fleet is the orchestrator that runs the workers.
type Fleet interface {
	// Describe returns the services asked for, each with its own error. A service that does not exist, or that is
	// being deleted, is an error of kind policy.ServiceMissing.
	Describe(ctx context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described

	// Tasks returns the tasks of one service that have not stopped yet, those on their way out included.
	Tasks(ctx context.Context, ref policy.ServiceRef) ([]policy.Task, error)

	// SetDesired sets the desired count. It is not retried blindly: the count may have been written when it errs.
	SetDesired(ctx context.Context, ref policy.ServiceRef, n int) error

	// Match tells in which of the tasks each node runs, by the host in its name: node name to task ID. A node that cannot be
	// told for certain is not in it. It asks nobody.
	Match(nodes []string, tasks []policy.Task) map[string]string

	// Protect protects tasks from scale-in for the given time, which is rounded up to minutes, and returns until when each
	// is protected. A task that has stopped meanwhile is not in the answer; any other that cannot be protected is an error,
	// beside those that are.
	Protect(ctx context.Context, ref policy.ServiceRef, ids []string, d time.Duration) (map[string]time.Time, error)

	// Release ends the protection of tasks. One that has stopped meanwhile is no error.
	Release(ctx context.Context, ref policy.ServiceRef, ids []string) error

	// SetTags sets tags on the service or task with this ARN, leaving its other tags as they are.
	SetTags(ctx context.Context, arn string, tags map[string]string) error
}
