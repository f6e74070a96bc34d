package sluicecdk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/awsname"
	"sluice/internal/price"
)

// The dashboard has what is about targets from the log, by Logs Insights: a metric for each target would cost something each
// month, a query costs what it reads when somebody looks. A dashboard holds 500 widgets, a query of a widget 50 log groups.

// maxCharts is how many targets have a chart of their own: the first ones of sluice.yaml. The table has them all.
const maxCharts = 12

// columns is how wide a dashboard is.
const columns = 24

// dashboard makes the dashboard.
func (r *resources) dashboard() {
	r.board = awscloudwatch.NewDashboard(r.scope, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DefaultInterval: awscdk.Duration_Days(jsii.Number(1)),
	})
	r.board.AddWidgets(text(guide, 5))
	// An alarm widget shows a hundred.
	for some := range slices.Chunk(r.alarmList, 100) {
		r.board.AddWidgets(r.states(some))
	}
	r.board.AddWidgets(query("Targets, those with most backlog first", columns, 8, targetsNow, r.check.logs))
	for some := range slices.Chunk(r.config.Targets[:min(len(r.config.Targets), maxCharts)], 3) {
		var row []awscloudwatch.IWidget
		for _, t := range some {
			row = append(row, chart(t.Name, columns/3, 6, targetOverTime(t.Name, r.every()), r.check.logs))
		}
		r.board.AddWidgets(row...)
	}
	if r.observes() {
		for _, row := range r.observations() {
			r.board.AddWidgets(row...)
		}
	}
	r.board.AddWidgets(
		query("Changes, the latest first", columns/2, 8, changes, r.functionLogs()...),
		query("Decisions by reason", columns/2, 8, decisionsByReason, r.functionLogs()...))
	r.board.AddWidgets(query("Targets in trouble", columns, 6, trouble, r.functionLogs()...))
	r.board.AddWidgets(r.sweeps(), r.failures(), r.deadLetters())
	r.board.AddWidgets(r.latency(), query("Functions: calls, cold starts, time, memory", 2*columns/3, 6, r.functionCalls(), logsOf(r.allFunctions())...))
	r.board.AddWidgets(text(r.costGuide(), 4))
	r.board.AddWidgets(r.cost(), query("Step Functions", columns/4, 4, r.transitions(), r.machineLogs))
}

// functionLogs are the log groups of the three functions that scale, which log decisions.
func (r *resources) functionLogs() []awslogs.LogGroup { return logsOf(r.functions()) }

func logsOf(functions []*function) (out []awslogs.LogGroup) {
	for _, f := range functions {
		out = append(out, f.logs)
	}
	return out
}

// sweeps shows what sweeps saw and how they ended.
func (r *resources) sweeps() awscloudwatch.IWidget {
	o := sums(r.every())
	return graph("Sweeps, and targets that they could not see or found stranded", columns/3,
		r.machine.MetricStarted(o), r.machine.MetricFailed(o), r.machine.MetricTimedOut(o), r.machine.MetricThrottled(o),
		r.metric(unknownTargets), r.metric(strandedTargets))
}

// failures shows errors and throttles of the functions.
func (r *resources) failures() awscloudwatch.IWidget {
	var metrics []awscloudwatch.IMetric
	for _, f := range r.allFunctions() {
		metrics = append(metrics, f.lambda.MetricErrors(labelled(f.title+" errors")), f.lambda.MetricThrottles(labelled(f.title+" throttles")))
	}
	return graph("Errors and throttles", columns/3, metrics...)
}

// deadLetters shows what was given up.
func (r *resources) deadLetters() awscloudwatch.IWidget {
	var metrics []awscloudwatch.IMetric
	for _, q := range r.deadLetterQueues() {
		metrics = append(metrics, q.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{
			Statistic: awscloudwatch.Stats_MAXIMUM(), Period: period(5 * time.Minute),
		}))
	}
	return graph("Messages in dead-letter queues", columns/3, metrics...)
}

