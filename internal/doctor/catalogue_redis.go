package doctor

func redisChecks() []Check {
	a := AreaRedis
	return []Check{
		{
			ID: "broker-url", Area: a, Severity: Fail, judge: obstacle(NoURL, "its URL is not to be had: %v"),
			Finds: "the broker's URL cannot be read, or not used",
			Why:   "the queue of no target on it can be seen",
			Mend:  "do what the error says",
		},
		{
			ID: "redis-unreachable", Area: a, Severity: Fail, judge: redisUnreachable,
			Finds: "Redis cannot be reached (in a VPC: by the Check function)",
			Why:   "unknown is never taken for idle: nothing is scaled in, and only events start workers",
			Mend:  "let the functions' security groups (outputs SecurityGroupN) into Redis; correct host and port",
		},
		{
			ID: "redis-wants-tls", Area: a, Severity: Fail, judge: obstacle(WantsTLS, "it speaks TLS, and the URL does not: %v"),
			Finds: "Redis speaks TLS, and the URL is redis://",
			Why:   "it cannot be asked at all",
			Mend:  "write rediss:// in the URL",
		},
		{
			ID: "redis-no-tls", Area: a, Severity: Fail, judge: obstacle(NoTLS, "the URL wants TLS, and it speaks none: %v"),
			Finds: "the URL is rediss:// (or tls is given), and Redis speaks no TLS",
			Why:   "it cannot be asked at all, and the look waits until its time is over",
			Mend:  "write redis://, or the port that speaks TLS",
		},
		{
			ID: "redis-certificate", Area: a, Severity: Fail, judge: obstacle(Certificate, "its certificate is not to be trusted: %v"),
			Finds: "Redis's certificate cannot be verified",
			Why:   "Sluice does not talk to a server that may be another one",
			Mend:  "give tls.ca_file or tls.ca_pem, or tls.server_name where the certificate bears another name",
		},
		{
			ID: "redis-unverified", Area: a, Severity: Warn, judge: redisUnverified,
			Finds: "any certificate is accepted",
			Why:   "whoever stands between can read and change everything, the password included",
			Mend:  "give tls.ca_file or tls.ca_pem in place of tls.insecure_skip_verify",
		},
		{
			ID: "redis-password", Area: a, Severity: Fail, judge: obstacle(Password, "it does not take the user or password: %v"),
			Finds: "user or password are wrong or missing",
			Why:   "it cannot be asked at all",
			Mend:  "correct the URL where it is kept",
		},
		{
			ID: "redis-database", Area: a, Severity: Fail, judge: obstacle(Database, "it does not have the URL's database: %v"),
			Finds: "the URL's database number does not exist",
			Why:   "it cannot be asked at all",
			Mend:  "write the number that the application has",
		},
		{
			ID: "redis-rights", Area: a, Severity: Fail, judge: obstacle(NoRight, "the user may not do what Sluice needs: %v"),
			Finds: "the Redis user lacks a command, key or channel",
			Why:   "queues or workers cannot be seen, and nothing is scaled in",
			Mend:  "grant what the README lists for a user for Sluice alone (ACL SETUSER)",
		},
		{
			ID: "redis-read-only", Area: a, Severity: Fail, judge: servers(redisReadOnly),
			Finds: "Redis is a replica",
			Why:   "it takes no writes: workers cannot be asked or drained, and it lags behind",
			Mend:  "use the primary's address (ElastiCache: the primary endpoint, not the reader's)",
		},
		{
			ID: "redis-cluster-mode", Area: a, Severity: Fail, judge: servers(redisClusterMode),
			Finds: "cluster_mode is unlike the server",
			Why:   "keys are refused or not found, and Celery itself works there only with a hash tag in its prefix",
			Mend:  "set cluster_mode: true and a key_prefix with a hash tag, such as {celery}:; or take them away",
		},
		{
			ID: "redis-evicts", Area: a, Severity: Warn, judge: servers(redisEvicts),
			Finds: "Redis may evict keys when it is full",
			Why:   "a queue is a key: all its messages are lost at once",
			Mend:  "set maxmemory-policy to noeviction, and alarm on memory",
		},
		{
			ID: "queue-unreadable", Area: a, Severity: Fail, judge: queueUnreadable,
			Finds: "a queue's key is not what Celery makes",
			Why:   "its messages cannot be counted, so that its target is unknown and never scaled in",
			Mend:  "find out who else uses the key (redis-cli TYPE), and name one of them otherwise",
		},
	}
}

