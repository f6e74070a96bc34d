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
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sluice/internal/celery"
	"sluice/lab/testenv"
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
	cmd.Dir = filepath.Join(testenv.Root(), "lab", "sim", "broker", "testdata")
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
