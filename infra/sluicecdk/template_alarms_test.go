package sluicecdk_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/infra/lab"
	"sluice/internal/config"
	"sluice/internal/price"
	"sluice/internal/telemetry"
	"sluice/lab/cloud/cfn/template"
)

// metric is what an alarm or a widget looks at.
type metric struct {
	namespace, name string
	dimensions      map[string]string
}

// alarm is an alarm of the template.
type alarm struct {
	*template.Resource
	metrics     []metric
	expressions []string
	periods     int           // That have to be bad.
	period      time.Duration // The longest of its metrics and expressions.
}

func alarms(d *lab.Deployment) (all []alarm) {
	for _, r := range d.Sluice.Of("AWS::CloudWatch::Alarm") {
		a := alarm{Resource: r}
		add := func(m, period any) {
			if name := template.Text(template.Within(m, "MetricName")); name != "" {
				dimensions := map[string]string{}
				for _, e := range template.List(template.Within(m, "Dimensions")) {
					dimensions[template.Text(template.Within(e, "Name"))] = template.Text(template.Within(e, "Value"))
				}
				a.metrics = append(a.metrics, metric{template.Text(template.Within(m, "Namespace")), name, dimensions})
			}
			a.period = max(a.period, time.Duration(number(period))*time.Second)
		}
		add(r.Properties, r.At("Period"))
		for _, q := range template.List(r.At("Metrics")) {
			add(template.Within(q, "MetricStat", "Metric"), template.Within(q, "MetricStat", "Period"))
			add(nil, template.Within(q, "Period"))
			if e := template.Text(template.Within(q, "Expression")); e != "" {
				a.expressions = append(a.expressions, e)
			}
		}
		if a.periods = int(number(r.At("DatapointsToAlarm"))); a.periods == 0 {
			a.periods = int(number(r.At("EvaluationPeriods")))
		}
		all = append(all, a)
	}
	return all
}

// watches reports whether the alarm looks at this metric with this dimension.
func (a alarm) watches(namespace, name, dimension string, values ...string) bool {
	return slices.ContainsFunc(a.metrics, func(m metric) bool {
		return m.namespace == namespace && m.name == name && slices.Contains(values, m.dimensions[dimension])
	})
}

// goesOffAt reports whether the alarm goes off when its metric has that value, and not below.
func (a alarm) goesOffAt(value float64) bool {
	return a.Text("ComparisonOperator") == "GreaterThanOrEqualToThreshold" && number(a.At("Threshold")) == value
}

