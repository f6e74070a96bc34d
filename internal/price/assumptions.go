package price

import (
	"fmt"
	"time"

	"sluice/internal/config"
)

// Month is the month that prices are by: 730 hours, as AWS's own calculators have it, would be 30.4 days; 30 days make round numbers of
// sweeps, and nothing here is exact to the percent.
const Month = 30 * 24 * time.Hour

// What Sluice's stack is made of. The stack's own tests hold the numbers of alarms and metrics to these.
const (
	QuietTransitions = 3    // Of the state machine, for a sweep with nothing to do: Check, AnythingToDo, Quiet.
	RunTransitions   = 11   // More, for a target that is let go: from the Map to Verify. 8 where it is brought up.
	StackMetrics     = 2    // UnknownTargets and StrandedTargets.
	StackAlarms      = 18   // One more with deploy.notify, and one with metrics.level totals or targets.
	WorkerAlarms     = 2    // Of each target, with deploy.alarms.workers: CPU and memory.
	CheckMemory      = 512  // In MB.
	ScaleOutMemory   = 512  //
	ScaleInMemory    = 256  //
	NotifyMemory     = 256  //
	TotalMetrics     = 13   // Of all targets together, with metrics.level totals or targets: internal/telemetry has the list.
	TargetMetrics    = 10   // Of each target, with metrics.level targets.
	ReasonMetrics    = 8    // How many of the reasons occur in an hour. An estimate.
	maxWorkerAlarms  = 100  // Above so many targets two alarms watch all services of their clusters, and are billed for each.
	freeTraces       = 1e5  // A month and account, for ever.
	gb               = 1e9  // As CloudWatch Logs counts.
	mb               = 1024 // In a GB, as Lambda counts.
)

// What is estimated, from runs on a laptop with the local cloud (docs/benchmarks.md) and sizes of logs there. The dashboard shows what it is
// in an account of your own.
const (
	checkSeconds     = 0.3    // Of a look at few targets: mostly waiting for ECS and Redis.
	targetSeconds    = 0.0057 // More for each target in it.
	scaleOutSeconds  = 0.5    // From a cold start, which is billed.
	scaleInSeconds   = 6.0    // Pauses of the drain: docs/benchmarks.md, group drain.
	notifySeconds    = 1.0
	sweepBytes       = 10_000 // Of all the log lines of a sweep, the state machine's included.
	targetBytes      = 600    // More for each target in it.
	eventBytes       = 2_000
	runBytes         = 25_000
	metricLineBytes  = 1_500 // Of a sweep, with metrics.level totals or targets.
	metricEntryBytes = 600   // More for each target, with metrics.level targets.
)

// Use is what Sluice is used for in a month.
type Use struct {
	Events float64 `json:"events"` // That ask for workers, of all targets together.
	Runs   float64 `json:"runs"`   // How many times a target goes up from zero and down again, of all targets together.
}

// Defaults of Use where nobody says, for each target: twice a working day up and down, and five events each time.
const (
	DefaultRuns   = 60
	DefaultEvents = 300
)

// DefaultUse is what is assumed of a config.
func DefaultUse(c *config.Config) Use {
	n := float64(len(c.Targets))
	return Use{Events: n * DefaultEvents, Runs: n * DefaultRuns}
}

// Assumptions says in words what the model assumes of a config.
func Assumptions(c *config.Config, u Use) []string {
	return []string{
		fmt.Sprintf("%s events and %s runs from zero and back a month, of all targets together", number(u.Events), number(u.Runs)),
		fmt.Sprintf("a look takes %.1f s and %.1f ms more for each target; letting one go takes %.0f s", checkSeconds, targetSeconds*1000, scaleInSeconds),
		fmt.Sprintf("a sweep logs %d KB and %.1f KB more for each target", sweepBytes/1000, float64(targetBytes)/1000),
		"a month has 30 days; free tiers and discounts are left out",
	}
}
