// Command infra is the CDK app that deploys Sluice. All that it is told stands in sluice.yaml:
//
//	SLUICE_CONFIG   its path; by default ../sluice.yaml, in the project's root
//	SLUICE_LAMBDAS  the folder of the functions' programs; by default ../build/lambda, which `make lambdas` fills
//
// Brokers with `url_env` take their URL from the variable of that name in the environment of this app.
//
// `make synth`, `make diff`, `make deploy` and `make destroy` run it by the CDK's command line (cdk.json).
package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"sluice/infra/example"
	"sluice/infra/sluicecdk"
	"sluice/internal/config"
)

func main() {
	defer jsii.Close()
	defer showRefusal()
	path := cmp.Or(os.Getenv("SLUICE_CONFIG"), "../sluice.yaml")
	c, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // Every problem on a line of its own, as `sluice validate` has them.
		os.Exit(1)
	}
	app := awscdk.NewApp(nil)
	makeStacks(app, c, &sluicecdk.SluiceProps{
		Config:      &path,
		Functions:   jsii.String(cmp.Or(os.Getenv("SLUICE_LAMBDAS"), "../build/lambda")),
		Environment: urlsFromEnvironment(c),
	})
	app.Synth(nil)
}

// showRefusal ends the app with the message alone where somebody's sluice.yaml or environment cannot be deployed. Any other panic
// keeps its stack trace.
func showRefusal() {
	switch p := recover().(type) {
	case nil:
	case sluicecdk.Refusal:
		fmt.Fprintln(os.Stderr, p)
		os.Exit(1)
	default:
		panic(p)
	}
}

// makeStacks makes the stack of Sluice and, if the configuration asks for it, that of the example, which Sluice then needs.
func makeStacks(app awscdk.App, c *config.Config, props *sluicecdk.SluiceProps) {
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
	sluicecdk.NewSluice(stack, jsii.String("Sluice"), props).MakeOutputs(stack)
}

// urlsFromEnvironment are the values of the variables that brokers name in url_env.
func urlsFromEnvironment(c *config.Config) *map[string]*string {
	urls := make(map[string]*string)
	for _, b := range c.Brokers {
		if value := os.Getenv(b.URLEnv); b.URLEnv != "" && value != "" {
			urls[b.URLEnv] = &value
		}
	}
	return &urls
}
