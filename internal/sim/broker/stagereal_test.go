package broker_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sluice/internal/celery"
	"sluice/internal/sim/broker"
	"sluice/internal/testenv"
)

// realStage plays a script on a real Redis with real workers, seen through the production adapter.
type realStage struct {
	t          *testing.T
	python     string
	visibility time.Duration
	pop        time.Duration
	addr       string        // Of the broker.
	redis      *redis.Client // To the broker.
	own        *redis.Client // To the Redis that the tasks write their log to.
	ownAddr    string
	adapter    *celery.Broker
	workers    map[string]*process
	sender     io.WriteCloser
	answers    *bufio.Reader
}

type process struct {
	pid  int
	out  *testenv.Output
	done chan struct{}
}

func newRealStage(t *testing.T, python string, visibility, pop time.Duration) *realStage {
	t.Helper()
	s := &realStage{t: t, python: python, visibility: visibility, pop: pop, addr: testenv.RedisServer(t), ownAddr: testenv.RedisServer(t), workers: map[string]*process{}}
	s.redis = redis.NewClient(&redis.Options{Addr: s.addr})
	s.own = redis.NewClient(&redis.Options{Addr: s.ownAddr})
	adapter, err := celery.New(celery.Options{Addrs: []string{s.addr}, Horizon: time.Minute, VisibilityTimeout: visibility})
	if err != nil {
		t.Fatal(err)
	}
	s.adapter = adapter
	t.Cleanup(func() { _ = errors.Join(s.redis.Close(), s.own.Close(), adapter.Close()) })
	return s
}

func (s *realStage) command(conf map[string]any, args ...string) *exec.Cmd {
	if conf == nil {
		conf = map[string]any{}
	}
	conf["broker_url"] = "redis://" + s.addr + "/0"
	conf["broker_connection_retry_on_startup"] = true
	conf["accept_content"] = []string{"json", "pickle"}
	conf["broker_transport_options"] = map[string]any{"visibility_timeout": s.visibility.Seconds()}
	text, err := json.Marshal(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(s.python, args...)
	cmd.Dir = filepath.Join(testenv.Root(), "internal", "sim", "broker", "testdata")
	cmd.Env = append(os.Environ(), "SLUICE_CELERY="+string(text), "SLUICE_LOG=redis://"+s.ownAddr+"/0",
		"SLUICE_POP="+strconv.Itoa(int(s.pop.Seconds())), "PYTHONDONTWRITEBYTECODE=1",
		"C_FORCE_ROOT=1") // Celery refuses pickle to root, which a container in CI is.
	return cmd
}

func (s *realStage) send(o order) {
	s.t.Helper()
	if s.sender == nil {
		cmd := s.command(nil, "send.py")
		errs := &testenv.Output{}
		cmd.Stderr = errs
		in, errIn := cmd.StdinPipe()
		out, errOut := cmd.StdoutPipe()
		if errIn != nil || errOut != nil || cmd.Start() != nil {
			s.t.Fatal("start the sender")
		}
		s.sender, s.answers = in, bufio.NewReader(out)
		s.t.Cleanup(func() {
			_ = in.Close()
			_ = cmd.Wait()
			if s.t.Failed() {
				s.t.Logf("sender printed:\n%s", errs)
			}
		})
	}
	options := map[string]any{"queue": "celery", "priority": o.priority}
	if o.queue != "" {
		options["queue"] = o.queue
	}
	if o.countdown > 0 {
		options["countdown"] = o.countdown.Seconds()
	}
	if o.expires > 0 {
		options["expires"] = o.expires.Seconds()
	}
	args := []any{o.label}
	if o.task == "again" {
		args = append(args, o.retries, time.Hour.Seconds())
	}
	if o.task == "" {
		o.task = "hold"
	}
	if o.set {
		options["serializer"] = "pickle"
	}
	line, err := json.Marshal(map[string]any{"task": o.task, "args": args, "set": o.set, "options": options})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.sender.Write(append(line, '\n')); err != nil {
		s.t.Fatalf("send tasks: %v", err)
	}
	if _, err := s.answers.ReadString('\n'); err != nil {
		s.t.Fatalf("send tasks: %v", err)
	}
}

func (s *realStage) start(spec broker.Spec) {
	s.t.Helper()
	conf := map[string]any{"task_acks_late": spec.AcksLate, "worker_enable_remote_control": !spec.NoControl}
	if spec.Prefetch > 0 {
		conf["worker_prefetch_multiplier"] = spec.Prefetch
	}
	pool := map[broker.Pool]string{broker.Prefork: "prefork", broker.Threads: "threads", broker.Solo: "solo", broker.Gevent: "gevent"}[spec.Pool]
	args := []string{
		"-m", "celery", "-A", "app", "worker", "-n", spec.Name, "--loglevel", "INFO", "-P", pool, "-c", strconv.Itoa(max(1, spec.Concurrency)),
	}
	if spec.Queues != nil {
		args = append(args, "-Q", strings.Join(spec.Queues, ","))
	}
	if spec.NoHeartbeats {
		args = append(args, "--without-heartbeat")
	}
	if s.pop > time.Second {
		args = append(args, "--without-mingle") // It leaves a pop for answers outstanding, and no other is made until that is over.
	}
	cmd := s.command(conf, args...)
	w := &process{out: &testenv.Output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w.out, w.out
	if err := testenv.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	w.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait()
		close(w.done)
	}()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-w.pid, syscall.SIGKILL)
		<-w.done
		if s.t.Failed() {
			s.t.Logf("worker %s printed:\n%s", spec.Name, w.out)
		}
	})
	s.workers[spec.Name] = w
	s.until("worker "+spec.Name+" is ready", func() error {
		select {
		case <-w.done:
			s.t.Fatalf("worker %s ended:\n%s", spec.Name, w.out)
		default:
		}
		if !strings.Contains(w.out.String(), " ready.") {
			return errors.New("it is not ready")
		}
		return nil
	})
}

