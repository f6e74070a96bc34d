package doctor

import (
	"context"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Environment is what the facts are gathered from: each part of AWS as far as it is asked, and the brokers.
type Environment struct {
	Region     string
	Identity   identity
	Rights     rights
	Stacks     stacks
	Lambda     functionAPI
	Events     eventAPI
	Schedules  scheduleAPI
	Machines   machineAPI
	Queues     queueAPI
	Logs       decisions.Client
	Services   serviceAPI
	Scalers    scalerAPI
	URL        func(context.Context, config.Broker) (string, error)
	Celery     func(context.Context, config.Broker) (celery, error)
	Plan       func(context.Context, scaler.PlanInput) (scaler.Plan, error)
	Now        func() time.Time
	dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	pollEvents time.Duration
}

type identity interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

type rights interface {
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

type stacks interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
	GetTemplate(context.Context, *cloudformation.GetTemplateInput, ...func(*cloudformation.Options)) (*cloudformation.GetTemplateOutput, error)
}

type functionAPI interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	GetFunctionConcurrency(context.Context, *lambda.GetFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.GetFunctionConcurrencyOutput, error)
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

type eventAPI interface {
	DescribeRule(context.Context, *eventbridge.DescribeRuleInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeRuleOutput, error)
	ListTargetsByRule(context.Context, *eventbridge.ListTargetsByRuleInput, ...func(*eventbridge.Options)) (*eventbridge.ListTargetsByRuleOutput, error)
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

type scheduleAPI interface {
	GetSchedule(context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error)
}

type machineAPI interface {
	DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

type queueAPI interface {
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

type serviceAPI interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

type scalerAPI interface {
	DescribeScalableTargets(context.Context, *applicationautoscaling.DescribeScalableTargetsInput, ...func(*applicationautoscaling.Options)) (*applicationautoscaling.DescribeScalableTargetsOutput, error)
}

// celery is a broker with its workers.
type celery interface {
	Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error)
	Beats(ctx context.Context, expect int) (map[string]policy.Beat, error)
	Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error)
	Close() error
}

// Outside is the environment of somebody with a configuration and AWS's settings, such as the command line.
func Outside(c *config.Config, sdk aws.Config, now func() time.Time) (Environment, error) {
	sdk = function.Whole(sdk)
	plans, err := function.Scaler(function.Setup{Config: c, AWS: sdk, Now: now})
	if err != nil {
		return Environment{}, err
	}
	return Environment{
		Region:    sdk.Region,
		Identity:  sts.NewFromConfig(sdk),
		Rights:    iam.NewFromConfig(sdk),
		Stacks:    cloudformation.NewFromConfig(sdk),
		Lambda:    lambda.NewFromConfig(sdk),
		Events:    eventbridge.NewFromConfig(sdk),
		Schedules: scheduler.NewFromConfig(sdk),
		Machines:  sfn.NewFromConfig(sdk),
		Queues:    sqs.NewFromConfig(sdk),
		Logs:      cloudwatchlogs.NewFromConfig(sdk),
		Services:  ecs.NewFromConfig(sdk),
		Scalers:   applicationautoscaling.NewFromConfig(sdk),
		URL:       func(ctx context.Context, b config.Broker) (string, error) { return function.BrokerURL(ctx, sdk, b) },
		Celery: func(ctx context.Context, b config.Broker) (celery, error) {
			return function.Broker(ctx, sdk, b, now)
		},
		Plan:       plans.Plan,
		Now:        now,
		dial:       (&net.Dialer{Timeout: connectTimeout}).DialContext,
		pollEvents: time.Second,
	}, nil
}
