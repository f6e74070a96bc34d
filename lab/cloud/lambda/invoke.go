package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/lab/cloud/wire"
)

// Invoke runs a function and waits for its answer. name is the name of the function, or its ARN. The payload has to be
// JSON; an empty one stands for {}. It returns an *Error when the function did not run: unknown, throttled, payload too
// large or not JSON. A function that failed is no error but a Result with FunctionError.
func (h *Host) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	f, payload, err := h.admit(name, payload, MaxSyncPayload, "RequestResponse")
	if err != nil {
		return Result{}, err
	}
	trace, _ := ctx.Value(traceKey{}).(string)
	return h.attempt(ctx, f, call{id: wire.RandomID(), payload: payload, number: 1, trace: trace})
}

// traceKey is where a context has the X-Ray header of the calls.
type traceKey struct{}

// WithTrace has all calls of Invoke with the context belong to one trace of X-Ray.
func WithTrace(ctx context.Context) context.Context {
	return context.WithValue(ctx, traceKey{}, newTrace())
}

// Check is an invocation of type DryRun: it says whether Invoke would accept the call, and runs nothing.
func (h *Host) Check(name string, payload []byte) error {
	_, _, err := h.admit(name, payload, MaxSyncPayload, "DryRun")
	return err
}

// call is an invocation that was accepted.
type call struct {
	id            string
	payload       []byte
	clientContext string
	trace         string
	async         bool
	number        int
}

// admit checks what Lambda checks before it accepts an invocation.
func (h *Host) admit(name string, payload []byte, limit int, kind string) (*function, []byte, error) {
	if i := strings.Index(name, ":function:"); i >= 0 {
		name = name[i+len(":function:"):]
	}
	name = strings.TrimSuffix(name, ":$LATEST")
	h.mu.Lock()
	f := h.fns[name]
	h.mu.Unlock()
	switch {
	case f == nil:
		return nil, nil, &Error{
			Status: 404, Code: "ResourceNotFoundException",
			Message: fmt.Sprintf("Function not found: %s (there are: %s)", h.ARN(name), strings.Join(h.names, ", ")),
		}
	case len(payload) > limit:
		return nil, nil, &Error{
			Status: 413, Code: "RequestTooLargeException",
			Message: fmt.Sprintf("%d byte payload is too large for the %s invocation type (limit %d bytes)",
				len(payload), kind, limit),
		}
	case len(payload) == 0:
		return f, []byte("{}"), nil
	case !json.Valid(payload):
		return nil, nil, &Error{
			Status: 400, Code: "InvalidRequestContentException",
			Message: "Could not parse request body into json",
		}
	}
	return f, payload, nil
}

// attempt runs f once, and tells OnAttempt.
func (h *Host) attempt(ctx context.Context, f *function, c call) (Result, error) {
	if c.trace == "" {
		c.trace = newTrace()
	}
	a := Attempt{
		Function: f.Name, RequestID: c.id, Async: c.async, Number: c.number, Payload: c.payload, Started: time.Now(),
	}
	a.Err = h.run(ctx, f, c, &a)
	if h.opts.OnAttempt != nil && !errors.Is(a.Err, ErrClosed) {
		h.opts.OnAttempt(a)
	}
	return a.Result, a.Err
}

// run takes an instance, gives it the call, and returns the instance or buries it. The result is in a.
func (h *Host) run(ctx context.Context, f *function, c call, a *Attempt) error {
	if err := h.enter(f); err != nil {
		return err
	}
	defer h.leave(f)
	for {
		in, warm, err := h.acquire(f)
		if err != nil {
			return err
		}
		out, err := in.invoke(ctx, c)
		if errors.Is(err, errGone) && warm {
			// It died while it was idle. Lambda would have noticed before; so take the next one, in the end a new one.
			in.kill()
			continue
		}
		if err != nil && !errors.Is(err, errGone) {
			in.kill() // The caller went away, or the host closes.
			return err
		}
		a.Duration, a.Log = out.duration, out.log
		if !warm {
			a.Init = out.init
		}
		a.Result = Result{RequestID: c.id, Payload: out.payload, FunctionError: out.functionError, Log: out.log}
		if out.healthy {
			h.release(f, in)
		} else {
			in.kill()
		}
		return nil
	}
}

// enter counts an invocation in, or says that the function is throttled.
func (h *Host) enter(f *function) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	limit, reason := f.Reserved, "ReservedFunctionConcurrentInvocationLimitExceeded"
	if limit == 0 && !f.stopped {
		limit, reason = accountConcurrency, "ConcurrentInvocationLimitExceeded"
	}
	if f.running >= limit || f.stopped {
		return &Error{Status: 429, Code: "TooManyRequestsException", Message: "Rate Exceeded.", Reason: reason}
	}
	f.running++
	return nil
}

// Stop has a function throttle every call, as a reserved concurrency of zero does, or no longer.
func (h *Host) Stop(name string, stopped bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.fns[name]; f != nil {
		f.stopped = stopped
	}
}

func (h *Host) leave(f *function) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.running--
}

// acquire takes the most recently used warm instance, or starts one.
func (h *Host) acquire(f *function) (in *instance, warm bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false, ErrClosed
	}
	if n := len(f.warm); n > 0 {
		in, f.warm = f.warm[n-1], f.warm[:n-1]
		return in, true, nil
	}
	f.started++
	in, err = h.start(f, f.started)
	return in, false, err
}

// release makes an instance available for the next invocation.
func (h *Host) release(f *function, in *instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.warm = append(f.warm, in)
}

// newTrace makes an X-Ray trace header that is not sampled.
func newTrace() string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", uint32(time.Now().Unix()), hex.EncodeToString(b[:12]),
		hex.EncodeToString(b[12:]))
}
