package sluicecdk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/awsname"
	"sluice/internal/config"
)

// What an alarm is worth waking someone for: what a second attempt or the next sweep makes good is not. So each threshold is one
// that is reached when something has been given up, or goes on. CloudWatch looks back over at most a day, with periods of an
// hour and more over a week: three times the longest sweep.every of 24 hours fits.

// when says at which values of its metric an alarm goes off: in so many of the last so many periods. Without of, in each of them.
type when struct {
	atLeast float64
	below   float64 // In place of atLeast.
	periods int
	of      int // The number of periods looked at, if periods of them are enough.
	missing awscloudwatch.TreatMissingData
}

// What to make of a period without a value.
const (
	// AWS counts errors only while there is something to count: nothing happened, so nothing is wrong.
	silenceIsFine = awscloudwatch.TreatMissingData_NOT_BREACHING
	// No sweep has looked, so whatever the last one saw is the newest that is known: unknown is never taken for fine.
	silenceSaysNothing = awscloudwatch.TreatMissingData_IGNORE
	silenceIsWrong     = awscloudwatch.TreatMissingData_BREACHING
)

// alarms makes the alarms.
func (r *resources) alarms() {
	scope := constructs.NewConstruct(r.scope, jsii.String("Alarms"))
	r.sweepAlarms(scope)
	r.deadLetterAlarms(scope)
	r.functionAlarms(scope)
	r.machineAlarms(scope)
	if r.config.Deploy.Alarms.Workers {
		r.workerAlarms(scope)
	}
}

// alarm makes an alarm. Its name is CloudFormation's, of the stack's and the id, so that nothing can stand in its way.
func (r *resources) alarm(scope constructs.Construct, id string, metric awscloudwatch.IMetric, w when, text string) {
	props := &awscloudwatch.AlarmProps{
		AlarmDescription:   jsii.String(text),
		Metric:             metric,
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
		Threshold:          jsii.Number(w.atLeast),
		EvaluationPeriods:  jsii.Number(float64(max(w.periods, w.of))),
		DatapointsToAlarm:  jsii.Number(float64(w.periods)),
		TreatMissingData:   w.missing,
	}
	if w.below > 0 {
		props.ComparisonOperator = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD
		props.Threshold = jsii.Number(w.below)
	}
	a := awscloudwatch.NewAlarm(scope, jsii.String(id), props)
	// The end is told as well: whoever was called can go back to bed, and incident tools close what they opened. The price is one
	// message for each alarm after it was deployed, when it becomes OK for the first time.
	action := awscloudwatchactions.NewSnsAction(r.topic)
	a.AddAlarmAction(action)
	a.AddOkAction(action)
	r.alarmList = append(r.alarmList, a)
}

// stranded is for how long work may wait with no worker: a task of Fargate's is up within a minute, and a second attempt follows.
const stranded = 10 * time.Minute

// sweepAlarms tell of what the sweeps see, and of sweeps that do not take place.
func (r *resources) sweepAlarms(scope constructs.Construct) {
	every := r.every()
	// FILL makes a missing count a zero. Without it CloudWatch looks back further than three periods for one that it has.
	started := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression:   jsii.String("FILL(started, 0)"),
		UsingMetrics: &map[string]awscloudwatch.IMetric{"started": r.machine.MetricStarted(sums(every))},
		Label:        jsii.String("Sweeps started"),
		Period:       period(every),
	})
	r.alarm(scope, "NoSweep", started, when{below: 1, periods: 3, missing: silenceIsWrong},
		"No sweep has started for three times sweep.every. Events still bring workers up, but a lost event is not made good, and idle "+
			"workers stay and cost money. (After the very first deployment it may ring until the first sweep.) Look at: the schedules in "+
			"EventBridge Scheduler, which may be disabled or gone, and their dead-letter queue, whose messages say why a sweep could not be "+
			"started. Do: mend that, or deploy again; meanwhile start an execution of the state machine by hand.")
	r.alarm(scope, "TargetsUnknown", r.metric(unknownTargets), when{atLeast: 1, periods: 3, missing: silenceSaysNothing},
		"Three sweeps in a row could not see some target properly: Redis or ECS did not answer, or workers did not. Nothing is "+
			"scaled in that cannot be seen, so idle workers may stay and cost money. Look at: the dashboard's list of targets in trouble, "+
			"or the log of Check for decisions with the reason unknown; `cause` and `error` say why, `unheard` names the tasks whose "+
			"workers are silent. Do: mend that; stop a silent task by hand.")
	r.alarm(scope, "WorkStranded", r.metric(strandedTargets),
		when{atLeast: 1, periods: sweepsWithin(stranded, every), missing: silenceSaysNothing},
		"Messages of some target have waited for ten minutes or more while none of its tasks runs. "+
			"Look at: the dashboard's table of targets for messages_waiting with count_running 0, then the events of that ECS service: "+
			"an image that cannot be pulled, no capacity, no free address, a task that ends at once. Do: mend the "+
			"service. Targets that are paused by the tag sluice:paused do not count.")
	if r.observes() {
		r.alarm(scope, "QueueStuck", r.observed(headAge, headAge, "Maximum", every),
			when{atLeast: r.stuckAfter().Seconds(), periods: 1, missing: silenceIsFine}, // Where nothing waits there is no age.
			fmt.Sprintf("The same message has been the next one in some queue for over %s, the longest visibility_timeout, in which every "+
				"worker must have become free once: nobody takes it. Look at: `sluice status` or the query \"Unknown and errors\" for "+
				"queues that nobody fetches from (unfetched); do workers hang, or only serve higher priorities? Do: stop a worker that hangs; "+
				"give the queue workers. Targets that are paused count, too. The age is a lower bound: Check forgets it when its process ends.", config.Duration(r.stuckAfter())))
	}
}