// latency shows the way of an event to the new count, in its three parts: EventBridge, Lambda's queue, and ScaleOut itself.
func (r *resources) latency() awscloudwatch.IWidget {
	worst := func(label string) *awscloudwatch.MetricOptions {
		return &awscloudwatch.MetricOptions{
			Statistic: awscloudwatch.Stats_Percentile(jsii.Number(99)), Period: period(5 * time.Minute), Label: jsii.String(label),
		}
	}
	return graph("From event to count: p99 in ms", columns/3,
		awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String("AWS/Events"),
			// So it is spelled in the list of metrics by rule; IngestionToInvocationStartLatency is the one of the whole account.
			MetricName:    jsii.String("IngestiontoInvocationStartLatency"),
			DimensionsMap: &map[string]*string{"EventBusName": jsii.String(awsname.Last(r.config.Events.Bus)), "RuleName": r.ruleName()},
			Statistic:     awscloudwatch.Stats_Percentile(jsii.Number(99)),
			Period:        period(5 * time.Minute),
			Label:         jsii.String("EventBridge"),
		}),
		r.scaleOut.lambda.Metric(jsii.String("AsyncEventAge"), worst("waiting for ScaleOut")),
		r.scaleOut.lambda.MetricDuration(worst("ScaleOut")))
}

// labelled is an option for counts with that name.
func labelled(label string) *awscloudwatch.MetricOptions {
	o := sums(5 * time.Minute)
	o.Label = jsii.String(label)
	return o
}

// usd is what AWS asks for one of the items, in the Region that is deployed to.
func (r *resources) usd(item price.Item) float64 { return price.Of(item, r.config.Deploy.Region).USD }

// cost shows what Sluice cost in the dashboard's range of time.
func (r *resources) cost() awscloudwatch.IWidget {
	sum := &awscloudwatch.MetricOptions{Statistic: awscloudwatch.Stats_SUM()}
	parts := map[string]awscloudwatch.IMetric{}
	var shown []awscloudwatch.IMetric
	add := func(id, label, expression string, using map[string]awscloudwatch.IMetric) {
		part := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String(expression), UsingMetrics: &using, Label: jsii.String(label),
		})
		parts[id], shown = part, append(shown, part)
	}
	logs := map[string]awscloudwatch.IMetric{"logsSweep": bytesOf(r.machineLogs)}
	for _, f := range r.allFunctions() {
		calls, time := "calls"+f.title, "time"+f.title
		add("cost"+f.title, f.title, r.functionCost(calls, time, f.memory),
			map[string]awscloudwatch.IMetric{calls: f.lambda.MetricInvocations(sum), time: f.lambda.MetricDuration(sum)})
		logs["logs"+f.title] = bytesOf(f.logs)
	}
	add("costSweeps", "Step Functions", fmt.Sprintf("sweeps * %.9f", price.QuietTransitions*r.usd(price.Transition)),
		map[string]awscloudwatch.IMetric{"sweeps": r.machine.MetricStarted(sum)})
	add("costLogs", "Logs", fmt.Sprintf("SUM([%s]) * %.15f", list(logs), r.usd(price.LogsIn)/(1<<30)), logs)
	total := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("SUM([" + list(parts) + "])"), UsingMetrics: &parts, Label: jsii.String("Together"),
	})
	all := &[]awscloudwatch.IMetric{}
	*all = append(append(*all, total), shown...)
	return awscloudwatch.NewSingleValueWidget(&awscloudwatch.SingleValueWidgetProps{
		Title: jsii.String("Cost in this range of time, in US dollars"), Width: jsii.Number(3 * columns / 4), Height: jsii.Number(4),
		Metrics: all, SetPeriodToTimeRange: jsii.Bool(true), FullPrecision: jsii.Bool(true),
	})
}

// functionCost is what a function's calls cost, with a time in milliseconds.
func (r *resources) functionCost(calls, time string, memory float64) string {
	return fmt.Sprintf("%s * %.9f + %s * %.15f", calls, r.usd(price.LambdaRequest), time, r.usd(price.LambdaGBSecond)*memory/1024/1000)
}

// bytesOf is how much a log group takes in. CDK's own metric of that name leaves the group out, and is the whole account's.
func bytesOf(l awslogs.LogGroup) awscloudwatch.IMetric {
	return l.MetricIncomingBytes(&awscloudwatch.MetricOptions{
		Statistic: awscloudwatch.Stats_SUM(), DimensionsMap: &map[string]*string{"LogGroupName": l.LogGroupName()},
	})
}

