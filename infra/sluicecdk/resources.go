package sluicecdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
)

// resources is all that a Sluice is made of. NewSluice fills it in from the top to the bottom; what comes later may use what
// came before.
type resources struct {
	plan
	props *SluiceProps         // Never nil.
	scope constructs.Construct // The Sluice itself: the scope of everything below.
	network

	scaleOut, check, scaleIn *function

	// Events that ask for workers.
	rule            awsevents.Rule
	ruleDeadLetters awssqs.Queue // Events that EventBridge could not hand over to ScaleOut.

	// Sweeps.
	machine             awsstepfunctions.StateMachine
	machineLogs         awslogs.LogGroup
	scheduleGroup       awsscheduler.ScheduleGroup // Holds these schedules and nothing else, so that its metrics are theirs alone.
	schedules           []awsscheduler.Schedule    // One for each shard.
	scheduleDeadLetters awssqs.Queue               // Sweeps that EventBridge Scheduler could not start.

	// Messages about what Sluice does: all nil without deploy.notify.
	notify         *function
	notifyTopic    awssns.ITopic
	notifySchedule awsscheduler.Schedule

	topic awssns.ITopic           // Where alarms go.
	board awscloudwatch.Dashboard // Made by dashboard.

	alarmList []awscloudwatch.Alarm // In the order of the dashboard.
}

// function is a Lambda function with what belongs to it.
type function struct {
	name        string // "scaleout", "check", "scalein" or "notify", as its folder below lambdas/ is called.
	title       string // "ScaleOut", "Check", "ScaleIn" or "Notify", as people see it: in logical ids, descriptions and labels.
	lambda      awslambda.Function
	memory      float64 // MB.
	logs        awslogs.LogGroup
	deadLetters awssqs.Queue // Asynchronous invocations that failed for good.
}

// functions are the three that scale, in the order of the documentation.
func (r *resources) functions() []*function { return []*function{r.scaleOut, r.check, r.scaleIn} }

// allFunctions are these and, with deploy.notify, the one that tells of them.
func (r *resources) allFunctions() []*function {
	if r.notify == nil {
		return r.functions()
	}
	return append(r.functions(), r.notify)
}

// deadLetterQueues are all dead-letter queues. None of them is ever to hold a message.
func (r *resources) deadLetterQueues() (out []awssqs.Queue) {
	for _, f := range r.allFunctions() {
		out = append(out, f.deadLetters)
	}
	return append(out, r.ruleDeadLetters, r.scheduleDeadLetters)
}

// deadLetterQueuesByName are the same by whose they are.
func (r *resources) deadLetterQueuesByName() map[string]awssqs.Queue {
	out := map[string]awssqs.Queue{"Rule": r.ruleDeadLetters, "Schedules": r.scheduleDeadLetters}
	for _, f := range r.allFunctions() {
		out[f.title] = f.deadLetters
	}
	return out
}
