package sluicecdk

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/price"
)

// Queries of CloudWatch Logs Insights: the dashboard's, and those that are saved for people, which costs nothing until one is run.
// Their fields are those of the lines that the functions log (internal/scaler: Record, Change, Sweep; internal/function: errors), and
// of Lambda's and Step Functions' own lines. A test holds them to lines of the scaler's.

// The dashboard's queries.
var (
	targetsNow = []string{
		`filter message = "` + decisionMessage + `" and use_case = "check"`,
		"stats latest(backlog) as messages_waiting, latest(active) as tasks_executing, latest(held) as messages_held, " +
			"latest(current) as count_desired, latest(running) as count_running, latest(wish) as count_wished, " +
			"latest(reasons.0) as first_reason by target",
		"sort messages_waiting desc",
		"limit 1000",
	}
	changes = []string{
		`filter message = "` + resultMessage + `" and status != "unchanged" and status != "held"`,
		"fields @timestamp, target, status, previous, desired_count, reasons.0, reasons.1",
		"sort @timestamp desc",
		"limit 100",
	}
	decisionsByReason = []string{
		`filter message = "` + decisionMessage + `"`,
		`parse @message '"reasons":[*]' as why`,
		"stats count(*) as decisions by why, action, use_case",
		"sort decisions desc",
		"limit 100",
	}
	trouble = []string{
		`filter message = "` + decisionMessage + `" and (ispresent(cause) or ispresent(error) or ispresent(unheard.0) or ispresent(unfetched.0))`,
		"stats count(*) as times, latest(@timestamp) as last_seen, latest(cause) as last_cause, latest(error) as last_error, " +
			"latest(unheard.0) as silent_task, latest(unfetched.0) as queue_nobody_fetches by target",
		"sort last_seen desc",
		"limit 100",
	}
)

// functionCalls are what the functions' calls took, and cost.
func (r *resources) functionCalls() []string {
	return []string{
		`filter type = "platform.report"`,
		"stats count(*) as calls, count(record.metrics.initDurationMs) as cold_starts, max(record.metrics.initDurationMs) as longest_start_ms, " +
			"pct(record.metrics.durationMs, 50) as p50_ms, pct(record.metrics.durationMs, 99) as p99_ms, " +
			"max(record.metrics.maxMemoryUsedMB) as memory_used_mb, max(record.metrics.memorySizeMB) as memory_mb, " +
			fmt.Sprintf("sum(record.metrics.billedDurationMs * record.metrics.memorySizeMB * %.16f) as usd by @log", r.usd(price.LambdaGBSecond)/1024/1000),
	}
}

// transitions are the state machine's, with their price.
func (r *resources) transitions() []string {
	return []string{
		`filter type like "StateEntered"`,
		fmt.Sprintf("stats count(*) as state_transitions, state_transitions * %.9f as usd", r.usd(price.Transition)),
	}
}

// targetOverTime is how a target fared: a point for each sweep.
func targetOverTime(target string, every time.Duration) []string {
	return []string{
		`filter message = "` + decisionMessage + `" and use_case = "check" and target = "` + target + `"`,
		"stats max(backlog) as messages_waiting, max(active) as tasks_executing, max(current) as count_desired, max(running) as count_running " +
			"by bin(" + bin(every) + ")",
	}
}

