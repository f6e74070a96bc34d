package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

// Event asks for workers. Where there is just one target, it need not be named.
type Event struct {
	Target string // The target in sluice.yaml.
	Queue  string // A queue of the target, in place of its name.
	// ScaleTo is how many workers there should be at least. Nil lets Sluice work it out from the queue.
	ScaleTo *int
	// Hold keeps ScaleTo as a floor for so long, in whole seconds, rounded up. Zero leaves that to sluice.yaml.
	Hold time.Duration

	since time.Time // When it was asked for.
	trace carried
}

// carried is the span that asked, in the form of the W3C's Trace Context; empty if there was none. The members are those of the detail.
type carried struct {
	Parent string `json:"traceparent,omitempty"`
	State  string `json:"tracestate,omitempty"`
}

// asked is the event with who asked, and when: Sluice measures how long it takes, and continues the trace.
func (e Event) asked(ctx context.Context) Event {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	e.since, e.trace = time.Now(), carried{c["traceparent"], c["tracestate"]}
	return e
}

// key says which events are for the same workers.
type key struct{ target, queue string }

func (e Event) key() key { return key{e.Target, e.Queue} }

func (e Event) check() error {
	if e.ScaleTo != nil && *e.ScaleTo < 1 {
		return errors.New("the event's ScaleTo is below 1: leave it nil to let Sluice work it out")
	}
	if e.Hold < 0 {
		return errors.New("the event's Hold is negative")
	}
	if e.Hold > 0 && e.ScaleTo == nil {
		return errors.New("there is a Hold, and no ScaleTo that it could hold")
	}
	return nil
}

// detail is the event's detail as Sluice reads it.
func (e Event) detail() string {
	text, _ := json.Marshal(struct { // Strings and numbers always encode.
		Target      string `json:"target,omitempty"`
		Queue       string `json:"queue,omitempty"`
		ScaleTo     *int   `json:"scale_to,omitempty"`
		HoldSeconds int64  `json:"hold_seconds,omitempty"`
		carried
		SentAt time.Time `json:"sent_at"`
	}{
		e.Target, e.Queue, e.ScaleTo, int64((e.Hold + time.Second - 1) / time.Second),
		e.trace, e.since.UTC().Truncate(time.Millisecond),
	})
	return string(text)
}

// merge is one event that asks for what both ask for: the higher count and the longer hold. An event without ScaleTo is
// contained in any other, since Sluice looks at the queue in any case. It is of the time and the trace of the first, who waits longest.
func merge(a, b Event) Event {
	if a.ScaleTo == nil || b.ScaleTo != nil && *b.ScaleTo > *a.ScaleTo {
		a.ScaleTo = b.ScaleTo
	}
	a.Hold = max(a.Hold, b.Hold)
	return a
}

// covers says whether an event that has been sent makes e needless. It never does where e leaves the count to Sluice: the
// queue has grown since.
func (a Event) covers(e Event) bool {
	return e.ScaleTo != nil && a.ScaleTo != nil && *e.ScaleTo <= *a.ScaleTo && e.Hold <= a.Hold
}
