package doctor_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/redis/go-redis/v9"

	"sluice/internal/config"
	"sluice/internal/doctor"
	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
	"sluice/lab/testenv"
)

// ward is one local cloud with a target for each fault that is planted in a target: its Redis, its service and its workers are real,
// and so are the functions. Faults in what all share are planted while it runs, one at a time, and taken away again.
type ward struct {
	*cloud.Cloud
	t      *testing.T
	config *config.Config
	path   string // Of sluice.yaml.
	server string // The Redis that most brokers are databases of.
}

// The folder with the functions, which are built once.
var (
	functions string
	built     = sync.OnceValue(func() error { return cloud.BuildFunctions(testenv.Root(), functions) })
)

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // Or the AWS clients would read it, for a server without TLS.
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "sluice-doctor")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		functions = dir
		return m.Run()
	}())
}

// bed is a target of the ward: what of it is not as usual.
type bed struct {
	broker  string            // Fields of the broker; the URL of a database of its own if it is empty.
	redis   string            // The Redis of the workers; the broker's own if it is empty.
	target  string            // Further fields of the target.
	service string            // Further fields of the local service.
	command []string          // In place of a Celery worker.
	python  string            // Of the worker; the newest Celery's if it is empty.
	args    []string          // Further arguments of the worker.
	env     map[string]string // Of the worker.
	tasks   int               // How many are up.
	none    bool              // There is no such service.
}

// worker is how a worker of the ward is started, by that Python.
func worker(t *testing.T, python string, args ...string) []string {
	t.Helper()
	all := []string{
		python, "-B", "-m", "celery", "-A", "app", "worker", "--loglevel", "WARNING", "--pool", "threads", "--concurrency", "1",
		"--without-gossip", "--without-mingle",
	}
	if !slices.Contains(args, "--hostname") && !slices.Contains(args, "-n") {
		all = append(all, "--hostname", "celery@{hostname}")
	}
	return append(all, args...)
}

// clean is the target that nothing is wrong with.
const clean = "clean"