// deadLetterAlarms tell of each message that nobody will try again. One alarm for each queue, so that its text says what to do.
func (r *resources) deadLetterAlarms(scope constructs.Construct) {
	byHand := func(f *function) string {
		return fmt.Sprintf("Somebody invoked %s without waiting for its answer (asynchronously), and it failed. Sluice itself never "+
			"does so. Look at: the message's attributes ErrorCode and ErrorMessage, and the log of %s. Do: find out who it was; then "+
			"purge the queue.", f.title, f.title)
	}
	type letters struct {
		id    string
		queue awssqs.Queue
		text  string
	}
	queues := []letters{
		{
			"ScaleOutDeadLetters", r.scaleOut.deadLetters,
			"An event that asks for workers failed three times in ScaleOut, or waited there for 15 minutes, and was given up. No message " +
				"of the application is lost: the next sweep looks at the queue itself. Look at: the message's attributes ErrorCode and " +
				"ErrorMessage. InvalidEvent and UnknownTarget: the producer sends what sluice.yaml does not know. Others: the log of " +
				"ScaleOut. Do: mend the producer, the permission or the network; then purge the queue.",
		},
		{"CheckDeadLetters", r.check.deadLetters, byHand(r.check)},
		{"ScaleInDeadLetters", r.scaleIn.deadLetters, byHand(r.scaleIn)},
		{
			"RuleDeadLetters", r.ruleDeadLetters,
			"EventBridge could not hand an event over to ScaleOut. No message of the application is lost: the next sweep looks at the queue " +
				"itself. Look at: the message's attributes ERROR_CODE and ERROR_MESSAGE; mostly the rule may not invoke the function, or it is " +
				"gone. Do: deploy again, which restores both; then purge the queue.",
		},
		{
			"ScheduleDeadLetters", r.scheduleDeadLetters,
			"EventBridge Scheduler could not start a sweep (or, with deploy.notify, a message). One sweep less does no harm, since the next " +
				"does the work of both; if it goes on, the alarm NoSweep follows. Look at: the message's attributes ERROR_CODE and " +
				"ERROR_MESSAGE; mostly the schedule's role may not start the state machine, or it is gone. Do: deploy again, which restores " +
				"both; then purge the queue.",
		},
	}
	if r.notify != nil {
		queues = append(queues, letters{
			"NotifyDeadLetters", r.notify.deadLetters,
			"Notify failed twice, so that a message about what Sluice did was not sent. Nothing else depends on it. Look at: the message's " +
				"attributes ErrorCode and ErrorMessage, and the log of Notify; mostly it may not publish to deploy.notify.topic, or that " +
				"topic's key does not let it. Do: mend that, and look at `sluice why` for what was not told; then purge the queue.",
		})
	}
	for _, q := range queues {
		visible := q.queue.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{
			Statistic: awscloudwatch.Stats_MAXIMUM(), Period: period(time.Minute),
		})
		r.alarm(scope, q.id, visible, when{atLeast: 1, periods: 1, missing: silenceIsFine}, q.text)
	}
}

