package sluicecdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/jsii-runtime-go"
)

// alarmTopic is where alarms go: an existing topic, whose policy has to let CloudWatch publish, or one of our own.
//
// Ours has no KMS key. The key that AWS manages for SNS (alias/aws/sns) does not let CloudWatch publish, and nobody can change its
// policy: alarms would fail in silence. A key of our own costs $1 a month, as much as all that Sluice runs on, to encrypt names
// and figures that then go out by plain mail. Whoever has to have one brings a topic of their own.
func (r *resources) alarmTopic() awssns.ITopic {
	deploy := r.config.Deploy.Alarms
	switch {
	case r.props.AlarmTopic != nil:
		return r.props.AlarmTopic
	case deploy.Topic != "":
		return awssns.Topic_FromTopicArn(r.scope, jsii.String("AlarmTopic"), jsii.String(deploy.Topic))
	}
	topic := r.newTopic("AlarmTopic", deploy.Email)
	// The policy that asks for TLS takes the place of SNS's default one, by which the account's alarms could publish.
	here := awscdk.Stack_Of(r.scope)
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("AllowAlarmsOfThisAccount"),
		Actions:    jsii.Strings("sns:Publish"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": *here.Account()}},
	}))
	return topic
}

// newTopic makes a topic, whose messages go to an address unless that is empty.
func (r *resources) newTopic(id, email string) awssns.Topic {
	topic := awssns.NewTopic(r.scope, jsii.String(id), &awssns.TopicProps{EnforceSSL: jsii.Bool(true)})
	if email != "" {
		topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(email), nil))
	}
	return topic
}

// topicForMessages is where the messages go: an existing topic, one of their own for an address, or that of the alarms.
func (r *resources) topicForMessages() awssns.ITopic {
	given := r.config.Deploy.Notify
	switch {
	case given.Topic != "":
		return awssns.Topic_FromTopicArn(r.scope, jsii.String("NotifyTopic"), jsii.String(given.Topic))
	case given.Email != "":
		return r.newTopic("NotifyTopic", given.Email)
	}
	return r.topic
}
