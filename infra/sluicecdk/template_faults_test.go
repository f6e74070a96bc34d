package sluicecdk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/infra/lab"
)

// The types that faults are planted in most.
const (
	function = "AWS::Lambda::Function"
	role     = "AWS::IAM::Role"
	queue    = "AWS::SQS::Queue"
	rule     = "AWS::Events::Rule"
	schedule = "AWS::Scheduler::Schedule"
	machine  = "AWS::StepFunctions::StateMachine"
	alarmOf  = "AWS::CloudWatch::Alarm"
	board    = "AWS::CloudWatch::Dashboard"
	savedAs  = "AWS::Logs::QueryDefinition"

	inVPC    = "in a VPC"
	sharded  = "1,000 targets, 250 a schedule"
	policies = "Policies.0.PolicyDocument.Statement"
)

// of is a property of a function as the template refers to it, and arnOf its ARN.
func of(name string, path ...any) func(*lab.Deployment) any {
	return func(d *lab.Deployment) any { return d.Function(name).At(path...) }
}

func arnOf(name string) func(*lab.Deployment) any {
	return func(d *lab.Deployment) any { return d.Function(name).ARN() }
}

// eachService names each service by itself.
func eachService(d *lab.Deployment) any {
	var names []string
	for _, t := range d.Config.Targets {
		names = append(names, "arn:aws:ecs:eu-central-1:123456789012:service/"+t.Cluster+"/"+t.Service)
	}
	return names
}

// code changes a copy of the code of Check.
func code(change func(dir string) error) lab.Change {
	return func(d *lab.Deployment) error {
		dir, err := os.MkdirTemp("", "code-")
		key := d.Function(check).Text("Code", "S3Key")
		err = errors.Join(err, os.CopyFS(filepath.Join(dir, "code"), os.DirFS(d.Sluice.Assets[key])), change(filepath.Join(dir, "code")))
		d.Sluice.Assets[key] = filepath.Join(dir, "code")
		return err
	}
}

// configured changes the sluice.yaml of Check.
func configured(from, to string) lab.Change {
	return code(func(dir string) error {
		path := filepath.Join(dir, "sluice.yaml")
		text, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644))
	})
}

// uploaded puts a file into what is uploaded.
func uploaded(text string) lab.Change {
	return func(d *lab.Deployment) (err error) {
		if d.Dir, err = os.MkdirTemp("", "assembly-"); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(d.Dir, "sluice.yaml"), []byte(text), 0o600)
	}
}