func workerChecks() []Check {
	a := AreaWorkers
	return []Check{
		{
			ID: "wrong-database", Area: a, Severity: Fail, judge: silent(otherDatabase),
			Finds: "the workers use another database of the same Redis",
			Why:   "Sluice looks at queues that stay empty for ever",
			Mend:  "write the application's database number in the broker's URL",
		},
		{
			ID: "wrong-prefix", Area: a, Severity: Fail, judge: silent(otherPrefix),
			Finds: "the workers use another key prefix",
			Why:   "Sluice looks at queues that stay empty for ever",
			Mend:  "set key_prefix to the application's global_keyprefix",
		},
		{
			ID: "wrong-control-exchange", Area: a, Severity: Fail, judge: silent(otherExchange),
			Finds: "the workers listen on another control exchange",
			Why:   "they hear no question: their target is unknown, and never scaled in",
			Mend:  "set control_exchange to the application's",
		},
		{
			ID: "remote-control-off", Area: a, Severity: Fail, judge: silent(controlOff),
			Finds: "workers are there and listen to no commands (worker_enable_remote_control)",
			Why:   "nobody knows who is busy: their target is unknown, and never scaled in",
			Mend:  "remove worker_enable_remote_control=False, or use activity: counter or none",
		},
		{
			ID: "workers-unheard", Area: a, Severity: Fail, judge: workersUnheard,
			Finds: "tasks run in which no worker is heard",
			Why:   "they may be at work: their target is unknown, and never scaled in",
			Mend:  "look at the tasks' logs: they may use another Redis, hang, or be none of Celery's; stop what hangs",
		},
		{
			ID: "workers-silent", Area: a, Severity: Warn, judge: heard(workersSilent),
			Finds: "workers listen and do not answer",
			Why:   "each counts as busy, and is not let go",
			Mend:  "wait if they are busy with --pool solo; else let them accept JSON (accept_content), or restart them",
		},
		{
			ID: "answers-unreadable", Area: a, Severity: Fail, judge: heard(answersUnreadable),
			Finds: "workers answer in what only Python can read",
			Why:   "nobody knows who is busy: their target is unknown, and never scaled in",
			Mend:  `set task_serializer to "json", or use activity: counter`,
		},
		{
			ID: "tasks-untracked", Area: a, Severity: Fail, judge: heard(tasksUntracked),
			Finds: "workers have tasks with a strategy of their own, as celery-batches has",
			Why:   "what such a task executes cannot be seen: their target is unknown, and never scaled in",
			Mend:  "set activity: counter with a key that the application keeps, or none where workers protect their ECS task while they work",
		},
		{
			ID: "celery-too-old", Area: a, Severity: Fail, judge: celeryTooOld,
			Finds: "a worker is older than Celery 5.2",
			Why:   "it can be left deaf by being asked what it does, so Sluice asks nobody on this broker",
			Mend:  "upgrade it to Celery 5.2 or newer",
		},
		{
			ID: "queue-unfetched", Area: a, Severity: Fail, judge: heard(queueUnfetched),
			Finds: "no worker fetches from a queue that a target lists",
			Why:   "its messages start workers that do nothing for it, and wait for ever",
			Mend:  "correct queues in sluice.yaml, or have the workers consume it (-Q, task_queues)",
		},
		{
			ID: "queue-unlisted", Area: a, Severity: Warn, judge: heard(queueUnlisted),
			Finds: "workers fetch from a queue that no target lists",
			Why:   "its messages start nobody",
			Mend:  "list it under queues of the target whose workers fetch it",
		},
		{
			ID: "node-names-equal", Area: a, Severity: Fail, judge: heard(namesEqual),
			Finds: "several workers bear one name",
			Why:   "a command reaches all of them, so that none can be let go alone",
			Mend:  "leave -n out, or use %h in it: -n worker@%h",
		},
		{
			ID: "node-unmapped", Area: a, Severity: Warn, judge: nodeUnmapped,
			Finds: "a worker's name does not tell its task",
			Why:   "the target is let go only as a whole, once all of it is idle",
			Mend:  "leave -n out, or use %h in it; workers outside of ECS need queues of their own",
		},
		{
			ID: "prefetch", Area: a, Severity: Warn, judge: heard(prefetchHigh),
			Finds: "workers hold far more messages than they execute",
			Why:   "what one has fetched waits for it, although others are idle or could be started",
			Mend:  "set worker_prefetch_multiplier=1, with acks_late for long tasks",
		},
		{
			ID: "visibility-timeout", Area: a, Severity: Warn, judge: heard(visibilityShort),
			Finds: "a task takes, or waits for, longer than the visibility timeout",
			Why:   "with acks_late, and with ETAs, its message comes back meanwhile and is executed twice",
			Mend:  "raise visibility_timeout in the application and in sluice.yaml above the longest task and ETA",
		},
		{
			ID: "visibility-unlike", Area: a, Severity: Warn, judge: heard(visibilityUnlike),
			Finds: "messages stay unacknowledged for longer than sluice.yaml's visibility timeout",
			Why:   "the application's is longer: Sluice counts work that is in hand as backlog, and starts workers for it",
			Mend:  "set the broker's visibility_timeout to the application's",
		},
	}
}
