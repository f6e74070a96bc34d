package doctor

// What the functions are called here, and in the stack's outputs.
const (
	scaleOut = "ScaleOut"
	checker  = "Check"
	scaleIn  = "ScaleIn"
	notifier = "Notify" // With deploy.notify.
)

// Catalogue returns all checks, by area and in the order in which trouble spreads: what breaks others stands before them.
func Catalogue() []Check {
	var all []Check
	for _, part := range [][]Check{deploymentChecks(), serviceChecks(), redisChecks(), workerChecks()} {
		all = append(all, part...)
	}
	return all
}

func deploymentChecks() []Check {
	a := AreaDeployment
	return []Check{
		{
			ID: "aws-identity", Area: a, Severity: Fail, judge: awsIdentity,
			Finds: "AWS does not take the credentials",
			Why:   "nothing that is on AWS can be looked at",
			Mend:  "log in (aws sso login) or renew the credentials; `aws sts get-caller-identity` has to answer",
		},
		{
			ID: "caller-rights", Area: a, Severity: Note, judge: callerRights,
			Finds: "you, who run this, lack rights to look at something",
			Why:   "the checks that need it say that they could not look; Sluice itself works with rights of its own",
			Mend:  "have somebody with these rights run it, or have them granted to you (docs/doctor.md lists them)",
		},
		{
			ID: "stack-missing", Area: a, Severity: Fail, judge: stackMissing,
			Finds: "the stack of deploy.stack is not there",
			Why:   "Sluice is not deployed, or elsewhere: nothing scales the services",
			Mend:  "run `make deploy`, or correct deploy.stack, the Region and the account",
		},
		{
			ID: "stack-unsettled", Area: a, Severity: Warn, judge: whenDeployed(stackUnsettled),
			Finds: "the stack's last deployment did not end well",
			Why:   "what runs is not what sluice.yaml says, or the next deployment will be refused",
			Mend:  "look at the stack's events in the CloudFormation console, and deploy again",
		},
		{
			ID: "stale-deployment", Area: a, Severity: Warn, judge: whenDeployed(staleDeployment),
			Finds: "the functions have another sluice.yaml than this one",
			Why:   "what this file says is not what happens",
			Mend:  "run `make diff` and `make deploy`, or name the right file with --config",
		},
		{
			ID: "function-missing", Area: a, Severity: Fail, judge: functions(functionMissing),
			Finds: "a Lambda function of the stack was deleted",
			Why:   "without ScaleOut nothing is started, without ScaleIn nothing is let go, without Check neither",
			Mend:  "run `make deploy` under another stack name, or delete the stack and deploy anew",
		},
		{
			ID: "function-stopped", Area: a, Severity: Fail, judge: functions(functionStopped),
			Finds: "a Lambda function takes no calls",
			Why:   "events and sweeps fail as long as it is so",
			Mend:  "`aws lambda delete-function-concurrency`, then `make deploy`, which reserves what ScaleOut needs",
		},
		{
			ID: "function-rights", Area: a, Severity: Fail, judge: whenDeployed(functionRights),
			Finds: "a function's role lacks a right that it needs",
			Why:   "its calls are denied: the target is not seen, or its count not changed",
			Mend:  "`make deploy` grants what the README's table lists; if something else took it away (a boundary, an SCP), mend that",
		},
		{
			ID: "function-blind", Area: a, Severity: Fail, judge: whenDeployed(functionBlind),
			Finds: "the Check function cannot see a target",
			Why:   "unknown is never taken for idle: the target is not scaled in, and not scaled out by sweeps",
			Mend:  "mend what the error says; where it is the broker, let the function's security group into Redis",
		},
		{
			ID: "rule-missing", Area: a, Severity: Fail, judge: whenDeployed(ruleMissing),
			Finds: "the EventBridge rule was deleted",
			Why:   "events reach nobody: workers start by the next sweep only",
			Mend:  "`make deploy` after a change of the rule (events.source), or delete the stack and deploy anew",
		},
		{
			ID: "rule-disabled", Area: a, Severity: Fail, judge: rule(ruleDisabled),
			Finds: "the EventBridge rule is disabled",
			Why:   "events reach nobody: workers start by the next sweep only",
			Mend:  "`aws events enable-rule --name RULE`",
		},
		{
			ID: "rule-pattern", Area: a, Severity: Fail, judge: rule(rulePattern),
			Finds: "the rule's pattern does not match the events of sluice.yaml",
			Why:   "the producers' events reach nobody, and EventBridge drops them without a word",
			Mend:  "`make deploy`, or correct events.source and events.detail_type to what the producers send",
		},
		{
			ID: "rule-target", Area: a, Severity: Fail, judge: rule(ruleTarget),
			Finds: "the rule does not call ScaleOut",
			Why:   "events end elsewhere, or nowhere",
			Mend:  "`make deploy`; whoever changed the target by hand wanted something",
		},
		{
			ID: "schedule-missing", Area: a, Severity: Fail, judge: whenDeployed(scheduleMissing),
			Finds: "a schedule was deleted",
			Why:   "no sweep begins: nothing is let go, and no lost event is made good",
			Mend:  "delete the stack and deploy anew, or create the schedule again as the template has it",
		},
		{
			ID: "schedule-disabled", Area: a, Severity: Fail, judge: schedules(scheduleDisabled),
			Finds: "a schedule is disabled",
			Why:   "no sweep begins: nothing is let go, and no lost event is made good",
			Mend:  "enable it in the EventBridge Scheduler console; to stop Sluice for one service use `sluice pause`",
		},
		{
			ID: "schedule-rate", Area: a, Severity: Warn, judge: schedules(scheduleRate),
			Finds: "a schedule has another rate than sweep.every",
			Why:   "workers idle for longer, or sweeps cost more, than sluice.yaml says",
			Mend:  "`make deploy`",
		},
		{
			ID: "schedule-target", Area: a, Severity: Fail, judge: schedules(scheduleTarget),
			Finds: "a schedule starts something other than the state machine",
			Why:   "no sweep begins",
			Mend:  "`make deploy`",
		},
		{
			ID: "machine-missing", Area: a, Severity: Fail, judge: whenDeployed(machineMissing),
			Finds: "the state machine was deleted",
			Why:   "no sweep begins",
			Mend:  "delete the stack and deploy anew",
		},
		{
			ID: "sweeps-failing", Area: a, Severity: Fail, judge: whenDeployed(sweepsFailing),
			Finds: "the last sweep failed",
			Why:   "a target is broken, and is not scaled in; the others go on",
			Mend:  "mend what the cause says; `sluice why TARGET` shows what was decided of each",
		},
		{
			ID: "sweeps-silent", Area: a, Severity: Fail, judge: whenDeployed(sweepsSilent),
			Finds: "no sweep has begun for longer than two of them are apart",
			Why:   "nothing is let go, and no lost event is made good",
			Mend:  "look at the schedule, its role and its dead letters",
		},
		{
			ID: "dead-letters", Area: a, Severity: Warn, judge: whenDeployed(deadLetters),
			Finds: "messages wait in a dead-letter queue",
			Why:   "an event or a sweep failed for good, and nobody has looked at it",
			Mend:  "read the message's attribute ErrorMessage or ERROR_MESSAGE, mend what it says, and purge the queue",
		},
		{
			ID: "event-round-trip", Area: a, Severity: Fail, judge: eventRoundTrip, asked: func(f *Facts) bool { return f.RoundTrip != nil },
			Finds: "an event that was sent brought no decision (with --events only)",
			Why:   "something between the bus and ScaleOut is broken, though each part looks well",
			Mend:  "look at the rule's metric FailedInvocations and at the dead letters of Rule and ScaleOut",
		},
		{
			ID: "clock-skew", Area: a, Severity: Warn, judge: clockSkew,
			Finds: "the clocks of this machine, AWS and Redis differ by more than 30 s",
			Why:   "what is due, floors and ages are compared across machines; from 5 minutes on AWS refuses the calls of a wrong one",
			Mend:  "have the machine take its time from NTP",
		},
	}
}

