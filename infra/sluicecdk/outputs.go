package sluicecdk

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"sluice/internal/awsname"
)

// makeOutputs has the stack tell what was made: to people after a deployment, and to the command line, which finds its way from
// `deploy.stack` by these alone. So their names are fixed, and stand in internal/deployed once more.
func (r *resources) makeOutputs(stack awscdk.Stack) {
	output := func(id, description string, value *string) {
		awscdk.NewCfnOutput(stack, &id, &awscdk.CfnOutputProps{Description: &description, Value: value})
	}
	output("ScaleOutFunction", "Raises counts", r.scaleOut.lambda.FunctionName())
	output("CheckFunction", "Looks at targets and changes nothing: invoke it with {} or {\"target\": NAME}", r.check.lambda.FunctionName())
	output("ScaleInFunction", "Lets idle workers go", r.scaleIn.lambda.FunctionName())
	for _, f := range r.functions() {
		output(f.title+"Logs", "The log group of "+f.title, f.logs.LogGroupName())
	}
	output("Rule", "Hands events over to ScaleOut", r.ruleName())
	output("StateMachine", "A sweep over all targets: start it by hand with {}", r.machine.StateMachineArn())
	var schedules []*string
	for _, s := range r.schedules {
		schedules = append(schedules, s.ScheduleName())
	}
	output("Schedules", "Start the sweeps", awscdk.Fn_Join(jsii.String(","), &schedules))
	output("ScheduleGroup", "Holds the schedules", r.scheduleGroup.ScheduleGroupName())
	output("Dashboard", "In CloudWatch", r.board.DashboardName())
	queues := r.deadLetterQueuesByName()
	for _, whose := range slices.Sorted(maps.Keys(queues)) {
		output(whose+"DeadLetters", "What failed for good: empty if all is well", queues[whose].QueueUrl())
	}
	for i, g := range r.securityGroups {
		output(fmt.Sprintf("SecurityGroup%d", i+1), "A security group of the functions: let it into Redis", g.SecurityGroupId())
	}
	output("AlarmTopic", "Is told of every alarm: subscribe to it", r.topic.TopicArn())
	if r.notify != nil {
		output("NotifyFunction", "Tells what Sluice does, in words", r.notify.lambda.FunctionName())
		output("NotifyLogs", "The log group of Notify", r.notify.logs.LogGroupName())
		output("NotifyTopic", "Is told what Sluice does: subscribe to it", r.notifyTopic.TopicArn())
		output("NotifySchedule", "Starts Notify; in the group ScheduleGroup", r.notifySchedule.ScheduleName())
	}
}

// ruleName is the rule's name alone: CloudFormation's reference to a rule of another bus than the default one is BUS|RULE.
func (r *resources) ruleName() *string {
	if awsname.Last(r.config.Events.Bus) == "default" {
		return r.rule.RuleName()
	}
	return awscdk.Fn_Select(jsii.Number(1), awscdk.Fn_Split(jsii.String("|"), r.rule.RuleName(), nil))
}
