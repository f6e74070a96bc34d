package deployment

// kind is what an action is granted on.
type kind int

const (
	services   kind = iota // The ECS services of the targets.
	tasks                  // Their tasks, which have no names before they run: all of a cluster.
	clusters               // Any resource, with the clusters as a condition.
	secrets                // The secrets that brokers' URLs are read from.
	parameters             // The parameters that they are read from.
	logGroups              // The log groups of the functions that scale.
	topic                  // The topic that messages go to.
	anything               // Any resource, where AWS knows no narrower one.
)

// action is what IAM asks for when an operation is called.
type action struct {
	name string
	on   kind
}

// actions are those of the operations that the functions call, from AWS's Service Authorization Reference, as of November 2026:
// https://docs.aws.amazon.com/service-authorization/latest/reference/, pages list_amazonelasticcontainerservice.html,
// list_awssecretsmanager.html, list_awssystemsmanager.html, list_amazoncloudwatchlogs.html and list_amazonsns.html. None of them has a
// dependent action there. An operation that is not in here is an error of Needs: look it up there, and add it.
var actions = map[string]action{
	// Resource type service; that its tags are asked for, too, makes no difference.
	"ecs.DescribeServices": {"ecs:DescribeServices", services},
	// A new count alone passes no role and starts no deployment, so it needs no iam:PassRole.
	"ecs.UpdateService": {"ecs:UpdateService", services},
	// Resource type container-instance, which Fargate does not have, so "*"; condition key ecs:cluster.
	"ecs.ListTasks": {"ecs:ListTasks", clusters},
	// Resource type task for these four, of TagResource among others.
	"ecs.DescribeTasks":        {"ecs:DescribeTasks", tasks},
	"ecs.GetTaskProtection":    {"ecs:GetTaskProtection", tasks},
	"ecs.UpdateTaskProtection": {"ecs:UpdateTaskProtection", tasks},
	"ecs.TagResource":          {"ecs:TagResource", tasks},
	// Resource type Secret, whose ARN ends in six characters of its own; parameter.
	"secretsmanager.GetSecretValue": {"secretsmanager:GetSecretValue", secrets},
	"ssm.GetParameter":              {"ssm:GetParameter", parameters},
	// No resource type.
	"ecs.DescribeTaskDefinition": {"ecs:DescribeTaskDefinition", anything},
	// Resource type log-group, whose ARN ends in :* for all that is not about its tags.
	"cloudwatchlogs.FilterLogEvents": {"logs:FilterLogEvents", logGroups},
	// Resource type topic.
	"sns.Publish": {"sns:Publish", topic},
}

// decrypt is what IAM asks for when a secret or parameter is read that a customer managed key encrypts, which Secrets Manager and SSM
// then use in the caller's name (list_awskeymanagementservice.html; condition key kms:ViaService). AWS's own keys ask for nothing.
const decrypt = "kms:Decrypt"

// platform are the actions that no line of ours calls: Lambda does, in the function's name.
var platform = struct{ logs, tracing, network, deadLetters []string }{
	// The runtime's log lines. The stack makes the log group, so that logs:CreateLogGroup is not needed.
	logs: []string{"logs:CreateLogStream", "logs:PutLogEvents"},
	// Active tracing. X-Ray knows no resources for them, so "*".
	tracing: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
	// A function in a VPC: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html. Lambda refuses a role that has these
	// on less than "*".
	network: []string{
		"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
		"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	},
	// An asynchronous invocation that failed for good.
	deadLetters: []string{"sqs:SendMessage"},
}
