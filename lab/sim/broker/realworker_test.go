package broker_test

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/lab/sim/broker"
	"sluice/lab/testenv"
)

// process is a worker's main process, the leader of a group of its own.
type process struct {
	pid  int
	out  *testenv.Output
	done chan struct{}
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

// killChild kills all processes of the worker's pool: of a pool of one there is only one that executes.
func (s *realStage) killChild(worker string) {
	s.t.Helper()
	if runtime.GOOS != "linux" {
		s.t.Skip("SKIPPED: children are found in /proc, which only Linux has")
	}
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

func (s *realStage) freeze(worker string) { s.signal(worker, false, syscall.SIGSTOP) }

func (s *realStage) thaw(worker string) { s.signal(worker, false, syscall.SIGCONT) }

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
