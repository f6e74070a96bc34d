package celery

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// fakeWorker answers control messages as a worker does, with whatever the test puts into its mouth.
type fakeWorker struct {
	client *redis.Client
	keys   keys
}

// says is what a worker answers to a method: replies as JSON, whole messages of its own making (see answerAs), or what a
// function of the command returns. Without an entry it says nothing, nor to commands for others.
type says map[string]any

// answerAs is an answer that is not an ordinary JSON reply.
type answerAs struct {
	contentType string
	body        string
}

// startFake starts a worker that listens until the test ends.
func startFake(t testing.TB, addr, name string, say says) {
	t.Helper()
	startFakeOf(t, testKeys(), addr, name, say)
}

// startFakeOf starts a worker of an application with its own names of keys.
func startFakeOf(t testing.TB, k keys, addr, name string, say says) {
	t.Helper()
	w := &fakeWorker{client: redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: testPatience, WriteTimeout: testPatience}), keys: k}
	sub := w.client.PSubscribe(t.Context(), w.keys.controlChannel())
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range sub.Channel() {
			w.handle(t, name, say, []byte(m.Payload))
		}
	}()
	t.Cleanup(func() {
		_ = sub.Close()
		<-done
		_ = w.client.Close()
	})
}

func (w *fakeWorker) handle(t testing.TB, name string, say says, frame []byte) {
	var e envelope
	var c controlBody
	payload, err := []byte(nil), json.Unmarshal(frame, &e)
	if err == nil {
		payload, err = e.payload()
	}
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil {
		t.Errorf("control message %s: %v", frame, err)
		return
	}
	answer, ok := say[c.Method]
	if !ok || len(c.Destination) > 0 && !slices.Contains(c.Destination, name) {
		return
	}
	if of, ok := answer.(func(controlBody) any); ok {
		answer = of(c)
	}
	contentType, body := contentJSON, ""
	switch a := answer.(type) {
	case answerAs:
		contentType, body = a.contentType, a.body
	default:
		text, err := json.Marshal(map[string]any{name: a})
		if err != nil {
			t.Errorf("answer %v: %v", a, err)
			return
		}
		body = string(text)
	}
	reply := fmt.Sprintf(`{"body": %q, "content-encoding": "utf-8", "content-type": %q, "headers": {"ticket": %q, "clock": 7},
		"properties": {"delivery_mode": 1, "delivery_info": {"exchange": %q, "routing_key": %q}, "priority": 0,
		"body_encoding": "base64", "delivery_tag": "x"}}`,
		base64.StdEncoding.EncodeToString([]byte(body)), contentType, c.Ticket, c.ReplyTo.Exchange, c.ReplyTo.RoutingKey)
	// As kombu does: to the queues that are bound to the exchange under the routing key.
	ctx := t.Context()
	for _, member := range w.client.SMembers(ctx, w.keys.replyBindings()).Val() {
		if parts := strings.Split(member, w.keys.sep); parts[0] == c.ReplyTo.RoutingKey {
			w.client.LPush(ctx, w.keys.prefix+parts[2], reply)
		}
	}
}

// taskMessage is a message as Celery writes it.
func taskMessage(id, queue string, eta any) string {
	text, _ := json.Marshal(map[string]any{
		"body":             "W1tdLCB7fSwge31d",
		"content-encoding": "utf-8",
		"content-type":     contentJSON,
		"headers":          map[string]any{"lang": "py", "task": "tasks.nap", "id": id, "eta": eta, "argsrepr": "()"},
		"properties": map[string]any{
			"delivery_info": map[string]any{"exchange": "", "routing_key": queue}, "priority": 0,
			"body_encoding": "base64", "delivery_tag": id,
		},
	})
	return string(text)
}

func unackedEntry(message, exchange, routingKey string) string {
	return fmt.Sprintf("[%s, %q, %q]", message, exchange, routingKey)
}
