package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"sluice/internal/loopback"
	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// lab is where the groups get what they measure with: a directory, processes, a Redis, an ECS. It ends what it began.
type lab struct {
	root, dir string
	runs      int // Cold starts of each kind.
}

func newLab(runs int) (*lab, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	return &lab{root: testenv.Root(), dir: dir, runs: runs}, nil
}

func (l *lab) close() {
	_ = os.RemoveAll(l.dir)
}

// redis starts a redis-server with 64 databases and returns its address.
func (l *lab) redis(ctx context.Context) (addr string, stop func(), err error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errors.New("redis-server is missing: run `make redis-server`")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("find a free port: %w", err)
	}
	addr = free.Addr().String()
	_ = free.Close()
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(bin, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--dir", l.dir, "--databases", "64", "--maxclients", "10000")
	if err := testenv.Start(server); err != nil {
		return "", nil, err
	}
	stop = func() { testenv.Stop(server) }
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	if err := testenv.WaitFor(ctx, func() error { return c.Ping(ctx).Err() }); err != nil {
		stop()
		return "", nil, fmt.Errorf("wait for redis-server: %w", err)
	}
	return addr, stop, nil
}

// ecs serves a local ECS with AWS's rate limits, in this process.
func (l *lab) ecs(services []ecs.ServiceConfig) (m *ecs.Model, url string, stop func(), err error) {
	m = ecs.New(ecs.Options{Throttle: true})
	url, stop, err = l.serve(m, m, services)
	return m, url, stop, err
}

// serve creates the services in a model and serves it by the handler, which is the model or stands before it.
func (l *lab) serve(m *ecs.Model, by http.Handler, services []ecs.ServiceConfig) (url string, stop func(), err error) {
	for _, s := range services {
		if err := m.CreateService(s); err != nil {
			m.Close()
			return "", nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	server := httptest.NewServer(loopback.Guard(by))
	return server.URL, func() {
		server.Close()
		cancel()
		wg.Wait()
		m.Close()
	}, nil
}

// callInstead has every AWS client that function.New makes from now on call url.
func callInstead(url string) error {
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL": url,
	} {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// python is the interpreter with Celery and boto3.
func (l *lab) python() (string, error) {
	path := filepath.Join(l.root, "build", "venv", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("the Python packages are missing: run `make build/venv`")
	}
	return path, nil
}

// built returns a file that make builds, or says how to.
func (l *lab) built(parts ...string) (string, error) {
	rel := filepath.Join(append([]string{"build"}, parts...)...)
	path := filepath.Join(l.root, rel)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run `make %s`", rel, rel)
	}
	return path, nil
}

// hello builds the hello-world function that ours are compared with, with the same flags, and returns its path.
func (l *lab) hello(ctx context.Context, arch string) (string, error) {
	out := filepath.Join(l.dir, "hello-"+arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w",
		"-o", out, "./lab/bench/testdata/hello")
	cmd.Dir = l.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hello-world: %w\n%s", err, text)
	}
	return out, nil
}

// write writes a file into a directory of its own and returns its path.
func (l *lab) write(name, text string) (string, error) {
	dir, err := os.MkdirTemp(l.dir, "")
	if err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// yaml is a sluice.yaml with so many targets, spread over so many brokers, each a database of the Redis at addr.
func yaml(addr string, targets, brokers int) string {
	var b strings.Builder
	b.WriteString("version: 1\nbrokers:\n")
	for i := range brokers {
		fmt.Fprintf(&b, "  - {name: %s, url: \"redis://%s/%d\"}\n", brokerName(i), addr, i)
	}
	b.WriteString("targets:\n")
	for i := range targets {
		fmt.Fprintf(&b, "  - name: %s\n    cluster: bench\n    service: %s\n    broker: %s\n    queues: [%s]\n    max: 5000\n",
			targetName(i), targetName(i), brokerName(i%brokers), queueName(i))
	}
	return b.String()
}

func brokerName(i int) string { return fmt.Sprintf("broker-%d", i) }
func targetName(i int) string { return fmt.Sprintf("target-%d", i) }
func queueName(i int) string  { return fmt.Sprintf("queue-%d", i) }
