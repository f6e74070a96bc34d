package sluicecdk_test

import (
	"errors"
	"os"
	"path/filepath"
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

func att(id string) map[string]any { return map[string]any{"Fn::GetAtt": []string{id, "Arn"}} }

// swap replaces a text in the whole of a resource.
func swap(selector, property, from, to string) lab.Change {
	return lab.Reword(selector, property, from, to)
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
var faults = []lab.Fault{
	{Breaks: "programs for arm64 on x86", By: "functions", Says: "Architectures", Plant: lab.Set(function, "Architectures", []string{"x86_64"})},
	{Breaks: "a function that nobody asked for", By: "functions", Says: "Expected 3 resources", Plant: lab.Add("Extra", function, lab.Props{})},
	{Breaks: "two ScaleOuts may run at once", By: "functions", Says: "ReservedConcurrentExecutions", Plant: lab.Cut(function+"/ScaleOut", "ReservedConcurrentExecutions")},
	{Breaks: "Check takes from what others may run at once", By: "functions", Says: "ReservedConcurrentExecutions", Plant: lab.Set(function+"/Check", "ReservedConcurrentExecutions", 5)},
	{Breaks: "a function is not traced", By: "functions", Says: "TracingConfig", Plant: lab.Cut(function+"/ScaleIn", "TracingConfig")},
	{Breaks: "the state machine is not traced", By: "functions", Says: "TracingConfiguration", Plant: lab.Cut(machine, "TracingConfiguration")},
	{Breaks: "anybody may call a function over HTTP", By: "functions", Says: "AWS::Lambda::Url", Plant: lab.Add("Extra", "AWS::Lambda::Url", lab.Props{})},

	{Breaks: "Lambda cannot execute a program", By: "assets", Says: "-rw-r--r-- bootstrap", Plant: code(func(dir string) error { return os.Chmod(filepath.Join(dir, "bootstrap"), 0o644) })},
	{Breaks: "all functions have the program of Check", By: "assets", Says: "its bootstrap is not that of scaleout", Plant: func(d *lab.Deployment) error {
		return lab.Set(function+"/ScaleOut", "Code.S3Key", d.Function(check).Text("Code", "S3Key"))(d)
	}},
	{Breaks: "a function has no sluice.yaml", By: "assets", Says: "sluice.yaml", Plant: code(func(dir string) error { return os.Remove(filepath.Join(dir, "sluice.yaml")) })},
	{Breaks: "a function has files that nothing reads", By: "assets", Says: "notes.txt", Plant: code(func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644) })},
	{Breaks: "a function has another configuration", By: "assets", Says: "means something else", Plant: code(func(dir string) error {
		path := filepath.Join(dir, "sluice.yaml")
		text, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(text), "max: 10", "max: 11", 1)), 0o644))
	})},
	{Breaks: "the functions know nothing of the metrics that they are to write", By: "assets", Says: "means something else", In: lab.Operated, Plant: code(func(dir string) error {
		path := filepath.Join(dir, "sluice.yaml")
		text, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(text), "level: targets", "level: off", 1)), 0o644))
	})},

	{Breaks: "a broker has no URL", By: "environment", Says: "CACHE_URL", In: "kinds of brokers", Plant: swap(function+"/Check", "Environment", "CACHE_URL", "SLUICE_CACHE_URL")},
	{Breaks: "the metrics of two Sluices of an account are mixed up", By: "environment", Says: "SLUICE_METRICS_NAMESPACE", In: lab.Operated, Plant: swap(function+"/Check", "Environment", "SLUICE_METRICS_NAMESPACE", "SLUICE_NAMESPACE")},
	{Breaks: "messages tell of scale-outs only", By: "environment", Says: "SLUICE_LOG_GROUPS", In: lab.Operated, Plant: swap(function+"/Notify", "Environment", "CheckLogs", "ScaleOutLogs")},
	{Breaks: "messages go to the topic of the alarms", By: "environment", Says: "SLUICE_TOPIC_ARN", In: lab.Operated, Plant: func(d *lab.Deployment) error {
		return lab.Set(function+"/Notify", "Environment.Variables.SLUICE_TOPIC_ARN", map[string]any{"Ref": d.Sluice.Of(alarmOf)[0].Text("AlarmActions", 0)[2:]})(d)
	}},

	{Breaks: "a function ends too early", By: "time-outs", Says: "Timeout", Plant: lab.Set(function+"/ScaleOut", "Timeout", 3)},
	{Breaks: "a state gives ScaleIn up while it still runs, and starts a second one beside it", By: "time-outs", Says: "its function scalein after 180 s", Plant: lab.Set(function+"/ScaleIn", "Timeout", 180)},
	{Breaks: "a state gives its function up while it still runs", By: "time-outs", Says: "ends after 100 s", Plant: swap(machine, "DefinitionString", `"TimeoutSeconds": 135`, `"TimeoutSeconds": 100`)},
	{Breaks: "a state outlives the machine", By: "time-outs", Says: "and the machine after 5400 s", Plant: swap(machine, "DefinitionString", `"TimeoutSeconds": 135`, `"TimeoutSeconds": 9999`)},
	{Breaks: "a state waits for a year", By: "time-outs", Says: "ends after 0 s", Plant: swap(machine, "DefinitionString", `"TimeoutSeconds": 135,`, ``)},
	{Breaks: "the machine has no end", By: "time-outs", Says: "has no TimeoutSeconds", Plant: swap(machine, "DefinitionString", `"TimeoutSeconds": 5400,`, ``)},

	{Breaks: "an event is kept for six hours, and then scales out for nothing", By: "retries", Says: "MaximumEventAgeInSeconds", Plant: lab.Cut("AWS::Lambda::EventInvokeConfig/ScaleOut", "MaximumEventAgeInSeconds")},
	{Breaks: "Check is tried again", By: "retries", Says: "MaximumRetryAttempts", Plant: lab.Set("AWS::Lambda::EventInvokeConfig/Check", "MaximumRetryAttempts", 2)},
	{Breaks: "EventBridge tries an event for a day", By: "retries", Says: "20 retries within 86400 s", Plant: lab.Set(rule, "Targets.0.RetryPolicy.MaximumEventAgeInSeconds", 86400)},
	{Breaks: "a sweep is tried when the next has done its work", By: "retries", Says: "10 retries within 86400 s", Plant: lab.Set(schedule, "Target.RetryPolicy.MaximumEventAgeInSeconds", 86400)},
	{Breaks: "a message is tried for a day", By: "retries", Says: "10 retries within 86400 s", In: lab.Operated, Plant: lab.Set(schedule+"/Notify", "Target.RetryPolicy.MaximumEventAgeInSeconds", 86400)},

	{Breaks: "dead letters are gone after a long weekend", By: "dead letters", Says: "MessageRetentionPeriod", Plant: lab.Cut(queue+"/Check", "MessageRetentionPeriod")},
	{Breaks: "dead letters lie unencrypted", By: "dead letters", Says: "SqsManagedSseEnabled", Plant: lab.Set(queue+"/Check", "SqsManagedSseEnabled", false)},
	{Breaks: "what fails for good in a function is lost", By: "dead letters", Says: "check has no dead-letter queue", Plant: lab.Cut(function+"/Check", "DeadLetterConfig")},
	{Breaks: "what EventBridge cannot hand over is lost", By: "dead letters", Says: "the rule has no dead-letter queue", Plant: lab.Cut(rule, "Targets.0.DeadLetterConfig")},
	{Breaks: "a sweep that cannot be started leaves no trace", By: "dead letters", Says: "the schedules has no dead-letter queue", Plant: lab.Cut(schedule, "Target.DeadLetterConfig")},
	{Breaks: "the rule's dead letters are among those of ScaleOut", By: "dead letters", Says: "shares its dead-letter queue", Plant: func(d *lab.Deployment) error {
		return lab.Set(rule, "Targets.0.DeadLetterConfig", lab.Props{"Arn": att(d.Sluice.Of(queue)[0].ID)})(d)
	}},
	{Breaks: "the rule may not write to its dead-letter queue", By: "dead letters", Says: "the rule may not write", Plant: swap("AWS::SQS::QueuePolicy/Rule", "PolicyDocument", "events.amazonaws.com", "sns.amazonaws.com")},
	{Breaks: "the schedules may not write to their dead-letter queue", By: "dead letters", Says: "may not write", Plant: lab.Cut(role+"/ScheduleRole", policies+".1")},

	{Breaks: "the logs are kept for ever", By: "logs", Says: "RetentionInDays", Plant: lab.Cut("AWS::Logs::LogGroup/Check", "RetentionInDays")},
	{Breaks: "a function logs text, of which no metric is made", By: "logs", Says: "LoggingConfig", Plant: lab.Cut(function+"/Check", "LoggingConfig.LogFormat")},
	{Breaks: "a function logs to a group that AWS makes, without an end", By: "logs", Says: "which is no log group of the template", Plant: lab.Cut(function+"/Check", "LoggingConfig.LogGroup")},
	{Breaks: "two functions log to one group", By: "logs", Says: "shares its log group", Plant: func(d *lab.Deployment) error {
		return lab.Set(function+"/Check", "LoggingConfig.LogGroup", map[string]any{"Ref": logGroupOf(d, scaleOut)[2 : len(logGroupOf(d, scaleOut))-1]})(d)
	}},
	{Breaks: "the machine's history goes nowhere", By: "logs", Says: "the state machine logs to", Plant: lab.Cut(machine, "LoggingConfiguration.Destinations.0")},

	{Breaks: "CloudWatch may not publish to the topic", By: "topics", Says: "CloudWatch may not publish", Plant: swap("AWS::SNS::TopicPolicy", "PolicyDocument", "cloudwatch.", "events.")},
	{Breaks: "the topic is encrypted with a key that alarms may not use", By: "topics", Says: "KmsMasterKeyId", Plant: lab.Set("AWS::SNS::Topic", "KmsMasterKeyId", "alias/aws/sns")},

	{Breaks: "nobody may see which tasks are protected", By: "permissions", Says: "ecs:GetTaskProtection: is missing", Plant: swap(role+"/CheckRole", "Policies", `,"ecs:GetTaskProtection"`, ``)},
	{Breaks: "the functions may stop tasks, which none of them calls", By: "permissions", Says: "ecs:StopTask: is granted, but nothing calls it", Plant: swap(role+"/CheckRole", "Policies", `"ecs:GetTaskProtection"`, `"ecs:GetTaskProtection","ecs:StopTask"`)},
	{Breaks: "a function may do everything to the services", By: "permissions", Says: "ecs:*: is granted, which is more than one action", Plant: swap(role+"/ScaleOutRole", "Policies", `"ecs:UpdateService"`, `"ecs:*"`)},
	{Breaks: "the functions may set any tag, such as one that grants rights", By: "permissions", Says: "ecs:TagResource: is granted without a condition", Plant: lab.Cut(role+"/ScaleOutRole", policies+".1.Condition")},
	{Breaks: "the tasks of every cluster of the account may be listed", By: "permissions", Says: "ecs:ListTasks: is granted if ArnEquals aws:PrincipalArn", Plant: swap(role+"/CheckRole", "Policies", "ecs:cluster", "aws:PrincipalArn")},
	{Breaks: "a function may write to every queue of the account; cdk-nag has been told to let such be", By: "permissions", Says: "sqs:SendMessage: is granted on *", Plant: func(d *lab.Deployment) error {
		return swap(role+"/CheckRole", "Policies", `{"Fn::GetAtt":["`+d.Sluice.Target(d.Function(check).Text("DeadLetterConfig", "TargetArn"), queue).ID+`","Arn"]}`, `"*"`)(d)
	}},
	{Breaks: "Notify may read every log of the account", By: "permissions", Says: "notify: logs:FilterLogEvents: is granted on *", In: lab.Operated, Plant: swap(role+"/NotifyRole", "Policies", `"logs:FilterLogEvents","Effect":"Allow","Resource":[`, `"logs:FilterLogEvents","Effect":"Allow","Resource":["*",`)},
	{Breaks: "100 services with long names are named each by itself", By: "permissions", Says: "its inline policies may have", In: "100 targets, long names", Plant: func(d *lab.Deployment) error {
		var names []string
		for _, target := range d.Config.Targets {
			names = append(names, "arn:aws:ecs:eu-central-1:123456789012:service/"+target.Cluster+"/"+target.Service)
		}
		return lab.Set(role+"/ScaleOutRole", policies+".0.Resource", names)(d)
	}},

	{Breaks: "ECS tasks are trusted with the role of a function, and Lambda is not", By: "roles", Says: "trusts", Plant: swap(role+"/CheckRole", "AssumeRolePolicyDocument", "lambda.", "ecs-tasks.")},
	{Breaks: "an account is trusted with a role, too", By: "roles", Says: "trusts", Plant: lab.Set(role+"/CheckRole", "AssumeRolePolicyDocument.Statement.0.Principal.AWS", "123456789012")},
	{Breaks: "two functions share a role", By: "roles", Says: "shares its role", Plant: func(d *lab.Deployment) error {
		return lab.Set(function+"/Check", "Role", att(d.Sluice.Target(d.Function(scaleOut).Text("Role"), role).ID))(d)
	}},
	{Breaks: "a role is left over", By: "roles", Says: "is a role that nothing uses", Plant: lab.Add("Extra", role, lab.Props{})},
	{Breaks: "a function has a role that is not here", By: "roles", Says: "is none of the template", Plant: lab.Set(function+"/Check", "Role", "arn:aws:iam::123456789012:role/x")},
	{Breaks: "a policy of AWS's is attached to a role", By: "roles", Says: "ManagedPolicyArns", Plant: lab.Set(role+"/CheckRole", "ManagedPolicyArns", []string{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"})},
	{Breaks: "a policy of our own is managed", By: "roles", Says: "AWS::IAM::ManagedPolicy", Plant: lab.Add("Extra", "AWS::IAM::ManagedPolicy", lab.Props{})},
	{Breaks: "the state machine may invoke every function", By: "roles", Says: "allows lambda:InvokeFunction on *", Plant: lab.Set(role+"/SweepRole", policies+".0.Resource", "*")},
	{Breaks: "the schedules may do everything with executions", By: "roles", Says: "allows states:*", Plant: lab.Set(role+"/ScheduleRole", policies+".0.Action", "states:*")},
	{Breaks: "the schedules may do everything but one thing", By: "roles", Says: "all but what it names", Plant: lab.Set(role+"/ScheduleRole", policies+".0.NotAction", "states:StopExecution")},
	{Breaks: "a task of the example may read every secret", By: "roles", Says: "allows secretsmanager:GetSecretValue on *", In: "example", Plant: lab.Set("AWS::IAM::Policy/WorkerTaskExecutionRole", "PolicyDocument.Statement.3.Resource", "*")},

	{Breaks: "the rule matches every event of the source", By: "rule", Says: "EventPattern is", Plant: lab.Cut(rule, "EventPattern.detail-type")},
	{Breaks: "the rule matches no event", By: "rule", Says: "EventPattern is", Plant: swap(rule, "EventPattern", "celery.task.queue_full", "custom.celery.monitor")},
	{Breaks: "the rule listens on the default bus", By: "rule", Says: "EventBusName is", In: "bus by name", Plant: lab.Cut(rule, "EventBusName")},
	{Breaks: "events go to Check", By: "rule", Says: "want ScaleOut alone", Plant: func(d *lab.Deployment) error {
		return lab.Set(rule, "Targets.0.Arn", att(d.Function(check).ID))(d)
	}},
	{Breaks: "the rule is off", By: "rule", Says: "State", Plant: lab.Set(rule, "State", "DISABLED")},
	{Breaks: "ScaleOut gets a part of the event", By: "rule", Says: "sets InputPath", Plant: lab.Set(rule, "Targets.0.InputPath", "$.detail")},
	{Breaks: "the rule may not invoke ScaleOut", By: "rule", Says: "AWS::Lambda::Permission", Plant: lab.Remove("AWS::Lambda::Permission")},
	{Breaks: "every rule of the account may invoke ScaleOut", By: "rule", Says: "SourceArn", Plant: lab.Cut("AWS::Lambda::Permission", "SourceArn")},

	{Breaks: "CloudFormation may make a schedule before the group that it is in", By: "schedules", Says: "may be made before its group", Plant: lab.Cut(role+"/ScheduleRole", "AssumeRolePolicyDocument.Statement.0.Condition")},
	{Breaks: "a schedule is in the group of others", By: "schedules", Says: "which is not of the template", Plant: lab.Set(schedule, "GroupName", "default")},
	{Breaks: "a sweep each five hours", By: "schedules", Says: "which is not each 5m", Plant: lab.Set(schedule, "ScheduleExpression", "rate(5 hours)")},
	{Breaks: "the schedule is off", By: "schedules", Says: "State is DISABLED", Plant: lab.Set(schedule, "State", "DISABLED")},
	{Breaks: "a sweep comes some time within an hour", By: "schedules", Says: "FlexibleTimeWindow", Plant: lab.Set(schedule, "FlexibleTimeWindow.Mode", "FLEXIBLE")},
	{Breaks: "the schedule may not start the machine", By: "schedules", Says: "may not start the state machine", Plant: lab.Cut(role+"/ScheduleRole", policies+".0")},
	{Breaks: "the last targets are never swept", By: "schedules", Says: "there are 3 schedules for 1000 targets", In: sharded, Plant: lab.Remove(schedule + "/Schedule4")},
	{Breaks: "some targets are swept twice, and others never", By: "schedules", Says: "sweeps shard", In: sharded, Plant: swap(schedule+"/Schedule2", "Target", `\"shard\":1`, `\"shard\":0`)},
	{Breaks: "a shard is none of those that there are", By: "schedules", Says: "and there are 4 schedules", In: sharded, Plant: swap(schedule+"/Schedule2", "Target", `\"shard\":1`, `\"shard\":4`)},
	{Breaks: "a schedule says what nobody reads", By: "schedules", Says: "unknown field", Plant: lab.Set(schedule, "Target.Input", `{"target":"worker"}`)},

	{Breaks: "another machine than the one that is tested", By: "machine", Says: "DefinitionString", Plant: swap(machine, "DefinitionString", `"Verify"`, `"Verity"`)},
	{Breaks: "a placeholder of the state machine has no value", By: "machine", Says: "no value for ScaleInFunctionArn", Plant: lab.Cut(machine, "DefinitionSubstitutions.ScaleInFunctionArn")},
	{Breaks: "the states of Check invoke ScaleOut", By: "machine", Says: "DefinitionSubstitutions", Plant: func(d *lab.Deployment) error {
		return lab.Set(machine, "DefinitionSubstitutions.CheckFunctionArn", att(d.Function(scaleOut).ID))(d)
	}},
	{Breaks: "the state machine may invoke one function only", By: "machine", Says: "may not invoke", Plant: lab.Cut(role+"/SweepRole", policies+".0.Resource.0")},
	{Breaks: "the history of a sweep that did the wrong thing is nowhere", By: "machine", Says: "LoggingConfiguration", Plant: lab.Set(machine, "LoggingConfiguration.Level", "ERROR")},
	{Breaks: "a sweep ends after five minutes", By: "machine", Says: "StateMachineType", Plant: lab.Set(machine, "StateMachineType", "EXPRESS")},

	{Breaks: "nobody hears that ScaleIn is throttled", By: "alarms", Says: "no alarm for Throttles of scalein", Plant: lab.Remove(alarmOf + "/ScaleInThrottles")},
	{Breaks: "nobody hears of a dead letter", By: "alarms", Says: "no alarm for messages in the queue", Plant: lab.Set(alarmOf+"/CheckDeadLetters", "Threshold", 100)},
	{Breaks: "nobody hears of failed sweeps", By: "alarms", Says: "no alarm for ExecutionsFailed", Plant: lab.Set(alarmOf+"/SweepsFailed", "MetricName", "ExecutionsAborted")},
	{Breaks: "alarms watch a function that is not there", By: "alarms", Says: "is no resource of the template", Plant: lab.Set(alarmOf+"/CheckErrors", "Dimensions.0.Value", "Check")},
	{Breaks: "an alarm watches a metric that is misspelt", By: "alarms", Says: "there is no such metric", Plant: lab.Set(alarmOf+"/CheckErrors", "MetricName", "Error")},
	{Breaks: "unknown targets are not counted", By: "alarms", Says: "no alarm for targets unknown", Plant: swap("AWS::Logs::MetricFilter/Unknown", "MetricTransformations", "$.unknown", "$.failed")},
	{Breaks: "the metrics are made of lines that nobody logs", By: "alarms", Says: "no alarm for targets unknown", Plant: swap("AWS::Logs::MetricFilter/Unknown", "FilterPattern", "sweep", "swept")},
	{Breaks: "the metrics are made of the log of ScaleOut", By: "alarms", Says: "no alarm for work without a worker", Plant: swap("AWS::Logs::MetricFilter/Stranded", "LogGroupName", "CheckLogs", "ScaleOutLogs")},
	{Breaks: "an alarm rings while a long task runs", By: "alarms", Says: "alarm for a queue that is stuck: false", In: lab.Operated, Plant: lab.Set(alarmOf+"/QueueStuck", "Threshold", 60)},
	{Breaks: "an alarm tells nobody", By: "alarms", Says: "tells nobody", Plant: lab.Cut(alarmOf+"/NoSweep", "AlarmActions")},
	{Breaks: "an alarm tells others", By: "alarms", Says: `tells "arn:aws:sns`, Plant: lab.Set(alarmOf+"/NoSweep", "AlarmActions.0", "arn:aws:sns:eu-central-1:123456789012:x")},
	{Breaks: "alarms are mailed to others", By: "alarms", Says: "alarms are mailed to", Plant: lab.Set("AWS::SNS::Subscription", "Endpoint", "other@example.com")},
	{Breaks: "an alarm does not say what to do", By: "alarms", Says: "has no description", Plant: lab.Cut(alarmOf+"/NoSweep", "AlarmDescription")},
	{Breaks: "an alarm looks back further than CloudWatch does", By: "alarms", Says: "looks back over", Plant: lab.Set(alarmOf+"/CheckErrors", "EvaluationPeriods", 300)},
	{Breaks: "the workers' alarms watch services that are not there", By: "worker alarms", Says: "and deploy.alarms.workers is true", Plant: swap(alarmOf+"/CPU", "Dimensions", "celery-worker", "worker")},
	{Breaks: "a query watches some clusters only", By: "worker alarms", Says: "and deploy.alarms.workers is true", In: "1,000 targets", Plant: swap(alarmOf+"/WorkersCPU", "Metrics", "cluster-0", "cluster-1")},

	{Breaks: "the dashboard queries log groups that are not there", By: "dashboard", Says: "which is no log group of the template", Plant: swap(board, "DashboardBody", "CheckLogs", "Gone")},
	{Breaks: "the dashboard shows a metric that nobody writes", By: "dashboard", Says: "no function writes it", In: lab.Operated, Plant: swap(board, "DashboardBody", `\"Desired\"`, `\"DesiredCount\"`)},
	{Breaks: "the dashboard searches where nothing is written", By: "dashboard", Says: "where nothing is written", In: lab.Operated, Plant: swap(board, "DashboardBody", `{\\\"Sluice/sluice/Sluice`, `{\\\"Sluice`)},
	{Breaks: "the dashboard shows alarms that are not there", By: "dashboard", Says: "which is no alarm of the template", Plant: swap(board, "DashboardBody", "AlarmsNoSweep", "AlarmsGone")},
	{Breaks: "the dashboard shows nothing of why", By: "dashboard", Says: "shows nothing of reasons", Plant: swap(board, "DashboardBody", "reasons", "whys")},

	{Breaks: "a saved query reads a log group that is not there", By: "queries", Says: "which is no log group of the template", Plant: lab.Set(savedAs, "LogGroupNames.0", "/aws/lambda/Check")},
	{Breaks: "the saved queries of two Sluices look the same", By: "queries", Says: "is called", Plant: swap(savedAs, "Name", "Sluice/sluice/Sluice", "Sluice")},
	{Breaks: "a query is forgotten", By: "queries", Says: "there is no query", Plant: lab.Remove(savedAs)},

	{Breaks: "messages come sixty times too seldom", By: "notify", Says: "which is not each", In: lab.Operated, Plant: lab.Set(schedule+"/Notify", "ScheduleExpression", "rate(60 hours)")},
	{Breaks: "messages for the team go to those who are told of alarms", By: "notify", Says: "it publishes to a topic that mails to", In: lab.Operated, Plant: swap("AWS::SNS::Subscription/Notify", "Endpoint", "team@", "oncall@")},
	{Breaks: "a message that is tried again tells of another time", By: "notify", Says: "its input is", In: lab.Operated, Plant: swap(schedule+"/Notify", "Target", "scheduled-time", "execution-id")},
	{Breaks: "the schedule may not start Notify", By: "notify", Says: "may not start its target", In: lab.Operated, Plant: lab.Cut(role+"/NotifyScheduleRole", policies+".0")},
	{Breaks: "nothing starts Notify", By: "notify", Says: "there are 0 schedules", In: lab.Operated, Plant: lab.Remove(schedule + "/Notify")},

	{Breaks: "the command line does not find the decision log of ScaleIn", By: "outputs", Says: "there is no output ScaleInLogs", Plant: lab.Output("ScaleInLogs", nil)},
	{Breaks: "`sluice doctor` looks at one schedule of several", By: "outputs", Says: "the output Schedules tells of", In: sharded, Plant: lab.Output("Schedules", "x")},
	{Breaks: "the command line asks for a rule by the name BUS|RULE, which there is not", By: "outputs", Says: "the output Rule tells of", In: "bus by name", Plant: func(d *lab.Deployment) error {
		return lab.Output("Rule", map[string]any{"Ref": d.Sluice.Of(rule)[0].ID})(d)
	}},

	{Breaks: "`sluice cost` does not count what an alarm costs", By: "price", Says: "there are 21 alarms to pay for", Plant: lab.Add("Extra", alarmOf, lab.Props{})},
	{Breaks: "`sluice cost` does not count a metric", By: "price", Says: "AWS::Logs::MetricFilter", Plant: lab.Add("Extra", "AWS::Logs::MetricFilter", lab.Props{})},
	{Breaks: "`sluice cost` counts other memory", By: "price", Says: "MemorySize", Plant: lab.Set(function+"/ScaleIn", "MemorySize", 1024)},

	{Breaks: "the functions run outside the VPC, where no Redis is", By: "network", Says: "runs outside the VPC", In: inVPC, Plant: lab.Cut(function+"/Check", "VpcConfig")},
	{Breaks: "the functions run in other subnets", By: "network", Says: "SubnetIds are", In: inVPC, Plant: lab.Cut(function+"/Check", "VpcConfig.SubnetIds.0")},
	{Breaks: "the functions run in a VPC that nobody named", By: "network", Says: "deploy.vpc is not there", Plant: lab.Set(function+"/Check", "VpcConfig", lab.Props{"SubnetIds": []string{"subnet-1"}})},
	{Breaks: "Notify runs where it reaches neither CloudWatch Logs nor SNS", By: "network", Says: "Notify runs in a VPC", In: inVPC, Plant: lab.Set(function+"/Notify", "VpcConfig", lab.Props{})},
	{Breaks: "without a NAT no function reaches ECS", By: "network", Says: "there is no endpoint for ecs", In: "in a VPC without a NAT", Plant: lab.Remove("AWS::EC2::VPCEndpoint/Ecs")},
	{Breaks: "an endpoint that nothing calls is paid for", By: "network", Says: "which nothing calls", In: inVPC, Plant: lab.Add("Extra", "AWS::EC2::VPCEndpoint", lab.Props{"ServiceName": "com.amazonaws.eu-central-1.logs"})},

	{Breaks: "a URL with a password is in the environment of a function", By: "secrets", Says: "holds a URL with a password", In: "kinds of brokers", Plant: lab.Set(function+"/Check", "Environment.Variables.CACHE_URL", "redis://:correct-horse@redis.example.com:6379/0")},
	{Breaks: "what is only for a laptop is uploaded with the functions", By: "secrets", Says: "holds a secret of sluice.yaml", Plant: uploaded("only-on-a-laptop")},
	{Breaks: "an access key is uploaded", By: "secrets", Says: "holds an access key", Plant: uploaded("AKIAIOSFODNN7EXAMPLE")},
	{Breaks: "a private key is uploaded", By: "secrets", Says: "holds a private key", Plant: uploaded("-----BEGIN RSA PRIVATE KEY-----")},
	{Breaks: "the password of Redis stands in the template", By: "secrets", Says: "AuthToken is a plain text", In: "example", Plant: lab.Set("AWS::ElastiCache::ReplicationGroup", "AuthToken", "correct-horse-battery-staple")},
	{Breaks: "a password is in the environment of a task", By: "secrets", Says: "the variable DB_PASSWORD is a plain text", In: "example", Plant: lab.Set("AWS::ECS::TaskDefinition/Api", "ContainerDefinitions.0.Environment.-", lab.Props{"Name": "DB_PASSWORD", "Value": "correct-horse"})},

	{Breaks: "CloudWatch knows no retention of 31 days", By: "cfn-lint", Says: "E3030 31 is not one of", Plant: lab.Set("AWS::Logs::LogGroup/Check", "RetentionInDays", 31)},
	{Breaks: "EC2 takes no apostrophe in the description of a security group", By: "cfn-lint", Says: "E3031", In: inVPC, Plant: lab.Set("AWS::EC2::SecurityGroup", "GroupDescription", "Sluice's functions")},
	{Breaks: "a description is longer than CloudWatch takes", By: "cfn-lint", Says: "E3033", Plant: lab.Set(alarmOf+"/NoSweep", "AlarmDescription", strings.Repeat("x", 1025))},
	{Breaks: "a query is longer than CloudWatch takes", By: "cfn-lint", Says: "E3033", Plant: lab.Set(savedAs, "QueryString", strings.Repeat("x", 10_001))},
}
