package lambda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/lab/testenv"
)

// soon makes retries quick.
func soon(a Async) Async {
	a.RetryDelays = []time.Duration{time.Millisecond}
	a.ThrottleDelay, a.ThrottleMax = time.Millisecond, 5*time.Millisecond
	return a
}

// attempts collects attempts.
type attempts struct {
	mu  sync.Mutex
	all []Attempt
}

func (a *attempts) add(x Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, x)
}

func (a *attempts) count(ok func(Attempt) bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, x := range a.all {
		if ok(x) {
			n++
		}
	}
	return n
}

func waitLetters(t *testing.T, h *Host, n int) []DeadLetter {
	t.Helper()
	if err := testenv.WaitFor(t.Context(), func() error {
		if got := len(h.DeadLetters()); got < n {
			return fmt.Errorf("%d dead letters", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return h.DeadLetters()
}

func TestDeadLetters(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fn      Function
		payload string
		want    DeadLetter
	}{
		{
			"function error, two retries by default",
			Function{Async: soon(Async{})},
			`{"do":"fail"}`,
			DeadLetter{Reason: RetriesExhausted, Attempts: 3, ErrorCode: 200, ErrorType: "errorString", ErrorMessage: "it went wrong"},
		},
		{
			"no retries",
			Function{Async: soon(Async{NoRetry: true})},
			`{"do":"fail"}`,
			DeadLetter{Reason: RetriesExhausted, Attempts: 1, ErrorCode: 200, ErrorType: "errorString", ErrorMessage: "it went wrong"},
		},
		{
			"too old before the first retry",
			Function{Async: Async{MaxAge: 30 * time.Second}}, // It would be tried again after a minute.
			`{"do":"fail"}`,
			DeadLetter{Reason: EventAgeExceeded, Attempts: 1, ErrorCode: 200, ErrorType: "errorString", ErrorMessage: "it went wrong"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told attempts
			letters := make(chan DeadLetter, 10)
			h := start(t, tt.fn, Options{OnAttempt: told.add, OnDeadLetter: func(l DeadLetter) { letters <- l }})
			id, err := h.InvokeAsync("fn", []byte(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			got := <-letters
			tt.want.Function, tt.want.RequestID, tt.want.Payload = "fn", id, []byte(tt.payload)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(DeadLetter{}, "At")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]DeadLetter{got}, h.DeadLetters()); diff != "" {
				t.Errorf("the queue: %s", diff)
			}
			if n := told.count(func(a Attempt) bool { return a.RequestID == id && a.Async }); n != tt.want.Attempts {
				t.Errorf("%d attempts under the same request id, want %d", n, tt.want.Attempts)
			}
		})
	}
}

// An event that no dead-letter queue takes is lost, and is told as such.
func TestLostEvents(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue func(DeadLetter) error
		want  string
	}{
		{"the queue refuses", func(DeadLetter) error { return errors.New("access denied") }, "access denied"},
		{"no queue", nil, "the function has no dead-letter queue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			letters := make(chan DeadLetter, 10)
			h, err := Start(Options{
				Functions:    []Function{{Name: "fn", Bootstrap: bootstrap, Async: Async{NoRetry: true}, DeadLetters: tt.queue}},
				OnDeadLetter: func(l DeadLetter) { letters <- l },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			if _, err := h.InvokeAsync("fn", []byte(`{"do":"fail"}`)); err != nil {
				t.Fatal(err)
			}
			if l := <-letters; l.Lost != tt.want || l.ErrorMessage != "it went wrong" {
				t.Errorf("letter %+v", l)
			}
			if l := h.DeadLetters(); len(l) != 0 {
				t.Errorf("in the queue: %+v", l)
			}
		})
	}
}

// Throttled events wait their turn and are not given up, however many attempts that takes.
func TestThrottledEventsAreRetriedUntilTheyRun(t *testing.T) {
	var told attempts
	h := start(t, Function{Reserved: 1, Timeout: time.Minute, Async: soon(Async{NoRetry: true})}, Options{OnAttempt: told.add})
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.InvokeAsync("fn", fmt.Appendf(nil, `{"do":"wait","name":%q}`, gate)); err != nil {
		t.Fatal(err)
	}
	const events = 20
	for range events {
		if _, err := h.InvokeAsync("fn", []byte(fmt.Sprintf(`{"do":"wait","name":%q}`, gate))); err != nil {
			t.Fatal(err)
		}
	}
	throttled := func(a Attempt) bool {
		var e *Error
		return errors.As(a.Err, &e) && e.Code == "TooManyRequestsException"
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if told.count(throttled) < 3*events {
			return errors.New("hardly throttled yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if n := told.count(func(a Attempt) bool { return a.Err == nil }); n < events+1 {
			return fmt.Errorf("%d events ran", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if l := h.DeadLetters(); len(l) != 0 {
		t.Errorf("dead letters: %v", l)
	}
	if n := h.fns["fn"].started; n != 1 {
		t.Errorf("%d instances with a reserved concurrency of 1", n)
	}
}

func TestThrottledEventsGrowTooOld(t *testing.T) {
	a := soon(Async{MaxAge: 30 * time.Millisecond})
	h := start(t, Function{Reserved: 1, Timeout: time.Hour, Async: a}, Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.InvokeAsync("fn", fmt.Appendf(nil, `{"do":"wait","name":%q}`, gate)); err != nil {
			t.Fatal(err)
		}
		waitRunning(t, h) // The first is there for ever.
	}
	l := waitLetters(t, h, 1)[0]
	if l.Reason != EventAgeExceeded || l.ErrorCode != 429 || l.ErrorType != "TooManyRequestsException" || l.Attempts != 0 {
		t.Errorf("letter %+v", l)
	}
}

func TestClosingDropsWaitingEvents(t *testing.T) {
	var told attempts
	h := start(t, Function{}, Options{OnAttempt: told.add}) // Lambda's own delays: a minute.
	if _, err := h.InvokeAsync("fn", []byte(`{"do":"fail"}`)); err != nil {
		t.Fatal(err)
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if told.count(func(Attempt) bool { return true }) == 0 {
			return errors.New("no attempt")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.InvokeAsync("fn", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("an event after Close: %v", err)
	}
}
