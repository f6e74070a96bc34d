package example

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
)

// apiPort is the port that the API listens on.
const apiPort = 8000

// services makes the ECS services, of one image and with one Redis.
type services struct {
	stack    awscdk.Stack
	plan     *plan
	network  *network
	cluster  awsecs.Cluster
	image    awsecs.ContainerImage
	redisURL awsecs.Secret
}

func newServices(stack awscdk.Stack, p *plan, n *network, secret awssecretsmanager.ISecret) *services {
	cluster := awsecs.NewCluster(stack, jsii.String("Cluster"), &awsecs.ClusterProps{
		ClusterName:         &p.cluster,
		Vpc:                 n.vpc,
		ContainerInsightsV2: awsecs.ContainerInsights_DISABLED,
	})
	acknowledge(cluster, "AwsSolutions-ECS4", "Container Insights would cost more than Sluice does: $0.30 a month for each of "+
		"dozens of metrics. CPU and memory of a service are there without it.")

	var repository awsecr.IRepository
	if p.image.repositoryARN == "" {
		repository = awsecr.Repository_FromRepositoryName(stack, jsii.String("Repository"), &p.image.repository)
	} else {
		repository = awsecr.Repository_FromRepositoryArn(stack, jsii.String("Repository"), &p.image.repositoryARN)
	}
	var field *string
	if p.field != "" {
		field = &p.field
	}
	return &services{
		stack: stack, plan: p, network: n, cluster: cluster,
		image:    awsecs.ContainerImage_FromEcrRepository(repository, &p.image.reference),
		redisURL: awsecs.Secret_FromSecretsManager(secret, field),
	}
}

// makeWorkers makes the service that Sluice scales.
//
// There is no desired count in it: ECS starts one task when it makes the service, and a later deployment leaves the count as
// Sluice has set it. Nor is there a health check: a worker that does not answer may just be busy, and ECS would stop it. One
// whose process ends is replaced all the same.
func (s *services) makeWorkers() {
	task := s.task("Worker", &awsecs.ContainerDefinitionOptions{
		Command: jsii.Strings(s.plan.worker...),
		// The most that Fargate gives. Sluice lets idle workers go; this is for what it does not decide, such as deployments.
		StopTimeout: awscdk.Duration_Seconds(jsii.Number(120)),
	})
	props := s.service(task, s.network.workers)
	props.ServiceName = &s.plan.service
	// Evening out the zones would stop workers, busy or not. Sluice keeps them even by its choice of whom to let go.
	props.AvailabilityZoneRebalancing = awsecs.AvailabilityZoneRebalancing_DISABLED
	s.start("Workers", task, props)
}

// makeAPI makes the service that takes orders over HTTP and enqueues tasks, behind a load balancer that is reached from the VPC
// alone: the shop's API asks nobody who they are.
//
// To make it public, once it does: give the load balancer InternetFacing and a listener on port 443 with a certificate of ACM for a
// name of yours, let that port in from anywhere, redirect port 80 to it, point the name at the load balancer, and have it log
// its accesses into a bucket.
func (s *services) makeAPI() {
	task := s.task("Api", &awsecs.ContainerDefinitionOptions{
		Command:      jsii.Strings("uvicorn", "app:api", "--host", "0.0.0.0", "--port", strconv.Itoa(apiPort)),
		PortMappings: &[]*awsecs.PortMapping{{ContainerPort: jsii.Number(apiPort)}},
		Environment:  &map[string]*string{"AWS_DEFAULT_REGION": s.stack.Region()}, // For boto3, which does not read AWS_REGION.
	})
	acknowledge(task, "AwsSolutions-ECS2", "The Region is no secret. The URL of Redis, which is one, comes from Secrets Manager.")
	task.AddToTaskRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings("events:PutEvents"),
		Resources: &[]*string{s.eventBus().EventBusArn()},
		Conditions: &map[string]any{"StringEquals": map[string]string{
			"events:source":      s.plan.source,
			"events:detail-type": s.plan.detailType,
		}},
	}))
	props := s.service(task, s.network.api)
	props.AvailabilityZoneRebalancing = awsecs.AvailabilityZoneRebalancing_ENABLED
	service := s.start("ApiService", task, props)

	balancer := awselasticloadbalancingv2.NewApplicationLoadBalancer(s.stack, jsii.String("LoadBalancer"),
		&awselasticloadbalancingv2.ApplicationLoadBalancerProps{
			Vpc:                     s.network.vpc,
			VpcSubnets:              s.network.private,
			InternetFacing:          jsii.Bool(false),
			SecurityGroup:           s.network.loadBalancer,
			DropInvalidHeaderFields: jsii.Bool(true),
		})
	acknowledge(balancer, "AwsSolutions-ELB2",
		"Only the VPC reaches it, and the API logs each request itself. Access logs would need a bucket: have them when you make it public.")
	targets := awselasticloadbalancingv2.NewApplicationTargetGroup(s.stack, jsii.String("ApiTargets"),
		&awselasticloadbalancingv2.ApplicationTargetGroupProps{
			Vpc:      s.network.vpc,
			Port:     jsii.Number(apiPort),
			Protocol: awselasticloadbalancingv2.ApplicationProtocol_HTTP,
			Targets:  &[]awselasticloadbalancingv2.IApplicationLoadBalancerTarget{service},
			HealthCheck: &awselasticloadbalancingv2.HealthCheck{
				Path: jsii.String("/health"), Interval: awscdk.Duration_Seconds(jsii.Number(15)), HealthyThresholdCount: jsii.Number(2),
			},
			DeregistrationDelay: awscdk.Duration_Seconds(jsii.Number(30)), // No request takes longer.
		})
	balancer.AddListener(jsii.String("Http"), &awselasticloadbalancingv2.BaseApplicationListenerProps{
		Port:                jsii.Number(80),
		Protocol:            awselasticloadbalancingv2.ApplicationProtocol_HTTP,
		Open:                jsii.Bool(false), // The security group lets the VPC in.
		DefaultTargetGroups: &[]awselasticloadbalancingv2.IApplicationTargetGroup{targets},
	})
	awscdk.NewCfnOutput(s.stack, jsii.String("ApiUrl"), &awscdk.CfnOutputProps{
		Description: jsii.String("The API, for whoever is in the VPC"),
		Value:       jsii.Sprintf("http://%s", *balancer.LoadBalancerDnsName()),
	})
}

