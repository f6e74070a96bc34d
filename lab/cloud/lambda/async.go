package lambda

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"sluice/lab/cloud/wire"
)

// Why an event was given up, in Lambda's words.
const (
	RetriesExhausted = "RetriesExhausted"
	EventAgeExceeded = "EventAgeExceeded"
)

// DeadLetter is an event that was given up, as Lambda puts it into the dead-letter queue.
type DeadLetter struct {
	Function     string
	RequestID    string
	Payload      []byte
	Reason       string // RetriesExhausted or EventAgeExceeded.
	Attempts     int    // How often it was tried, throttled attempts not counted.
	ErrorCode    int    // 200 if the function ran and failed, 429 if it was throttled.
	ErrorType    string // Of the last failure.
	ErrorMessage string // Of the last failure, at most 1 KB.
	At           time.Time
	Lost         string // Why it is in no dead-letter queue; empty if it is in one.
}

// maxLetterMessage is how much of an error message Lambda puts beside a dead letter.
const maxLetterMessage = 1024

// InvokeAsync accepts an event for a function and returns its request id at once. The event is run in the background, and
// again if that fails, as the function's Async says. Events for which Close does not wait are lost.
func (h *Host) InvokeAsync(name string, payload []byte) (requestID string, err error) {
	return h.invokeAsync(name, payload, "")
}

func (h *Host) invokeAsync(name string, payload []byte, trace string) (string, error) {
	f, payload, err := h.admit(name, payload, MaxAsyncPayload, "Event")
	if err != nil {
		return "", err
	}
	c := call{id: wire.RandomID(), payload: slices.Clone(payload), async: true, trace: trace}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return "", ErrClosed
	}
	h.wg.Go(func() { h.deliver(f, c) })
	return c.id, nil
}

// DeadLetters returns the events that were put into dead-letter queues so far, oldest first.
func (h *Host) DeadLetters() []DeadLetter {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.letters)
}

// deliver runs an event until it succeeds or is given up.
func (h *Host) deliver(f *function, c call) {
	a := f.Async.withDefaults()
	accepted := time.Now()
	failures, throttles := 0, 0
	for {
		c.number++
		res, err := h.attempt(h.ctx, f, c)
		letter := DeadLetter{Function: f.Name, RequestID: c.id, Payload: c.payload, ErrorCode: 200}
		var wait time.Duration
		var apiErr *Error
		switch {
		case errors.As(err, &apiErr):
			wait = min(a.ThrottleDelay<<min(throttles, 20), a.ThrottleMax)
			// Or all the events of a burst would come back at the same instant, and all but one in vain.
			wait = wait/2 + rand.N(wait/2+1)
			throttles++
			letter.ErrorCode, letter.ErrorType, letter.ErrorMessage = apiErr.Status, apiErr.Code, apiErr.Message
		case err != nil, res.FunctionError == "":
			return // Done, or the host closes.
		default:
			failures++
			letter.ErrorType, letter.ErrorMessage = errorOf(res.Payload)
			if failures > a.Retries {
				letter.Reason = RetriesExhausted
			} else {
				wait = a.RetryDelays[min(failures, len(a.RetryDelays))-1]
			}
		}
		if letter.Reason == "" && time.Since(accepted)+wait > a.MaxAge {
			letter.Reason = EventAgeExceeded
		}
		if letter.Reason != "" {
			letter.Attempts = failures
			h.bury(f, letter)
			return
		}
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// bury puts an event into the function's dead-letter queue.
func (h *Host) bury(f *function, l DeadLetter) {
	l.At = time.Now()
	if len(l.ErrorMessage) > maxLetterMessage {
		l.ErrorMessage = l.ErrorMessage[:maxLetterMessage]
	}
	if f.DeadLetters == nil {
		l.Lost = "the function has no dead-letter queue"
	} else if err := f.DeadLetters(l); err != nil {
		l.Lost = err.Error()
	}
	if l.Lost == "" {
		h.mu.Lock()
		h.letters = append(h.letters, l)
		h.mu.Unlock()
	}
	if h.opts.OnDeadLetter != nil {
		h.opts.OnDeadLetter(l)
	}
}

// errorOf reads the error that a function reported.
func errorOf(payload []byte) (kind, message string) {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return "", string(payload)
	}
	return e.Type, e.Message
}

func (a Async) withDefaults() Async {
	if a.Retries == 0 {
		a.Retries = 2
	}
	if a.NoRetry {
		a.Retries = 0
	}
	if a.MaxAge == 0 {
		a.MaxAge = 6 * time.Hour
	}
	if len(a.RetryDelays) == 0 {
		a.RetryDelays = []time.Duration{time.Minute, 2 * time.Minute}
	}
	if a.ThrottleDelay == 0 {
		a.ThrottleDelay = time.Second
	}
	if a.ThrottleMax == 0 {
		a.ThrottleMax = 5 * time.Minute
	}
	return a
}
