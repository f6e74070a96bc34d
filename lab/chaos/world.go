package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/events"
	"sluice/lab/testenv"
	"sluice/stepfunctions"
)

// The one service of a round.
const (
	clusterName = "chaos"
	serviceName = "workers"
)

// world is all that a round runs: a Redis, the local cloud with its Lambda functions and workers, a producer and a witness.
type world struct {
	plan     plan
	dir      string
	redis    *redisServer
	cloud    *cloud.Cloud
	producer *producer
	witness  *witness
	log      *os.File // Of the functions.
	began    time.Time
	ends     []func()

	mu    sync.Mutex
	deeds []deed
}

// newWorld starts everything. Whatever it starts ends with close, with this process at the latest.
func newWorld(ctx context.Context, p plan, a arm, lambdas, dir string) (_ *world, err error) {
	w := &world{plan: p, dir: dir, began: time.Now()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("clear the folder of a round: %w", err)
	}
	if err := w.linkFunctions(lambdas); err != nil {
		return nil, err
	}
	if w.redis, err = startRedis(ctx, filepath.Join(dir, "redis")); err != nil {
		return nil, err
	}
	w.ends = append(w.ends, w.redis.close)
	python, err := pythonWith(p.version)
	if err != nil {
		return nil, err
	}
	app := filepath.Join(testenv.Root(), "lab", "chaos", "testdata")
	env := []string{"REDIS_URL=" + w.redis.url(), "CHAOS_LEDGER=" + w.ledger()}
	if w.producer, err = startProducer(python, app, dir, env); err != nil {
		return nil, err
	}
	w.ends = append(w.ends, w.producer.close)
	functions := map[string]string{}
	if err := functionsOf([]byte(stepfunctions.ScaleIn), functions); err != nil {
		return nil, fmt.Errorf("read the state machine: %w", err)
	}
	w.witness = newWitness(functions)
	if err := w.startCloud(ctx, a, python, app); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.witness.watch(watching, w.redis)
	}()
	w.ends = append(w.ends, func() { stop(); <-done })
	return w, nil
}

func (w *world) ledger() string { return filepath.Join(w.dir, "ledger.jsonl") }

// mark is in the command line of each worker of this round, and of no other's.
func (w *world) mark() string { return "chaos=" + filepath.Base(w.dir) }

// linkFunctions gives the round functions under a path of their own, so that their processes can be told from another round's.
func (w *world) linkFunctions(lambdas string) error {
	for _, name := range []string{cloud.ScaleOut, cloud.Check, cloud.ScaleIn} {
		from := filepath.Join(lambdas, name, "bootstrap")
		to := w.bootstrap(name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("make a folder for function %s: %w", name, err)
		}
		if err := os.Link(from, to); err != nil {
			return fmt.Errorf("find function %s: %w: run `make build`", name, err)
		}
	}
	return nil
}

func (w *world) bootstrap(function string) string {
	return filepath.Join(w.dir, "functions", function, "bootstrap")
}

func (w *world) startCloud(ctx context.Context, a arm, python, app string) error {
	path := filepath.Join(w.dir, "sluice.yaml")
	if err := os.WriteFile(path, []byte(w.yaml(a, python, app)), 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	if w.log, err = os.Create(filepath.Join(w.dir, "functions.log")); err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	w.ends = append(w.ends, func() { _ = w.log.Close() })
	w.cloud, err = cloud.Start(ctx, cloud.Options{
		Config: settings, ConfigPath: path, Lambdas: filepath.Join(w.dir, "functions"), RedisURL: w.redis.url(),
		NoSweep: a != sluice, FunctionLog: w.log, Watch: w.witness.hear,
		ECS: ecs.Options{Seed: w.plan.seed + uint64(w.plan.number), RestartBackoff: 3 * time.Second},
		TaskLog: func(s ecs.Spec) io.Writer {
			f, err := os.Create(filepath.Join(w.dir, "worker-"+short(s.Hostname)+".log"))
			if err != nil {
				return nil // A worker without a log is better than none.
			}
			return f
		},
	})
	if err != nil {
		return fmt.Errorf("start the local cloud: %w", err)
	}
	w.ends = append(w.ends, func() { _ = w.cloud.Close() }) // It has no error to give.
	return nil
}

// yaml is the round's sluice.yaml.
func (w *world) yaml(a arm, python, app string) string {
	p := w.plan
	name := "celery@{hostname}"
	if p.sameName {
		name = "worker@prod"
	}
	command := []string{
		python, "-X", w.mark(), "-m", "celery", "-A", "app", "worker", "--pool", p.pool, "--concurrency", fmt.Sprint(p.concurrency),
		"--hostname", name, "--queues", "work", "--loglevel", "INFO",
	}
	if p.quiet {
		command = append(command, "--without-heartbeat", "--without-gossip", "--without-mingle")
	}
	env := map[string]string{
		"CHAOS_LEDGER": w.ledger(),
		"CHAOS_SETTINGS": quote(map[string]any{
			"task_acks_late": p.late, "worker_prefetch_multiplier": p.prefetch,
			"broker_transport_options": map[string]any{"visibility_timeout": visibility.Seconds()},
		}),
	}
	if a == checkThenReduce {
		env["CHAOS_COUNTER"] = "1"
	}
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	line("version: 1")
	line("brokers:")
	line("  - {name: redis, url_env: REDIS_URL, visibility_timeout: %v, horizon: %v}", visibility, horizon)
	line("targets:")
	line("  - {name: work, cluster: %s, service: %s, queues: [work], min: %d, max: %d, messages_per_worker: %d, settle: %v, grace: %v}",
		clusterName, serviceName, p.min, p.max, p.perWorker, p.settle, p.grace)
	line("local:")
	line("  sweep_every: %v", sweepEvery)
	line("  services:")
	line("    - cluster: %s", clusterName)
	line("      service: %s", serviceName)
	line("      command: %s", quote(command))
	line("      dir: %s", quote(app))
	line("      env: %s", quote(env))
	line("      start_delay: %v", startDelay)
	line("      stop_timeout: %v", stopTimeout)
	return b.String()
}

// quote writes a value as JSON, which is YAML too.
func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // Maps and lists of strings and numbers are always representable.
	}
	return string(text)
}

// pythonWith finds the interpreter with that Celery.
func pythonWith(version string) (string, error) {
	venv := "venv"
	if version != newest {
		venv = "venv-celery-" + version
	}
	path := filepath.Join(testenv.Root(), "build", venv, "bin", "python")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find Celery %s: %w: run `make build/%s`", version, err, venv)
	}
	return path, nil
}

// client is the Go SDK's client of the local ECS, for what persons and other programs do.
func (w *world) client() *awsecs.Client {
	return awsecs.New(awsecs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.cloud.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// sayWork puts the event that says that there is work.
func (w *world) sayWork() {
	w.cloud.Events().Put([]events.Entry{{
		Source: "custom.celery.monitor", DetailType: "celery.task.queue_full", Detail: `{"scale_to": 1}`,
	}})
}

// close ends everything, in the reverse order of its start.
func (w *world) close() {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
	w.ends = nil
}
