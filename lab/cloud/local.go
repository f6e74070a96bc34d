// Package cloud is the cloud on a laptop: what stands in for AWS in the demo, in tests and in `sluice-local`.
//
// It puts together the parts that the folders below it are: ecs (services whose tasks are processes here), lambda (the
// functions as the bootstraps that ship), events (the rule that calls ScaleOut), asl (the state machine file as it is
// deployed) and scheduler (the sweep). What it puts together is a Deployment: of sluice.yaml alone, or (package cfn) of the
// CloudFormation template that deploys it; then whoever calls is held to the template's permissions, too (package iam). All of them
// answer at one loopback address, each in AWS's own protocol, so that any AWS client works against it with AWS_ENDPOINT_URL and
// nothing else changed; the functions, too, find AWS that way. A little of Secrets Manager and SSM gives the functions the broker's
// URL where sluice.yaml says that it is kept there; and a little of what Sluice is operated with is there, such as its outputs in
// CloudFormation, its logs (package logs) and metrics (package metrics): see operations.
//
// What happens is told to subscribers as a stream of happenings, for a view or a test. Close ends everything; and should
// this process die without it, the kernel and the tasks' supervisors end what it has started.
//
// Why it is built like this: docs/design/0006-local-cloud.md.
package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/lambda"
	"sluice/lab/cloud/logs"
	"sluice/lab/cloud/metrics"
)

// Options say what to run.
type Options struct {
	Config     *config.Config
	ConfigPath string // Of the file that Config was loaded from: the functions load it themselves.
	// Deployment is what to run, such as that of a template (package cfn). BuiltIn makes it of Config if it is nil.
	Deployment *Deployment
	Lambdas    string // The folder with scaleout/bootstrap, check/bootstrap, scalein/bootstrap and, for `deploy.notify`, notify/bootstrap.
	Addr       string // Where to listen; 127.0.0.1 with a free port if empty. It has to be a loopback address.
	Region     string // Of BuiltIn: see In.
	// RedisURL is a Redis that runs already. If it is empty the config says whether an embedded one is started.
	RedisURL string
	// NoSweep leaves out the schedules: sweeps run only by StartExecution.
	NoSweep bool
	// Retry is how long functions wait before they try a failed event again: locally a second after the first failure and
	// two after the next. NoRetry has them not try again at all. How often and for how long else, the deployment says.
	Retry lambda.Async
	// ECS has what the demo and tests may set of the model: delays, seed, faults. Its Runner and Region are set here.
	ECS ecs.Options
	// FunctionLog gets what the functions print; TaskLog returns where a task's output goes. Nil discards it.
	FunctionLog io.Writer
	TaskLog     func(ecs.Spec) io.Writer
	// Watch, if not nil, is subscribed before anything can happen.
	Watch func(Happening)
}

// Cloud is a running local cloud. Its methods may be called concurrently.
type Cloud struct {
	opts     Options
	began    time.Time
	endpoint string
	redis    *redisServer // Nil if none is embedded.
	redisURL string

	ecs        *ecs.Model
	events     *events.Service
	functions  *lambda.Host
	logs       *logs.Store
	metrics    metrics.Store
	executions *executions
	secrets    *secrets
	feed       *feed

	changing sync.Mutex // Held by Change, and before mu.

	server *http.Server
	paths  http.Handler // See newPaths.
	ends   []func()     // In the order in which they were begun; Close runs them backwards.

	mu         sync.Mutex
	deployment Deployment           // Change may change it.
	queues     map[string][]*queued // The dead-letter queues, by name.
	scalable   []ScalableTarget     // By Application Auto Scaling.
	stacks     map[string]string    // The templates of AddStack, by the names of their stacks.
}

// ErrNoBootstrap says that the functions have not been built.
var ErrNoBootstrap = errors.New("run `make build` to build the functions")

