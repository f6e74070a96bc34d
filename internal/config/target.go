package config

import "math"

// Target is one ECS service, the queues that it drains, and how it is scaled.
type Target struct {
	// What events, logs and metrics call the target.
	Name string `yaml:"name" required:"true" pattern:"name"`
	// The ECS cluster: its name or ARN.
	Cluster string `yaml:"cluster" required:"true" pattern:"cluster"`
	// The ECS service: its name or ARN. A service belongs to one target only.
	Service string `yaml:"service" required:"true" pattern:"service"`
	// The name of the broker that holds the queues. May be left out where there is only one.
	Broker string `yaml:"broker" pattern:"name"`
	// The queues that the service's workers consume from. On one broker a queue belongs to one target only, or each of its messages would be counted as work for two services.
	Queues []string `yaml:"queues" required:"true" min:"1" max:"100" pattern:"queue"`
	// The fewest tasks. It always wins over what the queue asks for.
	Min int `yaml:"min" default:"0" min:"0" max:"5000"`
	// The most tasks. It always wins over what the queue or an event asks for. 5000 is ECS's limit for a service.
	Max int `yaml:"max" required:"true" min:"1" max:"5000"`
	// How many messages justify one worker. Where `max_wait`, `task_seconds` and `concurrency` say it, too, it has to be what they give. 5 where neither is given: a message that waits behind four of 10 s each is done by the time another Fargate task would be up (23 to 57 s).
	MessagesPerWorker int `yaml:"messages_per_worker" min:"1" max:"1000000"`
	// How long a message may wait before it starts. With `task_seconds` and `concurrency` it gives the messages per worker: concurrency x max_wait / task_seconds, rounded down, at least 1.
	MaxWait Duration `yaml:"max_wait" min:"1s" max:"24h"`
	// How many seconds a task of the application takes, on average.
	TaskSeconds float64 `yaml:"task_seconds" min:"0.001" max:"86400"`
	// How many tasks of the application one worker executes at a time (Celery's `--concurrency`).
	Concurrency int `yaml:"concurrency" min:"1" max:"10000"`
	// How to know which workers are busy.
	Activity Activity `yaml:"activity"`
	// How long a target has to stay idle between the look that finds it so and the look that confirms it.
	Settle Duration `yaml:"settle" default:"60s" min:"1s" max:"1h"`
	// A task younger than this holds scale-in back: it may not have connected to the broker yet.
	Grace Duration `yaml:"grace" default:"90s" min:"0s" max:"1h"`
	// How long an event's `scale_to`, or what the queue asks for if that is more, is kept as a floor when the event does not say. 0s keeps none.
	FloorHold Duration `yaml:"floor_hold" default:"0s" min:"0s" max:"24h"`
	// At most so many tasks fewer in one sweep. 0 is no limit.
	ScaleInStep int `yaml:"scale_in_step" default:"0" min:"0" max:"5000"`
	// Whether each sweep also protects the tasks that have worked on one message for over a minute from what Sluice does not decide: deployments and the evening out of Availability Zones. Costs five calls to ECS for each sweep.
	Shield bool `yaml:"shield" default:"false"`
	// Whether decisions are only made and logged, and nothing is done: to watch Sluice before it is let at a service.
	DryRun bool `yaml:"dry_run" default:"false"`
	// The times that have bounds of their own.
	Windows []Window `yaml:"windows" max:"50"`
}

// Activity says how to know which workers are busy.
type Activity struct {
	// `inspect` asks the workers themselves; `counter` reads a number that the application keeps in Redis; `none` is for workers that protect themselves. Work outside Celery's own task states shows in no answer, so its target needs `counter` or `none`: tasks of celery-batches, which are noticed (the target is then unknown, and never scaled in), and threads or consumer steps of the application's own, which nothing tells.
	Source string `yaml:"source" default:"inspect" enum:"inspect,counter,none"`
	// The Redis key of the counter: needed with `counter`, refused without.
	Key string `yaml:"key" pattern:"key"`
}

// The sources of activity.
const (
	ActivityInspect = "inspect"
	ActivityCounter = "counter"
	ActivityNone    = "none"
)

// defaultMessagesPerWorker is for targets that say nothing about sizing: see Target.MessagesPerWorker for why.
const defaultMessagesPerWorker = 5

// maxMessagesPerWorker keeps a derived number within what a written one may be.
const maxMessagesPerWorker = 1_000_000

// sized says whether the target derives its size from a waiting time.
func (t *Target) sized() bool { return t.MaxWait > 0 || t.TaskSeconds > 0 || t.Concurrency > 0 }

// size resolves MessagesPerWorker: as written, or as derived, or the default.
func (t *Target) size() {
	switch {
	case t.MessagesPerWorker > 0:
	case t.sized():
		t.MessagesPerWorker = t.derived()
	default:
		t.MessagesPerWorker = defaultMessagesPerWorker
	}
}

// derived is the messages per worker that the waiting time gives.
func (t *Target) derived() int {
	// The tiny addend keeps 1 x 0.3 s / 0.1 s at 3: as floating point numbers it is a hair less.
	n := math.Floor(float64(t.Concurrency)*t.MaxWait.Std().Seconds()/t.TaskSeconds + 1e-9)
	return int(min(max(n, 1), maxMessagesPerWorker))
}
