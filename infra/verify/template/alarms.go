package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sluice/internal/config"
)

// metric is what an alarm or a widget looks at.
type metric struct {
	namespace, name string
	dimensions      map[string]string
	period          time.Duration
}

// alarm is an alarm of the template.
type alarm struct {
	*Resource
	metrics     []metric
	expressions []string
	periods     int           // That have to be bad.
	period      time.Duration // The longest of its metrics and expressions.
	threshold   float64
}

func (s *Stack) alarms() (all []alarm) {
	for _, r := range s.of("AWS::CloudWatch::Alarm") {
		a := alarm{Resource: r}
		add := func(m any, period float64) {
			if name := text(at(m, "MetricName")); name != "" {
				dimensions := map[string]string{}
				for _, e := range list(at(m, "Dimensions")) {
					dimensions[text(at(e, "Name"))] = text(at(e, "Value"))
				}
				a.metrics = append(a.metrics, metric{text(at(m, "Namespace")), name, dimensions, time.Duration(period) * time.Second})
			}
			a.period = max(a.period, time.Duration(period)*time.Second)
		}
		period, _ := r.number("Period")
		add(r.Properties, period)
		for _, q := range r.list("Metrics") {
			period, _ := at(q, "Period").(float64)
			add(nil, period)
			if e := text(at(q, "Expression")); e != "" {
				a.expressions = append(a.expressions, e)
			}
			if stat := at(q, "MetricStat"); stat != nil {
				period, _ := at(stat, "Period").(float64)
				add(at(stat, "Metric"), period)
			}
		}
		periods, ok := r.number("DatapointsToAlarm")
		if !ok {
			periods, _ = r.number("EvaluationPeriods")
		}
		a.periods = int(periods)
		a.threshold, _ = r.number("Threshold")
		all = append(all, a)
	}
	return all
}

// watches says whether the alarm looks at this metric with this dimension.
func (a alarm) watches(namespace, name, dimension string, values ...string) bool {
	return slices.ContainsFunc(a.metrics, func(m metric) bool {
		return m.namespace == namespace && m.name == name && slices.Contains(values, m.dimensions[dimension])
	})
}

func checkAlarms(d *Deployment, f *findings) {
	for _, s := range d.Stacks {
		for _, a := range s.alarms() {
			d.checkAlarm(f, s, a)
		}
	}
	d.checkTold(f)
	alarms := d.Sluice.alarms()
	// At least one alarm has to be as wanted.
	want := func(what, remedy string, is func(alarm) bool) {
		if !slices.ContainsFunc(alarms, is) {
			f.addAt("the stack "+d.Sluice.Name, remedy, "has no alarm for %s", what)
		}
	}
	for _, q := range d.Sluice.of("AWS::SQS::Queue") {
		want("messages in the queue "+q.ID, "alarm on the first ApproximateNumberOfMessagesVisible", func(a alarm) bool {
			return a.watches("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${"+q.ID+".QueueName}") && a.goesOffAt(1)
		})
	}
	for _, name := range scalers { // Whatever Notify fails at ends as a dead letter.
		for _, metric := range []string{"Errors", "Throttles"} {
			want(metric+" of "+name, "alarm on it", func(a alarm) bool {
				return a.watches("AWS/Lambda", metric, "FunctionName", "${"+d.Functions[name].ID+"}")
			})
		}
	}
	for _, m := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		for _, metric := range []string{"ExecutionsFailed", "ExecutionsTimedOut"} {
			want(metric, "alarm on it", func(a alarm) bool {
				return a.watches("AWS/States", metric, "StateMachineArn", "${"+m.ID+"}", arnOf(m))
			})
		}
	}
	every := d.Config.Sweep.Every.Std()
	want("targets unknown for three sweeps", "alarm on three periods of sweep.every", func(a alarm) bool {
		return d.counts(a, "unknown") && a.goesOffAt(1) && a.periods == 3 && a.period == every
	})
	want("work without a worker for ten minutes", "alarm on as many periods as are ten minutes after the first", func(a alarm) bool {
		const long = 10 * time.Minute
		return d.counts(a, "stranded") && a.goesOffAt(1) && a.period == every &&
			time.Duration(a.periods-1)*every >= long && time.Duration(a.periods-2)*every < long
	})
	d.checkWorkerAlarms(f, alarms)
	d.checkStuck(f, alarms)
}

