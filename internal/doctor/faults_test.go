package doctor_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/redis/go-redis/v9"

	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/iam"
	"sluice/lab/testenv"
)

// planted are the faults.
func planted(t *testing.T, server string) []fault {
	t.Helper()
	return slices.Concat(deploymentFaults(), serviceFaults(t), redisFaults(t), workerFaults(t, server), sweepFaults())
}

// deployment plants a change in what is deployed.
func deployment(change func(*cloud.Deployment)) func(*testing.T, *ward) func() {
	return func(t *testing.T, w *ward) func() { return w.change(t, change) }
}

// nothing plants nothing: the fault is in how the doctor is called.
func nothing(*testing.T, *ward) func() { return func() {} }

// stays is for what is planted in a bed: nobody takes it away.
func stays(plant func(*testing.T, *ward)) func(*testing.T, *ward) func() {
	return func(t *testing.T, w *ward) func() {
		plant(t, w)
		return func() {}
	}
}

func deploymentFaults() []fault {
	return []fault{
		{what: "deploy.stack names another stack", want: "stack-missing", blind: true, plant: nothing, exam: exam{more: "deploy: {stack: other}\n"}},
		{what: "sluice.yaml changed, and not deployed", want: "stale-deployment", plant: nothing, exam: exam{more: "events: {coalesce: 2s}\n"}},
		{what: "you may not describe task definitions", want: "caller-rights", blind: true, plant: func(_ *testing.T, w *ward) func() {
			w.ECS().Fail("DescribeTaskDefinition", -1, ecs.Fault{Code: "AccessDeniedException"})
			return func() { w.ECS().Fail("DescribeTaskDefinition", 0, ecs.Fault{}) }
		}},
		{what: "you may not list tasks", want: "caller-rights", blind: true, plant: func(_ *testing.T, w *ward) func() {
			w.ECS().Fail("ListTasks", -1, ecs.Fault{Code: "AccessDeniedException"})
			return func() { w.ECS().Fail("ListTasks", 0, ecs.Fault{}) }
		}, also: "function-blind"},
		{what: "ScaleIn's concurrency set to 0", want: "function-stopped", plant: deployment(func(d *cloud.Deployment) { d.Functions[2].Stopped = true })},
		{what: "ecs:UpdateService denied to ScaleIn", want: "function-rights", plant: denied(cloud.ScaleIn, "ecs:UpdateService")},
		{what: "the rule disabled", want: "rule-disabled", plant: deployment(func(d *cloud.Deployment) { d.Rule.Disabled = true })},
		{what: "the rule matches another source", want: "rule-pattern", plant: deployment(func(d *cloud.Deployment) {
			d.Rule.Pattern = `{"source":["my.app"],"detail-type":["celery.task.queue_full"]}`
		})},
		{what: "the rule calls Check", want: "rule-target", plant: deployment(func(d *cloud.Deployment) { d.Rule.Target = cloud.Check })},
		{what: "the rule deleted", want: "rule-missing", blind: true, plant: deployment(func(d *cloud.Deployment) { d.Rule.Name = "another" })},
		{what: "the schedule disabled", want: "schedule-disabled", plant: deployment(func(d *cloud.Deployment) { d.Schedules[0].Disabled = true })},
		{what: "the schedule set to each hour", want: "schedule-rate", plant: deployment(func(d *cloud.Deployment) { d.Schedules[0].Timing.Every = time.Hour })},
		{what: "the schedule deleted", want: "schedule-missing", blind: true, plant: deployment(func(d *cloud.Deployment) { d.Schedules[0].Name = "another" })},
		{what: "events dropped on their way", want: "event-round-trip", exam: exam{events: true, wait: 2 * time.Second}, plant: func(_ *testing.T, w *ward) func() {
			w.Events().Drop(1)
			return func() {}
		}},
		{what: "the clock here is 2 minutes ahead", want: "clock-skew", plant: nothing, exam: exam{ahead: 2 * time.Minute}},
		{what: "no sweep for 20 minutes", want: "sweeps-silent", also: "clock-skew", plant: nothing, exam: exam{ahead: 20 * time.Minute}},
		{what: "Application Auto Scaling on the service", want: "second-scaler", plant: secondScaler},
		{what: "DesiredCount in the service's own template", want: "desired-in-template", plant: template},
		{what: "tag sluice:min = two", want: "tag-unclear", plant: tag("sluice:min", "two")},
		{what: "tag sluice:paused = true, with no end", want: "tag-without-end", plant: tag("sluice:paused", "true")},
	}
}