// faults are small ones such as somebody might make.
var faults = slices.Concat(
	lab.By("functions",
		lab.Broken("programs for arm64 on x86", "Architectures", lab.Set(function, "Architectures", []string{"x86_64"})),
		lab.Broken("a function that nobody asked for", "Expected 3 resources", lab.Add("Extra", function, lab.Props{})),
		lab.Broken("two ScaleOuts may run at once", "ReservedConcurrentExecutions",
			lab.Cut(function+"/ScaleOut", "ReservedConcurrentExecutions")),
		lab.Broken("Check takes from what others may run at once", "ReservedConcurrentExecutions",
			lab.Set(function+"/Check", "ReservedConcurrentExecutions", 5)),
		lab.Broken("a function is not traced", "TracingConfig", lab.Cut(function+"/ScaleIn", "TracingConfig")),
		lab.Broken("the state machine is not traced", "TracingConfiguration", lab.Cut(machine, "TracingConfiguration")),
		lab.Broken("anybody may call a function over HTTP", "AWS::Lambda::Url", lab.Add("Extra", "AWS::Lambda::Url", lab.Props{})),
	),
	lab.By("assets",
		lab.Broken("Lambda cannot execute a program", "-rw-r--r-- bootstrap",
			code(func(dir string) error { return os.Chmod(filepath.Join(dir, "bootstrap"), 0o644) })),
		lab.Broken("all functions have the program of Check", "its bootstrap is not that of scaleout",
			lab.Set(function+"/ScaleOut", "Code.S3Key", of(check, "Code", "S3Key"))),
		lab.Broken("a function has no sluice.yaml", "sluice.yaml",
			code(func(dir string) error { return os.Remove(filepath.Join(dir, "sluice.yaml")) })),
		lab.Broken("a function has files that nothing reads", "notes.txt",
			code(func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644) })),
		lab.Broken("a function has another configuration", "means something else", configured("max: 10", "max: 11")),
		lab.Broken("the functions know nothing of the metrics that they are to write", "means something else",
			configured("level: targets", "level: off")).On(lab.Operated),
	),
	lab.By("environment",
		lab.Broken("a broker has no URL", "CACHE_URL",
			lab.Reword(function+"/Check", "Environment", "CACHE_URL", "SLUICE_CACHE_URL")).On("kinds of brokers"),
		lab.Broken("the metrics of two Sluices of an account are mixed up", "SLUICE_METRICS_NAMESPACE",
			lab.Reword(function+"/Check", "Environment", "SLUICE_METRICS_NAMESPACE", "SLUICE_NAMESPACE")).On(lab.Operated),
		lab.Broken("messages tell of scale-outs only", "SLUICE_LOG_GROUPS",
			lab.Reword(function+"/Notify", "Environment", "CheckLogs", "ScaleOutLogs")).On(lab.Operated),
		lab.Broken("messages go to the topic of the alarms", "SLUICE_TOPIC_ARN",
			lab.Reword(function+"/Notify", "Environment", "NotifyTopic", "AlarmTopic")).On(lab.Operated),
	),
	lab.By("time-outs",
		lab.Broken("a function ends too early", "Timeout", lab.Set(function+"/ScaleOut", "Timeout", 3)),
		lab.Broken("a state gives ScaleIn up while it still runs, and starts a second one beside it", "its function scalein after 180 s",
			lab.Set(function+"/ScaleIn", "Timeout", 180)),
		lab.Broken("a state gives its function up while it still runs", "ends after 100 s",
			lab.Reword(machine, "DefinitionString", `"TimeoutSeconds": 135`, `"TimeoutSeconds": 100`)),
		lab.Broken("a state outlives the machine", "and the machine after 5400 s",
			lab.Reword(machine, "DefinitionString", `"TimeoutSeconds": 135`, `"TimeoutSeconds": 9999`)),
		lab.Broken("a state waits for a year", "ends after 0 s", lab.Reword(machine, "DefinitionString", `"TimeoutSeconds": 135,`, ``)),
		lab.Broken("the machine has no end", "has no TimeoutSeconds",
			lab.Reword(machine, "DefinitionString", `"TimeoutSeconds": 5400,`, ``)),
	),
	lab.By("retries",
		lab.Broken("an event is kept for six hours, and then scales out for nothing", "MaximumEventAgeInSeconds",
			lab.Cut("AWS::Lambda::EventInvokeConfig/ScaleOut", "MaximumEventAgeInSeconds")),
		lab.Broken("Check is tried again", "MaximumRetryAttempts",
			lab.Set("AWS::Lambda::EventInvokeConfig/Check", "MaximumRetryAttempts", 2)),
		lab.Broken("EventBridge tries an event for a day", "20 retries within 86400 s",
			lab.Set(rule, "Targets.0.RetryPolicy.MaximumEventAgeInSeconds", 86400)),
		lab.Broken("a sweep is tried when the next has done its work", "10 retries within 86400 s",
			lab.Set(schedule, "Target.RetryPolicy.MaximumEventAgeInSeconds", 86400)),
		lab.Broken("a message is tried for a day", "10 retries within 86400 s",
			lab.Set(schedule+"/Notify", "Target.RetryPolicy.MaximumEventAgeInSeconds", 86400)).On(lab.Operated),
	),
	lab.By("dead letters",
		lab.Broken("dead letters are gone after a long weekend", "MessageRetentionPeriod",
			lab.Cut(queue+"/Check", "MessageRetentionPeriod")),
		lab.Broken("dead letters lie unencrypted", "SqsManagedSseEnabled", lab.Set(queue+"/Check", "SqsManagedSseEnabled", false)),
		lab.Broken("what fails for good in a function is lost", "check has no dead-letter queue",
			lab.Cut(function+"/Check", "DeadLetterConfig")),
		lab.Broken("what EventBridge cannot hand over is lost", "the rule has no dead-letter queue",
			lab.Cut(rule, "Targets.0.DeadLetterConfig")),
		lab.Broken("a sweep that cannot be started leaves no trace", "the schedules has no dead-letter queue",
			lab.Cut(schedule, "Target.DeadLetterConfig")),
		lab.Broken("the rule's dead letters are among those of ScaleOut", "shares its dead-letter queue",
			lab.Set(rule, "Targets.0.DeadLetterConfig.Arn", of(scaleOut, "DeadLetterConfig", "TargetArn"))),
		lab.Broken("the rule may not write to its dead-letter queue", "the rule may not write",
			lab.Reword("AWS::SQS::QueuePolicy/Rule", "PolicyDocument", "events.amazonaws.com", "sns.amazonaws.com")),
		lab.Broken("the schedules may not write to their dead-letter queue", "may not write", lab.Cut(role+"/ScheduleRole", policies+".1")),
	),
	lab.By("logs",
		lab.Broken("the logs are kept for ever", "RetentionInDays", lab.Cut("AWS::Logs::LogGroup/Check", "RetentionInDays")),
		lab.Broken("a function logs text, of which no metric is made", "LoggingConfig",
			lab.Cut(function+"/Check", "LoggingConfig.LogFormat")),
		lab.Broken("a function logs to a group that AWS makes, without an end", "which is no log group of the template",
			lab.Cut(function+"/Check", "LoggingConfig.LogGroup")),
		lab.Broken("two functions log to one group", "shares its log group",
			lab.Set(function+"/Check", "LoggingConfig.LogGroup", of(scaleOut, "LoggingConfig", "LogGroup"))),
		lab.Broken("the machine's history goes nowhere", "the state machine logs to",
			lab.Cut(machine, "LoggingConfiguration.Destinations.0")),
	),
	lab.By("topics",
		lab.Broken("CloudWatch may not publish to the topic", "CloudWatch may not publish",
			lab.Reword("AWS::SNS::TopicPolicy", "PolicyDocument", "cloudwatch.", "events.")),
		lab.Broken("the topic is encrypted with a key that alarms may not use", "KmsMasterKeyId",
			lab.Set("AWS::SNS::Topic", "KmsMasterKeyId", "alias/aws/sns")),
	),
	lab.By("permissions",
		lab.Broken("nobody may see which tasks are protected", "ecs:GetTaskProtection: is missing",
			lab.Reword(role+"/CheckRole", "Policies", `,"ecs:GetTaskProtection"`, ``)),
		lab.Broken("the functions may stop tasks, which none of them calls", "ecs:StopTask: is granted, but nothing calls it",
			lab.Reword(role+"/CheckRole", "Policies", `"ecs:GetTaskProtection"`, `"ecs:GetTaskProtection","ecs:StopTask"`)),
		lab.Broken("a function may do everything to the services", "ecs:*: is granted, which is more than one action",
			lab.Reword(role+"/ScaleOutRole", "Policies", `"ecs:UpdateService"`, `"ecs:*"`)),
		lab.Broken("the functions may set any tag, such as one that grants rights", "ecs:TagResource: is granted without a condition",
			lab.Cut(role+"/ScaleOutRole", policies+".1.Condition")),
		lab.Broken("the tasks of every cluster of the account may be listed", "ecs:ListTasks: is granted if ArnEquals aws:PrincipalArn",
			lab.Reword(role+"/CheckRole", "Policies", "ecs:cluster", "aws:PrincipalArn")),
		lab.Broken("a function may write to every queue of the account; cdk-nag has been told to let such be", "sqs:SendMessage: is granted on *",
			lab.Set(role+"/CheckRole", policies+".8.Resource", "*")),
		lab.Broken("Notify may read every log of the account", "notify: logs:FilterLogEvents: is granted on *",
			lab.Reword(role+"/NotifyRole", "Policies", `"logs:FilterLogEvents","Effect":"Allow","Resource":[`, `"logs:FilterLogEvents","Effect":"Allow","Resource":["*",`)).On(lab.Operated),
		lab.Broken("100 services with long names are named each by itself", "its inline policies may have",
			lab.Set(role+"/ScaleOutRole", policies+".0.Resource", eachService)).On("100 targets, long names"),
	),
	lab.By("roles",
		lab.Broken("ECS tasks are trusted with the role of a function, and Lambda is not", "trusts",
			lab.Reword(role+"/CheckRole", "AssumeRolePolicyDocument", "lambda.", "ecs-tasks.")),
		lab.Broken("an account is trusted with a role, too", "trusts",
			lab.Set(role+"/CheckRole", "AssumeRolePolicyDocument.Statement.0.Principal.AWS", "123456789012")),
		lab.Broken("two functions share a role", "shares its role", lab.Set(function+"/Check", "Role", of(scaleOut, "Role"))),
		lab.Broken("a role is left over", "is a role that nothing uses", lab.Add("Extra", role, lab.Props{})),
		lab.Broken("a function has a role that is not here", "is none of the template",
			lab.Set(function+"/Check", "Role", "arn:aws:iam::123456789012:role/x")),
		lab.Broken("a policy of AWS's is attached to a role", "ManagedPolicyArns",
			lab.Set(role+"/CheckRole", "ManagedPolicyArns", []string{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"})),
		lab.Broken("a policy of our own is managed", "AWS::IAM::ManagedPolicy", lab.Add("Extra", "AWS::IAM::ManagedPolicy", lab.Props{})),
		lab.Broken("the state machine may invoke every function", "allows lambda:InvokeFunction on *",
			lab.Set(role+"/SweepRole", policies+".0.Resource", "*")),
		lab.Broken("the schedules may do everything with executions", "allows states:*",
			lab.Set(role+"/ScheduleRole", policies+".0.Action", "states:*")),
		lab.Broken("the schedules may do everything but one thing", "all but what it names",
			lab.Set(role+"/ScheduleRole", policies+".0.NotAction", "states:StopExecution")),
		lab.Broken("a task of the example may read every secret", "allows secretsmanager:GetSecretValue on *",
			lab.Set("AWS::IAM::Policy/WorkerTaskExecutionRole", "PolicyDocument.Statement.3.Resource", "*")).On("example"),
	),
	lab.By("rule",
		lab.Broken("the rule matches every event of the source", "EventPattern is", lab.Cut(rule, "EventPattern.detail-type")),
		lab.Broken("the rule matches no event", "EventPattern is",
			lab.Reword(rule, "EventPattern", "celery.task.queue_full", "custom.celery.monitor")),
		lab.Broken("the rule listens on the default bus", "EventBusName is", lab.Cut(rule, "EventBusName")).On("bus by name"),
		lab.Broken("events go to Check", "want ScaleOut alone", lab.Set(rule, "Targets.0.Arn", arnOf(check))),
		lab.Broken("the rule is off", "State", lab.Set(rule, "State", "DISABLED")),
		lab.Broken("ScaleOut gets a part of the event", "sets InputPath", lab.Set(rule, "Targets.0.InputPath", "$.detail")),
		lab.Broken("the rule may not invoke ScaleOut", "AWS::Lambda::Permission", lab.Remove("AWS::Lambda::Permission")),
		lab.Broken("every rule of the account may invoke ScaleOut", "SourceArn", lab.Cut("AWS::Lambda::Permission", "SourceArn")),
	),
	lab.By("schedules",
		lab.Broken("CloudFormation may make a schedule before the group that it is in", "may be made before its group",
			lab.Cut(role+"/ScheduleRole", "AssumeRolePolicyDocument.Statement.0.Condition")),
		lab.Broken("a schedule is in the group of others", "which is not of the template", lab.Set(schedule, "GroupName", "default")),
		lab.Broken("a sweep each five hours", "which is not each 5m", lab.Set(schedule, "ScheduleExpression", "rate(5 hours)")),
		lab.Broken("the schedule is off", "State is DISABLED", lab.Set(schedule, "State", "DISABLED")),
		lab.Broken("a sweep comes some time within an hour", "FlexibleTimeWindow", lab.Set(schedule, "FlexibleTimeWindow.Mode", "FLEXIBLE")),
		lab.Broken("the schedule may not start the machine", "may not start the state machine",
			lab.Cut(role+"/ScheduleRole", policies+".0")),
		lab.Broken("the last targets are never swept", "there are 3 schedules for 1000 targets",
			lab.Remove(schedule+"/Schedule4")).On(sharded),
		lab.Broken("some targets are swept twice, and others never", "sweeps shard",
			lab.Reword(schedule+"/Schedule2", "Target", `\"shard\":1`, `\"shard\":0`)).On(sharded),
		lab.Broken("a shard is none of those that there are", "and there are 4 schedules",
			lab.Reword(schedule+"/Schedule2", "Target", `\"shard\":1`, `\"shard\":4`)).On(sharded),
		lab.Broken("a schedule says what nobody reads", "unknown field", lab.Set(schedule, "Target.Input", `{"target":"worker"}`)),
	),
	lab.By("machine",
		lab.Broken("another machine than the one that is tested", "DefinitionString",
			lab.Reword(machine, "DefinitionString", `"Verify"`, `"Verity"`)),
		lab.Broken("a placeholder of the state machine has no value", "no value for ScaleInFunctionArn",
			lab.Cut(machine, "DefinitionSubstitutions.ScaleInFunctionArn")),
		lab.Broken("the states of Check invoke ScaleOut", "DefinitionSubstitutions",
			lab.Set(machine, "DefinitionSubstitutions.CheckFunctionArn", arnOf(scaleOut))),
		lab.Broken("the state machine may invoke one function only", "may not invoke", lab.Cut(role+"/SweepRole", policies+".0.Resource.0")),
		lab.Broken("the history of a sweep that did the wrong thing is nowhere", "LoggingConfiguration",
			lab.Set(machine, "LoggingConfiguration.Level", "ERROR")),
		lab.Broken("a sweep ends after five minutes", "StateMachineType", lab.Set(machine, "StateMachineType", "EXPRESS")),
	),
	lab.By("alarms",
		lab.Broken("nobody hears that ScaleIn is throttled", "no alarm for Throttles of scalein", lab.Remove(alarmOf+"/ScaleInThrottles")),
		lab.Broken("nobody hears of a dead letter", "no alarm for messages in the queue",
			lab.Set(alarmOf+"/CheckDeadLetters", "Threshold", 100)),
		lab.Broken("nobody hears of failed sweeps", "no alarm for ExecutionsFailed",
			lab.Set(alarmOf+"/SweepsFailed", "MetricName", "ExecutionsAborted")),
		lab.Broken("alarms watch a function that is not there", "is no resource of the template",
			lab.Set(alarmOf+"/CheckErrors", "Dimensions.0.Value", "Check")),
		lab.Broken("an alarm watches a metric that is misspelt", "there is no such metric",
			lab.Set(alarmOf+"/CheckErrors", "MetricName", "Error")),
		lab.Broken("unknown targets are not counted", "no alarm for targets unknown",
			lab.Reword("AWS::Logs::MetricFilter/Unknown", "MetricTransformations", "$.unknown", "$.failed")),
		lab.Broken("the metrics are made of lines that nobody logs", "no alarm for targets unknown",
			lab.Reword("AWS::Logs::MetricFilter/Unknown", "FilterPattern", "sweep", "swept")),
		lab.Broken("the metrics are made of the log of ScaleOut", "no alarm for work without a worker",
			lab.Reword("AWS::Logs::MetricFilter/Stranded", "LogGroupName", "CheckLogs", "ScaleOutLogs")),
		lab.Broken("an alarm rings while a long task runs", "alarm for a queue that is stuck: false",
			lab.Set(alarmOf+"/QueueStuck", "Threshold", 60)).On(lab.Operated),
		lab.Broken("an alarm tells nobody", "tells nobody", lab.Cut(alarmOf+"/NoSweep", "AlarmActions")),
		lab.Broken("an alarm tells others", `tells "arn:aws:sns`,
			lab.Set(alarmOf+"/NoSweep", "AlarmActions.0", "arn:aws:sns:eu-central-1:123456789012:x")),
		lab.Broken("alarms are mailed to others", "alarms are mailed to",
			lab.Set("AWS::SNS::Subscription", "Endpoint", "other@example.com")),
		lab.Broken("an alarm does not say what to do", "has no description", lab.Cut(alarmOf+"/NoSweep", "AlarmDescription")),
		lab.Broken("an alarm looks back further than CloudWatch does", "looks back over",
			lab.Set(alarmOf+"/CheckErrors", "EvaluationPeriods", 300)),
	),
	lab.By("worker alarms",
		lab.Broken("the workers' alarms watch services that are not there", "and deploy.alarms.workers is true",
			lab.Reword(alarmOf+"/CPU", "Dimensions", "celery-worker", "worker")),
		lab.Broken("a query watches some clusters only", "and deploy.alarms.workers is true",
			lab.Reword(alarmOf+"/WorkersCPU", "Metrics", "cluster-0", "cluster-1")).On("1,000 targets"),
	),
	lab.By("dashboard",
		lab.Broken("the dashboard queries log groups that are not there", "which is no log group of the template",
			lab.Reword(board, "DashboardBody", "CheckLogs", "Gone")),
		lab.Broken("the dashboard shows a metric that nobody writes", "no function writes it",
			lab.Reword(board, "DashboardBody", `\"Desired\"`, `\"DesiredCount\"`)).On(lab.Operated),
		lab.Broken("the dashboard searches where nothing is written", "where nothing is written",
			lab.Reword(board, "DashboardBody", `{\\\"Sluice/sluice/Sluice`, `{\\\"Sluice`)).On(lab.Operated),
		lab.Broken("the dashboard shows alarms that are not there", "which is no alarm of the template",
			lab.Reword(board, "DashboardBody", "AlarmsNoSweep", "AlarmsGone")),
		lab.Broken("the dashboard shows nothing of why", "shows nothing of reasons", lab.Reword(board, "DashboardBody", "reasons", "whys")),
	),
	lab.By("queries",
		lab.Broken("a saved query reads a log group that is not there", "which is no log group of the template",
			lab.Set(savedAs, "LogGroupNames.0", "/aws/lambda/Check")),
		lab.Broken("the saved queries of two Sluices look the same", "is called",
			lab.Reword(savedAs, "Name", "Sluice/sluice/Sluice", "Sluice")),
		lab.Broken("a query is forgotten", "there is no query", lab.Remove(savedAs)),
	),
	lab.By("notify",
		lab.Broken("messages come sixty times too seldom", "which is not each",
			lab.Set(schedule+"/Notify", "ScheduleExpression", "rate(60 hours)")).On(lab.Operated),
		lab.Broken("messages for the team go to those who are told of alarms", "it publishes to a topic that mails to",
			lab.Reword("AWS::SNS::Subscription/Notify", "Endpoint", "team@", "oncall@")).On(lab.Operated),
		lab.Broken("a message that is tried again tells of another time", "its input is",
			lab.Reword(schedule+"/Notify", "Target", "scheduled-time", "execution-id")).On(lab.Operated),
		lab.Broken("the schedule may not start Notify", "may not start its target",
			lab.Cut(role+"/NotifyScheduleRole", policies+".0")).On(lab.Operated),
		lab.Broken("nothing starts Notify", "there are 0 schedules", lab.Remove(schedule+"/Notify")).On(lab.Operated),
	),
	lab.By("outputs",
		lab.Broken("the command line does not find the decision log of ScaleIn", "there is no output ScaleInLogs",
			lab.Output("ScaleInLogs", nil)),
		lab.Broken("`sluice doctor` looks at one schedule of several", "the output Schedules tells of",
			lab.Output("Schedules", "x")).On(sharded),
		lab.Broken("the command line asks for a rule by the name BUS|RULE, which there is not", "the output Rule tells of",
			lab.Output("Rule", func(d *lab.Deployment) any { return d.Sluice.Of(rule)[0].Ref() })).On("bus by name"),
	),
	lab.By("price",
		lab.Broken("`sluice cost` does not count what an alarm costs", "there are 21 alarms to pay for",
			lab.Add("Extra", alarmOf, lab.Props{})),
		lab.Broken("`sluice cost` does not count a metric", "AWS::Logs::MetricFilter",
			lab.Add("Extra", "AWS::Logs::MetricFilter", lab.Props{})),
		lab.Broken("`sluice cost` counts other memory", "MemorySize", lab.Set(function+"/ScaleIn", "MemorySize", 1024)),
	),
	lab.By("network",
		lab.Broken("the functions run outside the VPC, where no Redis is", "runs outside the VPC",
			lab.Cut(function+"/Check", "VpcConfig")).On(inVPC),
		lab.Broken("the functions run in other subnets", "SubnetIds are", lab.Cut(function+"/Check", "VpcConfig.SubnetIds.0")).On(inVPC),
		lab.Broken("the functions run in a VPC that nobody named", "deploy.vpc is not there",
			lab.Set(function+"/Check", "VpcConfig", lab.Props{"SubnetIds": []string{"subnet-1"}})),
		lab.Broken("Notify runs where it reaches neither CloudWatch Logs nor SNS", "Notify runs in a VPC",
			lab.Set(function+"/Notify", "VpcConfig", lab.Props{})).On(inVPC),
		lab.Broken("without a NAT no function reaches ECS", "there is no endpoint for ecs",
			lab.Remove("AWS::EC2::VPCEndpoint/Ecs")).On("in a VPC without a NAT"),
		lab.Broken("an endpoint that nothing calls is paid for", "which nothing calls",
			lab.Add("Extra", "AWS::EC2::VPCEndpoint", lab.Props{"ServiceName": "com.amazonaws.eu-central-1.logs"})).On(inVPC),
	),
	lab.By("secrets",
		lab.Broken("a URL with a password is in the environment of a function", "holds a URL with a password",
			lab.Set(function+"/Check", "Environment.Variables.CACHE_URL", "redis://:correct-horse@redis.example.com:6379/0")).On("kinds of brokers"),
		lab.Broken("what is only for a laptop is uploaded with the functions", "holds a secret of sluice.yaml",
			uploaded("only-on-a-laptop")),
		lab.Broken("an access key is uploaded", "holds an access key", uploaded("AKIAIOSFODNN7EXAMPLE")),
		lab.Broken("a private key is uploaded", "holds a private key", uploaded("-----BEGIN RSA PRIVATE KEY-----")),
		lab.Broken("the password of Redis stands in the template", "AuthToken is a plain text",
			lab.Set("AWS::ElastiCache::ReplicationGroup", "AuthToken", "correct-horse-battery-staple")).On("example"),
		lab.Broken("a password is in the environment of a task", "the variable DB_PASSWORD is a plain text",
			lab.Set("AWS::ECS::TaskDefinition/Api", "ContainerDefinitions.0.Environment.-", lab.Props{"Name": "DB_PASSWORD", "Value": "correct-horse"})).On("example"),
	),
	lab.By("cfn-lint",
		lab.Broken("IAM takes Latin letters alone", "E3031", lab.Set(role, "Description", "What Sluice’s function may do.")),
		lab.Broken("a description is longer than Lambda takes", "E3033", lab.Set(function, "Description", strings.Repeat("x", 257))),
		lab.Broken("CloudWatch knows no retention of 31 days", "E3030 31 is not one of",
			lab.Set("AWS::Logs::LogGroup/Check", "RetentionInDays", 31)),
		lab.Broken("EC2 takes no apostrophe in the description of a security group", "E3031",
			lab.Set("AWS::EC2::SecurityGroup", "GroupDescription", "Sluice's functions")).On(inVPC),
		lab.Broken("a description is longer than CloudWatch takes", "E3033",
			lab.Set(alarmOf+"/NoSweep", "AlarmDescription", strings.Repeat("x", 1025))),
		lab.Broken("a query is longer than CloudWatch takes", "E3033", lab.Set(savedAs, "QueryString", strings.Repeat("x", 10_001))),
	),
)
