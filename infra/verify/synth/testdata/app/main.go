// Command app is a small app for the CDK that uses it in the ways that the real one does, for the tests of synth.
package main

import (
	"example.com/app/part"
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

type stackProps struct {
	awscdk.StackProps
	name string
}

func newStack(scope constructs.Construct, id string, props *stackProps) awscdk.Stack {
	var cdkProps awscdk.StackProps
	if props != nil {
		cdkProps = props.StackProps
	}
	stack := awscdk.NewStack(scope, &id, &cdkProps)
	p := part.New(stack, "Part", &part.Props{Name: jsii.String(props.name)})
	awscdk.Tags_Of(p.Construct()).Add(jsii.String("team"), jsii.String("a"), nil)
	awscdk.NewCfnOutput(stack, jsii.String("QueueName"), &awscdk.CfnOutputProps{
		Value: jsii.Sprintf("name=%s;region=%s", *p.Queue().QueueName(), *awscdk.Aws_REGION()),
	})
	return stack
}

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	newStack(app, "Fixture", &stackProps{
		StackProps: awscdk.StackProps{Description: jsii.String("a fixture")},
		name:       "orders",
	})
	app.Synth(nil)
}
