package celery

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/lab/testenv"
)

// lab is a Redis with the application of testdata/app.py around it: real workers, a real producer, and the gates that hold
// the tasks.
type lab struct {
	t      *testing.T
	python string
	addr   string
	conf   map[string]any
	redis  *redis.Client // For the gates, and to look behind the broker's back.

	sender  io.WriteCloser
	answers *bufio.Reader
}

func newLab(t *testing.T, python, addr string, conf map[string]any) *lab {
	t.Helper()
	l := &lab{t: t, python: python, addr: addr, redis: redis.NewClient(&redis.Options{Addr: addr})}
	l.conf = map[string]any{
		"broker_url": "redis://" + addr + "/0", "broker_connection_retry_on_startup": true,
		"accept_content": []string{"json", "pickle"},
	}
	maps.Copy(l.conf, conf)
	t.Cleanup(func() { _ = l.redis.Close() })
	return l
}

func (l *lab) command(args ...string) *exec.Cmd {
	conf, err := json.Marshal(l.conf)
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(l.python, args...)
	cmd.Dir = filepath.Join(testenv.Root(), "internal", "celery", "testdata")
	cmd.Env = append(os.Environ(), "SLUICE_CELERY="+string(conf), "SLUICE_REDIS=redis://"+l.addr+"/0", "PYTHONDONTWRITEBYTECODE=1",
		"C_FORCE_ROOT=1") // Celery refuses pickle to root, which a container in CI is.
	return cmd
}

// worker is a running Celery worker.
type worker struct {
	name string
	proc *os.Process
	log  *testenv.Output
	done chan struct{}
}

// start starts a worker and waits until it is ready. It is killed, with its pool, at the end of the test.
func (l *lab) start(name string, args ...string) *worker {
	l.t.Helper()
	cmd := l.command(append([]string{"-m", "celery", "-A", "app", "worker", "-n", name, "--loglevel", "INFO"}, args...)...)
	w := &worker{name: name, log: &testenv.Output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w.log, w.log
	if err := testenv.Start(cmd); err != nil {
		l.t.Fatal(err)
	}
	w.proc = cmd.Process
	go func() {
		_ = cmd.Wait()
		close(w.done)
	}()
	l.t.Cleanup(func() {
		_ = syscall.Kill(-w.proc.Pid, syscall.SIGKILL)
		<-w.done
		if l.t.Failed() {
			l.t.Logf("worker %s printed:\n%s", name, w.log)
		}
	})
	l.until("worker "+name+" is ready", func() error {
		select {
		case <-w.done:
			l.t.Fatalf("worker %s ended:\n%s", name, w.log)
		default:
		}
		if !strings.Contains(w.log.String(), " ready.") {
			return fmt.Errorf("it is not ready:\n%s", w.log)
		}
		return nil
	})
	return w
}

// order is one line for testdata/send.py.
type order struct {
	Task    string         `json:"task"`
	Args    []string       `json:"args"`
	Count   int            `json:"count"`
	Set     bool           `json:"set"`
	Options map[string]any `json:"options,omitempty"`
}

// send sends tasks and returns when they are in their queues.
func (l *lab) send(o order) {
	l.t.Helper()
	if l.sender == nil {
		cmd := l.command("send.py")
		errs := &testenv.Output{}
		cmd.Stderr = errs
		in, errIn := cmd.StdinPipe()
		out, errOut := cmd.StdoutPipe()
		if errIn != nil || errOut != nil || cmd.Start() != nil {
			l.t.Fatal("start the sender")
		}
		l.sender, l.answers = in, bufio.NewReader(out)
		l.t.Cleanup(func() {
			_ = in.Close()
			_ = cmd.Wait()
			if l.t.Failed() {
				l.t.Logf("sender printed:\n%s", errs)
			}
		})
	}
	o.Count = max(o.Count, 1)
	line, err := json.Marshal(o)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.sender.Write(append(line, '\n')); err != nil {
		l.t.Fatalf("send tasks: %v", err)
	}
	if _, err := l.answers.ReadString('\n'); err != nil {
		l.t.Fatalf("send tasks: %v", err)
	}
}

// open lets n tasks through a gate.
func (l *lab) open(gate string, n int) {
	l.t.Helper()
	for range n {
		if err := l.redis.LPush(l.t.Context(), "gate:"+gate, "go").Err(); err != nil {
			l.t.Fatal(err)
		}
	}
}

// ended is how many tasks have ended behind a gate.
func (l *lab) ended(gate string) int {
	n, _ := l.redis.Get(l.t.Context(), "ended:"+gate).Int()
	return n
}

func (l *lab) until(what string, ready func() error) {
	l.t.Helper()
	if err := testenv.WaitFor(l.t.Context(), ready); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

// testPatience is how long those have to answer who will, on a busy machine, too. A test in which somebody never answers waits for
// as long, and says how long that is to be.
const testPatience = time.Minute

// newBroker makes a broker that waits for the server and for workers for as long as they need, unless the options say otherwise.
func newBroker(t testing.TB, o Options) *Broker {
	t.Helper()
	o.DialTimeout, o.CommandTimeout = cmp.Or(o.DialTimeout, testPatience), cmp.Or(o.CommandTimeout, testPatience)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	b.waits.control, b.waits.beats = testPatience, testPatience
	return b
}
