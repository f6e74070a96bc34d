package example

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"
)

// cidr is the VPC's range of addresses. It is written out where addresses of the VPC are let in: a check of the template can
// read a range, but no reference to one.
const cidr = "10.0.0.0/16"

// network is where everything runs, and who is who in it.
type network struct {
	vpc     awsec2.Vpc
	private *awsec2.SubnetSelection

	// One security group for each part, so that rules name parts and not addresses. api and loadBalancer are nil without an API,
	// redis and functions without a Redis of our own.
	workers, api, loadBalancer, redis, functions awsec2.SecurityGroup
}

// newNetwork makes a VPC over two Availability Zones. Nothing but the NAT gateway is in a public subnet.
//
// One NAT gateway, for about $37 a month with its address, is the cheapest way out for tasks and functions without a public address:
// interface endpoints for what they call (ecr.api, ecr.dkr, logs, secretsmanager, events, ecs) are about $7 a month each in
// each zone. If its zone fails, tasks in the other reach Redis and go on, but no new one can start and no function reaches ECS; a
// system that has to outlive a zone needs a second one. What images are made of comes through the gateway endpoint for S3, which
// is free.
func newNetwork(stack awscdk.Stack, p *plan) *network {
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{
		IpAddresses: awsec2.IpAddresses_Cidr(jsii.String(cidr)),
		MaxAzs:      jsii.Number(2),
		NatGateways: jsii.Number(1),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(24), MapPublicIpOnLaunch: jsii.Bool(false)},
			{Name: jsii.String("Private"), SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS, CidrMask: jsii.Number(20)},
		},
		GatewayEndpoints: &map[string]*awsec2.GatewayVpcEndpointOptions{
			"S3": {Service: awsec2.GatewayVpcEndpointAwsService_S3()},
		},
		// Nothing uses the default security group, and closing it would take a function with rights of its own.
		RestrictDefaultSecurityGroup: jsii.Bool(false),
	})
	// Refused connections are what tells of a wrong rule or of somebody who tries doors, and few enough to cost next to nothing.
	vpc.AddFlowLog(jsii.String("Refused"), &awsec2.FlowLogOptions{
		Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(newLogGroup(stack, "RefusedConnections", p), nil),
		TrafficType: awsec2.FlowLogTrafficType_REJECT,
	})

	group := func(id, description string, outbound bool) awsec2.SecurityGroup {
		return awsec2.NewSecurityGroup(stack, &id, &awsec2.SecurityGroupProps{
			Vpc: vpc, Description: &description, AllowAllOutbound: &outbound,
		})
	}
	n := &network{
		vpc:     vpc,
		private: &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS},
		workers: group("WorkerGroup", "Celery workers", true),
	}
	if p.api {
		n.api = group("ApiGroup", "The API", true)
		n.loadBalancer = group("LoadBalancerGroup", "The load balancer of the API", false)
		n.loadBalancer.AddIngressRule(awsec2.Peer_Ipv4(jsii.String(cidr)), awsec2.Port_Tcp(jsii.Number(80)), jsii.String("The VPC"), nil)
	}
	if p.makesRedis() {
		n.redis = group("RedisGroup", "Redis", false)
		n.functions = group("FunctionGroup", "The functions of Sluice", true)
		clients := []awsec2.SecurityGroup{n.workers, n.functions}
		if p.api {
			clients = append(clients, n.api)
		}
		for _, client := range clients {
			n.redis.AddIngressRule(client, awsec2.Port_Tcp(jsii.Number(redisPort)), jsii.String("Clients of Redis"), nil)
		}
	}
	return n
}