func sweepFaults() []fault {
	return []fault{
		{what: "a sweep in which a target is broken", want: "sweeps-failing", plant: func(t *testing.T, w *ward) func() {
			w.sweep(t, bedOf("service-missing", "the service does not exist"))
			return func() { w.sweep(t, clean) }
		}},
		{what: "a malformed event", want: "dead-letters", plant: deadLetter},
	}
}

// bedOf is the name of the bed of a fault.
func bedOf(want, what string) string { return fault{want: want, what: what, bed: &bed{}}.name() }

// denied takes one action away from a function's role.
func denied(function, action string) func(*testing.T, *ward) func() {
	return deployment(func(d *cloud.Deployment) {
		all := iam.Policy{{Actions: []string{"*"}, Resources: []string{"*"}}}
		d.Access = &cloud.Access{Roles: map[string]iam.Policy{}}
		for _, f := range d.Functions {
			d.Access.Roles[d.ARN("lambda", "function:"+f.Name)] = all
		}
		d.Access.Roles[d.ARN("states", "stateMachine:"+d.Machine.Name)] = all
		for _, s := range d.Schedules {
			d.Access.Roles[d.ARN("scheduler", "schedule/"+cloud.ScheduleGroup+"/"+s.Name)] = all
		}
		role := d.ARN("lambda", "function:"+function)
		d.Access.Roles[role] = slices.Concat(all, iam.Policy{{Deny: true, Actions: []string{action}, Resources: []string{"*"}}})
	})
}

func secondScaler(t *testing.T, w *ward) func() {
	client := scaling.NewFromConfig(w.settings("local"))
	dimension, service := scalingtypes.ScalableDimensionECSServiceDesiredCount, aws.String("service/ward/"+clean)
	if _, err := client.RegisterScalableTarget(t.Context(), &scaling.RegisterScalableTargetInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: service, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(9),
	}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := client.DeregisterScalableTarget(t.Context(), &scaling.DeregisterScalableTargetInput{
			ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: service, ScalableDimension: dimension,
		}); err != nil {
			t.Error(err)
		}
	}
}

// template has the service be one that a stack has made, with a count in its template.
func template(t *testing.T, w *ward) func() {
	if err := w.AddStack("app", "Resources:\n  Workers:\n    Type: AWS::ECS::Service\n    Properties:\n      Cluster: !Ref Cluster\n      DesiredCount: 2\n"); err != nil {
		t.Fatal(err)
	}
	set := func(stack, id string) {
		if err := w.ECS().SetTags("ward", clean, map[string]string{"aws:cloudformation:stack-name": stack, "aws:cloudformation:logical-id": id}); err != nil {
			t.Error(err)
		}
	}
	set("app", "Workers")
	return func() { set("", "") }
}

// tag tags the service, as a person would.
func tag(key, value string) func(*testing.T, *ward) func() {
	return func(t *testing.T, w *ward) func() {
		client := awsecs.NewFromConfig(w.settings("local"))
		arn := aws.String("arn:aws:ecs:us-east-1:000000000000:service/ward/" + clean)
		if _, err := client.TagResource(t.Context(), &awsecs.TagResourceInput{
			ResourceArn: arn, Tags: []ecstypes.Tag{{Key: &key, Value: &value}},
		}); err != nil {
			t.Fatal(err)
		}
		return func() {
			if _, err := client.UntagResource(t.Context(), &awsecs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{key}}); err != nil {
				t.Error(err)
			}
		}
	}
}

// deadLetter sends an event that makes no sense.
func deadLetter(t *testing.T, w *ward) func() {
	events := eventbridge.NewFromConfig(w.settings("local"))
	if _, err := events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		Source: aws.String("custom.celery.monitor"), DetailType: aws.String("celery.task.queue_full"), Detail: aws.String(`{"scale_to": "many"}`),
	}}}); err != nil {
		t.Fatal(err)
	}
	return w.awaitDeadLetter(t)
}

