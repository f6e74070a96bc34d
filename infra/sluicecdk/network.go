package sluicecdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"
)

// network is where the functions run. All of it is nil outside a VPC.
type network struct {
	vpc            awsec2.IVpc
	subnets        *awsec2.SubnetSelection // Nil for the VPC's private ones.
	securityGroups []awsec2.ISecurityGroup
}

// makeNetwork finds the functions' VPC, and makes what they need in it.
func (r *resources) makeNetwork() {
	given := r.config.Deploy.VPC
	switch {
	case r.props.Vpc != nil:
		r.vpc, r.subnets = r.props.Vpc, r.props.VpcSubnets
		if r.props.SecurityGroups != nil {
			r.securityGroups = *r.props.SecurityGroups
		}
	case given != nil:
		r.vpc = r.existingVPC(given.ID, given.Subnets)
		for _, id := range given.SecurityGroups {
			r.securityGroups = append(r.securityGroups, awsec2.SecurityGroup_FromSecurityGroupId(
				r.scope, jsii.String(id), jsii.String(id), &awsec2.SecurityGroupImportOptions{Mutable: jsii.Bool(false)}))
		}
	default:
		return
	}
	if len(r.securityGroups) == 0 {
		// EC2 takes no apostrophe in these descriptions.
		//
		// All outbound: which port Redis has may stand in a secret, and AWS's APIs have no addresses to name.
		r.securityGroups = []awsec2.ISecurityGroup{awsec2.NewSecurityGroup(r.scope, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
			Vpc: r.vpc, Description: jsii.String("The functions of Sluice. Let this group into Redis."), AllowAllOutbound: jsii.Bool(true),
		})}
	}
	if given != nil && given.Endpoints {
		r.makeEndpoints()
	}
}

// existingVPC refers to a VPC by ids alone. A lookup would need credentials to make the template, and a file beside it that says
// what was found.
func (r *resources) existingVPC(id string, subnets []string) awsec2.IVpc {
	// The CDK wants to know the subnets' zones, and nothing in the template comes of them. One name for each subnet is what holds
	// where it matters: an endpoint takes one subnet of a zone, so that the subnets have to be of different ones.
	zones := make([]string, len(subnets))
	for i, s := range subnets {
		zones[i] = "zone-of-" + s
	}
	vpc := awsec2.Vpc_FromVpcAttributes(r.scope, jsii.String("Vpc"), &awsec2.VpcAttributes{
		VpcId: jsii.String(id), AvailabilityZones: jsii.Strings(zones...), PrivateSubnetIds: jsii.Strings(subnets...),
	})
	awscdk.Annotations_Of(vpc).AcknowledgeWarning(jsii.String("@aws-cdk/aws-ec2:noSubnetRouteTableId"),
		jsii.String("nothing here adds a route to the subnets"))
	return vpc
}

// makeEndpoints makes the interface endpoints that the functions need in subnets without a NAT: for ECS, and for whichever of
// Secrets Manager and Systems Manager is used. No other:
//   - logs: Lambda sends what a function prints, over its own network;
//   - X-Ray: likewise, its daemon is Lambda's, and the functions send it nothing themselves;
//   - KMS: Secrets Manager and Systems Manager decrypt, the function never asks KMS.
func (r *resources) makeEndpoints() {
	services := []struct {
		name    string
		service awsec2.InterfaceVpcEndpointAwsService
		needed  bool
	}{
		{"Ecs", awsec2.InterfaceVpcEndpointAwsService_ECS(), true},
		{"SecretsManager", awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER(), r.uses("secretsmanager")},
		{"Ssm", awsec2.InterfaceVpcEndpointAwsService_SSM(), r.uses("ssm")},
	}
	group := awsec2.NewSecurityGroup(r.scope, jsii.String("EndpointSecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc: r.vpc, Description: jsii.String("The APIs of AWS, for the functions of Sluice."), AllowAllOutbound: jsii.Bool(false),
	})
	for _, from := range r.securityGroups {
		group.AddIngressRule(awsec2.Peer_SecurityGroupId(from.SecurityGroupId(), nil), awsec2.Port_Tcp(jsii.Number(443)),
			jsii.String("The functions of Sluice"), nil)
	}
	for _, s := range services {
		if s.needed {
			awsec2.NewInterfaceVpcEndpoint(r.scope, jsii.String(s.name+"Endpoint"), &awsec2.InterfaceVpcEndpointProps{
				Vpc: r.vpc, Subnets: r.subnets, Service: s.service,
				SecurityGroups: &[]awsec2.ISecurityGroup{group},
				Open:           jsii.Bool(false), // Only for the functions, not for all of the VPC.
			})
		}
	}
}

// uses says whether a broker's URL is kept in Secrets Manager ("secretsmanager") or Systems Manager ("ssm").
func (r *resources) uses(service string) bool {
	for _, b := range r.config.Brokers {
		if service == "secretsmanager" && b.URLSecret != "" || service == "ssm" && b.URLParameter != "" {
			return true
		}
	}
	return false
}
