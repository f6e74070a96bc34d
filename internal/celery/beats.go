package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
)

// beatWindow is how long Beats listens at most: Celery's default interval of 2.0 s between heartbeats and a tenth for
// what delays them. A worker with a longer --heartbeat-interval may be missed.
const beatWindow = 2200 * time.Millisecond

// heartbeat is the body of a worker-heartbeat event. Source: celery.worker.heartbeat.
type heartbeat struct {
	Type      string  `json:"type"`
	Hostname  string  `json:"hostname"`
	Active    int     `json:"active"`
	Processed int64   `json:"processed"`
	Version   string  `json:"sw_ver"`
	Timestamp float64 `json:"timestamp"` // Unix time in seconds, of the worker's clock.
}

// Beats satisfies scaler.Broker. It listens for up to 2.2 s; Celery's workers beat each 2 s, unless they are told not to.
func (b *Broker) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	heard, err := b.beats(ctx, expect)
	if err != nil {
		return nil, failure("listen for heartbeats", err)
	}
	return heard, nil
}

func (b *Broker) beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	heard := map[string]policy.Beat{}
	if expect <= 0 {
		return heard, nil
	}
	sub := b.client.Subscribe(ctx, b.keys.heartbeatChannel())
	defer func() { _ = sub.Close() }()
	if _, err := receive(ctx, sub); err != nil {
		return nil, err
	}
	window, cancel := context.WithTimeout(ctx, b.waits.beats)
	defer cancel()
	for len(heard) < min(expect, maxReplies) {
		message, err := receive(window, sub)
		if past(window) {
			break
		}
		if err != nil {
			return nil, err
		}
		payload, _ := message.(*redis.Message)
		if payload == nil {
			continue
		}
		beat, node, ok := parseBeat([]byte(payload.Payload))
		if !ok {
			continue
		}
		heard[node] = beat
		b.noteVersion(node, beat.Version)
	}
	return heard, nil
}

// receive returns the next thing that is sent to a subscription. The client takes for granted that a server sends what it should: any
// other array has it panic.
func receive(ctx context.Context, sub *redis.PubSub) (got any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the server sent what is no message: %v", r)
		}
	}()
	return sub.Receive(ctx)
}

// plausible reports whether the heartbeat can be a worker's: its numbers are added up.
func (h heartbeat) plausible() bool {
	return len(h.Hostname) <= maxName && h.Active >= 0 && h.Active <= maxCount &&
		h.Processed >= 0 && h.Processed <= maxProcessed && math.Abs(h.Timestamp) <= maxCount
}

// maxProcessed leaves room for the sum of thousands of workers.
const maxProcessed = 1 << 48

// parseBeat reads a heartbeat; it is not ok if it is none.
func parseBeat(message []byte) (beat policy.Beat, node string, ok bool) {
	var e envelope
	if err := json.Unmarshal(message, &e); err != nil || e.ContentType != contentJSON {
		return policy.Beat{}, "", false
	}
	body, err := e.payload()
	if err != nil {
		return policy.Beat{}, "", false
	}
	var h heartbeat
	if err := json.Unmarshal(body, &h); err != nil || h.Type != "worker-heartbeat" || h.Hostname == "" || !h.plausible() {
		return policy.Beat{}, "", false
	}
	whole, part := math.Modf(h.Timestamp)
	return policy.Beat{
		Active:    h.Active,
		Processed: h.Processed,
		Version:   clip(h.Version, 40),
		At:        time.Unix(int64(whole), int64(part*1e9)).UTC(),
	}, h.Hostname, true
}
