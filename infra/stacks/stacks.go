// Package stacks makes the app's stacks as a sluice.yaml asks for them.
package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"sluice/infra/example"
	"sluice/infra/sluicecdk"
	"sluice/internal/config"
)

// Make makes the stack of Sluice and, if the configuration asks for it, that of the example, which Sluice then needs.
func Make(app awscdk.App, c *config.Config, props *sluicecdk.SluiceProps) sluicecdk.Sluice {
	var env *awscdk.Environment // Nil: what the command line is set to, on deployment.
	if c.Deploy.Account != "" {
		env = &awscdk.Environment{Account: &c.Deploy.Account, Region: &c.Deploy.Region}
	}
	var around *example.ExampleStack
	if c.Deploy.Example != nil {
		around = example.NewExampleStack(app, jsii.String("Example"), &example.ExampleStackProps{
			StackProps: awscdk.StackProps{
				Env: env, StackName: jsii.String(c.Deploy.Stack + "-example"),
				Description: jsii.String("Sluice's example: a small system of Celery workers on ECS Fargate for Sluice to scale."),
			},
			Config: c,
		})
		props.Vpc, props.VpcSubnets, props.SecurityGroups = around.Vpc, around.VpcSubnets, around.SecurityGroups
	}
	stack := awscdk.NewStack(app, jsii.String("Sluice"), &awscdk.StackProps{
		Env: env, StackName: &c.Deploy.Stack,
		Description: jsii.String("Sluice: scales queue workers on ECS Fargate."),
	})
	if around != nil {
		stack.AddStackDependency(around.Stack, jsii.String("Sluice scales what the example makes."))
	}
	s := sluicecdk.NewSluice(stack, jsii.String("Sluice"), props)
	s.MakeOutputs(stack)
	return s
}
