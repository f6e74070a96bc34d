package celery

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// envelope is kombu's message on Redis: JSON around a body in whatever serializer the sender chose. It carries tasks,
// control messages, replies and events alike. Source: kombu.transport.virtual.
type envelope struct {
	Body            body   `json:"body"`
	ContentEncoding string `json:"content-encoding"`
	ContentType     string `json:"content-type"`
	Headers         struct {
		ID     string          `json:"id"`     // Of a task.
		Task   string          `json:"task"`   // Of a task in message protocol 2; protocol 1 has its headers in the body.
		ETA    json.RawMessage `json:"eta"`    // Of a task: a time or null.
		Ticket string          `json:"ticket"` // Of a reply.
	} `json:"headers"`
	Properties struct {
		BodyEncoding string `json:"body_encoding"`
	} `json:"properties"`
}

// body is the body of a message, which is a text. Another value in its place spoils nothing else of the message.
type body struct {
	text string
	err  error
}

// UnmarshalJSON satisfies json.Unmarshaler.
func (b *body) UnmarshalJSON(value []byte) error {
	b.err = json.Unmarshal(value, &b.text)
	return nil
}

// payload is the body, still in its serializer.
func (e envelope) payload() ([]byte, error) {
	if e.Body.err != nil {
		return nil, fmt.Errorf("read message body: %w", e.Body.err)
	}
	if e.Properties.BodyEncoding != "base64" {
		return []byte(e.Body.text), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body.text)
	if err != nil {
		return nil, fmt.Errorf("read message body: %w", err)
	}
	return body, nil
}

// task is what matters of a task's message: which it is, what the application calls it, and when it is due.
type task struct {
	id   string
	name string
	eta  time.Time // Zero: due at once.
}

// parseTask reads the message of a task. What cannot be read is due at once: a worker has to start and deal with it.
func parseTask(message []byte) task {
	var e envelope
	if err := json.Unmarshal(message, &e); err != nil {
		return task{}
	}
	t := task{id: e.Headers.ID, name: e.Headers.Task, eta: parseETA(e.Headers.ETA)}.named()
	if e.Headers.Task != "" || e.ContentType != contentJSON {
		return t
	}
	body, err := e.payload()
	if err != nil {
		return t
	}
	var v1 struct {
		ID   string          `json:"id"`
		Task string          `json:"task"`
		ETA  json.RawMessage `json:"eta"`
	}
	if err := json.Unmarshal(body, &v1); err != nil {
		return t
	}
	return task{id: v1.ID, name: v1.Task, eta: parseETA(v1.ETA)}.named()
}

// named leaves out a name or id that is too long, as if it could not be read.
func (t task) named() task {
	if len(t.name) > maxName {
		t.name = ""
	}
	if len(t.id) > maxName {
		t.id = ""
	}
	return t
}

// etaLayouts are what Python's datetime.isoformat writes, with and without an offset. time.Parse takes a fraction of a
// second after the seconds in either. No offset means UTC: Celery's enable_utc.
var etaLayouts = []string{time.RFC3339, "2006-01-02T15:04:05"}

// parseETA returns zero, due at once, for what is no time.
func parseETA(raw json.RawMessage) time.Time {
	var text string
	if len(raw) == 0 || len(raw) > 100 || json.Unmarshal(raw, &text) != nil {
		return time.Time{}
	}
	text = strings.Replace(strings.TrimSpace(text), " ", "T", 1)
	for _, layout := range etaLayouts {
		if eta, err := time.Parse(layout, text); err == nil {
			return eta.UTC()
		}
	}
	return time.Time{}
}

// held is one entry of the unacked hash.
type held struct {
	task
	exchange   string
	routingKey string
}

var errNoEntry = errors.New("read unacked entry: not a list of message, exchange and routing key")

func parseHeld(value []byte) (held, error) {
	var parts [3]json.RawMessage // What follows in the list is not kept.
	if err := json.Unmarshal(value, &parts); err != nil {
		return held{}, errNoEntry
	}
	h := held{task: parseTask(parts[0])}
	if json.Unmarshal(parts[1], &h.exchange) != nil || json.Unmarshal(parts[2], &h.routingKey) != nil {
		return held{}, errNoEntry
	}
	return h, nil
}

// queueOf tells the queue that the message was fetched from, if that is certain. An ordinary send names the queue itself
// as routing key, with no exchange or one of the queue's own name. What goes through another exchange can have come from
// any queue bound to it.
func (h held) queueOf(asked func(queue string) bool) (queue string, certain bool) {
	if h.routingKey == "" {
		return "", false
	}
	if h.exchange == "" || h.exchange == h.routingKey && asked(h.routingKey) {
		return h.routingKey, true
	}
	return "", false
}
