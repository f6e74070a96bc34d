// Package lambda runs functions as AWS Lambda does: their shipped `bootstrap` binaries, over the Lambda Runtime API.
//
// A bootstrap is an ordinary process. It finds the address of the Runtime API in its environment, asks there for its next
// invocation, answers, and asks again. The host gives each instance an API address of its own, starts an instance when
// no warm one is free, and keeps it warm afterwards. An instance handles one invocation at a time, so the number of
// instances of a function is its concurrency, which can be reserved; above that, callers are throttled.
//
// What callers meet in Lambda they meet here: time-outs that kill the instance, crashes, errors of the function, limits
// of payloads, and asynchronous invocations that are retried and end in a dead-letter queue with the reason. What is left
// out: the freezing of idle instances, streaming, extensions, layers, versions other than $LATEST, and any isolation.
//
// No process outlives the host: Close kills them all, and the kernel does if the host is killed itself.
// See https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and .../API_Invoke.html.
package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The limits of Lambda, as its documentation of Invoke states them: 6 MB each way for a synchronous invocation, and 1 MB
// for an asynchronous one (it was 256 KB until October 2025).
const (
	MaxSyncPayload  = 6 << 20
	MaxAsyncPayload = 1 << 20
)

// accountConcurrency is how many instances of functions without a reservation Lambda runs for a new account.
const accountConcurrency = 1000

// initLimit is how long an instance may take from its start until it asks for its first invocation.
const initLimit = 10 * time.Second

// Function is one function and how it is run.
type Function struct {
	Name      string
	Bootstrap string            // Path of the executable.
	Root      string            // The folder with the function's other files, its LAMBDA_TASK_ROOT; that of Bootstrap if empty.
	Env       map[string]string // On top of what Lambda itself sets; it may override it.
	Timeout   time.Duration     // 3 s if zero, as in Lambda.
	MemoryMB  int               // 128 if zero. It is only told to the function, not enforced.
	Reserved  int               // Reserved concurrency; 0 means none is reserved.
	LogFormat string            // Text, which is Lambda's default, or JSON. It is only told to the function.
	Async     Async
	// DeadLetters puts an event that was given up into the function's dead-letter queue. Nil if it has none: the event is lost.
	DeadLetters func(DeadLetter) error
}

// Async says what happens to asynchronous invocations that fail. The zero value is what Lambda does by default.
type Async struct {
	// NoRetry is MaximumRetryAttempts = 0; else Retries is that number, or 2 if it is zero.
	NoRetry bool
	Retries int
	// MaxAge is MaximumEventAge: 6 hours if zero.
	MaxAge time.Duration
	// RetryDelays are the waits after the first, second, ... failure of the function; the last one repeats. Lambda waits
	// 1 and 2 minutes, which is the default.
	RetryDelays []time.Duration
	// ThrottleDelay is the first wait after a throttled attempt; it doubles each time up to ThrottleMax. The
	// actual wait is between half of that and all of it. Lambda waits 1 second up to 5 minutes, which is the default.
	// Throttled attempts do not count as retries: only age ends them.
	ThrottleDelay, ThrottleMax time.Duration
}

// Options configure a Host.
type Options struct {
	Functions []Function
	Region    string    // us-east-1 if empty.
	Account   string    // 000000000000 if empty.
	Log       io.Writer // Gets each line that a function prints, after its name. Nothing is logged if nil.
	// OnLine is called for each line that a function prints, from one goroutine at a time for each instance. It must not block.
	OnLine func(Line)
	// OnAttempt is called after each attempt to run a function, also those that were throttled. It must not block.
	OnAttempt func(Attempt)
	// OnDeadLetter is called for each event that is given up, with a queue or without. It must not block.
	OnDeadLetter func(DeadLetter)
}

// Attempt is one attempt to run a function, and its result.
type Attempt struct {
	Function  string
	RequestID string
	Async     bool
	Number    int // 1 for the first attempt.
	Payload   []byte
	Result    Result
	Err       error // The invocation did not run: *Error, such as a TooManyRequestsException.
	Started   time.Time
	Duration  time.Duration // Of the invocation, the start of the instance not included.
	Init      time.Duration // How long the instance took to start; 0 for a warm one.
	Log       []string      // The lines that the instance printed during the attempt.
}

// Result is what an invocation that ran gave.
type Result struct {
	RequestID string
	Payload   []byte // The function's answer, or its error as {"errorMessage", "errorType"}.
	// FunctionError is empty if all went well, else "Unhandled", as in the header X-Amz-Function-Error.
	FunctionError string
	Log           []string
}

// Error is an answer of the Lambda API that says that the function did not run.
type Error struct {
	Status  int    // The HTTP status.
	Code    string // Such as "TooManyRequestsException".
	Message string
	Reason  string // Why a caller was throttled; else empty.
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// ErrClosed is returned for invocations of a host that is closed, or closes meanwhile.
var ErrClosed = errors.New("the lambda host is closed")

// Host runs functions. Its methods may be called concurrently.
type Host struct {
	opts   Options
	names  []string
	ctx    context.Context
	cancel context.CancelFunc
	procs  *spawner
	wg     sync.WaitGroup // Asynchronous events and instances.
	log    *lineLog

	mu      sync.Mutex
	fns     map[string]*function
	letters []DeadLetter
	closed  bool
}

// function is a Function with its instances.
type function struct {
	Function
	stopped bool        // See Stop.
	running int         // Invocations in progress.
	warm    []*instance // Idle instances, the most recently used last.
	started int         // Instances ever started, for their names.
}

// Start makes a host for the functions. It starts no instance yet: the first invocation of a function does. It returns
// an error for a function without a name or whose bootstrap cannot be executed.
func Start(opts Options) (*Host, error) {
	if opts.Region == "" {
		opts.Region = "us-east-1"
	}
	if opts.Account == "" {
		opts.Account = "000000000000"
	}
	h := &Host{opts: opts, fns: map[string]*function{}, log: &lineLog{w: opts.Log, onLine: opts.OnLine}}
	for _, f := range opts.Functions {
		if f.Name == "" {
			return nil, errors.New("add function: it has no name")
		}
		path, err := filepath.Abs(f.Bootstrap)
		if err != nil {
			return nil, fmt.Errorf("add function %s: %w", f.Name, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("add function %s: %w", f.Name, err)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return nil, fmt.Errorf("add function %s: %s is not an executable file", f.Name, path)
		}
		f.Bootstrap = path
		if f.Root == "" {
			f.Root = filepath.Dir(path)
		}
		if info, err := os.Stat(f.Root); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("add function %s: %s is no folder", f.Name, f.Root)
		}
		if f.LogFormat == "" {
			f.LogFormat = "Text"
		}
		if f.Timeout == 0 {
			f.Timeout = 3 * time.Second
		}
		if f.MemoryMB == 0 {
			f.MemoryMB = 128
		}
		h.fns[f.Name] = &function{Function: f}
		h.names = append(h.names, f.Name)
	}
	slices.Sort(h.names)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.procs = newSpawner()
	return h, nil
}

// ARN returns the ARN of the function with this name.
func (h *Host) ARN(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", h.opts.Region, h.opts.Account, name)
}

// Close kills all instances, drops the events that wait for a retry, and returns when every process is gone.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	h.procs.close()
	return nil
}