// bin is a time as Logs Insights writes it, rounded up to hours where there are any.
func bin(d time.Duration) string {
	if d < time.Hour {
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%dh", int((d+time.Hour-1)/time.Hour))
}

// savedQuery is a query that people find in the console under Logs Insights, in the folder of the stack.
type savedQuery struct {
	id, title string
	lines     []string
	logs      []awslogs.LogGroup
}

// savedQueries are all of them. Those about one target begin with the first of sluice.yaml: a comment says what to change. (Logs Insights
// has parameters for that, which CloudFormation does not know in every Region.)
func (r *resources) savedQueries() []savedQuery {
	first, all, check := r.config.Targets[0].Name, r.functionLogs(), []awslogs.LogGroup{r.check.logs}
	return []savedQuery{
		{"DecisionsOfATarget", "Decisions of a target", decisionsOf(first), all},
		{"WhyATargetIsHeld", "Why a target is held", whyHeld(first), all},
		{"UnknownAndErrors", "Unknown and errors", unknownAndErrors, all},
		{"SlowLooks", "Slow looks", slowLooks, []awslogs.LogGroup{r.scaleOut.logs, r.check.logs}}, // ScaleIn waits by design.
		{"CountsOverTime", "Counts of a target over time", ofTarget(targetOverTime(first, r.every())), check},
		{"WorkerHours", "Worker hours by target", workerHours(r.every()), check},
		{"EventToCount", "From event to count", howSoon, []awslogs.LogGroup{r.scaleOut.logs}},
		{"EventsIgnoredOrRefused", "Events that were ignored or refused", ignoredOrRefused, []awslogs.LogGroup{r.scaleOut.logs}},
	}
}

// saveQueries makes them.
func (r *resources) saveQueries() {
	for _, q := range r.savedQueries() {
		var names []any
		for _, l := range q.logs {
			names = append(names, l.LogGroupName())
		}
		awslogs.NewCfnQueryDefinition(r.scope, jsii.String(q.id), &awslogs.CfnQueryDefinitionProps{
			Name:          jsii.String(*r.namespace() + "/" + q.title),
			QueryString:   jsii.String(strings.Join(q.lines, "\n| ")),
			LogGroupNames: &names,
		})
	}
}

// nameOfTarget tells people, in a comment, what to change. It ends its line, so that the next command begins one.
const nameOfTarget = "# Write the name of the target.\n"

var (
	// A look that takes a tenth of its time does so because of Redis or ECS, or of a cold start.
	slowLooks = []string{
		`filter type = "platform.report" and record.metrics.durationMs > 1000`,
		"fields @timestamp, @log, record.requestId, record.metrics.durationMs, record.metrics.initDurationMs, record.metrics.maxMemoryUsedMB",
		"sort record.metrics.durationMs desc",
		"limit 100",
	}
	unknownAndErrors = []string{
		`filter level = "ERROR" or (message = "decision" and (ispresent(cause) or ispresent(error) or ispresent(unheard.0) or ` +
			`ispresent(unfetched.0) or ispresent(unlisted.0)))`,
		"fields @timestamp, @log, target, use_case, kind, cause, error, unheard.0, unfetched.0, unlisted.0",
		"sort @timestamp desc",
		"limit 500",
	}
	howSoon = []string{
		`filter message = "result" and ispresent(event_to_count_ms)`,
		"stats count(*) as events, pct(event_to_count_ms, 50) as p50_ms, pct(event_to_count_ms, 99) as p99_ms, " +
			"max(event_to_count_ms) as longest_ms by target",
		"sort p99_ms desc",
		"limit 1000",
	}
	ignoredOrRefused = []string{
		`filter (message = "result" and ispresent(ignored.0)) or kind in ["InvalidEvent", "UnknownTarget"]`,
		"fields @timestamp, target, status, ignored.0, ignored.1, kind, error",
		"sort @timestamp desc",
		"limit 500",
	}
)

// ofTarget has a query begin with the comment.
func ofTarget(query []string) []string {
	return append([]string{nameOfTarget + query[0]}, query[1:]...)
}

// decisionsOf are a target's, with all that led to them.
func decisionsOf(target string) []string {
	return ofTarget([]string{
		`filter message = "` + decisionMessage + `" and target = "` + target + `"`,
		"fields @timestamp, use_case, action, current, desired, wish, reasons.0, reasons.1, reasons.2, backlog, later, active, held, running, " +
			"drained, protected, min, max, window, floor, paused, dry_run, head_age_s, cause, error",
		"sort @timestamp desc",
		"limit 500",
	})
}

// whyHeld are the reasons for which nothing was done with a target, and how often.
func whyHeld(target string) []string {
	return ofTarget([]string{
		`filter message = "` + decisionMessage + `" and target = "` + target + `" and action = "hold"`,
		`parse @message '"reasons":[*]' as why`,
		"stats count(*) as times, latest(@timestamp) as last_seen, latest(current) as count_then, latest(wish) as wish_then, " +
			"latest(cause) as last_cause, latest(error) as last_error by why, use_case",
		"sort times desc",
		"limit 100",
	})
}

// workerHours is how long workers ran: each sweep stands for the time until the next.
func workerHours(every time.Duration) []string {
	return []string{
		`filter message = "` + decisionMessage + `" and use_case = "check" and ispresent(running)`,
		fmt.Sprintf("stats sum(running * %.6f) as worker_hours, avg(running) as on_average, max(running) as at_most by target", every.Hours()),
		"sort worker_hours desc",
		"limit 1000",
	}
}
