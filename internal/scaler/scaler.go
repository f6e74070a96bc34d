// Package scaler holds the three use cases of Sluice: scale out on an event, check all targets, scale one in.
//
// Each of them observes (the fleet and the brokers, in parallel, each within a budget of time), turns what was seen into
// signals, lets package policy decide, writes one record of the decision, and only then acts. What could not be seen is
// carried along as unknown, with its cause, so that one broken broker or service spoils nothing but its own targets.
//
// Nothing is remembered between calls but one thing, and that only to save calls: which demand was answered a moment ago
// (see coalesce). Everything else lives in the state machine's data, in the tags of the ECS service or in the broker.
//
// The package knows neither AWS nor Redis: it declares the small interfaces that it needs, Broker and Fleet.
package scaler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/policy"
)

// Source is where the knowledge of executing tasks comes from.
type Source string

// The sources of activity.
const (
	SourceInspect Source = "inspect" // The workers are asked.
	SourceCounter Source = "counter" // The application keeps a counter in the broker.
	SourceNone    Source = "none"    // The workers protect themselves: only tasks without protection are let go.
)

// Target is one service, the queues that it drains, and its policy.
type Target struct {
	Name       string
	Ref        policy.ServiceRef
	Broker     string // The name of its broker.
	Queues     []string
	Limits     policy.Limits
	Windows    []Window // Times with bounds of their own, the weightiest first.
	DryRun     bool     // Decisions are recorded, and nothing is done. A tag overrides it.
	Source     Source
	CounterKey string        // With SourceCounter.
	FloorHold  time.Duration // How long an event's scale_to is kept as a floor if the event does not say; 0 is not at all.
	// Shield is for how long each check protects the tasks that have worked on one message for over a minute; 0 is not at all.
	Shield time.Duration
}

// Options are what a Scaler is made of.
type Options struct {
	Targets []Target
	Brokers map[string]Broker // By the names that the targets use.
	Fleet   Fleet
	Log     *slog.Logger
	// Observer is told what is logged; nil: nobody.
	Observer Observer
	Now      func() time.Time
	// Sleep waits, or returns ctx's error if that ends first; nil: with a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Together calls the functions side by side and returns when all have; nil: each in a goroutine. A simulator calls them
	// one after the other.
	Together func(calls ...func())
	// EventSource and EventDetailType are what an EventBridge event has to carry to be ours.
	EventSource, EventDetailType string
	// Coalesce is how long a demand that was answered answers the same demand again without a call to ECS.
	Coalesce time.Duration
}

// Budgets of time. A scale-out must not wait for a broker that is slow: the event itself says that there is work.
// A check has the time, and a worker that is busy on one processor needs up to a tenth of a second to answer.
const (
	scaleOutLook     = 500 * time.Millisecond
	scaleOutPatience = 250 * time.Millisecond
	checkLook        = 4 * time.Second
	checkPatience    = time.Second
	// maxLookAge is how old a look may be, ECS's part of it included, when a count is lowered because of it. It takes some tenths of a
	// second, unless ECS is slow.
	maxLookAge = 5 * time.Second
	// beatsBudget is a little more than the 2 s between the heartbeats of a Celery worker.
	beatsBudget = 2500 * time.Millisecond
)

// What one sweep takes on; the rest waits for the next.
//
// Step Functions bears 256 KiB of data and 32,768 characters in the cause of a failed execution. maxAnswer bounds the bytes of Check's
// answer, which has about 450 for a target. maxActs and maxErrorBytes, of JSON with its quotes, bound what the machine makes of the
// results: see TestLimits of package stepfunctions.
//
// A target keeps its place in the machine's Map, which has mapWidth of them, while it settles and while its calls are tried again.
// Lambda may throttle a call for maxThrottled before the machine gives it up. The machine itself gives up after an hour and a half:
// maxSweep leaves a margin for Check before and for the calls themselves.
const (
	maxActs       = 250
	maxAnswer     = 250_000
	maxErrorBytes = 200
	mapWidth      = 40
	maxThrottled  = 190 * time.Second
	maxSweep      = 80 * time.Minute
)

// Scaler carries out the use cases. It is safe for concurrent use.
type Scaler struct {
	Options
	byName  map[string]Target
	byQueue map[string][]Target
	sharing map[string][]Target // By broker: all the targets that share it.

	mu       sync.Mutex
	answered map[string]answer // By target; see coalesce.
}

// New returns a scaler for the targets. It refuses targets that name a broker that is not there.
func New(o Options) (*Scaler, error) {
	s := &Scaler{
		Options: o, answered: map[string]answer{},
		byName: map[string]Target{}, byQueue: map[string][]Target{}, sharing: map[string][]Target{},
	}
	if s.Sleep == nil {
		s.Sleep = sleep
	}
	if s.Together == nil {
		s.Together = together
	}
	for _, t := range o.Targets {
		if _, ok := o.Brokers[t.Broker]; !ok {
			return nil, &policy.Error{
				Kind: policy.InvalidConfig, Err: fmt.Errorf("target %s: no broker named %q", t.Name, t.Broker),
			}
		}
		s.byName[t.Name] = t
		s.sharing[t.Broker] = append(s.sharing[t.Broker], t)
		for _, q := range t.Queues {
			s.byQueue[q] = append(s.byQueue[q], t)
		}
	}
	return s, nil
}

// sleep waits in real time.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// together calls each function in a goroutine of its own.
func together(calls ...func()) {
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(call)
	}
	wg.Wait()
}
