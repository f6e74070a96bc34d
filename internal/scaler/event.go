package scaler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

// maxHold bounds how long an event can keep workers up: a floor that outlives everyone's memory is a bill, not a wish.
const maxHold = 7 * 24 * time.Hour

// mostUnderway is the longest that an event takes from its producer to EventBridge, retries included.
const mostUnderway = 24 * time.Hour

// Demand is a wish for workers: what an event says, or the sweep's repair of an event that was lost.
type Demand struct {
	Target  Target
	ScaleTo int           // How many workers are asked for; 0 if the queue alone is to tell.
	Hold    time.Duration // How long to keep them as a floor; 0 is not at all.
	// Direct says that the state machine asks: its demand rests on a look of a moment ago, perhaps after a scale-in, and
	// must not be answered from memory.
	Direct  bool
	Ignored []string  // Fields that mean nothing to us, sorted.
	At      time.Time // When the event was sent, by the producer's or EventBridge's clock; zero if it does not say.
}

// age is how old the event is, in milliseconds; nil if it does not say. Clocks differ a little: it is never negative.
func (d Demand) age(now time.Time) *int64 {
	if d.At.IsZero() {
		return nil
	}
	ms := max(0, now.Sub(d.At).Milliseconds())
	return &ms
}

// envelope is an EventBridge event, or the input of the state machine, which has no detail type.
type envelope struct {
	Source     string          `json:"source"`
	DetailType *string         `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
	Time       json.RawMessage `json:"time"` // In whole seconds.
	Target     *string         `json:"target"`
}

// Demand reads the payload of a scale-out: an EventBridge event, {"source", "detail-type", "detail": {"scale_to",
// "target", "queue", "hold_seconds", "sent_at", "traceparent", "tracestate"}}, all of the detail optional, or {"target"} from the state machine.
//
// Its errors are of kind policy.InvalidEvent or policy.UnknownTarget and name the field and the remedy. Other fields of
// the detail are let pass, since producers put their own there; they are named in the answer, for typing errors' sake.
func (s *Scaler) Demand(payload []byte) (Demand, error) {
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return Demand{}, invalid("event is not an EventBridge event: %w", err)
	}
	if e.DetailType == nil {
		if e.Target == nil {
			return Demand{}, invalid(`event has neither "detail-type" nor "target": send it through EventBridge`)
		}
		t, err := s.target(*e.Target)
		return Demand{Target: t, Direct: true}, err
	}
	if e.Source != s.EventSource || *e.DetailType != s.EventDetailType {
		return Demand{}, invalid("event from source %q with detail-type %q is not ours: expected %q and %q (events: in sluice.yaml)",
			clip(e.Source), clip(*e.DetailType), s.EventSource, s.EventDetailType)
	}
	d, err := s.detail(e.Detail)
	// A producer's time that is far from EventBridge's is a wrong one, and one measurement of years would spoil all others.
	if sent, ok := moment(e.Time); ok && (d.At.IsZero() || d.At.Sub(sent).Abs() > mostUnderway) {
		d.At = sent
	}
	return d, err
}

// moment reads a time. One that cannot be read is no reason to refuse an event: nothing but a measurement rests on it.
func moment(raw json.RawMessage) (time.Time, bool) {
	var at time.Time
	return at, json.Unmarshal(raw, &at) == nil && !at.IsZero()
}

func (s *Scaler) detail(raw json.RawMessage) (Demand, error) {
	var d Demand
	var fields map[string]json.RawMessage
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return d, invalid("detail is not a JSON object: %w", err)
	}
	var name, queue string
	var errs []error
	for field, value := range fields {
		if bytes.Equal(value, []byte("null")) {
			continue
		}
		var err error
		switch field {
		case "scale_to":
			d.ScaleTo, err = wholeNumber(value)
		case "hold_seconds":
			var n int
			n, err = wholeNumber(value)
			d.Hold = time.Duration(min(n, int(maxHold/time.Second))) * time.Second
		case "target":
			name, err = text(value)
		case "queue":
			queue, err = text(value)
		case "traceparent", "tracestate": // Of the producer's trace: for whoever records ours.
		case "sent_at":
			var ok bool
			if d.At, ok = moment(value); !ok {
				d.Ignored = append(d.Ignored, field)
			}
		default:
			d.Ignored = append(d.Ignored, clip(field))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("detail.%s: %w", field, err))
		}
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return d, &policy.Error{Kind: policy.InvalidEvent, Err: errors.Join(errs...)}
	}
	slices.Sort(d.Ignored)
	d.Ignored = d.Ignored[:min(len(d.Ignored), 10)]
	t, err := s.resolve(name, queue)
	d.Target = t
	return d, err
}

// resolve finds the target that an event means: the one it names, the one that drains the queue it names, or the only one.
func (s *Scaler) resolve(name, queue string) (Target, error) {
	switch {
	case name != "":
		t, err := s.target(name)
		if err == nil && queue != "" && !slices.Contains(t.Queues, queue) {
			return Target{}, invalid("detail.queue: target %s does not drain queue %q: leave one of them out", name, clip(queue))
		}
		return t, err
	case queue != "":
		switch targets := s.byQueue[queue]; len(targets) {
		case 0:
			return Target{}, unknownTarget("detail.queue: no target drains queue %q: add it to one in sluice.yaml", clip(queue))
		case 1:
			return targets[0], nil
		default:
			return Target{}, unknownTarget("detail.queue: %d targets drain queue %q: name one as detail.target", len(targets), queue)
		}
	case len(s.Targets) == 1:
		return s.Targets[0], nil
	default:
		return Target{}, unknownTarget("detail.target: there are %d targets: name one, or its queue", len(s.Targets))
	}
}

func (s *Scaler) target(name string) (Target, error) {
	t, ok := s.byName[name]
	if !ok {
		return Target{}, unknownTarget("target %q is not in sluice.yaml", clip(name))
	}
	return t, nil
}

// text reads a name.
func text(raw json.RawMessage) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%s is not a text: send a name in quotes", clip(string(raw)))
	}
	return s, nil
}

// wholeNumber reads a count. JSON has one kind of number, so 2.0 and 2e0 are 2 as well; more than an int can hold is as
// much as it can hold, since whatever is done with it is bounded by max.
func wholeNumber(raw json.RawMessage) (int, error) {
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		var typeError *json.UnmarshalTypeError
		if errors.As(err, &typeError) && strings.HasPrefix(typeError.Value, "number") {
			f = math.MaxFloat64 // A number such as 1e999.
			if bytes.HasPrefix(raw, []byte("-")) {
				f = -f
			}
		} else {
			return 0, fmt.Errorf("%s is not a number: send a whole number such as 1", clip(string(raw)))
		}
	}
	switch {
	case f < 0:
		return 0, fmt.Errorf("%s is negative: send 0 or more; an event can only ask for workers", clip(string(raw)))
	case f != math.Trunc(f):
		return 0, fmt.Errorf("%s is not a whole number", clip(string(raw)))
	case f > math.MaxInt32:
		return math.MaxInt32, nil
	}
	return int(f), nil
}

func invalid(format string, args ...any) error {
	return &policy.Error{Kind: policy.InvalidEvent, Err: fmt.Errorf(format, args...)}
}

func unknownTarget(format string, args ...any) error {
	return &policy.Error{Kind: policy.UnknownTarget, Err: fmt.Errorf(format, args...)}
}

// clip shortens what a stranger sent before it goes into an error text: an event may have 256 KB.
func clip(s string) string { return clipTo(s, 64) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