// goesOffAt says whether the alarm goes off when its metric has that value, and not below.
func (a alarm) goesOffAt(value float64) bool {
	switch a.text("ComparisonOperator") {
	case "GreaterThanOrEqualToThreshold":
		return a.threshold == value
	case "GreaterThanThreshold":
		return a.threshold == value-1
	}
	return false
}

// counts says whether the alarm looks at a metric that is made of this field of the line that each sweep logs.
func (d *Deployment) counts(a alarm, field string) bool {
	return slices.ContainsFunc(a.metrics, func(m metric) bool {
		filter, transformation := d.Sluice.filterOf(m)
		if filter == nil || text(at(transformation, "MetricValue")) != "$."+field {
			return false
		}
		// lambdacontext.NewLogger calls the message so, whatever slog calls it.
		return strings.Join(strings.Fields(filter.text("FilterPattern")), "") == `{($.message="sweep")&&($.`+field+`>=0)}` &&
			filter.text("LogGroupName") == d.Functions[check].text("LoggingConfig", "LogGroup")
	})
}

// filterOf is the metric filter that makes a metric of our own; nil if none does.
func (s *Stack) filterOf(m metric) (*Resource, any) {
	for _, filter := range s.of("AWS::Logs::MetricFilter") {
		for _, t := range filter.list("MetricTransformations") {
			if text(at(t, "MetricName")) == m.name && text(at(t, "MetricNamespace")) == m.namespace {
				return filter, t
			}
		}
	}
	return nil, nil
}

// checkWorkerAlarms: each target's service is watched, by alarms of its own or by a query over its cluster.
func (d *Deployment) checkWorkerAlarms(f *findings, alarms []alarm) {
	for _, metric := range []string{"CPUUtilization", "MemoryUtilization"} {
		for _, t := range d.Config.Targets {
			watched := slices.ContainsFunc(alarms, func(a alarm) bool {
				return a.goesOffAt(80) && time.Duration(a.periods)*a.period == 5*time.Minute && a.watchesService(metric, t)
			})
			if watched != d.Config.Deploy.Alarms.Workers {
				f.addAt("the stack "+d.Sluice.Name, "follow deploy.alarms.workers",
					"alarm for five minutes of 80 %% %s of target %s: %t, and deploy.alarms.workers is %t", metric, t.Name, watched, !watched)
			}
		}
	}
}

func (a alarm) watchesService(name string, t config.Target) bool {
	return slices.ContainsFunc(a.metrics, func(m metric) bool { return m.namespace == "AWS/ECS" && m.name == name && m.isOf(t) }) ||
		slices.ContainsFunc(a.expressions, func(e string) bool { return queries(e, name, t) })
}

// isOf says whether a metric of ECS is of the target's service.
func (m metric) isOf(t config.Target) bool {
	return m.dimensions["ClusterName"] == lastPart(t.Cluster) && m.dimensions["ServiceName"] == lastPart(t.Service)
}

// queries says whether a Metrics Insights query covers the target's service: it groups by service, and if it names clusters,
// then this one, too.
func queries(e, metric string, t config.Target) bool {
	return regexp.MustCompile(`^SELECT (AVG|MAX)\(`+metric+`\) FROM SCHEMA\("AWS/ECS", ClusterName, ServiceName\)`).MatchString(e) &&
		strings.Contains(e, "GROUP BY ClusterName, ServiceName") &&
		(!strings.Contains(e, " WHERE ") || strings.Contains(e, "ClusterName = '"+lastPart(t.Cluster)+"'"))
}

// checkTold: whoever is configured is told of alarms. (The check notify sees to the other topic.)
func (d *Deployment) checkTold(f *findings) {
	var topics []*Resource
	for _, a := range d.Sluice.of("AWS::CloudWatch::Alarm") {
		topics = append(topics, d.Sluice.refer(a.at("AlarmActions"))...)
	}
	var want []string
	if email := d.Config.Deploy.Alarms.Email; email != "" {
		want = []string{email}
	}
	if addresses := d.Sluice.mailedBy(topics); !slices.Equal(addresses, want) {
		f.addAt("the stack "+d.Sluice.Name, "follow deploy.alarms.email", "mails alarms to %s, and deploy.alarms.email is %q",
			quoted(addresses), d.Config.Deploy.Alarms.Email)
	}
}

