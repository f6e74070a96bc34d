package sluicecdk

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsschedulertargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"sluice/stepfunctions"
)

// makeMachine makes the state machine of a sweep. Its definition is part of the template, and not an asset of its own, so that
// the template alone says what runs. Its comment and its time-out stand in the definition.
func (r *resources) makeMachine() {
	// Step Functions may write to log groups with this prefix without an entry for each in the account's resource policy, which
	// has room for few.
	name := awscdk.Names_UniqueResourceName(r.scope, &awscdk.UniqueResourceNameOptions{
		MaxLength: jsii.Number(64), Separator: jsii.String("-"),
	})
	r.machineLogs = r.logGroup("SweepLogs", jsii.String("/aws/vendedlogs/states/"+*name))

	here := awscdk.Stack_Of(r.scope)
	var functions []string
	for _, f := range r.functions() {
		functions = append(functions, *f.lambda.FunctionArn())
	}
	role := r.role("SweepRole", "states.amazonaws.com", "What Sluice's state machine may do.",
		map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": *here.Account()},
			"ArnLike": map[string]any{"aws:SourceArn": *here.FormatArn(&awscdk.ArnComponents{
				Service: jsii.String("states"), Resource: jsii.String("stateMachine"), ResourceName: jsii.String("*"),
				ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
			})},
		},
		allow(statement{sid: "InvokeFunctions", actions: []string{"lambda:InvokeFunction"}, resources: functions}),
		allow(statement{sid: "DeliverLogs", actions: []string{
			"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
			"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
		}, resources: []string{"*"}}),
		allow(statement{sid: "SendTraces", actions: []string{
			"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
		}, resources: []string{"*"}}),
	)
	acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "the delivery of logs and X-Ray know no resources")

	r.machine = awsstepfunctions.NewStateMachine(r.scope, jsii.String("Sweep"), &awsstepfunctions.StateMachineProps{
		DefinitionBody: awsstepfunctions.DefinitionBody_FromString(jsii.String(stepfunctions.ScaleIn)),
		DefinitionSubstitutions: &map[string]*string{
			stepfunctions.CheckFunctionArn:    r.check.lambda.FunctionArn(),
			stepfunctions.ScaleOutFunctionArn: r.scaleOut.lambda.FunctionArn(),
			stepfunctions.ScaleInFunctionArn:  r.scaleIn.lambda.FunctionArn(),
		},
		StateMachineType: awsstepfunctions.StateMachineType_STANDARD, // Express bills the wait, and ends after five minutes.
		Role:             role.WithoutPolicyUpdates(nil),
		Logs: &awsstepfunctions.LogOptions{
			Destination: r.machineLogs, Level: awsstepfunctions.LogLevel_ALL, IncludeExecutionData: jsii.Bool(true),
		},
		TracingEnabled: jsii.Bool(true),
	})
}

// makeSchedules starts a sweep each sweep.every: one over all targets, or several over a part each.
func (r *resources) makeSchedules() {
	r.scheduleDeadLetters = r.deadLetterQueue("ScheduleDeadLetters")
	acknowledge(r.scheduleDeadLetters, "AwsSolutions-SQS3", "it is a dead-letter queue itself, of schedules, where cdk-nag does not look")
	r.scheduleGroup = awsscheduler.NewScheduleGroup(r.scope, jsii.String("Schedules"), &awsscheduler.ScheduleGroupProps{
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	role := r.role("ScheduleRole", "scheduler.amazonaws.com", "What Sluice's schedules may do.", r.bySchedules(),
		allow(statement{sid: "StartSweeps", actions: []string{"states:StartExecution"}, resources: []string{*r.machine.StateMachineArn()}}),
		allow(r.toScheduleDeadLetters()),
	)
	every := r.config.Sweep.Every.Std()
	for _, s := range shards(r.config.Schedules(), every) {
		r.schedules = append(r.schedules, awsscheduler.NewSchedule(r.scope, jsii.String(s.id), &awsscheduler.ScheduleProps{
			Description:   jsii.String(s.description),
			Schedule:      s.expression(every),
			ScheduleGroup: r.scheduleGroup,
			Target: awsschedulertargets.NewStepFunctionsStartExecution(r.machine, &awsschedulertargets.ScheduleTargetBaseProps{
				Input:           awsscheduler.ScheduleTargetInput_FromObject(s.input),
				Role:            role.WithoutPolicyUpdates(nil),
				DeadLetterQueue: r.scheduleDeadLetters,
				// By then the next sweep starts anyhow, and does the work of both.
				MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(every.Minutes())),
				RetryAttempts: jsii.Number(10),
			}),
		}))
	}
}

// bySchedules are the conditions under which EventBridge Scheduler may take a role: for the sake of Sluice's schedules.
func (r *resources) bySchedules() map[string]any {
	return map[string]any{"StringEquals": map[string]any{
		"aws:SourceAccount": *awscdk.Stack_Of(r.scope).Account(),
		"aws:SourceArn":     *r.scheduleGroup.ScheduleGroupArn(),
	}}
}

// toScheduleDeadLetters allows to give up what could not be started.
func (r *resources) toScheduleDeadLetters() statement {
	return statement{sid: "SendDeadLetters", actions: []string{"sqs:SendMessage"}, resources: []string{*r.scheduleDeadLetters.QueueArn()}}
}

// shard is one of the schedules, with its part of the targets.
type shard struct {
	id, description string
	input           map[string]any // What Check is given. Empty for all targets.
	minutes         string         // The minutes of each hour, as cron has them. Empty for a rate that starts whenever it is deployed.
}

// shards divides the targets among n schedules. Check does the dividing itself, by number, so that the parts need not be named here.
// Where the time between sweeps divides an hour, the shards' starts are spread over it, so that the sweeps share ECS's quota
// evenly; where it does not, cron cannot say it, and all start together.
func shards(n int, every time.Duration) []shard {
	if n == 1 {
		description := fmt.Sprintf("Sluice: a sweep over all targets each %s.", minutes(every))
		return []shard{{id: "Schedule", description: description, input: map[string]any{}}}
	}
	out := make([]shard, n)
	for i := range out {
		out[i] = shard{
			id:          fmt.Sprintf("Schedule%d", i+1),
			description: fmt.Sprintf("Sluice: a sweep over part %d of %d of the targets each %s.", i+1, n, minutes(every)),
			input:       map[string]any{"shard": i, "shards": n},
		}
		if time.Hour%every == 0 {
			e := int(every.Minutes())
			start := strconv.Itoa(i * e / n)
			switch e {
			case 60:
				out[i].minutes = start
			default:
				out[i].minutes = start + "/" + strconv.Itoa(e)
			}
		}
	}
	return out
}

func minutes(d time.Duration) string {
	if d == time.Minute {
		return "minute"
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}

// expression is when the shard is swept.
func (s shard) expression(every time.Duration) awsscheduler.ScheduleExpression {
	if s.minutes == "" {
		return awsscheduler.ScheduleExpression_Rate(awscdk.Duration_Minutes(jsii.Number(every.Minutes())))
	}
	return awsscheduler.ScheduleExpression_Cron(&awsscheduler.CronOptionsWithTimezone{Minute: jsii.String(s.minutes)})
}
