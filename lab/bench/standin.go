package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// standIns are workers where more are needed than real ones fit on a laptop. Each has its own connection, listens on the control
// channel of its broker, answers the commands of a look and of a drain with messages of the size and form that Celery's have,
// and sends a heartbeat each 2 s. What it costs a real worker to answer is in the rows of a look.
type standIns struct {
	sent atomic.Int64 // Their own Redis commands, which are not ours.

	mu    sync.Mutex
	stops []func()
}

// processed is how many tasks each of them says to have accepted since it started.
const processed = 100

// standIn is one of them.
type standIn struct {
	name, queue string
	active      int // How many tasks it says that it executes.
	db          int
	client      *redis.Client
	sent        *atomic.Int64
	drained     bool // It was told to fetch from its queue no more.
}

// begin has a worker listen from now on, until stop is called, which returns when it has ended.
func (s *standIns) begin(ctx context.Context, w standIn) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	sub := w.client.Subscribe(ctx, fmt.Sprintf("/%d.celery.pidbox", w.db))
	if _, err := sub.Receive(ctx); err != nil {
		cancel()
		_ = sub.Close()
		return nil, fmt.Errorf("start stand-in %s: %w", w.name, err)
	}
	w.sent = &s.sent
	beats := time.NewTicker(2 * time.Second)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer beats.Stop()
		frames := sub.Channel(redis.WithChannelHealthCheckInterval(0))
		for {
			select {
			case <-ctx.Done():
				return
			case <-beats.C:
				w.beat(ctx)
			case m, ok := <-frames:
				if !ok {
					return
				}
				w.answer(ctx, []byte(m.Payload))
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		_ = sub.Close()
		<-ended
	})
	s.atEnd(stop)
	return stop, nil
}

// atEnd has end call f, before what it was given earlier.
func (s *standIns) atEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, f)
}

// end ends all of them.
func (s *standIns) end() {
	s.mu.Lock()
	stops := slices.Clone(s.stops)
	s.mu.Unlock()
	for _, stop := range slices.Backward(stops) {
		stop()
	}
}

// answer answers one control message. Errors are not told: a worker that does not answer is seen by the sweep.
func (w *standIn) answer(ctx context.Context, frame []byte) {
	var envelope struct {
		Body []byte `json:"body"` // Base64, as encoding/json reads bytes.
	}
	var command struct {
		Method      string   `json:"method"`
		Destination []string `json:"destination"` // None: every worker.
		Ticket      string   `json:"ticket"`
		ReplyTo     struct {
			Exchange   string `json:"exchange"`
			RoutingKey string `json:"routing_key"`
		} `json:"reply_to"`
	}
	if json.Unmarshal(frame, &envelope) != nil || json.Unmarshal(envelope.Body, &command) != nil {
		return
	}
	if len(command.Destination) > 0 && !slices.Contains(command.Destination, w.name) {
		return
	}
	says := w.says(command.Method)
	if says == nil {
		return
	}
	reply := message(map[string]any{w.name: says}, map[string]any{"ticket": command.Ticket, "clock": 7})
	w.sent.Add(1)
	w.client.LPush(ctx, command.ReplyTo.RoutingKey+"."+command.ReplyTo.Exchange, reply)
}

// says is what it answers to a command, having carried it out; nil to one that it does not know.
func (w *standIn) says(method string) any {
	switch method {
	case "cancel_consumer":
		w.drained = true
		return map[string]any{"ok": "no longer consuming from " + w.queue}
	case "add_consumer":
		w.drained = false
		return map[string]any{"ok": "add consumer " + w.queue}
	case "active_queues":
		if w.drained {
			return []any{}
		}
		return []any{map[string]any{
			"name": w.queue, "exchange": map[string]any{"name": w.queue, "type": "direct", "durable": true},
			"routing_key": w.queue, "durable": true, "exclusive": false, "auto_delete": false, "no_ack": false,
			"queue_arguments": nil, "binding_arguments": nil, "consumer_arguments": nil, "alias": nil, "bindings": []any{},
		}}
	case "active":
		tasks := []any{}
		for i := range w.active {
			tasks = append(tasks, map[string]any{
				"id": fmt.Sprintf("%s-%d", w.name, i), "name": "shop.tasks.render", "args": "(17, 'a report of the usual length')",
				"kwargs": "{}", "type": "shop.tasks.render", "hostname": w.name, "time_start": float64(time.Now().Unix() - 30),
				"acknowledged": true, "worker_pid": 4711,
				"delivery_info": map[string]any{"exchange": "", "routing_key": w.queue, "priority": 0, "redelivered": false},
			})
		}
		return tasks
	}
	return nil
}

func (w *standIn) beat(ctx context.Context) {
	w.sent.Add(1)
	w.client.Publish(ctx, fmt.Sprintf("/%d.celeryev/worker.heartbeat", w.db), message(map[string]any{
		"type": "worker-heartbeat", "hostname": w.name, "active": w.active, "processed": processed, "sw_ver": "5.7.0",
		"timestamp": float64(time.Now().UnixMilli()) / 1e3, "freq": 2.0, "utcoffset": 0, "pid": 4711, "clock": 7,
	}, map[string]any{"hostname": w.name}))
}

// message is a message as kombu puts it on Redis.
func message(body, headers any) string {
	inner, _ := json.Marshal(body) // Texts and numbers always encode.
	outer, _ := json.Marshal(map[string]any{
		"body": base64.StdEncoding.EncodeToString(inner), "content-encoding": "utf-8", "content-type": "application/json",
		"headers": headers,
		"properties": map[string]any{
			"delivery_mode": 1, "delivery_info": map[string]any{"exchange": "", "routing_key": ""}, "priority": 0,
			"body_encoding": "base64", "delivery_tag": "2b0c6f1e-6d3f-4b8e-9f43-1c7a3d1f2a5b",
		},
	})
	return string(outer)
}
