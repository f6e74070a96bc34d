package policy

import "time"

// Look is what one look at one broker saw, all of it at about the same time.
//
// A broker that cannot be reached at all has no Look but an error. A part that could not be read is an unknown Count
// in its place, so that one odd key or one odd worker spoils nothing but itself.
type Look struct {
	At     time.Time
	Queues map[string]Queue // One entry for each queue that was asked for.
	// Loose is what workers of this broker hold and what cannot be told apart by queue: each target has to take it for
	// its own. Messages due beyond the horizon are not in it.
	Loose Count
	// Listeners is how many workers heard the broadcast. It is unknown where the broker cannot tell (cluster mode).
	// More listeners than Heard means workers that did not answer: blocked, so busy.
	Listeners Count
	Nodes     []Node // The workers that answered, sorted by name.
	// Fetched are the single messages that workers have fetched, not acknowledged and not begun, those due beyond the
	// horizon included: the same that Held, Later and Loose count. FetchedKnown says that all of them could be read.
	Fetched      []Fetched
	FetchedKnown bool
}

// Fetched is one message that some worker has fetched, not acknowledged and not begun. Which worker has it nothing tells.
type Fetched struct {
	Tag   string    // Its delivery tag, which it keeps when it comes back and is fetched again.
	Queue string    // "" if it cannot be told.
	Task  string    // What the application calls the task; "" if it cannot be read.
	Due   time.Time // Its ETA; zero if it has none and was due when it was sent.
	// Expired says that it was fetched longer ago than the visibility timeout.
	Expired bool
	// Later says that it is due beyond the horizon: a worker that stops puts it back in time.
	Later bool
}

// Heard is how many workers answered the look, equal names counted each.
func (l Look) Heard() int {
	n := 0
	for _, node := range l.Nodes {
		n += node.Answers
	}
	return n
}

// Queue is what a Look saw of one queue.
type Queue struct {
	// Backlog counts the messages that wait and are due within the broker's horizon, together with the messages of
	// this queue that a vanished worker left unacknowledged past the visibility timeout (a worker has to start for them
	// to come back).
	Backlog Count
	// Held counts the messages that a worker has fetched and not acknowledged, and that are due within the horizon:
	// prefetched, rate-limited, or with an ETA that is near.
	Held Count
	// Later counts the messages, waiting or held, that are due beyond the horizon: no work yet.
	Later int
	// NextDue is when the first of the Later messages is due; zero if there is none or it was not looked for.
	NextDue time.Time
	// HeadSince is since when the same message has been seen to be the next in one of the queue's lists, the oldest of these; zero
	// if none was seen. It may have waited for longer: whoever looks remembers only what it has seen itself.
	HeadSince time.Time
}

// Node is a worker that answered a Look.
type Node struct {
	Name    string
	Answers int      // How many workers answered under this name: more than 1 if names are not unique.
	Queues  []string // The queues that it consumes from, sorted; empty if it has been drained.
	// Active counts the tasks that it executes; unknown if it gave no usable answer.
	Active Count
	// OldestStart is when the longest running of its active tasks began; zero if none runs.
	OldestStart time.Time
}

// Beat is what a worker's own heartbeat says.
type Beat struct {
	Active    int
	Processed int64  // How many tasks it has accepted since it started, running ones included.
	Version   string // The version of the worker's software, such as "5.6.3".
	At        time.Time
}

// ServiceRef names one ECS service.
type ServiceRef struct {
	Cluster string // Name or ARN.
	Service string // Name or ARN.
}

// Described is one service, or why it could not be described.
type Described struct {
	Service Service
	Err     error // An *Error.
}

// Service is what the orchestrator says of one service.
type Service struct {
	ARN     string
	Desired int
	Running int
	Pending int
	// Deploying says that a deployment is in progress: counts and tasks are in motion for reasons that are not ours.
	Deploying bool
	// Rebalancing says that the orchestrator evens out the Availability Zones by itself: it stops tasks where there are too
	// many, and asks nobody whether they are busy.
	Rebalancing bool
	Tags        map[string]string
}

// TaskState is where a task is in its life, as far as a scaler needs to know.
type TaskState string

// The states of a task.
const (
	TaskPending  TaskState = "pending"  // On its way up: it cannot hold work yet.
	TaskRunning  TaskState = "running"  // Up, as far as the orchestrator knows.
	TaskStopping TaskState = "stopping" // Told to stop, perhaps still finishing its work; it answers nobody.
)

// Task is one task of a service.
type Task struct {
	ARN            string
	ID             string // The last part of the ARN.
	State          TaskState
	CreatedAt      time.Time
	StartedAt      time.Time // Zero while it has not started.
	ProtectedUntil time.Time // Zero if it is not protected from scale-in.
	Zone           string    // Availability Zone.
	PrivateIPv4    string
	Tags           map[string]string
	RuntimeIDs     []string // Of its containers: part of the host name on Fargate in some VPCs.
}

// Age is how long the task has been up, or has been on its way up. It is never negative: the orchestrator's clock may be a
// little ahead of ours.
func (t Task) Age(now time.Time) time.Duration {
	since := t.StartedAt
	if since.IsZero() {
		since = t.CreatedAt
	}
	return max(0, now.Sub(since))
}