// list is the ids in order, with commas.
func list(metrics map[string]awscloudwatch.IMetric) string {
	ids := make([]string, 0, len(metrics))
	for id := range metrics {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}

// guide says how to read the dashboard.
const guide = `## Sluice
**Targets:** ` + "`messages_waiting`" + ` are due and in the broker, ` + "`messages_held`" + ` fetched by a worker and not started. ` +
	"`count_desired` is what ECS is asked for, `count_running` what it has, `count_wished` what the work asks for. " +
	`A count above the wish comes down by the next sweeps, but never below the workers that have work. Empty means unknown, which is never taken for idle. ` +
	`The words of the reasons are explained in README.md, "The reasons".

**Alarms** say in their description what they mean, where to look and what to do. Grey is fine as well: nothing to count yet.

**Normal** are: throttles of ScaleOut in a burst of events (one runs at a time, Lambda tries the others again), now and then a failed sweep ` +
	`(the next makes it good), cold starts after quiet times. **Not normal** are: messages in a dead-letter queue; messages that wait ` +
	`with ` + "`count_running`" + ` 0 for ten minutes; the same target in trouble for hours.

Tables and charts of targets are queries of the log: each look costs about $0.005 for a GB read. Set no short refresh interval. More queries are saved in Logs Insights, in this stack's folder.`

// costGuide says what the cost is made of, and what it does not show.
func (r *resources) costGuide() string {
	region, alarms := cmp.Or(r.config.Deploy.Region, price.Reference), len(r.alarmList)
	return fmt.Sprintf(`## What Sluice costs
List prices of %s or, where these are not known, of %s, put together %s from public tables, without free tiers: AWS's pages, which "sluice cost" names, have the last word. `+
		`Lambda on arm64 $%.10f per GB-second and $%.2f per million requests, $%.3f per 1,000 state transitions, $%.2f per GB of logs. `+
		`Below, Step Functions is counted with the %d transitions of a quiet sweep, and Lambda without cold starts; beside it and in the table of functions is all that was used.

Not below, by the month: %d alarms at $%.2f = $%.2f (ten are free in an account; one on more than %d targets is billed for each service that it looks at), `+
		`metrics at $%.2f each (%d, and those of metrics.level, which is %s), this dashboard $%.0f (three are free), and the VPC: NAT or endpoints. The workers are yours.`,
		region, price.Reference, price.AsOf,
		r.usd(price.LambdaGBSecond), r.usd(price.LambdaRequest)*1e6, r.usd(price.Transition)*1e3, r.usd(price.LogsIn), price.QuietTransitions,
		alarms, r.usd(price.Alarm), float64(alarms)*r.usd(price.Alarm), maxServices,
		r.usd(price.Metric), price.StackMetrics, r.config.Metrics.Level, r.usd(price.Dashboard))
}

func text(markdown string, height float64) awscloudwatch.IWidget {
	return awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{
		Markdown: jsii.String(markdown), Width: jsii.Number(columns), Height: jsii.Number(height),
	})
}

func (r *resources) states(alarms []awscloudwatch.Alarm) awscloudwatch.IWidget {
	some := []interfacesawscloudwatch.IAlarmRef{}
	for _, a := range alarms {
		some = append(some, a)
	}
	return awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String("Alarms"), Alarms: &some, Width: jsii.Number(columns), Height: jsii.Number(float64(min(2+(len(some)+3)/4, 10))),
	})
}

// query is a table of what the query finds in the logs.
func query(title string, width, height float64, lines []string, logs ...awslogs.LogGroup) awscloudwatch.IWidget {
	return logWidget(title, awscloudwatch.LogQueryVisualizationType_TABLE, width, height, lines, logs)
}

// chart is a line for each column that the query finds over time.
func chart(title string, width, height float64, lines []string, logs ...awslogs.LogGroup) awscloudwatch.IWidget {
	return logWidget(title, awscloudwatch.LogQueryVisualizationType_LINE, width, height, lines, logs)
}

func logWidget(
	title string, view awscloudwatch.LogQueryVisualizationType, width, height float64, lines []string, logs []awslogs.LogGroup,
) awscloudwatch.IWidget {
	var names []*string
	for _, l := range logs {
		names = append(names, l.LogGroupName())
	}
	return awscloudwatch.NewLogQueryWidget(&awscloudwatch.LogQueryWidgetProps{
		Title: jsii.String(title), View: view, Width: jsii.Number(width), Height: jsii.Number(height),
		LogGroupNames: &names, QueryLines: jsii.Strings(lines...),
	})
}

func graph(title string, width float64, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Left: &metrics, Width: jsii.Number(width), Height: jsii.Number(6),
		LeftYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)},
	})
}
