package celery

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

const contentJSON = "application/json"

// command is one control message, as kombu.pidbox.Mailbox sends it.
type command struct {
	method    string
	arguments map[string]any
	nodes     []string // Only to these; nil: to all.
	answers   int      // How many answers are due; with nodes only.
	ticket    string   // Comes back with each reply.
}

// frame encodes a command as kombu does, field by field. A worker that reads a frame without properties or delivery_tag
// shuts down, and one that reads a body that is no JSON object goes deaf, so the frame's fields are no map and have no
// omitempty, and golden frames recorded from kombu hold them in the tests.
func (k keys) frame(c command, oid string, now time.Time, patience time.Duration) ([]byte, error) {
	if c.nodes != nil && len(c.nodes) == 0 {
		return nil, fmt.Errorf("encode control command %s: no node is named, and workers take that for all of them", c.method)
	}
	if c.arguments == nil {
		c.arguments = map[string]any{}
	}
	body, err := json.Marshal(controlBody{
		Method:      c.method,
		Arguments:   c.arguments,
		Destination: c.nodes,
		Ticket:      c.ticket,
		ReplyTo:     replyTo{Exchange: k.replyExchange(), RoutingKey: oid},
	})
	if err != nil {
		return nil, fmt.Errorf("encode control command %s: %w", c.method, err)
	}
	frame, err := json.Marshal(controlFrame{
		Body:            base64.StdEncoding.EncodeToString(body),
		ContentEncoding: "utf-8",
		ContentType:     contentJSON,
		Headers:         controlHeaders{Clock: 1, Expires: float64(now.Add(patience).UnixMilli()) / 1e3},
		Properties: controlProperties{
			DeliveryMode: 2,
			DeliveryInfo: deliveryInfo{Exchange: k.controlExchange()},
			BodyEncoding: "base64",
			DeliveryTag:  uuid(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode control command %s: %w", c.method, err)
	}
	return frame, nil
}

type controlBody struct {
	Method      string         `json:"method"`
	Arguments   map[string]any `json:"arguments"`
	Destination []string       `json:"destination"` // null: all workers.
	Pattern     *string        `json:"pattern"`     // Always null.
	Matcher     *string        `json:"matcher"`     // Always null.
	Ticket      string         `json:"ticket"`
	ReplyTo     replyTo        `json:"reply_to"`
}

type replyTo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

type controlFrame struct {
	Body            string            `json:"body"`
	ContentEncoding string            `json:"content-encoding"`
	ContentType     string            `json:"content-type"`
	Headers         controlHeaders    `json:"headers"`
	Properties      controlProperties `json:"properties"`
}

type controlHeaders struct {
	// Clock is a Lamport clock, which workers only ever raise theirs to: 1 moves nothing.
	Clock int `json:"clock"`
	// Expires is the Unix time in seconds after which nobody waits for a reply. Workers do not look at it.
	Expires float64 `json:"expires"`
}

type controlProperties struct {
	DeliveryMode int          `json:"delivery_mode"`
	DeliveryInfo deliveryInfo `json:"delivery_info"`
	Priority     int          `json:"priority"`
	BodyEncoding string       `json:"body_encoding"`
	DeliveryTag  string       `json:"delivery_tag"`
}

type deliveryInfo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// uuid returns a random UUID, version 4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails: see crypto/rand.
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
