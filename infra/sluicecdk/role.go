package sluicecdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// The roles have their whole policy within, each statement with a name, and are given to the constructs that use them as ones that
// these cannot add to. Lambda's and Step Functions' constructs would otherwise attach AWS's managed policies and statements
// without a name. A policy that is part of its role is there before whatever needs it, too.

// role makes a role for a service of AWS. The conditions say for whose sake the service may take it.
func (r *resources) role(
	id, service, description string, conditions map[string]any, statements ...awsiam.PolicyStatement,
) awsiam.Role {
	var options *awsiam.ServicePrincipalOpts
	if conditions != nil {
		options = &awsiam.ServicePrincipalOpts{Conditions: &conditions}
	}
	return awsiam.NewRole(r.scope, jsii.String(id), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String(service), options),
		Description: jsii.String(description),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Sluice": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements}),
		},
	})
}

// functionRole makes the role of a function that writes to this log group and this dead-letter queue. It may do what sluice.yaml
// says, and more.
func (r *resources) functionRole(f *function, more ...statement) awsiam.Role {
	// The pseudo parameters, not what deploy.account and deploy.region say: they are right wherever the template is deployed.
	home := place{partition: *awscdk.Aws_PARTITION(), region: *awscdk.Aws_REGION(), account: *awscdk.Aws_ACCOUNT_ID()}
	var statements []awsiam.PolicyStatement
	for _, s := range append(permissions(r.config, f.name, home, r.width[f.name]), more...) {
		statements = append(statements, allow(s))
	}
	statements = append(statements,
		allow(statement{
			sid: "WriteLogs", actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, resources: []string{*f.logs.LogGroupArn()},
		}),
		allow(statement{
			sid: "SendTraces", actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, resources: []string{"*"},
		}),
		allow(statement{
			sid: "SendDeadLetters", actions: []string{"sqs:SendMessage"}, resources: []string{*f.deadLetters.QueueArn()},
		}),
	)
	if r.vpc != nil && f.name != notify {
		// What Lambda does in the function's name to bind it to the VPC. It takes no resource but *.
		statements = append(statements, allow(statement{sid: "ManageNetworkInterfaces", actions: []string{
			"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
			"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
		}, resources: []string{"*"}}))
	}
	role := r.role(f.title+"Role", "lambda.amazonaws.com", "What Sluice's function "+f.title+" may do.", nil, statements...)

	acknowledge(role, "AwsSolutions-IAM5[Resource::*]",
		"ListTasks takes no resource, but the cluster as its condition; DescribeTaskDefinition, X-Ray and the making of network interfaces "+
			"take none at all")
	// As cdk-nag writes pseudo parameters.
	shown := place{partition: "<AWS::Partition>", region: "<AWS::Region>", account: "<AWS::AccountId>"}
	const named = "a task has no name before it runs, and a role has no room for the names of many services: they are named by their cluster"
	for _, found := range wildcards(permissions(r.config, f.name, shown, r.width[f.name])) {
		if found != "Resource::*" {
			acknowledge(role, "AwsSolutions-IAM5["+found+"]", named)
		}
	}
	return role
}

// allow is the statement as the CDK has it.
func allow(s statement) awsiam.PolicyStatement {
	props := &awsiam.PolicyStatementProps{
		Sid: jsii.String(s.sid), Actions: jsii.Strings(s.actions...), Resources: jsii.Strings(s.resources...),
	}
	if s.conditions != nil {
		conditions := make(map[string]any, len(s.conditions))
		for operator, keys := range s.conditions {
			values := make(map[string]any, len(keys))
			for key, v := range keys {
				values[key] = v
			}
			conditions[operator] = values
		}
		props.Conditions = &conditions
	}
	return awsiam.NewPolicyStatement(props)
}

// acknowledge answers a finding of cdk-nag, where there is a reason for what it finds.
func acknowledge(c constructs.IConstruct, finding, reason string) {
	awscdk.Validations_Of(c).Acknowledge(&awscdk.Acknowledgment{Id: jsii.String(finding), Reason: jsii.String(reason)})
}