// Start starts the cloud: its server, Redis, the services with a desired count of zero, the rule and the schedules. The
// context is only for starting. If it returns an error nothing is left running.
func Start(ctx context.Context, opts Options) (_ *Cloud, err error) {
	c := &Cloud{opts: opts, feed: newFeed(), queues: map[string][]*queued{}, stacks: map[string]string{}, began: time.Now()}
	c.onClose(c.feed.close)
	if opts.Watch != nil {
		c.feed.subscribe(opts.Watch)
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if err := c.deploy(); err != nil {
		return nil, err
	}
	if err := c.checkBootstraps(); err != nil {
		return nil, err
	}
	ln, err := listen(ctx, cmp.Or(opts.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	c.endpoint = "http://" + ln.Addr().String()
	c.onClose(func() { _ = ln.Close() }) // Should it not come to serving.
	if err := c.startRedis(); err != nil {
		return nil, err
	}
	if err := c.startServices(); err != nil {
		return nil, err
	}
	if err := c.startFunctions(); err != nil {
		return nil, err
	}
	c.secrets = newSecrets(opts.Config, c.redisURL)
	if err := c.startRule(); err != nil {
		return nil, err
	}
	if c.executions, err = newExecutions(c.deployed, c.functions.Invoke, c.feed.execution); err != nil {
		return nil, err
	}
	c.onClose(c.executions.close)
	c.startUsage()
	c.serve(ln)
	if !opts.NoSweep {
		c.startSchedules()
	}
	return c, nil
}

// Close ends everything, in the reverse order of its start, and returns when no process is left. It is bounded: nothing
// is waited for but the end of what was killed or cancelled. It may be called again.
func (c *Cloud) Close() error {
	for _, end := range slices.Backward(c.ends) {
		end()
	}
	c.ends = nil
	return nil
}

func (c *Cloud) onClose(end func()) { c.ends = append(c.ends, end) }

// Endpoint is the URL at which all services answer.
func (c *Cloud) Endpoint() string { return c.endpoint }

// RedisURL is the Redis that the cloud gives to everything as REDIS_URL; empty if it gives none.
func (c *Cloud) RedisURL() string { return c.redisURL }

// ECS is the local ECS, to look at it or to break it.
func (c *Cloud) ECS() *ecs.Model { return c.ecs }

// Events is the local EventBridge, to lose or double events.
func (c *Cloud) Events() *events.Service { return c.events }

// Functions is the local Lambda, with its dead-letter queue.
func (c *Cloud) Functions() *lambda.Host { return c.functions }

// Subscribe calls watch for everything that happens from now on, one at a time and in order, until cancel is called. It
// may take its time and may call the cloud, but not Close.
func (c *Cloud) Subscribe(watch func(Happening)) (cancel func()) { return c.feed.subscribe(watch) }

// Flush returns when everything that has happened so far has been handed to the subscribers. What a call did has happened when
// the call is answered, but the subscribers hear of it from another goroutine: who acts on an answer and then looks at what
// was heard flushes first. A subscriber must not call it.
func (c *Cloud) Flush() { c.feed.flush() }

// Env is what a client of the cloud needs in its environment, NAME=value.
func (c *Cloud) Env() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + c.endpoint,
		"AWS_ACCESS_KEY_ID=local",
		"AWS_SECRET_ACCESS_KEY=local",
		"AWS_REGION=" + c.deployed().Region,
		"AWS_DEFAULT_REGION=" + c.deployed().Region,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	if c.redisURL != "" {
		env = append(env, "REDIS_URL="+c.redisURL)
	}
	return env
}

// listen opens the one address. Whoever reaches it may start processes here, so it is never one that others can reach.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %s: only a loopback address such as 127.0.0.1 is allowed", addr)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return ln, nil
}

// checkBootstraps finds the functions' bootstraps, and reads them through: Lambda has the code at hand before the first call, and
// on a slow disk the first start of a function would otherwise take a second that is the disk's.
func (c *Cloud) checkBootstraps() error {
	for _, function := range c.deployed().Functions {
		f, err := os.Open(bootstrap(c.opts.Lambdas, function.Name))
		if err != nil {
			return fmt.Errorf("find function %s: %w: %w", function.Name, err, ErrNoBootstrap)
		}
		_, err = io.Copy(io.Discard, f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("read function %s: %w", function.Name, err)
		}
	}
	return nil
}

func (c *Cloud) startRedis() error {
	c.redisURL = c.opts.RedisURL
	if c.redisURL != "" || c.opts.Config.Local.Redis != config.RedisEmbedded {
		return nil
	}
	server, err := startRedis()
	if err != nil {
		return err
	}
	c.redis, c.redisURL = server, server.url()
	c.onClose(server.close)
	return nil
}

// deploy makes what is to be deployed, with its queues.
func (c *Cloud) deploy() error {
	if c.opts.Deployment != nil {
		c.deployment = *c.opts.Deployment
	} else {
		var err error
		if c.deployment, err = BuiltIn(c.opts.Config, c.opts.Region); err != nil {
			return err
		}
	}
	for _, name := range c.deployment.Queues() {
		c.queues[name] = nil
	}
	return c.deployment.check()
}