// eventBus is the bus that Sluice's rule listens on.
func (s *services) eventBus() awsevents.IEventBus {
	if isARN(s.plan.bus) {
		return awsevents.EventBus_FromEventBusArn(s.stack, jsii.String("Bus"), &s.plan.bus)
	}
	return awsevents.EventBus_FromEventBusName(s.stack, jsii.String("Bus"), &s.plan.bus)
}

// task makes a task definition of one container, from what is special to it. Its root file system is read-only; /tmp is a volume,
// since Celery's pool does not start without a directory for temporary files.
//
// It is for arm64: Fargate is a fifth cheaper there, and Sluice's functions run on it, too.
func (s *services) task(name string, container *awsecs.ContainerDefinitionOptions) awsecs.FargateTaskDefinition {
	task := awsecs.NewFargateTaskDefinition(s.stack, jsii.String(name+"Task"), &awsecs.FargateTaskDefinitionProps{
		Cpu:            jsii.Number(256),
		MemoryLimitMiB: jsii.Number(512),
		RuntimePlatform: &awsecs.RuntimePlatform{
			CpuArchitecture:       awsecs.CpuArchitecture_ARM64(),
			OperatingSystemFamily: awsecs.OperatingSystemFamily_LINUX(),
		},
		Volumes: &[]*awsecs.Volume{{Name: jsii.String("tmp")}},
	})
	container.Image = s.image
	container.ReadonlyRootFilesystem = jsii.Bool(true)
	container.Secrets = &map[string]awsecs.Secret{"REDIS_URL": s.redisURL}
	container.Logging = awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
		LogGroup:     newLogGroup(s.stack, name+"Logs", s.plan),
		StreamPrefix: jsii.String("ecs"),
		// What cannot be logged must keep nobody from work.
		Mode:          awsecs.AwsLogDriverMode_NON_BLOCKING,
		MaxBufferSize: awscdk.Size_Mebibytes(jsii.Number(10)),
	})
	task.AddContainer(&name, container).AddMountPoints(&awsecs.MountPoint{
		SourceVolume: jsii.String("tmp"), ContainerPath: jsii.String("/tmp"), ReadOnly: jsii.Bool(false),
	})
	if len(s.plan.keys) > 0 {
		task.AddToExecutionRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   jsii.Strings("kms:Decrypt"),
			Resources: jsii.Strings(s.plan.keys...),
			Conditions: &map[string]any{"StringEquals": map[string]*string{
				"kms:ViaService": jsii.Sprintf("secretsmanager.%s.amazonaws.com", *s.stack.Region()),
			}},
		}))
	}
	acknowledge(task, "AwsSolutions-IAM5[Resource::*]", "ecr:GetAuthorizationToken, with which ECS pulls the image, knows no resources.")
	return task
}

// service is what the two services have in common. A deployment that does not come up is taken back.
func (s *services) service(task awsecs.FargateTaskDefinition, group awsec2.ISecurityGroup) *awsecs.FargateServiceProps {
	return &awsecs.FargateServiceProps{
		Cluster:           s.cluster,
		TaskDefinition:    task,
		VpcSubnets:        s.network.private,
		SecurityGroups:    &[]awsec2.ISecurityGroup{group},
		AssignPublicIp:    jsii.Bool(false),
		MinHealthyPercent: jsii.Number(100),
		MaxHealthyPercent: jsii.Number(200),
		CircuitBreaker:    &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
	}
}

// start makes a service once its tasks can start: the way out to ECR is there, and the right to pull the image and to read the
// secret. CloudFormation would not wait for either, and after three tasks that fail the circuit breaker gives the service up.
func (s *services) start(id string, task awsecs.FargateTaskDefinition, props *awsecs.FargateServiceProps) awsecs.FargateService {
	service := awsecs.NewFargateService(s.stack, &id, props)
	service.Node().AddDependency(s.network.vpc.SelectSubnets(s.network.private).InternetConnectivityEstablished, task.ObtainExecutionRole())
	return service
}