// functionAlarms tell of functions that fail, or are kept from running.
func (r *resources) functionAlarms(scope constructs.Construct) {
	// Check answers in spite of targets that are broken.
	r.alarm(scope, "CheckErrors", r.check.lambda.MetricErrors(sums(5*time.Minute)), when{atLeast: 1, periods: 1, missing: silenceIsFine},
		"Check failed altogether, so that a sweep saw nothing or a scale-in was not confirmed. Targets that cannot be seen do not "+
			"make it fail: it is its configuration, its time (60 s), its memory or a defect. Look at: lines of level ERROR in the log of "+
			"Check, whose `kind` says which. Do: for InvalidConfig correct sluice.yaml or the secret, and deploy; for InternalError report a "+
			"defect.")
	// An event is tried three times within some minutes, and a call of the state machine five times within half a minute; six
	// times within three minutes if it is Lambda that has no room for it.
	r.alarm(scope, "ScaleOutErrors", r.scaleOut.lambda.MetricErrors(sums(15*time.Minute)), when{atLeast: 3, periods: 1, missing: silenceIsFine},
		"ScaleOut failed three times within 15 minutes, which is what one event takes that fails for good: workers may come up late, "+
			"with the next sweep. Look at: lines of level ERROR in the log of ScaleOut; `kind` and `error` say what. Do: for "+
			"InvalidEvent or UnknownTarget mend the producer, for FleetDenied the permission that is named, for BrokerUnavailable "+
			"Redis or the way there.")
	r.alarm(scope, "ScaleInErrors", r.scaleIn.lambda.MetricErrors(sums(15*time.Minute)), when{atLeast: 3, periods: 1, missing: silenceIsFine},
		"ScaleIn failed three times within 15 minutes, so that idle workers stay and cost money. Nothing was stopped that has work. "+
			"Look at: lines of level ERROR in the log of ScaleIn; `kind` and `error` say what. Do: for FleetDenied mend the permission "+
			"that is named, for BrokerUnavailable or FleetUnavailable wait for Redis or ECS.")

	// ScaleOut runs one at a time by design, and a burst of events is throttled by design: Lambda keeps them and tries again, which takes
	// seconds. What is throttled in each of ten minutes does not get through, and is given up after 15.
	r.alarm(scope, "ScaleOutThrottles", r.scaleOut.lambda.MetricThrottles(sums(time.Minute)), when{atLeast: 1, periods: 10, missing: silenceIsFine},
		"For ten minutes more events have come than ScaleOut can answer, one at a time; single bursts are no reason to ring. "+
			"Workers come up late, and events older than 15 minutes go to the dead-letter queue. Look at: its invocations and its "+
			"duration (a slow Redis or ECS?) on the dashboard. Do: send fewer events, one for a batch of messages or coalesced as "+
			"sluice/trigger does; one event is as good as a hundred.")
	for _, f := range []*function{r.check, r.scaleIn} {
		r.alarm(scope, f.title+"Throttles", f.lambda.MetricThrottles(sums(15*time.Minute)), when{atLeast: 6, periods: 1, missing: silenceIsFine},
			fmt.Sprintf("Lambda refused to run %s six times within 15 minutes, which is how often one call is tried: the account's "+
				"concurrency in this Region is used up, by others or by the quota of a new account (10). Look at: the metric "+
				"ConcurrentExecutions of all functions. Do: ask for a higher quota of concurrent executions (free), or limit "+
				"the function that takes it all.", f.title))
	}
}

