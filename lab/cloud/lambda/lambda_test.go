package lambda

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/lab/testenv"
)

// bootstrap is the test function, built once by TestMain.
var bootstrap string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-lambda")
	if err != nil {
		panic(err)
	}
	bootstrap = filepath.Join(dir, "bootstrap")
	if out, err := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/fn").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the test function: %v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// start starts a host with one function, "fn". It has a dead-letter queue, unless the function comes with one, and the time that
// it needs on a busy machine, unless it comes with a time-out.
func start(t *testing.T, f Function, opts Options) *Host {
	t.Helper()
	f.Name, f.Bootstrap, f.Timeout = "fn", bootstrap, cmp.Or(f.Timeout, time.Minute)
	if f.DeadLetters == nil {
		f.DeadLetters = func(DeadLetter) error { return nil }
	}
	opts.Functions = []Function{f}
	h, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// waitRunning waits until an invocation is in progress.
func waitRunning(t *testing.T, h *Host) {
	t.Helper()
	if err := testenv.WaitFor(t.Context(), func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.fns["fn"].running == 0 {
			return errors.New("no invocation is in progress")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

type seen struct {
	Count     int    `json:"count"`
	PID       int    `json:"pid"`
	RequestID string `json:"request_id"`
	ARN       string `json:"arn"`
	LeftMS    int    `json:"left_ms"`
	Trace     string `json:"trace"`
}

func invoke(t *testing.T, h *Host, payload string) Result {
	t.Helper()
	res, err := h.Invoke(t.Context(), "fn", []byte(payload))
	if err != nil {
		t.Fatalf("invoke %s: %v", payload, err)
	}
	return res
}

func invokeSeen(t *testing.T, h *Host) seen {
	t.Helper()
	res := invoke(t, h, `{}`)
	var s seen
	if err := json.Unmarshal(res.Payload, &s); err != nil || res.FunctionError != "" {
		t.Fatalf("answer %s, %s: %v", res.Payload, res.FunctionError, err)
	}
	if s.RequestID != res.RequestID {
		t.Errorf("the function saw request id %q, the caller %q", s.RequestID, res.RequestID)
	}
	return s
}

func TestWarmInstanceIsUsedAgain(t *testing.T) {
	h := start(t, Function{Timeout: 20 * time.Second}, Options{Region: "eu-central-1", Account: "123456789012"})
	first, second := invokeSeen(t, h), invokeSeen(t, h)
	if first.PID != second.PID || second.Count != 2 {
		t.Errorf("the second invocation ran in process %d as number %d, the first in %d", second.PID, second.Count, first.PID)
	}
	if want := "arn:aws:lambda:eu-central-1:123456789012:function:fn"; first.ARN != want {
		t.Errorf("arn %q, want %q", first.ARN, want)
	}
	if first.LeftMS < 5_000 || first.LeftMS > 20_000 { // By default it would be 3 s.
		t.Errorf("%d ms until the deadline, want about 20 s", first.LeftMS)
	}
	if !strings.HasPrefix(first.Trace, "Root=1-") {
		t.Errorf("trace header %q", first.Trace)
	}
}

func TestErrorsOfFunctions(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		env           map[string]string
		kind, message string
		survives      bool
		timeout       time.Duration
	}{
		{name: "returned error", payload: `{"do":"fail"}`, kind: "errorString", message: "it went wrong", survives: true},
		{name: "panic", payload: `{"do":"panic"}`, kind: "string", message: "out of luck"},
		{
			name: "exit", payload: `{"do":"exit"}`, kind: "Runtime.ExitError",
			message: "RequestId: <id> Error: Runtime exited with error: exit status 7",
		},
		{
			name: "exit before the first invocation", payload: `{}`, env: map[string]string{"FAIL_INIT": "1"}, kind: "Runtime.ExitError",
			message: "RequestId: <id> Error: Runtime exited with error: exit status 3",
		},
		{
			name: "time-out", payload: `{"do":"sleep"}`, timeout: 200 * time.Millisecond, kind: "Sandbox.Timedout",
			message: "RequestId: <id> Error: Task timed out after 0.20 seconds",
		},
		{
			name: "answer too large", payload: `{"do":"big","size":6291456}`, timeout: 20 * time.Second, kind: "Function.ResponseSizeTooLarge",
			message: "Response payload size exceeded maximum allowed payload size (6291456 bytes).",
		},
		{
			name: "wrong type in the event", payload: `{"do":5}`, kind: "UnmarshalTypeError", survives: true,
			message: "json: cannot unmarshal number into Go struct field event.do of type string",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, Function{Timeout: tt.timeout, Env: tt.env}, Options{})
			var before seen
			if tt.survives {
				before = invokeSeen(t, h)
			}
			res := invoke(t, h, tt.payload)
			if res.FunctionError != "Unhandled" {
				t.Errorf("function error %q", res.FunctionError)
			}
			kind, message := errorOf(res.Payload)
			message = strings.ReplaceAll(message, res.RequestID, "<id>")
			if kind != tt.kind || message != tt.message {
				t.Errorf("got %s: %s\nwant %s: %s", kind, message, tt.kind, tt.message)
			}
			if tt.survives {
				if after := invokeSeen(t, h); after.PID != before.PID {
					t.Error("an error of the handler cost the instance")
				}
			} else if tt.env == nil {
				h.fns["fn"].Timeout = time.Minute // Nothing runs that could read it.
				invokeSeen(t, h)                  // A new instance serves the next call.
			}
		})
	}
}

func TestRefusedCalls(t *testing.T) {
	h := start(t, Function{}, Options{})
	for _, tt := range []struct {
		name, fn, payload string
		want              Error
	}{
		{"unknown function", "other", `{}`, Error{Status: 404, Code: "ResourceNotFoundException"}},
		{"not JSON", "fn", `{`, Error{Status: 400, Code: "InvalidRequestContentException"}},
		{"too large", "fn", `"` + strings.Repeat("x", MaxSyncPayload) + `"`, Error{Status: 413, Code: "RequestTooLargeException"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.Invoke(t.Context(), tt.fn, []byte(tt.payload))
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v", err)
			}
			if diff := gocmp.Diff(tt.want, *got, cmpopts.IgnoreFields(Error{}, "Message")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := h.InvokeAsync("fn", []byte(`"`+strings.Repeat("x", MaxAsyncPayload)+`"`)); err == nil {
		t.Error("an asynchronous payload over 1 MB was accepted")
	}
}

func TestReservedConcurrency(t *testing.T) {
	h := start(t, Function{Reserved: 1, Timeout: time.Minute}, Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := h.Invoke(t.Context(), "fn", fmt.Appendf(nil, `{"do":"wait","name":%q}`, gate)); err != nil || string(res.Payload) != `"released"` {
			t.Errorf("first call: %s, %v", res.Payload, err)
		}
	})
	waitRunning(t, h)
	_, err := h.Invoke(t.Context(), "fn", []byte(`{}`))
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("the second call: %v", err)
	}
	want := Error{
		Status: 429, Code: "TooManyRequestsException", Message: "Rate Exceeded.",
		Reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
	}
	if diff := gocmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(gate); err != nil {
		t.Error(err)
	}
	wg.Wait()
	invokeSeen(t, h) // Free again.
}

func TestParallelInstances(t *testing.T) {
	h := start(t, Function{Timeout: 30 * time.Second}, Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if res, err := h.Invoke(t.Context(), "fn", fmt.Appendf(nil, `{"do":"wait","name":%q}`, gate)); err != nil || string(res.Payload) != `"released"` {
				t.Errorf("call: %s, %v", res.Payload, err)
			}
		})
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if n := h.fns["fn"].started; n != 4 {
			return fmt.Errorf("%d instances", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	_ = os.Remove(gate)
	wg.Wait()
}

func TestEnvironmentIsLambdasAndNothingElse(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/somewhere")
	h := start(t, Function{MemoryMB: 256, Env: map[string]string{"SLUICE_CONFIG": "/etc/sluice.yaml"}}, Options{Region: "eu-west-1"})
	for name, want := range map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME":        "fn",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_REGION":                      "eu-west-1",
		"LAMBDA_TASK_ROOT":                filepath.Dir(bootstrap),
		"AWS_LAMBDA_LOG_FORMAT":           "Text",
		"SLUICE_CONFIG":                   "/etc/sluice.yaml",
		"AWS_CA_BUNDLE":                   "",
		"HOME":                            "",
	} {
		if got := string(invoke(t, h, fmt.Sprintf(`{"do":"env","name":%q}`, name)).Payload); got != fmt.Sprintf("%q", want) {
			t.Errorf("%s is %s in the function, want %q", name, got, want)
		}
	}
}

// The code's folder may be another than that of the binary which stands for it.
func TestRootIsTheFunctionsFolder(t *testing.T) {
	root := t.TempDir()
	h := start(t, Function{Root: root}, Options{})
	if got := string(invoke(t, h, `{"do":"env","name":"LAMBDA_TASK_ROOT"}`).Payload); got != fmt.Sprintf("%q", root) {
		t.Errorf("LAMBDA_TASK_ROOT is %s, want %q", got, root)
	}
	if _, err := Start(Options{Functions: []Function{{Name: "fn", Bootstrap: bootstrap, Root: filepath.Join(root, "none")}}}); err == nil {
		t.Error("a folder that does not exist was taken")
	}
}

func TestLogLinesBelongToTheirInvocation(t *testing.T) {
	var out bytes.Buffer
	h := start(t, Function{LogFormat: "JSON"}, Options{Log: &out})
	for range 3 {
		res := invoke(t, h, `{"do":"log"}`)
		if len(res.Log) != 3 || !strings.Contains(res.Log[0], `"desired_count":3`) || res.Log[1] != "plain text" || res.Log[2] != "no end of line" {
			t.Fatalf("log %q", res.Log)
		}
		if res := invoke(t, h, `{}`); len(res.Log) != 0 {
			t.Fatalf("log of a silent invocation: %q", res.Log)
		}
	}
	if n := strings.Count(out.String(), "fn: plain text\n"); n != 3 {
		t.Errorf("the writer got %d of 3 lines", n)
	}
}

func TestInstanceThatDiesWhileIdleIsReplaced(t *testing.T) {
	h := start(t, Function{}, Options{})
	first := invokeSeen(t, h)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	idle := h.fns["fn"].warm[0]
	h.mu.Unlock()
	<-idle.gone
	if second := invokeSeen(t, h); second.PID == first.PID {
		t.Error("a dead process answered")
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	h := start(t, Function{Timeout: time.Hour}, Options{})
	pid := invokeSeen(t, h).PID
	errs := make(chan error, 1)
	go func() {
		_, err := h.Invoke(t.Context(), "fn", []byte(`{"do":"sleep"}`))
		errs <- err
	}()
	waitRunning(t, h)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("the call in progress ended with %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Close: %v", pid, err)
	}
	if _, err := h.Invoke(t.Context(), "fn", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

func TestStartRefusesWhatCannotRun(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Function{
		"missing": {Name: "fn", Bootstrap: filepath.Join(dir, "none")}, "folder": {Name: "fn", Bootstrap: dir},
		"not executable": {Name: "fn", Bootstrap: plain}, "no name": {Bootstrap: bootstrap},
	} {
		if _, err := Start(Options{Functions: []Function{f}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