// checkAlarms: each alarm is there, tells somebody, and watches what exists.
func checkAlarms(t lab.T, d *lab.Deployment) {
	all := alarms(d)
	for _, a := range all {
		checkAlarm(t, d, a)
	}
	var told []*template.Resource
	for _, a := range all {
		told = append(told, d.Sluice.References(a.At("AlarmActions"))...)
	}
	var want []string
	if email := d.Config.Deploy.Alarms.Email; email != "" {
		want = []string{email}
	}
	if addresses := mailedBy(d.Sluice, told...); !slices.Equal(addresses, want) {
		t.Errorf("alarms are mailed to %q, not to %q", addresses, want)
	}
	wanted := func(what string, is func(alarm) bool) {
		t.Helper()
		if !slices.ContainsFunc(all, is) {
			t.Errorf("there is no alarm for %s", what)
		}
	}
	for _, q := range d.Sluice.Of("AWS::SQS::Queue") {
		wanted("messages in the queue "+q.ID, func(a alarm) bool {
			return a.watches("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${"+q.ID+".QueueName}") && a.goesOffAt(1)
		})
	}
	for _, name := range scalers { // Whatever Notify fails at ends as a dead letter.
		for _, metric := range []string{"Errors", "Throttles"} {
			wanted(metric+" of "+name, func(a alarm) bool { return a.watches("AWS/Lambda", metric, "FunctionName", d.Function(name).Ref()) })
		}
	}
	for _, m := range d.Sluice.Of("AWS::StepFunctions::StateMachine") {
		for _, metric := range []string{"ExecutionsFailed", "ExecutionsTimedOut"} {
			wanted(metric, func(a alarm) bool { return a.watches("AWS/States", metric, "StateMachineArn", m.Ref(), m.ARN()) })
		}
	}
	every := d.Config.Sweep.Every.Std()
	wanted("targets unknown for three sweeps", func(a alarm) bool {
		return counts(d, a, "unknown") && a.goesOffAt(1) && a.periods == 3 && a.period == every
	})
	wanted("work without a worker for ten minutes", func(a alarm) bool {
		const long = 10 * time.Minute
		return counts(d, a, "stranded") && a.goesOffAt(1) && a.period == every &&
			time.Duration(a.periods-1)*every >= long && time.Duration(a.periods-2)*every < long
	})
	// With metrics an alarm rings where a message is the next one for longer than any task may run.
	longest := 15 * time.Minute
	for _, b := range d.Config.Brokers {
		longest = max(longest, b.VisibilityTimeout.Std())
	}
	stuck := slices.ContainsFunc(all, func(a alarm) bool {
		return a.goesOffAt(longest.Seconds()) && slices.ContainsFunc(a.metrics, func(m metric) bool {
			return m.namespace == namespace(d) && m.name == telemetry.HeadAge && len(m.dimensions) == 0
		})
	})
	if stuck != (d.Config.Metrics.Level != config.MetricsOff) {
		t.Errorf("alarm for a queue that is stuck: %t, and metrics.level is %s", stuck, d.Config.Metrics.Level)
	}
}

// counts reports whether the alarm looks at a metric that is made of this field of the line that each sweep logs.
func counts(d *lab.Deployment, a alarm, field string) bool {
	return slices.ContainsFunc(a.metrics, func(m metric) bool {
		filter := filterOf(d, m)
		// lambdacontext.NewLogger calls the message so, whatever slog calls it.
		return filter != nil && filter.Text("MetricTransformations", 0, "MetricValue") == "$."+field &&
			strings.Join(strings.Fields(filter.Text("FilterPattern")), "") == `{($.message="sweep")&&($.`+field+`>=0)}` &&
			filter.Text("LogGroupName") == logGroupOf(d, check)
	})
}

// filterOf is the metric filter that makes a metric of our own; nil if none does.
func filterOf(d *lab.Deployment, m metric) *template.Resource {
	for _, filter := range d.Sluice.Of("AWS::Logs::MetricFilter") {
		made := template.Within(filter.At("MetricTransformations"), 0)
		if template.Within(made, "MetricName") == m.name && template.Within(made, "MetricNamespace") == m.namespace {
			return filter
		}
	}
	return nil
}

// checkAlarm holds one alarm to what any alarm has to have.
func checkAlarm(t lab.T, d *lab.Deployment, a alarm) {
	actions := template.Texts(a.At("AlarmActions"))
	if len(actions) == 0 || a.Text("ActionsEnabled") == "false" {
		t.Errorf("%s tells nobody", a.ID)
	}
	for _, action := range actions {
		topic := d.Config.Deploy.Alarms.Topic
		if topic == "" && d.Sluice.Target(action, "AWS::SNS::Topic") == nil || topic != "" && action != topic {
			t.Errorf("%s tells %q", a.ID, action)
		}
	}
	if a.Text("AlarmDescription") == "" || a.Text("TreatMissingData") == "" || len(a.metrics)+len(a.expressions) == 0 {
		t.Errorf("%s has no description, does not say what to make of missing data, or watches nothing", a.ID)
	}
	// CloudWatch looks back over a day, or over a week where the period is an hour or more.
	most := 24 * time.Hour
	if a.period >= time.Hour {
		most *= 7
	}
	if span := time.Duration(number(a.At("EvaluationPeriods"))) * a.period; span > most {
		t.Errorf("%s looks back over %v, and CloudWatch over at most %v", a.ID, span, most)
	}
	for _, m := range a.metrics {
		if why := missing(d, m); why != "" {
			t.Errorf("%s watches %s %s, but %s", a.ID, m.namespace, m.name, why)
		}
	}
	for _, e := range a.expressions {
		if len(e) > 2048 {
			t.Errorf("%s has an expression of %d characters, more than 2048", a.ID, len(e))
		}
	}
	if n := len(template.List(a.At("Metrics"))); n > 10 {
		t.Errorf("%s has %d metrics, more than 10", a.ID, n)
	}
}