func serviceFaults(t *testing.T) []fault {
	env := func(key, value string) map[string]string { return map[string]string{key: value} }
	return []fault{
		{what: "the service does not exist", want: "service-missing", also: "function-blind", blind: true, bed: &bed{none: true}},
		{
			what: "tasks end as soon as they start", want: "rollout-failing", blind: true, bed: &bed{command: []string{"false"}},
			plant: stays(failedStarts),
		},
		{what: "stopTimeout: 30", want: "stop-timeout", bed: &bed{service: "stop_timeout: 30s"}},
		{what: `command: [sh, -c, "celery ..."]`, want: "shell-in-front", bed: &bed{command: []string{"sh", "-c", "celery -A app worker --queues work"}}},
		{what: "dumb-init in front of a prefork pool", want: "group-signal", bed: &bed{
			command: []string{"dumb-init", "--", "celery", "-A", "app", "worker", "--queues", "work"},
		}},
		{what: "celery worker -B", want: "beat-in-worker", bed: &bed{args: []string{"-B"}}},
		{what: "-Q names another queue than the target", want: "queues-unlike-command", bed: &bed{args: []string{"--queues", "other"}}},
		{what: "-n worker@prod", want: "node-name-fixed", bed: &bed{args: []string{"-n", "worker@prod"}}},
		{what: "--concurrency 8, and concurrency: 4", want: "concurrency-unlike", bed: &bed{
			args: []string{"--concurrency", "8"}, target: "concurrency: 4, max_wait: 20s, task_seconds: 10",
		}},
		{what: "--pool solo", want: "pool-solo", bed: &bed{args: []string{"--pool", "solo"}}},
		{what: "--without-heartbeat", want: "no-heartbeats", bed: &bed{args: []string{"--without-heartbeat"}}},
		{what: "CELERY_BROKER_URL of another database", want: "broker-unlike", bed: &bed{env: env("CELERY_BROKER_URL", "redis://127.0.0.1:6379/9")}},
		{what: "min: 1, and no work", want: "min-idle", bed: &bed{target: "min: 1"}, plant: stays(idle), exam: exam{ahead: 20 * time.Second, idleFor: 40 * time.Second}},
	}
}

