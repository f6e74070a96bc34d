package doctor

import (
	"time"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Fact is something that was looked up, or why it could not be.
type Fact[T any] struct {
	Value T
	Err   error // Why it is not known; nil if it is.
}

// Known is a fact that was found out.
func Known[T any](v T) Fact[T] { return Fact[T]{Value: v} }

// Unknown is a fact that could not be found out.
func Unknown[T any](err error) Fact[T] { return Fact[T]{Err: err} }

// Facts are all that the checks judge.
type Facts struct {
	At     time.Time
	Config *config.Config
	Region string

	Caller Fact[string] // The ARN of who asks AWS.
	Denied []string     // The IAM actions that the caller was denied, sorted.
	// Clock is how far AWS's clock is ahead of ours.
	Clock Fact[time.Duration]

	Stack      Fact[Stack]
	Functions  []Function
	Rights     []Rights
	Rule       Fact[Rule]
	Schedules  Fact[[]Schedule]
	MachineARN string       // As the stack has it.
	Machine    Fact[string] // Its status; MISSING where there is none.
	Executions Fact[[]Execution]
	Queues     []Queue
	Answer     Fact[Answer] // What the Check function itself sees.
	// Worked says of the targets that the decision log tells of whether they had work in the last hours.
	Worked    Fact[map[string]bool]
	IdleFor   time.Duration
	RoundTrip *Fact[time.Duration] // Nil if no event was asked for: how long it took.

	Targets []Target
	Brokers []Broker
}

// Stack is the CloudFormation stack that `make deploy` made.
type Stack struct {
	Name    string
	Exists  bool
	Problem string // Why it cannot be used although it exists.
	Status  string
	Created time.Time // Or when it was last updated.
}

// Function is one of the Lambda functions.
type Function struct {
	Name  string // ScaleOut, Check or ScaleIn: on AWS it has another.
	State Fact[FunctionState]
}

// Rights are what a role lacks of what it needs.
type Rights struct {
	Whose string // Such as "function Check".
	Lacks Fact[[]string]
}

// FunctionState is what Lambda says of a function.
type FunctionState struct {
	Exists   bool
	ARN      string
	Role     string // Its ARN.
	State    string // Active, Pending, Inactive, Failed.
	Reason   string // Of a state other than Active.
	Reserved *int   // The concurrency that is reserved for it; nil if none is.
}

// Rule is the EventBridge rule that hands events to ScaleOut.
type Rule struct {
	Name    string
	Exists  bool
	State   string // ENABLED, DISABLED.
	Pattern string // JSON.
	Targets []string
}

// Schedule is one of those that start the sweeps.
type Schedule struct {
	Name       string
	Exists     bool
	State      string // ENABLED, DISABLED.
	Expression string
	Target     string // ARN.
}

// Execution is one sweep.
type Execution struct {
	Name    string
	Status  string // SUCCEEDED, FAILED, TIMED_OUT, ABORTED, RUNNING.
	Started time.Time
	Cause   string // Of a failure, where it was looked up.
}

// Queue is a dead-letter queue.
type Queue struct {
	Whose    string // Such as ScaleOut.
	Messages Fact[int]
}

// Answer is what the Check function answers when it is asked for its plan.
type Answer struct {
	Config string // The fingerprint of its sluice.yaml; empty if it does not tell.
	Plan   scaler.Plan
}

// Target is what was found of one target.
type Target struct {
	config.Target
	Service    Fact[Service]
	Definition Fact[Definition]
	Scalers    Fact[[]string] // Scalable targets of Application Auto Scaling on the service, in words.
	Template   Fact[Template]
	Workers    Fact[Workers]
}

// Service is what ECS says of the target's service.
type Service struct {
	Exists     bool
	Missing    string // Why it does not exist, in ECS's words.
	ARN        string
	Status     string // ACTIVE, DRAINING, INACTIVE.
	Desired    int
	Running    int
	Definition string // ARN of the task definition.
	Rollout    Rollout
	Tags       map[string]string
}

// Rollout is the newest deployment of a service.
type Rollout struct {
	State  string // COMPLETED, IN_PROGRESS, FAILED.
	Reason string
	Failed int    // Tasks that failed to start or ended.
	Event  string // The newest event of the service that tells of a trouble.
}

// Definition is a task definition, as far as it says how the worker is started.
type Definition struct {
	ARN        string
	Containers []Container
}

// Container is one container of it.
type Container struct {
	Name        string
	EntryPoint  []string
	Command     []string
	StopTimeout *int // Seconds; nil if it is not given, which means 30.
	Env         map[string]string
}

// Template is the CloudFormation template that the service comes from, if any.
type Template struct {
	Stack        string
	Resource     string // The logical ID of the service.
	DesiredCount string // What it says; empty if nothing.
}

// Workers are the running tasks of a service against the workers that are heard.
type Workers struct {
	Singly   bool     // Whether the tasks were looked at one by one: not those of very many targets.
	Settled  int      // Running tasks that are older than the target's grace; all that run where they were not looked at singly.
	Unheard  []string // Those of them in which no worker is heard, by task ID.
	Unmapped []string // Workers that fetch from the target's queues and whose task cannot be told, by node name.
}

// Broker is what was found of one broker.
type Broker struct {
	config.Broker
	Endpoint Fact[config.Endpoint]
	Probe    Probe // How far a connection comes.
	Server   Fact[Server]
	Waiting  Fact[map[int]int] // How many clients wait for messages, by database.
	Bindings Fact[[]string]    // The keys by which workers of this database listen for commands; looked at only if nobody is heard.
	Look     Fact[policy.Look]
	Beats    Fact[map[string]policy.Beat]
	Oldest   Fact[time.Time] // When the oldest message that is not acknowledged was fetched; zero if there is none.
	// Untracked are the tasks that may execute although their worker answers that nothing is active, by its name.
	Untracked Fact[map[string][]string]
}

// Server is what a Redis says of itself.
type Server struct {
	Mode      string        // standalone, cluster, sentinel.
	Role      string        // master, slave.
	MaxMemory int64         // Bytes; 0 is no limit.
	Policy    string        // Of eviction.
	Clock     time.Duration // How far its clock is ahead of ours.
}