// checkWorkerAlarms: each target's service is watched, by alarms of its own or by a query over its cluster.
func checkWorkerAlarms(t lab.T, d *lab.Deployment) {
	all := alarms(d)
	for _, name := range []string{"CPUUtilization", "MemoryUtilization"} {
		for _, target := range d.Config.Targets {
			watched := slices.ContainsFunc(all, func(a alarm) bool {
				return a.goesOffAt(80) && time.Duration(a.periods)*a.period == 5*time.Minute &&
					(slices.ContainsFunc(a.metrics, func(m metric) bool { return m.namespace == "AWS/ECS" && m.name == name && m.isOf(target) }) ||
						slices.ContainsFunc(a.expressions, func(e string) bool { return queries(e, name, target) }))
			})
			if watched != d.Config.Deploy.Alarms.Workers {
				t.Errorf("alarm for five minutes of 80 %% %s of target %s: %t, and deploy.alarms.workers is %t", name, target.Name, watched, !watched)
			}
		}
	}
}

// isOf reports whether a metric of ECS is of the target's service.
func (m metric) isOf(target config.Target) bool {
	return m.dimensions["ClusterName"] == lastPart(target.Cluster) && m.dimensions["ServiceName"] == lastPart(target.Service)
}

// queries reports whether a Metrics Insights query covers the target's service: it groups by service, and if it names
// clusters, then this one, too.
func queries(e, metric string, target config.Target) bool {
	return strings.HasPrefix(e, "SELECT AVG("+metric+`) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName)`) &&
		strings.Contains(e, "GROUP BY ClusterName, ServiceName") &&
		(!strings.Contains(e, " WHERE ") || strings.Contains(e, "ClusterName = '"+lastPart(target.Cluster)+"'"))
}