// mailedBy are the addresses that topics mail to, wherever it is said.
func (s *Stack) mailedBy(topics []*Resource) (addresses []string) {
	for _, r := range s.of("AWS::SNS::Subscription") {
		if t := s.target(r.text("TopicArn"), "AWS::SNS::Topic"); t != nil && slices.Contains(topics, t) && r.text("Protocol") == "email" {
			addresses = append(addresses, r.text("Endpoint"))
		}
	}
	for _, t := range s.of("AWS::SNS::Topic") {
		for _, sub := range t.list("Subscription") {
			if slices.Contains(topics, t) {
				addresses = append(addresses, text(at(sub, "Endpoint")))
			}
		}
	}
	return addresses
}

// checkAlarm holds one alarm to what any alarm has to have.
func (d *Deployment) checkAlarm(f *findings, s *Stack, a alarm) {
	actions := texts(a.at("AlarmActions"))
	if len(actions) == 0 || a.text("ActionsEnabled") == "false" {
		f.add(a.Resource, "give it the topic", "tells nobody")
	}
	for _, action := range actions {
		topic := d.Config.Deploy.Alarms.Topic
		if topic == "" && s.target(action, "AWS::SNS::Topic") == nil || topic != "" && action != topic {
			f.add(a.Resource, "give it the topic of deploy.alarms, or the one made here", "tells %q", action)
		}
	}
	if a.text("AlarmDescription") == "" {
		f.add(a.Resource, "say what it means and what to do", "has no description")
	}
	if a.text("TreatMissingData") == "" {
		f.add(a.Resource, "choose", "does not say what to make of missing data")
	}
	if len(a.metrics)+len(a.expressions) == 0 {
		f.add(a.Resource, "give it a metric", "watches nothing")
	}
	// CloudWatch looks back over a day, or over a week where the period is an hour or more.
	periods, _ := a.number("EvaluationPeriods")
	span, most := time.Duration(periods)*a.period, 24*time.Hour
	if a.period >= time.Hour {
		most = 7 * 24 * time.Hour
	}
	if span > most {
		f.add(a.Resource, "look at fewer periods", "looks back over %v, and CloudWatch over at most %v", span, most)
	}
	for _, m := range a.metrics {
		if why := d.missing(s, m); why != "" {
			f.add(a.Resource, "watch what is there", "watches %s %s, but %s", m.namespace, m.name, why)
		}
	}
	for _, e := range a.expressions {
		if len(e) > 2048 {
			f.add(a.Resource, "shorten it", "has an expression of %d characters, more than 2048", len(e))
		}
	}
	if len(a.list("Metrics")) > 10 {
		f.add(a.Resource, "split it", "has %d metrics, more than 10", len(a.list("Metrics")))
	}
}

// known are the metrics of AWS's services that there are, with the dimension that names the resource and the resource's type. Only
// those that are used stand here: a misspelt one is never missed, it just has no data.
var known = map[string]struct {
	dimension string
	resource  string
	names     []string
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
func (d *Deployment) missing(s *Stack, m metric) string {
	if m.namespace == "AWS/ECS" {
		if !slices.Contains([]string{"CPUUtilization", "MemoryUtilization"}, m.name) {
			return "ECS has no such metric"
		}
		if !slices.ContainsFunc(d.Config.Targets, m.isOf) {
			return fmt.Sprintf("%v is no target's service", m.dimensions)
		}
		return ""
	}
	k, ok := known[m.namespace]
	switch {
	case !ok:
		filter, _ := s.filterOf(m)
		switch {
		case filter == nil && m.namespace == d.namespace():
			return d.unwritten(m.name, sortedKeys(m.dimensions))
		case filter == nil:
			return "no metric filter makes it"
		case len(m.dimensions) > 0:
			return "the metric filter gives it no dimensions"
		case s.target(filter.text("LogGroupName"), "AWS::Logs::LogGroup") == nil:
			return "its metric filter reads a log group that is not in the template"
		}
	case !slices.Contains(k.names, m.name):
		return "there is no such metric"
	case !slices.ContainsFunc(s.refer(m.dimensions[k.dimension]), func(r *Resource) bool { return r.Type == k.resource }):
		return fmt.Sprintf("%s %q is no resource of the template", k.dimension, m.dimensions[k.dimension])
	}
	return ""
}
