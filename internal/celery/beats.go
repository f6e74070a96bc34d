package celery

import (
	"context"
	"encoding/json"
	"math"
	"time"

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
	if _, err := sub.Receive(ctx); err != nil {
		return nil, err
	}
	window, cancel := context.WithTimeout(ctx, b.waits.beats)
	defer cancel()
	for len(heard) < expect {
		message, err := sub.ReceiveMessage(window)
		if past(window) {
			break
		}
		if err != nil {
			return nil, err
		}
		beat, node, ok := parseBeat([]byte(message.Payload))
		if !ok {
			continue
		}
		heard[node] = beat
		b.noteVersion(node, beat.Version)
	}
	return heard, nil
}

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
	if err := json.Unmarshal(body, &h); err != nil || h.Type != "worker-heartbeat" || h.Hostname == "" {
		return policy.Beat{}, "", false
	}
	whole, part := math.Modf(h.Timestamp)
	return policy.Beat{
		Active:    h.Active,
		Processed: h.Processed,
		Version:   h.Version,
		At:        time.Unix(int64(whole), int64(part*1e9)).UTC(),
	}, h.Hostname, true
}
