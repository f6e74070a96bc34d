package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"sluice/internal/loopback"
)

// errGone says that the process of an instance ended before it took the call.
var errGone = errors.New("the instance is gone")

// instance is one process of a function, with its own Runtime API.
type instance struct {
	fn    *function
	host  *Host
	cmd   *exec.Cmd
	srv   *http.Server
	logs  *logPipe
	born  time.Time
	next  chan *work    // Work for the runtime, taken by its GET .../next.
	gone  chan struct{} // Closed when the process has ended; cause is set then.
	cause string        // How it ended, in Lambda's words.

	mu      sync.Mutex
	current *work // What the runtime is working on.
	initErr []byte
}

// work is a call on its way through an instance.
type work struct {
	call
	taken   chan time.Time // Gets the time when the runtime took it.
	outcome chan answer    // Gets the runtime's answer.
}

// answer is what the runtime posted.
type answer struct {
	payload []byte
	failed  bool
}

// outcome is how a call ended.
type outcome struct {
	payload        []byte
	functionError  string
	healthy        bool // Whether the instance may be used again.
	duration, init time.Duration
	log            []string
}

// start starts a new instance of f. It returns before the runtime is ready.
func (h *Host) start(f *function, n int) (*instance, error) {
	in := &instance{fn: f, host: h, next: make(chan *work), gone: make(chan struct{}), born: time.Now()}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start an instance of %s: %w", f.Name, err)
	}
	in.srv = &http.Server{Handler: loopback.Guard(in.runtimeAPI()), ReadHeaderTimeout: 5 * time.Second}
	if in.logs, err = newLogPipe(f.Name, logStream(n), h.log); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("start an instance of %s: %w", f.Name, err)
	}
	in.cmd = exec.Command(f.Bootstrap)
	in.cmd.Dir = f.Root
	in.cmd.Env = h.environment(f, n, ln.Addr().String())
	in.cmd.Stdout, in.cmd.Stderr = in.logs.w, in.logs.w
	in.cmd.SysProcAttr = instanceAttr()
	if err := h.procs.start(in.cmd); err != nil {
		_ = ln.Close()
		in.logs.close()
		return nil, fmt.Errorf("start an instance of %s: %w", f.Name, err)
	}
	// The process is waited for as long as it lives, and killed when the host closes.
	stop := context.AfterFunc(h.ctx, in.kill)
	h.wg.Go(func() { _ = in.srv.Serve(ln) })
	h.wg.Go(func() {
		err := in.cmd.Wait()
		stop()
		in.cause = exitCause(err)
		in.logs.close()
		close(in.gone)
		_ = in.srv.Close()
	})
	return in, nil
}

// kill ends the process with everything in its group. It does not wait.
func (in *instance) kill() {
	select {
	case <-in.gone:
		return // Its number may be another process's by now.
	default:
	}
	_ = syscall.Kill(-in.cmd.Process.Pid, syscall.SIGKILL)
}

// exitCause says how a process ended as Lambda says it.
func exitCause(err error) string {
	if err == nil {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + err.Error()
}

// invoke gives the call to the runtime and waits for its answer, its death or its time-out. It returns errGone, with an
// outcome that says so to the caller, if the process ended before it took the call.
func (in *instance) invoke(ctx context.Context, c call) (outcome, error) {
	w := &work{call: c, taken: make(chan time.Time, 1), outcome: make(chan answer, 1)}
	in.logs.take() // What was printed between invocations belongs to none.
	limit := time.NewTimer(initLimit)
	defer limit.Stop()
	select {
	case in.next <- w:
	case <-in.gone:
		return in.died(c, time.Now()), errGone
	case <-limit.C:
		return in.failed("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds",
			c.id, initLimit.Seconds()), initLimit), nil
	case <-in.host.ctx.Done():
		return outcome{}, ErrClosed
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	began := <-w.taken
	limit.Reset(in.fn.Timeout)
	select {
	case a := <-w.outcome:
		return in.answered(a, began), nil
	case <-in.gone:
		select {
		case a := <-w.outcome: // It answered and then ended.
			out := in.answered(a, began)
			out.healthy = false
			return out, nil
		default:
			return in.died(c, began), nil
		}
	case <-limit.C:
		return in.failed("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds",
			c.id, in.fn.Timeout.Seconds()), in.fn.Timeout), nil
	case <-in.host.ctx.Done():
		return outcome{}, ErrClosed
	}
	// A caller that goes away does not stop a function that has begun, in Lambda neither.
}

// answered is the outcome of an answer of the runtime.
func (in *instance) answered(a answer, began time.Time) outcome {
	out := outcome{payload: a.payload, healthy: true, duration: time.Since(began), init: began.Sub(in.born)}
	if a.failed {
		out.functionError = "Unhandled"
	}
	out.log = in.logs.take()
	return out
}

// died is the outcome of a process that ended by itself.
func (in *instance) died(c call, began time.Time) outcome {
	in.mu.Lock()
	initErr := in.initErr
	in.mu.Unlock()
	if initErr != nil {
		return outcome{payload: initErr, functionError: "Unhandled", log: in.logs.take(), init: time.Since(in.born)}
	}
	return in.failed("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: %s", c.id, in.cause), time.Since(began))
}

// failed is the outcome of an invocation that Lambda itself reports as failed.
func (in *instance) failed(kind, message string, duration time.Duration) outcome {
	payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // Strings always encode.
	return outcome{payload: payload, functionError: "Unhandled", duration: duration, log: in.logs.take()}
}

// logStream is the name of the log stream of the nth instance.
func logStream(n int) string {
	return fmt.Sprintf("%s/[$LATEST]%032x", time.Now().UTC().Format("2006/01/02"), n)
}

// environment is what Lambda puts into the environment of an instance, then the function's own variables. Nothing of the
// host's own environment is passed on.
func (h *Host) environment(f *function, n int, api string) []string {
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream(n),
		"AWS_LAMBDA_LOG_FORMAT":           f.LogFormat,
		"AWS_REGION":                      h.opts.Region,
		"AWS_DEFAULT_REGION":              h.opts.Region,
		"AWS_ACCESS_KEY_ID":               "local",
		"AWS_SECRET_ACCESS_KEY":           "local",
		"AWS_SESSION_TOKEN":               "local",
		"LAMBDA_TASK_ROOT":                f.Root,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"_HANDLER":                        "bootstrap",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
	}
	for k, v := range f.Env {
		env[k] = v
	}
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return list
}
