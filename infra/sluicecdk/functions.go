package sluicecdk

import (
	"errors"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// The functions by the names of their folders.
const (
	scaleOut = "scaleout"
	check    = "check"
	scaleIn  = "scalein"
)

// makeFunctions makes the three functions. The environment is that of brokerEnvironment.
func (r *resources) makeFunctions(environment map[string]string) {
	// Memory buys processor time: 1,769 MB are one processor. Check needs 36 MB for 1,000 targets (docs/benchmarks.md), so that time
	// is what is chosen here. ScaleOut is what someone waits for, and Check reads the answers of all workers: 512 MB are 29 % of
	// a processor, which makes the 10 ms that an event costs on a whole one 35, and the second of a thousand targets four.
	// ScaleIn waits for workers most of its time, which is paid for by the megabyte.
	scaleOutProps := &awslambda.FunctionProps{
		Description: jsii.String("Sluice: raises the count of an ECS service when an event or a sweep asks for workers."),
		MemorySize:  jsii.Number(512),
		Timeout:     awscdk.Duration_Seconds(jsii.Number(30)),
		// Two at once could each read a count, and the later one overwrite the higher of both: ECS has no compare-and-set.
		ReservedConcurrentExecutions: jsii.Number(1),
		RetryAttempts:                jsii.Number(2),
		MaxEventAge:                  awscdk.Duration_Minutes(jsii.Number(15)), // By then sweeps have seen to it.
	}
	checkProps := &awslambda.FunctionProps{
		Description:   jsii.String("Sluice: looks at all targets, or closely at one, and says what is to be done. Changes no count."),
		MemorySize:    jsii.Number(512),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(60)),
		RetryAttempts: jsii.Number(0), // The state machine calls it and waits. Whoever calls it by hand without waiting means once.
	}
	scaleInProps := &awslambda.FunctionProps{
		Description:   jsii.String("Sluice: has idle workers of an ECS service fetch nothing more, and lets them go."),
		MemorySize:    jsii.Number(256),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(120)),
		RetryAttempts: jsii.Number(0),
	}
	parent, err := codeParent()
	if err != nil {
		panic(fmt.Errorf("deploy Sluice: make a folder for the functions' code: %w", err))
	}
	var problems []error
	make1 := func(name, title string, props *awslambda.FunctionProps) *function {
		dir, err := r.assemble(parent, name)
		if err != nil {
			problems = append(problems, err)
			return nil
		}
		return r.makeFunction(name, title, dir, environment, props)
	}
	r.scaleOut = make1(scaleOut, "ScaleOut", scaleOutProps)
	r.check = make1(check, "Check", checkProps)
	r.scaleIn = make1(scaleIn, "ScaleIn", scaleInProps)
	if len(problems) > 0 {
		panic(fmt.Errorf("deploy Sluice: %w", errors.Join(problems...)))
	}
}

// assemble puts the function's code together and returns its folder.
func (r *resources) assemble(parent, name string) (string, error) {
	files, err := code(r.config, *r.props.Config, *r.props.Functions, name)
	if err != nil {
		return "", err
	}
	return write(parent, name, files)
}

// makeFunction makes a function with its log group, its dead-letter queue and its role. The props say what is its own.
func (r *resources) makeFunction(name, title, dir string, environment map[string]string, props *awslambda.FunctionProps) *function {
	f := &function{
		name: name, title: title, memory: *props.MemorySize,
		logs:        r.logGroup(title+"Logs", nil),
		deadLetters: r.deadLetterQueue(title + "DeadLetters"),
	}
	props.Runtime = awslambda.Runtime_PROVIDED_AL2023()
	props.Architecture = awslambda.Architecture_ARM_64()
	props.Handler = jsii.String("bootstrap")
	props.Code = awslambda.Code_FromAsset(jsii.String(dir), nil)
	props.Role = r.functionRole(f).WithoutPolicyUpdates(nil)
	props.LogGroup = f.logs
	props.LoggingFormat = awslambda.LoggingFormat_JSON
	props.Tracing = awslambda.Tracing_ACTIVE
	props.DeadLetterQueue = f.deadLetters
	if len(environment) > 0 {
		props.Environment = &map[string]*string{}
		for k, v := range environment {
			(*props.Environment)[k] = jsii.String(v)
		}
	}
	if r.vpc != nil {
		props.Vpc, props.VpcSubnets = r.vpc, r.subnets
		props.SecurityGroups = &[]awsec2.ISecurityGroup{}
		*props.SecurityGroups = append(*props.SecurityGroups, r.securityGroups...)
	}
	f.lambda = awslambda.NewFunction(r.scope, jsii.String(title), props)
	awscdk.Tags_Of(f.lambda).Add(jsii.String("sluice:function"), jsii.String(name), nil)
	return f
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
	q := awssqs.NewQueue(r.scope, jsii.String(id), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	})
	acknowledge(q, "AwsSolutions-SQS3", "it is a dead-letter queue itself, of a function, a rule or a schedule, which cdk-nag does not see")
	return q
}
