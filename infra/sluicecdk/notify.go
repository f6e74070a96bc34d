package sluicecdk

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsschedulertargets"
	"github.com/aws/jsii-runtime-go"
)

// makeNotify makes the function that tells in words what the others did, and its schedule.
//
// It reads their logs, and asks ECS what a worker is worth. It needs no broker, so that it is in no VPC, whatever the others are in: a
// subnet without a NAT would need endpoints for CloudWatch Logs and SNS, at $7 a month each.
func (r *resources) makeNotify() {
	r.notifyTopic = r.topicForMessages()
	var names string
	var groups []string
	for i, f := range r.functions() {
		if i > 0 {
			names += ","
		}
		names += *f.logs.LogGroupName()
		groups = append(groups, *f.logs.LogGroupArn())
	}
	every := r.config.Deploy.Notify.Every.Std()
	r.notify = r.makeFunction(notify, "Notify", &awslambda.FunctionProps{
		Description: jsii.String("Sluice: tells in words what was scaled, and why. Changes nothing."),
		MemorySize:  jsii.Number(256),
		Timeout:     awscdk.Duration_Minutes(jsii.Number(5)), // A day's log of many targets is read page by page.
		Environment: &map[string]*string{
			"SLUICE_TOPIC_ARN":  r.notifyTopic.TopicArn(),
			"SLUICE_LOG_GROUPS": jsii.String(names),
			"SLUICE_STACK":      awscdk.Stack_Of(r.scope).StackName(), // For people who have several.
			// The function's sluice.yaml has no `deploy:`.
			"SLUICE_NOTIFY_EVERY": jsii.String(every.String()),
		},
		RetryAttempts: jsii.Number(1),
		MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(15)),
	},
		statement{sid: "ReadTheirLogs", actions: []string{"logs:FilterLogEvents"}, resources: groups},
		statement{sid: "Publish", actions: []string{"sns:Publish"}, resources: []string{*r.notifyTopic.TopicArn()}},
	)
	role := r.role("NotifyScheduleRole", "scheduler.amazonaws.com", "What the schedule of Sluice's messages may do.", r.bySchedules(),
		allow(statement{sid: "InvokeNotify", actions: []string{"lambda:InvokeFunction"}, resources: []string{*r.notify.lambda.FunctionArn()}}),
		allow(r.toScheduleDeadLetters()),
	)
	r.notifySchedule = awsscheduler.NewSchedule(r.scope, jsii.String("NotifySchedule"), &awsscheduler.ScheduleProps{
		Description:   jsii.String(fmt.Sprintf("Sluice: tells what was done, each %s.", minutes(every))),
		Schedule:      awsscheduler.ScheduleExpression_Rate(awscdk.Duration_Minutes(jsii.Number(every.Minutes()))),
		ScheduleGroup: r.scheduleGroup,
		Target: awsschedulertargets.NewLambdaInvoke(r.notify.lambda, &awsschedulertargets.ScheduleTargetBaseProps{
			// EventBridge Scheduler puts the time in, in RFC 3339: what is told of ends there, however late the function starts.
			Input:           awsscheduler.ScheduleTargetInput_FromObject(map[string]any{"time": "<aws.scheduler.scheduled-time>"}),
			Role:            role.WithoutPolicyUpdates(nil),
			DeadLetterQueue: r.scheduleDeadLetters,
			MaxEventAge:     awscdk.Duration_Minutes(jsii.Number(15)),
			RetryAttempts:   jsii.Number(10),
		}),
	})
}