// machineAlarms tell of sweeps that end badly.
func (r *resources) machineAlarms(scope constructs.Construct) {
	short := sums(5 * time.Minute)
	// A Redis that restarts fails the sweep that meets it, and the next one makes that good.
	r.alarm(scope, "SweepsFailed", r.machine.MetricFailed(sums(r.every())), when{atLeast: 1, periods: 2, of: 3, missing: silenceIsFine},
		"Two of three sweeps failed. The other targets of these sweeps were served. Look at: the failed executions of the state machine; "+
			"with the error TargetsFailed the cause names the targets that failed and tells why of the first 20; with another error Check "+
			"itself failed. "+
			"Do: mend what the target's error says. Errors have kinds: README.md lists them and which are tried again.")
	r.alarm(scope, "SweepsTimedOut", r.machine.MetricTimedOut(short), when{atLeast: 1, periods: 1, missing: silenceIsFine},
		"A sweep was ended after an hour and a half. No worker with work was stopped, and the next sweep goes on from what it sees. "+
			"Look at: the execution's history: which state took so long? Do: with many targets of long settle times shorten "+
			"these; else report a defect.")
	r.alarm(scope, "SweepsAborted", r.machine.MetricAborted(short), when{atLeast: 1, periods: 1, missing: silenceIsFine},
		"Somebody stopped a sweep by hand. Workers that were being let go may be left fetching nothing; the next sweep lets them go or has "+
			"them fetch again. Look at: CloudTrail for StopExecution. Do: nothing, if it was you.")
	r.alarm(scope, "SweepsThrottled", r.machine.MetricThrottled(short), when{atLeast: 1, periods: 3, missing: silenceIsFine},
		"For 15 minutes Step Functions has slowed the state machine down: the account uses more state transitions than its quota. "+
			"Scale-ins take longer; nothing is lost. Look at: the account's other state machines. Do: ask for a higher quota of "+
			"state transitions, or have the others use express workflows.")
}

// Workers are hot from here on. CloudWatch gives ECS's figures each minute.
const (
	hotPercent = 80
	hotMinutes = 5
	// maxServices is for how many targets there is an alarm for each figure of each. A stack has room for 500 resources.
	maxServices = 100
	// maxExpression is how long CloudWatch lets a query be.
	maxExpression = 2048
)

// figure is one of ECS's about a service.
type figure struct{ id, metric, title, text string }

var figures = []figure{
	{
		"Memory", "MemoryUtilization", "memory",
		"use more than 80 % of their memory, on average for five minutes. At 100 % ECS kills the task, and what it executes " +
			"is lost, or runs again with acks_late. Look at: memory by task in Container Insights; does it grow with each task (a leak) or " +
			"with the size of one? Do: more memory in the task definition, a lower --concurrency, or --max-memory-per-child.",
	},
	{
		"CPU", "CPUUtilization", "CPU",
		"use more than 80 % of their CPU, on average for five minutes. Busy workers may; but a worker that gets no time to answer " +
			"Sluice is taken for busy, and tasks are slow. Look at: does the backlog fall? Do: more CPU in the task definition, a lower " +
			"--concurrency, or a higher `max`.",
	},
}

// workerAlarms tell of workers that are short of memory or CPU. No workers, no figures, no alarm.
func (r *resources) workerAlarms(scope constructs.Construct) {
	hot := when{atLeast: hotPercent, periods: hotMinutes, missing: silenceIsFine}
	for _, f := range figures {
		if len(r.config.Targets) > maxServices {
			query := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression:   jsii.String(hottest(f.metric, r.config.Targets)),
				UsingMetrics: &map[string]awscloudwatch.IMetric{},
				Label:        jsii.String("Workers: " + f.title),
				Period:       period(time.Minute),
			})
			r.alarm(scope, "Workers"+f.id, query, hot, "The tasks of some ECS service, which the alarm names as contributor, "+f.text)
			continue
		}
		for _, t := range r.config.Targets {
			metric := awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
				Namespace:  jsii.String("AWS/ECS"),
				MetricName: jsii.String(f.metric),
				DimensionsMap: &map[string]*string{
					"ClusterName": jsii.String(awsname.Last(t.Cluster)), "ServiceName": jsii.String(awsname.Last(t.Service)),
				},
				Statistic: awscloudwatch.Stats_AVERAGE(),
				Period:    period(time.Minute),
			})
			r.alarm(scope, f.id+"-"+t.Name, metric, hot, "The workers of target "+t.Name+" "+f.text)
		}
	}
}

// hottest queries the figure of all services of the targets' clusters, each by itself: the alarm watches the 500 with the highest. It
// names the clusters, unless they are too many for the query: then all services of the account are in it.
func hottest(metric string, targets []config.Target) string {
	var clusters []string
	for _, t := range targets {
		clusters = append(clusters, "ClusterName = '"+awsname.Last(t.Cluster)+"'")
	}
	slices.Sort(clusters)
	query := func(where string) string {
		return fmt.Sprintf(`SELECT AVG(%s) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName)%s GROUP BY ClusterName, ServiceName ORDER BY AVG() DESC`,
			metric, where)
	}
	if q := query(" WHERE " + strings.Join(slices.Compact(clusters), " OR ")); len(q) <= maxExpression {
		return q
	}
	return query("")
}
