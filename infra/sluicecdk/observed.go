package sluicecdk

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/config"
)

// What the functions write themselves, with metrics.level totals or targets: of all targets together, without a dimension; of each,
// with the dimension Target; and decisions by Reason. The names are internal/telemetry's, to which a test holds them.
const (
	dueBacklog    = "DueBacklog"
	laterBacklog  = "Backlog" // Those that are due later included.
	held          = "Held"
	active        = "Active"
	desired       = "Desired"
	running       = "Running"
	headAge       = "HeadAge"
	unknown       = "Unknown"
	eventToCount  = "EventToCount"
	countToWorker = "CountToWorker"
	decisions     = "Decisions"
	ecsCalls      = "EcsCalls"
	ecsErrors     = "EcsErrors"
	redisCalls    = "RedisCalls"
	redisErrors   = "RedisErrors"

	byTarget = "Target"
	byReason = "Reason"
)

// observes says whether the functions write metrics.
func (r *resources) observes() bool { return r.config.Metrics.Level != config.MetricsOff }

// observed is a metric of all targets together.
func (r *resources) observed(name, label, statistic string, over time.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: r.namespace(), MetricName: jsii.String(name), Label: jsii.String(label), Statistic: jsii.String(statistic), Period: period(over),
	})
}

// gauge is what sweeps saw of all targets together. Each schedule's sweep writes the sum of its own part of them, so that the mean of
// these, times their number, is the sum of all, however the sweeps fall into the period.
func (r *resources) gauge(name, label string) awscloudwatch.IMetric {
	mean := r.observed(name, label, "Average", r.every())
	if r.config.Schedules() == 1 {
		return mean
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression:   jsii.String(fmt.Sprintf("part%s * %d", name, r.config.Schedules())),
		UsingMetrics: &map[string]awscloudwatch.IMetric{"part" + name: mean},
		Label:        jsii.String(label),
		Period:       period(r.every()),
	})
}

// each is a metric of each target, or of each reason, whatever their number: CloudWatch shows the first 500 that it finds.
func (r *resources) each(dimension, name, statistic string, over time.Duration) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SEARCH('{"%s",%s} MetricName="%s"', '%s', %.0f)`,
			*r.namespace(), dimension, name, statistic, over.Seconds())),
		UsingMetrics: &map[string]awscloudwatch.IMetric{},
		Label:        jsii.String(""), // That of each one.
		Period:       period(over),
	})
}

// observations are the dashboard's rows of these metrics.
func (r *resources) observations() (rows [][]awscloudwatch.IWidget) {
	const third = columns / 3
	short := 5 * time.Minute
	rows = append(rows, []awscloudwatch.IWidget{
		graph("All targets: messages and tasks", third,
			r.gauge(dueBacklog, "messages waiting"), r.gauge(laterBacklog, "messages waiting, or due later"), r.gauge(held, "messages held"),
			r.gauge(active, "tasks executing")),
		graph("All targets: workers", third, r.gauge(desired, "count asked for"), r.gauge(running, "count running")),
		graph("Longest: a message at the head of a queue, a worker's start (seconds)", third,
			r.observed(headAge, "oldest observed head", "Maximum", r.every()), r.observed(countToWorker, "count to worker", "Maximum", short)),
	}, []awscloudwatch.IWidget{
		graph("Event to count (ms)", third, r.observed(eventToCount, "p50", "p50", short), r.observed(eventToCount, "p99", "p99", short)),
		graph("Calls, and those that failed", third,
			r.observed(ecsCalls, "ECS", "Sum", short), r.observed(ecsErrors, "ECS failed", "Sum", short),
			r.observed(redisCalls, "Redis", "Sum", short), r.observed(redisErrors, "Redis failed", "Sum", short)),
		graph("Decisions by reason, over time", third, r.each(byReason, decisions, "Sum", r.every())),
	})
	if r.config.Metrics.Level == config.MetricsTargets {
		rows = append(rows, []awscloudwatch.IWidget{
			graph("Messages waiting, by target", third, r.each(byTarget, dueBacklog, "Average", r.every())),
			graph("Workers running, by target", third, r.each(byTarget, running, "Average", r.every())),
			graph("Targets that could not be seen", third, r.each(byTarget, unknown, "Maximum", r.every())),
		})
	}
	return rows
}

// stuckAfter is for how long the same message may wait at the head of its queue: longer than any task may run, since Redis gives a message
// again after that time, so that some worker must have become free. At least a quarter of an hour, which is the time for a worker to start.
func (r *resources) stuckAfter() time.Duration {
	longest := 15 * time.Minute
	for _, b := range r.config.Brokers {
		longest = max(longest, b.VisibilityTimeout.Std())
	}
	return longest
}
