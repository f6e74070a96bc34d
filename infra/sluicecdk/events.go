package sluicecdk

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/jsii-runtime-go"
)

// makeRule hands the events that ask for workers over to ScaleOut.
func (r *resources) makeRule() {
	e := r.config.Events
	r.ruleDeadLetters = r.deadLetterQueue("RuleDeadLetters")
	acknowledge(r.ruleDeadLetters, "AwsSolutions-SQS3", "it is a dead-letter queue itself, of a rule, where cdk-nag does not look")
	props := &awsevents.RuleProps{
		Description: jsii.String("Sluice: events that ask for workers go to ScaleOut."),
		EventPattern: &awsevents.EventPattern{
			Source:     jsii.Strings(e.Source),
			DetailType: jsii.Strings(e.DetailType),
		},
		Targets: &[]awsevents.IRuleTarget{awseventstargets.NewLambdaFunction(r.scaleOut.lambda, &awseventstargets.LambdaFunctionProps{
			DeadLetterQueue: r.ruleDeadLetters,
			// EventBridge tries until Lambda has taken the event into its own queue. An event is a hint: three sweeps later it
			// has none to give.
			MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(15)),
			RetryAttempts: jsii.Number(20),
		})},
	}
	switch {
	case strings.HasPrefix(e.Bus, "arn:"):
		props.EventBus = awsevents.EventBus_FromEventBusArn(r.scope, jsii.String("Bus"), jsii.String(e.Bus))
	case e.Bus != "default":
		props.EventBus = awsevents.EventBus_FromEventBusName(r.scope, jsii.String("Bus"), jsii.String(e.Bus))
	}
	r.rule = awsevents.NewRule(r.scope, jsii.String("Rule"), props)
}