// twin starts another worker of a name. Only the first can be signalled afterwards.
func (s *realStage) twin(spec broker.Spec) {
	s.t.Helper()
	first := s.workers[spec.Name]
	s.start(spec)
	s.workers[spec.Name] = first
}

// killChild kills the youngest child that executes: of a pool of one there is only one.
func (s *realStage) killChild(worker string) {
	s.t.Helper()
	task := strconv.Itoa(s.workers[worker].pid)
	text, err := os.ReadFile("/proc/" + task + "/task/" + task + "/children")
	if err != nil {
		s.t.Fatalf("find children: %v", err)
	}
	for _, child := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			s.t.Fatalf("kill child: %v", err)
		}
	}
}

func (s *realStage) until(what string, ready func() error) {
	s.t.Helper()
	if err := testenv.WaitFor(s.t.Context(), ready); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func (s *realStage) end(label string) {
	s.t.Helper()
	count := func(what string) int {
		n := 0
		for _, line := range s.log() {
			if line == what+" "+label {
				n++
			}
		}
		return n
	}
	s.until(label+" executes", func() error {
		if began, ended := count("start"), count("end"); began <= ended {
			return fmt.Errorf("it began %d times and ended %d times", began, ended)
		}
		return nil
	})
	before := count("end")
	if err := s.own.LPush(s.t.Context(), "gate:"+label, "go").Err(); err != nil {
		s.t.Fatal(err)
	}
	s.until(label+" ends", func() error {
		if count("end") <= before {
			return errors.New("it has not ended")
		}
		return nil
	})
}

func (s *realStage) signal(worker string, group bool, sig syscall.Signal) {
	s.t.Helper()
	pid := s.workers[worker].pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatalf("signal %s: %v", worker, err)
	}
}

func (s *realStage) terminate(worker string) { s.signal(worker, false, syscall.SIGTERM) }
func (s *realStage) freeze(worker string)    { s.signal(worker, false, syscall.SIGSTOP) }
func (s *realStage) thaw(worker string)      { s.signal(worker, false, syscall.SIGCONT) }

func (s *realStage) kill(worker string) {
	s.signal(worker, true, syscall.SIGKILL)
	<-s.workers[worker].done
}

// cut cuts every connection to the broker but our own.
func (s *realStage) cut() {
	s.t.Helper()
	for _, kind := range []string{"normal", "pubsub"} {
		if err := s.redis.Do(s.t.Context(), "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
			s.t.Fatalf("cut connections: %v", err)
		}
	}
}

// wedge asks for what a worker cannot answer: arguments that its serializer cannot carry (section 4.6). Production code never does.
func (s *realStage) wedge(worker string) {
	s.t.Helper()
	const frame = `{"body":"{\"method\":\"active\",\"arguments\":{},\"destination\":null,\"ticket\":\"t\",\"reply_to\":{\"exchange\":\"\",\"routing_key\":\"nobody\"}}",
		"content-encoding":"utf-8","content-type":"application/json","headers":{},"properties":{"delivery_tag":"t"}}`
	if err := s.redis.Publish(s.t.Context(), "/0.celery.pidbox", frame).Err(); err != nil {
		s.t.Fatal(err)
	}
	s.until("it cannot encode its answer", func() error {
		if !strings.Contains(s.workers[worker].out.String(), "EncodeError") {
			return errors.New("it has not complained")
		}
		return nil
	})
}

// elapse waits. Time itself is what the script is about here.
func (s *realStage) elapse(d time.Duration) { time.Sleep(d) }

func (s *realStage) client() client { return s.adapter }

func (s *realStage) lists() (map[string]int, int) {
	waiting := map[string]int{}
	for _, q := range queues {
		for _, key := range []string{q, q + "\x06\x163", q + "\x06\x166", q + "\x06\x169"} {
			if n := int(s.redis.LLen(s.t.Context(), key).Val()); n > 0 {
				waiting[q] += n
			}
		}
	}
	return waiting, int(s.redis.HLen(s.t.Context(), "unacked").Val())
}

func (s *realStage) log() []string {
	return s.own.LRange(s.t.Context(), "log", 0, -1).Val()
}

func (s *realStage) gone() []string {
	var names []string
	for name, w := range s.workers {
		select {
		case <-w.done:
			names = append(names, name)
		default:
		}
	}
	return slices.Sorted(slices.Values(names))
}

// steady is for how long the real thing has to look like the model: what happens too much comes late.
const steady = 700 * time.Millisecond

// settle waits until the real thing looks as the model did, and goes on to do so.
func (s *realStage) settle(look func() (picture, error), want *picture) picture {
	var last picture
	var since time.Time
	_ = testenv.WaitFor(s.t.Context(), func() error {
		got, err := look()
		if err != nil {
			return err
		}
		last = got
		if !cmp.Equal(*want, got) {
			since = time.Time{}
			return errors.New("it does not look like the model")
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < steady {
			return errors.New("it may change yet")
		}
		return nil
	})
	return last
}
