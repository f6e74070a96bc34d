// Package part is a construct of the fixture.
package part

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Props are the part's.
type Props struct {
	Name *string
}

// Part is a construct with a queue.
type Part interface {
	Construct() constructs.Construct
	Queue() awssqs.IQueue
}

type part struct {
	construct constructs.Construct
	queue     awssqs.Queue
}

func (p *part) Construct() constructs.Construct { return p.construct }
func (p *part) Queue() awssqs.IQueue            { return p.queue }

// New makes a part.
func New(scope constructs.Construct, id string, props *Props) Part {
	p := &part{construct: constructs.NewConstruct(scope, &id)}
	here := p.construct // jsii knows what it has made itself, and no struct around it.
	p.queue = awssqs.NewQueue(here, jsii.String("Queue"), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	})
	acknowledge(p.queue, "AwsSolutions-SQS3", "it is a dead-letter queue")
	fn := awslambda.NewFunction(here, jsii.String("Function"), &awslambda.FunctionProps{
		Architecture: awslambda.Architecture_ARM_64(),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Handler:      jsii.String("bootstrap"),
		Code:         awslambda.Code_FromAsset(jsii.String("asset"), nil),
		Tracing:      awslambda.Tracing_ACTIVE,
		Environment:  &map[string]*string{"NAME": props.Name, "URL": p.queue.QueueUrl()},
	})
	acknowledge(fn, "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]", "a fixture")
	acknowledge(fn, "AwsSolutions-IAM5[Resource::*]", "X-Ray's actions know no resources")
	fn.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings("sqs:SendMessage"),
		Resources: &[]*string{p.queue.QueueArn()},
	}))
	fn.Node().DefaultChild().(awslambda.CfnFunction).AddPropertyOverride(jsii.String("LoggingConfig.LogFormat"), jsii.String("JSON"))
	p.queue.
		Node().
		DefaultChild().(awscdk.CfnResource).AddMetadata(jsii.String("note"), map[string]interface{}{"a": 1, "b": []string{"c"}})

	rule := awsevents.NewRule(here, jsii.String("Rule"), &awsevents.RuleProps{
		EventPattern: &awsevents.EventPattern{Source: jsii.Strings("orders"), Detail: &map[string]interface{}{"kind": []string{"new"}}},
	})
	rule.AddTarget(awseventstargets.NewLambdaFunction(fn, &awseventstargets.LambdaFunctionProps{
		DeadLetterQueue: p.queue, RetryAttempts: jsii.Number(2),
	}))
	logs := awslogs.NewLogGroup(here, jsii.String("Logs"), &awslogs.LogGroupProps{Retention: awslogs.RetentionDays_ONE_MONTH})
	machine := awsstepfunctions.NewStateMachine(here, jsii.String("Machine"), &awsstepfunctions.StateMachineProps{
		DefinitionBody:          awsstepfunctions.DefinitionBody_FromString(jsii.String(definition)),
		DefinitionSubstitutions: &map[string]*string{"Function": fn.FunctionArn()},
		TracingEnabled:          jsii.Bool(true),
		Logs:                    &awsstepfunctions.LogOptions{Destination: logs, Level: awsstepfunctions.LogLevel_ALL},
	})
	acknowledge(machine, "AwsSolutions-IAM5[Resource::*]", "what logs and X-Ray need")
	acknowledge(machine, "AwsSolutions-IAM5[Resource::<PartFunctionD8295C44.Arn>:*]", "any version of it")
	fn.GrantInvoke(machine)

	errors := awscloudwatch.NewAlarm(here, jsii.String("Errors"), &awscloudwatch.AlarmProps{
		Metric:            fn.MetricErrors(&awscloudwatch.MetricOptions{Period: awscdk.Duration_Minutes(jsii.Number(5))}),
		EvaluationPeriods: jsii.Number(1),
		Threshold:         jsii.Number(1),
	})
	board := awscloudwatch.NewDashboard(here, jsii.String("Dashboard"), nil)
	board.AddWidgets(
		awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
			Title: jsii.String("Errors"),
			Left:  &[]awscloudwatch.IMetric{errors.Metric()},
		}),
		awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{Markdown: jsii.String("of " + *fn.FunctionName())}),
	)
	p.network()
	awscdk.Annotations_Of(here).AddInfo(jsii.String("made"))
	return p
}

func (p *part) network() {
	vpc := awsec2.NewVpc(p.construct, jsii.String("Vpc"), &awsec2.VpcProps{MaxAzs: jsii.Number(2), NatGateways: jsii.Number(0)})
	acknowledge(vpc, "AwsSolutions-VPC7", "a fixture")
	cluster := awsecs.NewCluster(p.construct, jsii.String("Cluster"), &awsecs.ClusterProps{
		Vpc: vpc, ContainerInsightsV2: awsecs.ContainerInsights_ENABLED,
	})
	task := awsecs.NewFargateTaskDefinition(p.construct, jsii.String("Task"), &awsecs.FargateTaskDefinitionProps{
		Cpu: jsii.Number(256), MemoryLimitMiB: jsii.Number(512),
	})
	task.AddContainer(jsii.String("worker"), &awsecs.ContainerDefinitionOptions{
		Image:       awsecs.ContainerImage_FromRegistry(jsii.String("redis"), nil),
		StopTimeout: awscdk.Duration_Seconds(jsii.Number(120)),
		Logging:     awsecs.LogDrivers_AwsLogs(&awsecs.AwsLogDriverProps{StreamPrefix: jsii.String("worker")}),
	})
	awsecs.NewFargateService(p.construct, jsii.String("Service"), &awsecs.FargateServiceProps{
		Cluster: cluster, TaskDefinition: task, MinHealthyPercent: jsii.Number(0),
		CircuitBreaker: &awsecs.DeploymentCircuitBreaker{},
		VpcSubnets:     &awsec2.SubnetSelection{Subnets: vpc.IsolatedSubnets()},
	})
	subnets := vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED})
	awscdk.NewCfnOutput(p.construct, jsii.String("Subnets"), &awscdk.CfnOutputProps{
		Value: awscdk.Fn_Join(jsii.String(","), subnets.SubnetIds),
	})
}

func acknowledge(on constructs.IConstruct, rule, reason string) {
	awscdk.Validations_Of(on).Acknowledge(&awscdk.Acknowledgment{Id: jsii.String(rule), Reason: jsii.String(reason)})
}

const definition = `{"StartAt":"Run","TimeoutSeconds":60,"States":{"Run":{"Type":"Task","End":true,
"Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"${Function}"}}}}`