func TestWorkersQuery(t *testing.T) {
	target := config.Target{Cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/prod", Service: "worker"}
	const query = `SELECT AVG(CPUUtilization) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName)`
	for e, want := range map[string]bool{
		query + " GROUP BY ClusterName, ServiceName":                                                 true,
		query + " WHERE ClusterName = 'a' OR ClusterName = 'prod' GROUP BY ClusterName, ServiceName": true,
		query + " WHERE ClusterName = 'product' GROUP BY ClusterName, ServiceName":                   false,
		query: false, // The average of all services is never high.
		strings.Replace(query, "CPU", "Memory", 1) + " GROUP BY ClusterName, ServiceName": false,
	} {
		if got := queries(e, "CPUUtilization", target); got != want {
			t.Errorf("%s covers it: %t, want %t", e, got, want)
		}
	}
}

// known are the metrics of AWS's services that there are, with the dimension that names the resource and the resource's
// type. Only those that are used stand here: a misspelt one is never missed, it just has no data.
var known = map[string]struct {
	dimension, resource string
	names               []string
}{
	"AWS/SQS": {"QueueName", "AWS::SQS::Queue", []string{"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}},
	"AWS/Lambda": {"FunctionName", "AWS::Lambda::Function", []string{
		"Errors", "Throttles", "Invocations", "Duration", "AsyncEventAge", "AsyncEventsDropped", "DeadLetterErrors", "ConcurrentExecutions",
	}},
	"AWS/States": {"StateMachineArn", "AWS::StepFunctions::StateMachine", []string{
		"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled",
		"ExecutionTime",
	}},
	"AWS/Scheduler": {"ScheduleGroup", "AWS::Scheduler::ScheduleGroup", []string{
		"InvocationAttemptCount", "TargetErrorCount", "TargetErrorThrottledCount", "InvocationThrottleCount", "InvocationDroppedCount",
	}},
	"AWS/Events": {"RuleName", "AWS::Events::Rule", []string{
		"Invocations", "FailedInvocations", "ThrottledRules", "MatchedEvents", "InvocationsSentToDLQ", "IngestiontoInvocationStartLatency",
	}},
	"AWS/Logs": {"LogGroupName", "AWS::Logs::LogGroup", []string{"IncomingBytes", "IncomingLogEvents"}},
}

// missing says why a metric cannot be: empty if it can.
func missing(d *lab.Deployment, m metric) string {
	if m.namespace == "AWS/ECS" {
		if m.name != "CPUUtilization" && m.name != "MemoryUtilization" {
			return "ECS has no such metric"
		}
		if !slices.ContainsFunc(d.Config.Targets, m.isOf) {
			return fmt.Sprintf("%v is no target's service", m.dimensions)
		}
		return ""
	}
	k, ok := known[m.namespace]
	switch filter := filterOf(d, m); {
	case ok && !slices.Contains(k.names, m.name):
		return "there is no such metric"
	case ok && !slices.ContainsFunc(d.Sluice.References(m.dimensions[k.dimension]), func(r *template.Resource) bool {
		return r.Type == k.resource
	}):
		return fmt.Sprintf("%s %q is no resource of the template", k.dimension, m.dimensions[k.dimension])
	case ok:
	case filter == nil && m.namespace == namespace(d):
		return unwritten(d, m.name, slices.Collect(maps.Keys(m.dimensions)))
	case filter == nil:
		return "no metric filter makes it"
	case len(m.dimensions) > 0:
		return "the metric filter gives it no dimensions"
	case d.Sluice.Target(filter.Text("LogGroupName"), "AWS::Logs::LogGroup") == nil:
		return "its metric filter reads a log group that is not in the template"
	}
	return ""
}

// unwritten says why the functions do not write a metric: empty if they do.
func unwritten(d *lab.Deployment, name string, dimensions []string) string {
	level := d.Config.Metrics.Level
	i := slices.IndexFunc(telemetry.Metrics, func(m telemetry.Metric) bool { return m.Name == name })
	switch {
	case i < 0:
		return "no metric filter makes it, and no function writes it"
	case level == config.MetricsOff:
		return "metrics.level is off, so that no function writes it"
	}
	m := telemetry.Metrics[i]
	written := map[string]bool{
		"":                        m.Total,
		telemetry.DimensionTarget: m.Target && level == config.MetricsTargets,
		telemetry.DimensionReason: name == telemetry.Decisions,
	}
	if len(dimensions) > 1 || !written[strings.Join(dimensions, "")] {
		return fmt.Sprintf("the functions do not write it with the dimensions %q", dimensions)
	}
	return ""
}

// checkPrice: `sluice cost` and the tables of the documentation count what the stack has.
func checkPrice(t lab.T, d *lab.Deployment) {
	bill := map[string]float64{}
	for _, l := range price.Monthly(d.Config, price.DefaultUse(d.Config)).Lines {
		bill[l.Name] = l.Quantity
	}
	paid := 0
	for _, a := range alarms(d) {
		if paid++; len(a.expressions) > 0 && strings.HasPrefix(a.expressions[0], "SELECT ") {
			paid += len(d.Config.Targets) - 1 // It watches all services together, and is billed for each.
		}
	}
	if billed := bill["alarms"] + bill["alarms of workers"]; float64(paid) != billed {
		t.Errorf("there are %d alarms to pay for, and the price is of %v", paid, billed)
	}
	d.Sluice.Counts(t, price.StackMetrics, "AWS::Logs::MetricFilter")
	memory := map[string]int{
		scaleOut: price.ScaleOutMemory, check: price.CheckMemory, scaleIn: price.ScaleInMemory, notify: price.NotifyMemory,
	}
	for _, name := range functionNames(d) {
		lab.Want(t, d.Function(name), memory[name], "MemorySize")
	}
}
