package sluicecdk

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/config"
)

// The functions by the names of their folders.
const (
	scaleOut = "scaleout"
	check    = "check"
	scaleIn  = "scalein"
	notify   = "notify" // With deploy.notify.
)

// makeFunctions makes the three functions.
//
// Memory buys processor time: 1,769 MB are one processor. Check needs 36 MB for 1,000 targets (docs/benchmarks.md), so that time is
// what is chosen here. ScaleOut is what someone waits for, and Check reads the answers of all workers: with 512 MB, 29 % of a
// processor, what a first event computes (some 10 ms on a whole one, and two TLS handshakes) stays below what its calls wait for.
// ScaleIn waits for workers most of its time, which is paid for by the megabyte.
func (r *resources) makeFunctions() {
	r.scaleOut = r.makeFunction(scaleOut, "ScaleOut", &awslambda.FunctionProps{
		Description: jsii.String("Sluice: raises the count of an ECS service when an event or a sweep asks for workers."),
		MemorySize:  jsii.Number(512),
		Timeout:     awscdk.Duration_Seconds(jsii.Number(30)),
		// Two at once could each read a count, and the later one overwrite the higher of both: ECS has no compare-and-set.
		ReservedConcurrentExecutions: jsii.Number(1),
		RetryAttempts:                jsii.Number(2),
		MaxEventAge:                  awscdk.Duration_Minutes(jsii.Number(15)), // By then sweeps have seen to it.
	})
	r.check = r.makeFunction(check, "Check", &awslambda.FunctionProps{
		Description:   jsii.String("Sluice: looks at all targets, or closely at one, and says what is to be done. Changes no count."),
		MemorySize:    jsii.Number(512),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(60)),
		RetryAttempts: jsii.Number(0), // The state machine calls it and waits. Whoever calls it without waiting means once.
	})
	r.scaleIn = r.makeFunction(scaleIn, "ScaleIn", &awslambda.FunctionProps{
		Description:   jsii.String("Sluice: has idle workers of an ECS service fetch nothing more, and lets them go."),
		MemorySize:    jsii.Number(256),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(120)),
		RetryAttempts: jsii.Number(0),
	})
}

// makeFunction makes a function with its log group, its dead-letter queue and its role. The props say what is its own, and the
// statements what it may do beside what sluice.yaml alone says.
func (r *resources) makeFunction(name, title string, props *awslambda.FunctionProps, statements ...statement) *function {
	f := &function{
		name: name, title: title, memory: *props.MemorySize,
		logs:        r.logGroup(title+"Logs", nil),
		deadLetters: r.deadLetterQueue(title + "DeadLetters"),
	}
	props.Runtime = awslambda.Runtime_PROVIDED_AL2023()
	props.Architecture = awslambda.Architecture_ARM_64()
	props.Handler = jsii.String("bootstrap")
	props.Code = awslambda.Code_FromAsset(jsii.String(r.code[name]), nil)
	props.Role = r.functionRole(f, statements...).WithoutPolicyUpdates(nil)
	props.LogGroup = f.logs
	props.LoggingFormat = awslambda.LoggingFormat_JSON
	props.Tracing = awslambda.Tracing_ACTIVE
	props.DeadLetterQueue = f.deadLetters
	if name != notify { // It asks AWS alone, and no broker.
		props.Environment = r.functionEnvironment()
		if r.vpc != nil {
			props.Vpc, props.VpcSubnets = r.vpc, r.subnets
			props.SecurityGroups = &r.securityGroups
		}
	}
	f.lambda = awslambda.NewFunction(r.scope, jsii.String(title), props)
	awscdk.Tags_Of(f.lambda).Add(jsii.String("sluice:function"), jsii.String(name), nil)
	return f
}

// functionEnvironment is what the three functions read: brokers' URLs, and where their metrics go, if there are any.
func (r *resources) functionEnvironment() *map[string]*string {
	variables := make(map[string]*string)
	for k, v := range r.environment {
		variables[k] = jsii.String(v)
	}
	if r.config.Metrics.Level != config.MetricsOff {
		variables["SLUICE_METRICS_NAMESPACE"] = r.namespace()
	}
	if len(variables) == 0 {
		return nil
	}
	return &variables
}

// logGroup makes a log group that keeps its logs for deploy.log_retention, and goes when Sluice goes. Without a name, AWS gives
// it one.
func (r *resources) logGroup(id string, name *string) awslogs.LogGroup {
	return awslogs.NewLogGroup(r.scope, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName:  name,
		Retention:     retention(r.config.Deploy.LogRetention),
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// deadLetterQueue makes a queue that keeps what failed for as long as SQS keeps anything, encrypted at rest and on its way.
func (r *resources) deadLetterQueue(id string) awssqs.Queue {
	return awssqs.NewQueue(r.scope, jsii.String(id), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	})
}

// retention is the CDK's name for a number of days, one of those that CloudWatch Logs knows.
func retention(days int) awslogs.RetentionDays {
	known := map[int]awslogs.RetentionDays{
		1: awslogs.RetentionDays_ONE_DAY, 3: awslogs.RetentionDays_THREE_DAYS, 5: awslogs.RetentionDays_FIVE_DAYS,
		7: awslogs.RetentionDays_ONE_WEEK, 14: awslogs.RetentionDays_TWO_WEEKS, 30: awslogs.RetentionDays_ONE_MONTH,
		60: awslogs.RetentionDays_TWO_MONTHS, 90: awslogs.RetentionDays_THREE_MONTHS, 120: awslogs.RetentionDays_FOUR_MONTHS,
		150: awslogs.RetentionDays_FIVE_MONTHS, 180: awslogs.RetentionDays_SIX_MONTHS, 365: awslogs.RetentionDays_ONE_YEAR,
		400: awslogs.RetentionDays_THIRTEEN_MONTHS, 545: awslogs.RetentionDays_EIGHTEEN_MONTHS, 731: awslogs.RetentionDays_TWO_YEARS,
		1096: awslogs.RetentionDays_THREE_YEARS, 1827: awslogs.RetentionDays_FIVE_YEARS, 2192: awslogs.RetentionDays_SIX_YEARS,
		2557: awslogs.RetentionDays_SEVEN_YEARS, 2922: awslogs.RetentionDays_EIGHT_YEARS, 3288: awslogs.RetentionDays_NINE_YEARS,
		3653: awslogs.RetentionDays_TEN_YEARS,
	}
	name, ok := known[days]
	if !ok {
		panic(fmt.Errorf("deploy.log_retention: CloudWatch Logs does not know %d days: use one that `sluice schema` lists", days))
	}
	return name
}
