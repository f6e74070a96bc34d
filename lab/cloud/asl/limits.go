package asl

import (
	"encoding/json"
	"fmt"
)

// What AWS bounds: the bytes of an input or result, as UTF-8; the events of a history; and the characters of the error and the cause
// in one of them (https://docs.aws.amazon.com/step-functions/latest/apireference/API_ExecutionFailedEventDetails.html).
const (
	maxData    = 256 << 10
	maxHistory = 25000
	maxError   = 256
	maxCause   = 32768
)

// The events of a history: two of a state are its beginning and its end. A call of a function is scheduled, started and has an end,
// each time that it is tried. A Map has two more of its own, and two for each item.
const (
	eventsOfState = 2
	eventsOfCall  = 3
	eventsOfItem  = 2
	eventsOfMap   = 2
)

// fits fails if the data is more than AWS carries.
func fits(raw []byte, what string) *failure {
	if len(raw) <= maxData {
		return nil
	}
	return &failure{name: DataLimit, cause: fmt.Sprintf("the %s has %d bytes, and %d are the limit", what, len(raw), maxData)}
}

// carries fails if the value is more than AWS carries. One that is so small that it surely fits is not written for that: a simulator
// runs many states.
func carries(v any, what string) *failure {
	if bound(v, maxData) > 0 {
		return nil
	}
	return fits(encode(v), what)
}

// bound returns what is left of a number of bytes when the value has been written, as far as that can be told cheaply: a text
// may take six bytes for each of its own, and white space is none. It is 0 or less if that is more than there were.
func bound(v any, left int) int {
	switch v := v.(type) {
	case string:
		return left - 6*len(v) - 3
	case json.Number:
		return left - len(v) - 1
	case []any:
		left -= 2
		for _, item := range v {
			if left = bound(item, left); left <= 0 {
				return left
			}
		}
		return left
	case map[string]any:
		left -= 2
		for name, item := range v {
			if left = bound(item, left-6*len(name)-4); left <= 0 {
				return left
			}
		}
		return left
	case json.RawMessage:
		return left - len(v) - 1
	default: // A boolean or null.
		return left - 6
	}
}

// record counts events against the length of a history.
func (x *execution) record(events int64) *failure {
	if x.events.Add(events) < maxHistory {
		return nil
	}
	return runtimeFailure(fmt.Errorf("the history has reached %d events, which is the limit", maxHistory))
}

// cut shortens a text to a number of characters. What a function fails with is recorded in the history, which has room for no more.
func cut(text string, characters int) string {
	for i := range text {
		if characters--; characters < 0 {
			return text[:i]
		}
	}
	return text
}