// newWard starts the cloud, and waits until all workers are up.
func newWard(t *testing.T, server string, beds map[string]bed) *ward {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	w := &ward{t: t, path: filepath.Join(t.TempDir(), "sluice.yaml"), server: server}
	if err := os.WriteFile(w.path, []byte(w.yaml(beds)), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.config, err = config.Load(w.path); err != nil {
		t.Fatalf("%v\n%s", err, w.yaml(beds))
	}
	w.Cloud, err = cloud.Start(t.Context(), cloud.Options{
		Config: w.config, ConfigPath: w.path, Lambdas: functions, NoSweep: true, Retry: lambda.Async{NoRetry: true},
		TaskLog: func(s ecs.Spec) io.Writer { return taskLog{t, s.Service} }, FunctionLog: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for name, b := range beds {
		if b.tasks > 0 {
			w.setDesired(name, b.tasks)
		}
	}
	return w
}

// yaml is the ward's sluice.yaml. Each target has a database of its own, by its place in the list.
func (w *ward) yaml(beds map[string]bed) string {
	var brokers, targets, services strings.Builder
	for i, name := range slices.Sorted(maps.Keys(beds)) {
		b := beds[name]
		url := fmt.Sprintf("redis://%s/%d", w.server, i)
		broker, redis := b.broker, b.redis
		if !strings.Contains(broker, "url") {
			broker = fmt.Sprintf("url: %q, %s", url, broker)
		}
		if redis == "" {
			redis = url
		}
		_, _ = fmt.Fprintf(&brokers, "  - {name: %s, %s}\n", name, strings.TrimSuffix(broker, ", "))
		queues := "queues: [work], "
		if strings.Contains(b.target, "queues:") {
			queues = ""
		}
		_, _ = fmt.Fprintf(&targets, "  - {name: %s, broker: %[1]s, cluster: ward, service: %[1]s, %smax: 3, settle: 1s, grace: 0s, %s}\n", name, queues, b.target)
		if b.none {
			continue
		}
		command := b.command
		if command == nil {
			args := b.args
			if !slices.Contains(args, "--queues") && !strings.Contains(b.env["CELERY"], "task_default_queue") {
				args = append([]string{"--queues", "work"}, args...)
			}
			python := b.python
			if python == "" {
				python = testenv.Python(w.t)
			}
			command = worker(w.t, python, args...)
		}
		env := map[string]string{"WORKER_REDIS": redis}
		maps.Copy(env, b.env)
		_, _ = fmt.Fprintf(&services, "    - {cluster: ward, service: %s, command: %s, dir: %q, env: %s, start_delay: 10ms, %s}\n",
			name, text(command), filepath.Join(testenv.Root(), "internal", "doctor", "testdata"), text(env), orElse(b.service, "stop_timeout: 120s"))
	}
	return "version: 1\nbrokers:\n" + brokers.String() + "targets:\n" + targets.String() + "local:\n  redis: none\n  services:\n" + services.String()
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// text is a value as JSON, which is YAML as well.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // Texts always have a JSON form.
	}
	return string(b)
}

// taskLog writes what a worker prints into the test's log.
type taskLog struct {
	t       *testing.T
	service string
}

func (l taskLog) Write(p []byte) (int, error) {
	if os.Getenv("WARD_LOG") != "" {
		l.t.Logf("%s: %s", l.service, strings.TrimSuffix(string(p), "\n"))
	}
	return len(p), nil
}

// settings are those of an AWS client with that access key.
func (w *ward) settings(key string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(w.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider(key, "local", ""),
	}
}

// exam is how the doctor is called.
type exam struct {
	targets []string
	more    string        // Another sluice.yaml than the functions have: with these lines at its end.
	key     string        // Another access key.
	ahead   time.Duration // How far our clock is ahead.
	events  bool
	wait    time.Duration // For what comes of the event, if not as long as a busy machine takes.
	idleFor time.Duration
}

// examine has the doctor look.
func (w *ward) examine(t *testing.T, x exam) *doctor.Facts {
	t.Helper()
	c := w.config
	if x.more != "" {
		yaml, err := os.ReadFile(w.path)
		if err == nil {
			c, err = config.Parse(append(yaml, x.more...), "sluice.yaml")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	now := func() time.Time { return time.Now().Add(x.ahead) }
	env, err := doctor.Outside(c, w.settings(orElse(x.key, "local")), now)
	if err != nil {
		t.Fatal(err)
	}
	o := doctor.Options{Config: c, Events: x.events, EventsWait: cmp.Or(x.wait, time.Minute), IdleFor: x.idleFor}
	for _, name := range x.targets {
		target, ok := c.Target(name)
		if !ok {
			t.Fatalf("there is no target %s", name)
		}
		o.Targets = append(o.Targets, target)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	return doctor.Gather(ctx, env, o)
}

// change changes what is deployed, and returns what undoes it.
func (w *ward) change(t *testing.T, change func(*cloud.Deployment)) func() {
	t.Helper()
	undo, err := w.Change(change)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	}
}

// redis is a client of the database of a bed's broker.
func (w *ward) redis(t *testing.T, name string) *redis.Client {
	t.Helper()
	b, _ := w.config.Broker(name)
	o, err := redis.ParseURL(b.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// send puts messages of the task `hold` into a queue, as Celery does.
func (w *ward) send(t *testing.T, c *redis.Client, n int) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("task-%d", i)
		body := base64.StdEncoding.EncodeToString([]byte(`[["gate"], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`))
		message := text(map[string]any{
			"body": body, "content-encoding": "utf-8", "content-type": "application/json",
			"headers": map[string]any{
				"lang": "py", "task": "hold", "id": id, "root_id": id, "parent_id": nil, "group": nil, "retries": 0, "eta": nil, "expires": nil,
				"timelimit": []any{nil, nil}, "argsrepr": "()", "kwargsrepr": "{}", "origin": "ward", "ignore_result": true,
			},
			"properties": map[string]any{
				"correlation_id": id, "delivery_mode": 2, "delivery_info": map[string]any{"exchange": "", "routing_key": "work"}, "priority": 0,
				"body_encoding": "base64", "delivery_tag": "tag-" + id,
			},
		})
		if err := c.LPush(t.Context(), "work", message).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitDeadLetter waits until a message is in ScaleOut's dead-letter queue, and returns what takes it away.
func (w *ward) awaitDeadLetter(t *testing.T) (undo func()) {
	t.Helper()
	client := sqs.NewFromConfig(w.settings("local"))
	url := aws.String("https://sqs.us-east-1.amazonaws.com/000000000000/" + cloud.DeadLettersOf(cloud.ScaleOut))
	if err := testenv.WaitFor(t.Context(), func() error {
		out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
		})
		if err == nil && out.Attributes["ApproximateNumberOfMessages"] == "0" {
			return errors.New("the dead-letter queue is empty")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return func() {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
			t.Error(err)
		}
	}
}

// sweep runs the state machine over one target, by the part of the targets that it alone is, and waits for its end.
func (w *ward) sweep(t *testing.T, target string) {
	t.Helper()
	var names []string // As Check divides them: by broker, each of which has the name of its target here.
	for _, c := range w.config.Targets {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	client := sfn.NewFromConfig(w.settings("local"))
	started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String("arn:aws:states:us-east-1:000000000000:stateMachine:" + cloud.StateMachine),
		Input:           aws.String(fmt.Sprintf(`{"shard": %d, "shards": %d}`, slices.Index(names, target), len(names))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		out, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
		if err == nil && out.Status == sfntypes.ExecutionStatusRunning {
			return errors.New("the sweep goes on")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// setDesired sets the count of a service, as a person would.
func (w *ward) setDesired(service string, n int) {
	w.t.Helper()
	if _, err := awsecs.NewFromConfig(w.settings("local")).UpdateService(w.t.Context(), &awsecs.UpdateServiceInput{
		Cluster: aws.String("ward"), Service: &service, DesiredCount: aws.Int32(int32(n)),
	}); err != nil {
		w.t.Fatal(err)
	}
}

// awaitWorkers waits until the workers of a bed fetch messages: one that listens to no commands has no other sign. Those that fetch none
// are waited for by their tasks alone.
func (w *ward) awaitWorkers(t *testing.T, name string, b bed) {
	t.Helper()
	url := b.redis
	if broker, _ := w.config.Broker(name); url == "" {
		url = broker.URL.Reveal()
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	err = testenv.WaitFor(t.Context(), func() error {
		services, _ := w.ECS().Snapshot()
		i := slices.IndexFunc(services, func(s ecs.ServiceState) bool { return s.Name == name })
		if services[i].Running < b.tasks {
			return fmt.Errorf("%d tasks of %s run", services[i].Running, name)
		}
		if b.command != nil {
			return nil
		}
		list, err := c.ClientList(t.Context()).Result()
		if err != nil {
			return err
		}
		n := 0
		for line := range strings.Lines(list) {
			if strings.Contains(line, fmt.Sprintf(" db=%d ", o.DB)) && strings.Contains(line, " cmd=brpop ") {
				n++
			}
		}
		if n < b.tasks {
			return fmt.Errorf("%d workers of %s fetch messages", n, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
