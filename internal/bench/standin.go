package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// standIns are workers for a sweep over more targets than real workers fit on a laptop. Each has its own connection,
// listens on the control channel of its broker, answers the two commands of a look with messages of the size and form
// that Celery's have, and sends a heartbeat each 2 s. What it costs a real worker to answer is in the rows of a look.
type standIns struct {
	sent atomic.Int64 // Their own Redis commands, which are not the sweep's.
	stop context.CancelFunc
	wg   sync.WaitGroup
	subs []*redis.PubSub
}

// standIn is one of them.
type standIn struct {
	name, queue string
	active      int // How many tasks it says that it executes.
	db          int
	client      *redis.Client
	sent        *atomic.Int64
}

// begin has a worker listen from now on.
func (s *standIns) begin(ctx context.Context, w standIn) error {
	sub := w.client.Subscribe(ctx, fmt.Sprintf("/%d.celery.pidbox", w.db))
	if _, err := sub.Receive(ctx); err != nil {
		_ = sub.Close()
		return fmt.Errorf("start stand-in %s: %w", w.name, err)
	}
	w.sent = &s.sent
	s.subs = append(s.subs, sub)
	beats := time.NewTicker(2 * time.Second)
	s.wg.Go(func() {
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
	})
	return nil
}

func (s *standIns) end() {
	s.stop()
	for _, sub := range s.subs {
		_ = sub.Close()
	}
	s.wg.Wait()
}

// answer answers one control message. Errors are not told: a worker that does not answer is seen by the sweep.
func (w standIn) answer(ctx context.Context, frame []byte) {
	var envelope struct {
		Body []byte `json:"body"` // Base64, as encoding/json reads bytes.
	}
	var command struct {
		Method  string `json:"method"`
		Ticket  string `json:"ticket"`
		ReplyTo struct {
			Exchange   string `json:"exchange"`
			RoutingKey string `json:"routing_key"`
		} `json:"reply_to"`
	}
	if json.Unmarshal(frame, &envelope) != nil || json.Unmarshal(envelope.Body, &command) != nil {
		return
	}
	list := []any{}
	switch command.Method {
	case "active_queues":
		list = append(list, map[string]any{
			"name": w.queue, "exchange": map[string]any{"name": w.queue, "type": "direct", "durable": true},
			"routing_key": w.queue, "durable": true, "exclusive": false, "auto_delete": false, "no_ack": false,
			"queue_arguments": nil, "binding_arguments": nil, "consumer_arguments": nil, "alias": nil, "bindings": []any{},
		})
	case "active":
		for i := range w.active {
			list = append(list, map[string]any{
				"id": fmt.Sprintf("%s-%d", w.name, i), "name": "shop.tasks.render", "args": "(17, 'a report of the usual length')",
				"kwargs": "{}", "type": "shop.tasks.render", "hostname": w.name, "time_start": float64(time.Now().Unix() - 30),
				"acknowledged": true, "worker_pid": 4711,
				"delivery_info": map[string]any{"exchange": "", "routing_key": w.queue, "priority": 0, "redelivered": false},
			})
		}
	default:
		return
	}
	reply := message(map[string]any{w.name: list}, map[string]any{"ticket": command.Ticket, "clock": 7})
	w.sent.Add(1)
	w.client.LPush(ctx, command.ReplyTo.RoutingKey+"."+command.ReplyTo.Exchange, reply)
}

func (w standIn) beat(ctx context.Context) {
	w.sent.Add(1)
	w.client.Publish(ctx, fmt.Sprintf("/%d.celeryev/worker.heartbeat", w.db), message(map[string]any{
		"type": "worker-heartbeat", "hostname": w.name, "active": w.active, "processed": 100, "sw_ver": "5.7.0",
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