// failedStarts asks for a worker, and waits until ECS has tried it more than once.
func failedStarts(t *testing.T, w *ward) {
	name := bedOf("rollout-failing", "tasks end as soon as they start")
	w.setDesired(name, 1)
	client := awsecs.NewFromConfig(w.settings("local"))
	if err := testenv.WaitFor(t.Context(), func() error {
		out, err := client.DescribeServices(t.Context(), &awsecs.DescribeServicesInput{Cluster: aws.String("ward"), Services: []string{name}})
		if err == nil && (out.Services[0].Deployments[0].FailedTasks < 2 || out.Services[0].RunningCount > 0) {
			return fmt.Errorf("%d tasks have failed", out.Services[0].Deployments[0].FailedTasks)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// idle has Check look at the target, so that the log of decisions tells that it has no work.
func idle(t *testing.T, w *ward) {
	name := bedOf("min-idle", "min: 1, and no work")
	out, err := lambda.NewFromConfig(w.settings("local")).Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(cloud.Check), Payload: []byte(`{"target": "` + name + `"}`),
	})
	if err != nil || out.FunctionError != nil {
		t.Fatalf("%v %+v", err, out)
	}
}

func redisFaults(t *testing.T) []fault {
	secure := tlsServer(t)
	url := func(addr string) string { return "url: \"redis://" + addr + "/0\"" }
	rediss := func(addr string) string { return "url: \"rediss://" + addr + "/0\"" }
	plain := testenv.RedisServer(t)
	primary := testenv.RedisServer(t)
	_, port, _ := net.SplitHostPort(primary)
	cluster := testenv.RedisServer(t, "--cluster-enabled", "yes")
	slots(t, cluster)
	limited := testenv.RedisServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	acl := testenv.RedisServer(t)
	command(t, acl, "ACL", "SETUSER", "sluice", "on", ">secret", "~*", "&*", "+@all", "-llen")
	typed := testenv.RedisServer(t)
	command(t, typed, "SET", "work", "a text")
	t.Setenv("WARD_BROKER", "redis://"+plain+"/0")
	const also = "function-blind"
	return []fault{
		{
			what: "the URL's variable is not set", want: "broker-url", blind: true, bed: &bed{broker: "url_env: WARD_BROKER"},
			plant: func(t *testing.T, _ *ward) func() {
				value := os.Getenv("WARD_BROKER")
				_ = os.Unsetenv("WARD_BROKER")
				return func() { _ = os.Setenv("WARD_BROKER", value) }
			},
		},
		{what: "nobody listens on Redis's port", want: "redis-unreachable", also: also, blind: true, bed: &bed{broker: url(testenv.RefusingAddr(t))}},
		{what: "redis:// to a port of TLS", want: "redis-wants-tls", also: also, blind: true, bed: &bed{broker: url(secure)}},
		{what: "rediss:// to a port without TLS", want: "redis-no-tls", also: also, blind: true, bed: &bed{broker: rediss(plain)}},
		{what: "a certificate that nobody has signed", want: "redis-certificate", also: also, blind: true, bed: &bed{broker: rediss(secure)}},
		{what: "tls: {insecure_skip_verify: true}", want: "redis-unverified", bed: &bed{broker: rediss(secure) + ", tls: {insecure_skip_verify: true}"}},
		{what: "requirepass, and a URL without", want: "redis-password", also: also, blind: true, bed: &bed{
			broker: url(testenv.RedisServer(t, "--requirepass", "secret")),
		}},
		{what: "database 5 of a Redis that has one", want: "redis-database", also: also, blind: true, bed: &bed{
			broker: "url: \"redis://" + testenv.RedisServer(t, "--databases", "1") + "/5\"",
		}},
		{what: "a Redis user without LLEN", want: "redis-rights", also: also, blind: true, bed: &bed{
			broker: "url: \"redis://sluice:secret@" + acl + "/0\"",
		}},
		{what: "a replica's address", want: "redis-read-only", also: also, blind: true, bed: &bed{
			broker: url(testenv.RedisServer(t, "--replicaof", "127.0.0.1", port)),
		}},
		{what: "a Redis in cluster mode, unsaid", want: "redis-cluster-mode", blind: true, bed: &bed{broker: url(cluster)}},
		{what: "maxmemory-policy allkeys-lru", want: "redis-evicts", bed: &bed{broker: url(limited)}},
		{what: "the queue's key is a string", want: "queue-unreadable", blind: true, bed: &bed{broker: url(typed)}},
	}
}

// Databases that no bed has, for workers that are elsewhere than sluice.yaml says.
const elsewhere = 90

func workerFaults(t *testing.T, server string) []fault {
	celery := func(settings string) map[string]string { return map[string]string{"CELERY": settings} }
	at := func(db int) string { return fmt.Sprintf("redis://%s/%d", server, db) }
	shared := func(db int) string { return fmt.Sprintf("url: %q", at(db)) }
	return []fault{
		{what: "workers in another database", want: "wrong-database", blind: true, bed: &bed{tasks: 1, broker: shared(elsewhere), redis: at(elsewhere + 1)}},
		{what: "workers with a global_keyprefix", want: "wrong-prefix", blind: true, bed: &bed{
			tasks: 1, env: celery(`{"broker_transport_options": {"global_keyprefix": "acme:"}}`),
		}},
		{what: "workers with another control_exchange", want: "wrong-control-exchange", blind: true, bed: &bed{
			tasks: 1, env: celery(`{"control_exchange": "mine"}`),
		}},
		{what: "worker_enable_remote_control = False", want: "remote-control-off", blind: true, bed: &bed{
			tasks: 1, env: celery(`{"worker_enable_remote_control": false}`),
		}},
		{what: "a task that is no Celery worker", want: "workers-unheard", blind: true, bed: &bed{
			tasks: 1, command: []string{"sleep", "1000"}, broker: fmt.Sprintf("url: \"redis://%s/0\"", testenv.RedisServer(t)),
		}},
		{what: "accept_content = pickle", want: "workers-silent", blind: true, bed: &bed{tasks: 1, env: map[string]string{
			"CELERY": `{"task_serializer": "pickle", "accept_content": ["pickle"]}`, "C_FORCE_ROOT": "1",
		}}},
		{what: "task_serializer = pickle", want: "answers-unreadable", blind: true, bed: &bed{
			tasks: 1, env: map[string]string{"CELERY": `{"task_serializer": "pickle", "accept_content": ["pickle", "json"]}`, "C_FORCE_ROOT": "1"},
		}},
		{what: "a task of celery-batches", want: "tasks-untracked", bed: &bed{
			tasks: 1, python: testenv.PythonWithCelery(t, "5.6"), env: celery(`{"batches": true}`),
		}},
		{what: "a worker that announces Celery 5.1.2", want: "celery-too-old", blind: true, bed: &bed{tasks: 1, env: map[string]string{"ANNOUNCE": "5.1.2"}}},
		{what: "a queue that no worker fetches from", want: "queue-unfetched", also: "queue-unlisted", bed: &bed{
			tasks: 1, target: "queues: [reports]", env: celery(`{"task_default_queue": "orders"}`),
		}},
		{what: "a queue that no target lists", want: "queue-unlisted", bed: &bed{tasks: 1, args: []string{"--queues", "work,reports"}}},
		{what: "two workers with -n worker@prod", want: "node-names-equal", also: "node-name-fixed node-unmapped", blind: true, bed: &bed{
			tasks: 2, args: []string{"-n", "worker@prod"},
		}},
		{what: "a worker outside of ECS", want: "node-unmapped", blind: true, bed: &bed{tasks: 1, args: []string{"--hostname", "celery@%%h.{task_id}x"}}},
		{
			what: "worker_prefetch_multiplier = 100", want: "prefetch", bed: &bed{tasks: 1, env: celery(`{"worker_prefetch_multiplier": 100}`)},
			plant: stays(func(t *testing.T, w *ward) { w.hold(t, "prefetch", "worker_prefetch_multiplier = 100", 40, 39) }),
		},
		{
			what: "a task that outlasts the visibility timeout", want: "visibility-timeout", bed: &bed{tasks: 1, broker: "visibility_timeout: 1s"},
			exam: exam{ahead: 3 * time.Second},
			plant: stays(func(t *testing.T, w *ward) {
				w.hold(t, "visibility-timeout", "a task that outlasts the visibility timeout", 1, 0)
			}),
		},
		{
			what: "a visibility timeout of 1 m in sluice.yaml only", want: "visibility-unlike", bed: &bed{tasks: 1, broker: "visibility_timeout: 1m"},
			plant: stays(func(t *testing.T, w *ward) {
				c := w.hold(t, "visibility-unlike", "a visibility timeout of 1 m in sluice.yaml only", 3, 2)
				// Time passes for one of the messages that the worker holds.
				tags := c.ZRange(t.Context(), "unacked_index", 0, 0).Val()
				fetched := redis.Z{Score: float64(time.Now().Add(-10 * time.Minute).Unix()), Member: tags[0]}
				if err := c.ZAdd(t.Context(), "unacked_index", fetched).Err(); err != nil {
					t.Fatal(err)
				}
			}),
		},
	}
}

// hold has the worker of a bed execute a task that does not end, and hold so many more. It returns when that can be seen.
func (w *ward) hold(t *testing.T, want, what string, n, held int) *redis.Client {
	t.Helper()
	c := w.redis(t, bedOf(want, what))
	w.send(t, c, n)
	if err := testenv.WaitFor(t.Context(), func() error {
		waiting, err := c.LLen(t.Context(), "work").Result()
		holds, err2 := c.HLen(t.Context(), "unacked").Result()
		began, err3 := c.Get(t.Context(), "began").Int()
		if err = errors.Join(err, err2, err3); err != nil || began == 0 || waiting > 0 || int(holds) != held {
			return fmt.Errorf("%d wait, %d are held: %w", waiting, holds, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return c
}
