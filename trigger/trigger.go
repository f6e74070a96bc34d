// Package trigger asks Sluice for workers, from a producer written in Go: it sends the event that starts them through
// EventBridge.
//
// Call Trigger whenever a message has been put into a queue. Calls are coalesced per target and queue, so that a burst
// costs a bounded number of events: the first one goes out at once, and what is asked for within the window after it
// (one second by default) goes out together when the window ends, if it asks for more than has been sent. Then the next
// window begins. So there are at most two events in the first window and one in each that follows, whatever the rate; a
// higher wish is late by at most one window, and never lost: should sending fail it is tried again until Flush or Close.
//
// An event carries the OpenTelemetry span of the context that it was asked for with, so that Sluice's own spans continue the trace.
//
// An event is a hint, and Sluice's own sweep makes a lost one good. So a producer should log an error of Trigger and go on.
package trigger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// What Options stand for when they are empty; the same as in sluice.yaml.
const (
	DefaultSource     = "custom.celery.monitor"
	DefaultDetailType = "celery.task.queue_full"
	DefaultWindow     = time.Second
)

// sendLimit bounds a send that no caller waits for.
const sendLimit = 10 * time.Second

// maxPause bounds the pause between two tries to send, which doubles with each failure.
const maxPause = time.Minute

// API is the part of EventBridge that is used. *eventbridge.Client is one.
type API interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Options say where events go and how often. The zero value is what Sluice is deployed with.
type Options struct {
	Source     string        // DefaultSource if empty.
	DetailType string        // DefaultDetailType if empty.
	Bus        string        // Name or ARN of the event bus; the default bus if empty.
	Window     time.Duration // DefaultWindow if zero; negative sends every event at once.
	// OnError hears of events that could not be sent at the end of a window, and will be tried again. It may be nil.
	OnError func(error)
}

// EntryError is the answer of EventBridge that it did not take an event.
type EntryError struct {
	Code    string // Such as "MalformedDetail"; see the documentation of PutEvents.
	Message string
}

func (e *EntryError) Error() string { return e.Code + ": " + e.Message }

// ErrClosed is returned for events after Close.
var ErrClosed = errors.New("the trigger is closed")

// Trigger sends events. Its methods may be called concurrently.
type Trigger struct {
	api  API
	opts Options

	mu     sync.Mutex
	keys   map[key]*window
	closed bool
	ctx    context.Context // Of the sends that no caller waits for.
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New makes a Trigger.
func New(api API, opts Options) *Trigger {
	if opts.Source == "" {
		opts.Source = DefaultSource
	}
	if opts.DetailType == "" {
		opts.DetailType = DefaultDetailType
	}
	if opts.Window == 0 {
		opts.Window = DefaultWindow
	}
	if opts.OnError == nil {
		opts.OnError = func(error) {}
	}
	t := &Trigger{api: api, opts: opts, keys: map[key]*window{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Trigger asks for workers. It sends the event and returns what came of that, or, if one for the same target and queue
// has been sent just now, returns nil at once and sends at the end of the window what is still to be asked for. It
// returns an error for an event that makes no sense; an *EntryError is EventBridge's.
func (t *Trigger) Trigger(ctx context.Context, e Event) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("trigger: %w", err)
	}
	e = e.asked(ctx)
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return ErrClosed
	}
	if t.opts.Window < 0 {
		t.mu.Unlock()
		return t.send(ctx, e)
	}
	if w := t.keys[e.key()]; w != nil {
		w.add(e)
		t.mu.Unlock()
		return nil
	}
	w := &window{flying: make(chan struct{})}
	t.keys[e.key()] = w
	t.mu.Unlock()
	err := t.send(ctx, e)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.landed(e.key(), w, e, err)
	return err
}

// Flush sends what waits for the end of a window now, and returns when everything that was asked for before has been
// sent, or has failed: with those errors.
func (t *Trigger) Flush(ctx context.Context) error {
	t.mu.Lock()
	keys := make([]key, 0, len(t.keys))
	for k := range t.keys {
		keys = append(keys, k)
	}
	t.mu.Unlock()
	var errs []error
	for _, k := range keys {
		errs = append(errs, t.flush(ctx, k))
	}
	return errors.Join(errs...)
}

// Close is Flush, and takes no events afterwards. What could not be sent within ctx is given up, and is in the error.
func (t *Trigger) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	err := t.Flush(ctx)
	t.cancel()
	t.mu.Lock()
	for _, w := range t.keys {
		if w.timer != nil && w.timer.Stop() {
			t.wg.Done()
		}
	}
	t.keys = map[key]*window{}
	t.mu.Unlock()
	t.wg.Wait()
	return err
}

// send sends one event.
func (t *Trigger) send(ctx context.Context, e Event) error {
	entry := types.PutEventsRequestEntry{
		Source: &t.opts.Source, DetailType: &t.opts.DetailType, Detail: aws.String(e.detail()),
	}
	if t.opts.Bus != "" {
		entry.EventBusName = &t.opts.Bus
	}
	out, err := t.api.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry}})
	if err != nil {
		return fmt.Errorf("put event: %w", err)
	}
	if out.FailedEntryCount == 0 {
		return nil
	}
	failed := &EntryError{Code: "Unknown", Message: "EventBridge did not say why"}
	for _, res := range out.Entries {
		if res.ErrorCode != nil {
			failed.Code, failed.Message = *res.ErrorCode, aws.ToString(res.ErrorMessage)
		}
	}
	return fmt.Errorf("put event: %w", failed)
}
