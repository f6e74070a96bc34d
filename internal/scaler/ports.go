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

	// SetTags sets tags on the service with this ARN, leaving its other tags as they are.
	SetTags(ctx context.Context, arn string, tags map[string]string) error
}