func serviceChecks() []Check {
	a := AreaService
	return []Check{
		{
			ID: "service-missing", Area: a, Severity: Fail, judge: serviceMissing,
			Finds: "a target's ECS service or cluster is not there",
			Why:   "nothing can be started for its queues, and every sweep fails",
			Mend:  "correct cluster and service in sluice.yaml, or remove the target",
		},
		{
			ID: "rollout-failing", Area: a, Severity: Fail, judge: services(rolloutFailing),
			Finds: "tasks of the service fail to start, or its last deployment failed",
			Why:   "Sluice raises the count, and no worker comes up: messages wait",
			Mend:  "look at the stopped tasks' reasons (aws ecs describe-tasks) and at the service's events",
		},
		{
			ID: "second-scaler", Area: a, Severity: Fail, judge: services(secondScaler),
			Finds: "something else scales the service as well",
			Why:   "it lowers the count without knowing who is busy, and the two undo what the other does",
			Mend:  "`aws application-autoscaling deregister-scalable-target`, or take the service out of sluice.yaml",
		},
		{
			ID: "desired-in-template", Area: a, Severity: Warn, judge: services(desiredInTemplate),
			Finds: "the service's own CloudFormation template says DesiredCount",
			Why:   "each deployment of it sets the count: busy workers are stopped, or idle ones started",
			Mend:  "take DesiredCount (desiredCount in the CDK) out of the template",
		},
		{
			ID: "stop-timeout", Area: a, Severity: Warn, judge: launches(stopTimeoutShort),
			Finds: "the worker's stopTimeout is below 120 s",
			Why:   "in stops that Sluice does not decide (deployments, Spot) a task that takes longer is killed",
			Mend:  "set stopTimeout: 120, the most that Fargate gives, in the task definition",
		},
		{
			ID: "shell-in-front", Area: a, Severity: Fail, judge: launches(shellInFront),
			Finds: "a shell without exec stands in front of Celery",
			Why:   "the shell gets the SIGTERM and hands it to nobody: Celery is killed after stopTimeout, with all that it executes",
			Mend:  `start it in exec form (["celery", "-A", ...]), or write exec before it: sh -c "exec celery ..."`,
		},
		{
			ID: "group-signal", Area: a, Severity: Fail, judge: launches(groupSignal),
			Finds: "an init process hands SIGTERM to Celery's pool processes as well",
			Why:   "the pool processes end at once, and with them all tasks that execute, acks_late or not",
			Mend:  "dumb-init --single-child, or the variable DUMB_INIT_SETSID=0; tini without -g",
		},
		{
			ID: "beat-in-worker", Area: a, Severity: Fail, judge: launches(beatInWorker),
			Finds: "Celery beat runs inside the worker (-B)",
			Why:   "with no worker nothing is scheduled, and with two everything twice",
			Mend:  "run beat in a service of its own with a fixed count of 1, or use EventBridge Scheduler",
		},
		{
			ID: "queues-unlike-command", Area: a, Severity: Fail, judge: launches(queuesUnlikeCommand),
			Finds: "the workers are started with other queues (-Q) than the target lists",
			Why:   "messages in a queue that no worker fetches start workers that do nothing for it",
			Mend:  "make queues in sluice.yaml and -Q in the task definition the same",
		},
		{
			ID: "node-name-fixed", Area: a, Severity: Warn, judge: launches(nodeNameFixed),
			Finds: "all workers are started under one fixed name (-n)",
			Why:   "they cannot be told apart, and are let go only all together",
			Mend:  "leave -n out, or use %h in it: -n worker@%h",
		},
		{
			ID: "concurrency-unlike", Area: a, Severity: Warn, judge: launches(concurrencyUnlike),
			Finds: "concurrency or messages_per_worker do not fit how the workers are started",
			Why:   "more workers are paid for than have something to do, or messages wait for longer than max_wait",
			Mend:  "set concurrency to what --concurrency says, and messages_per_worker to no less",
		},
		{
			ID: "pool-solo", Area: a, Severity: Warn, judge: launches(poolSolo),
			Finds: "the workers use the pool solo",
			Why:   "a worker that executes answers nobody: it counts as busy, and one that hangs is never let go",
			Mend:  "use --pool threads or prefork with --concurrency 1",
		},
		{
			ID: "no-heartbeats", Area: a, Severity: Note, judge: launches(noHeartbeats),
			Finds: "the workers send no heartbeats",
			Why:   "what they did between two looks is not seen, nor their Celery version",
			Mend:  "start them without --without-heartbeat",
		},
		{
			ID: "broker-unlike", Area: a, Severity: Fail, judge: brokerUnlike,
			Finds: "the workers are given another broker than sluice.yaml has",
			Why:   "Sluice looks at queues that they do not use",
			Mend:  "make the broker's URL in sluice.yaml and the application's the same, the database number included",
		},
		{
			ID: "tag-unclear", Area: a, Severity: Fail, judge: services(tagUnclear),
			Finds: "a sluice: tag on the service cannot be understood",
			Why:   "it has no effect, and holds every scale-in of the service",
			Mend:  "correct it or take it away; `sluice pause`, `sluice set` and `sluice resume` write them rightly",
		},
		{
			ID: "tag-without-end", Area: a, Severity: Warn, judge: services(tagWithoutEnd),
			Finds: "a tag stops Sluice on the service, with no end",
			Why:   "what was meant for an hour is easily forgotten",
			Mend:  "`sluice resume TARGET`, or give it an end: `sluice pause TARGET --for 2h`",
		},
		{
			ID: "min-idle", Area: a, Severity: Note, judge: minIdle,
			Finds: "min keeps workers running that had no work for hours",
			Why:   "they cost money: `sluice cost` says how much",
			Mend:  "set min: 0, or give the target windows with a min for the hours that need it",
		},
	}
}
