package sluicecdk

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// A metric of our own costs $0.30 a month for each combination of its dimensions. So there are two, without dimensions, whatever
// the number of targets: what the alarms need and AWS does not count. Everything else, and all that is about one target, is in
// the log, which the dashboard queries.

// sweepMetric is made of a field of the line that Check logs at the end of each sweep.
type sweepMetric struct{ name, field string }

var (
	unknownTargets  = sweepMetric{"UnknownTargets", "unknown"}
	strandedTargets = sweepMetric{"StrandedTargets", "stranded"}
)

// Lines of the log are told apart by their message. It is Lambda's own name for what slog calls msg.
const (
	sweepMessage    = "sweep"
	decisionMessage = "decision"
	resultMessage   = "result"
)

// metrics has CloudWatch make a metric of each sweep's line.
func (r *resources) metrics() {
	for _, m := range []sweepMetric{unknownTargets, strandedTargets} {
		awslogs.NewMetricFilter(r.scope, jsii.String(m.name), &awslogs.MetricFilterProps{
			LogGroup: r.check.logs,
			// The value comes from a field that the pattern names, too, as CloudWatch wants it. A comparison, since FilterPattern_Exists
			// compares with a text, and these are numbers.
			FilterPattern: awslogs.FilterPattern_All(
				awslogs.FilterPattern_StringValue(jsii.String("$.message"), jsii.String("="), jsii.String(sweepMessage)),
				awslogs.FilterPattern_NumberValue(jsii.String("$."+m.field), jsii.String(">="), jsii.Number(0))),
			MetricNamespace: r.namespace(),
			MetricName:      jsii.String(m.name),
			MetricValue:     jsii.String("$." + m.field),
			Unit:            awscloudwatch.Unit_COUNT,
			// No default value: it would be a zero for each minute in which Check logs anything else, such as a confirming look.
		})
	}
}

// metric is the largest value within a period: with several shards each sweep has several.
func (r *resources) metric(m sweepMetric) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:  r.namespace(),
		MetricName: jsii.String(m.name),
		Label:      jsii.String(m.name),
		Statistic:  awscloudwatch.Stats_MAXIMUM(),
		Period:     period(r.every()),
	})
}

// namespace is this Sluice's own, since its metrics have no dimension that would tell it from another one in the account.
func (r *resources) namespace() *string {
	return jsii.String("Sluice/" + *awscdk.Stack_Of(r.scope).StackName() + "/" + *awscdk.Names_StackRelativeConstructPath(r.scope))
}

// every is the time between two sweeps.
func (r *resources) every() time.Duration { return r.config.Sweep.Every.Std() }

// period is the time as CloudWatch's periods want it. They are whole minutes, as sweep.every is.
func period(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Minutes(jsii.Number(d.Minutes()))
}

// sums is what counting metrics are looked at with: their sum over the time.
func sums(d time.Duration) *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: awscloudwatch.Stats_SUM(), Period: period(d)}
}

// sweepsWithin is how many sweeps in a row have to see something before it has lasted that long: the first one only says that it has
// begun. Sweeps further apart than that need two, since one alone may have looked just when it began.
func sweepsWithin(lasting, every time.Duration) int {
	return int((lasting+every-1)/every) + 1
}
