package telemetry

// Level says which metrics are written.
type Level string

// The levels of metrics.
const (
	Off     Level = "off"
	Totals  Level = "totals"  // Of all targets together, and decisions by reason.
	Targets Level = "targets" // Those, and those of each target.
)

// The dimensions. A metric has one of them or none.
const (
	DimensionTarget = "Target"
	DimensionReason = "Reason"
)

// DefaultNamespace is where the metrics are if SLUICE_METRICS_NAMESPACE does not say.
const DefaultNamespace = "Sluice"

// The metrics.
const (
	Backlog       = "Backlog"
	DueBacklog    = "DueBacklog"
	Active        = "Active"
	HeldMessages  = "Held"
	Desired       = "Desired"
	Running       = "Running"
	HeadAge       = "HeadAge"
	Unknown       = "Unknown"
	EventToCount  = "EventToCount"
	CountToWorker = "CountToWorker"
	Decisions     = "Decisions"
	ECSCalls      = "EcsCalls"
	ECSErrors     = "EcsErrors"
	RedisCalls    = "RedisCalls"
	RedisErrors   = "RedisErrors"
)

// Metric describes a metric.
type Metric struct {
	Name, Unit string
	// Total and Target say whether it is written of all targets together, and of each.
	Total, Target bool
	// Seldom says that it is written only where there is something to say, and costs nothing in the other hours.
	Seldom  bool
	Meaning string
}

// Metrics are all metrics that are written. The dashboard, the exporter and docs/observability.md have their names from here.
var Metrics = []Metric{
	{Backlog, "Count", true, true, false, "Messages that wait, those that are due later included."},
	{DueBacklog, "Count", true, true, false, "Messages that wait and are due: what asks for workers."},
	{Active, "Count", true, true, false, "Tasks that execute."},
	{HeldMessages, "Count", true, true, false, "Due messages that workers have fetched and not started."},
	{Desired, "Count", true, true, false, "The count that ECS is asked for, as the sweep found it."},
	{Running, "Count", true, true, false, "The tasks that run."},
	{HeadAge, "Seconds", true, true, true, "For how long the oldest observed head of a queue has been seen there: a lower bound. Over all targets, the largest. Nothing where nothing waits."},
	{Unknown, "Count", false, true, true, "1 where not everything could be seen, nothing where it could. (Over all targets: `UnknownTargets`, which the stack has at every level.)"},
	{EventToCount, "Milliseconds", true, true, true, "From the event's time until ECS had taken the new count. EventBridge's times are whole seconds: `sent_at` in the event is exact."},
	{CountToWorker, "Seconds", true, true, true, "From the creation of the youngest running task until it ran, seen by those looks that look at single tasks."},
	{Decisions, "Count", false, false, false, "Decisions that had the reason, by dimension `Reason`; one with three reasons counts for each."},
	{ECSCalls, "Count", true, false, false, "Calls to ECS."},
	{ECSErrors, "Count", true, false, true, "Calls to ECS that failed."},
	{RedisCalls, "Count", true, false, false, "Exchanges with brokers."},
	{RedisErrors, "Count", true, false, true, "Exchanges with brokers that failed."},
}
