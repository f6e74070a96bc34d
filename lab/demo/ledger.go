package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// row is one row of the shop's ledger, as examples/shop/ledger.py writes it.
type row struct {
	Event  string          `json:"event"` // accepted, started or ended.
	Task   string          `json:"task"`
	Kind   string          `json:"kind"`
	At     float64         `json:"at"` // Unix time in seconds.
	Result json.RawMessage `json:"result"`
}

// taskFacts is what the ledger says of one task.
type taskFacts struct {
	Kind     string
	Accepted bool
	Started  int // How often it was started, and
	Ended    int // how often it ended.
	Result   json.RawMessage
}

// ledger follows the shop's ledger and keeps its facts by task.
type ledger struct {
	tasks        map[string]*taskFacts
	next         int64 // The index of the first row that has not been read yet.
	firstStarted time.Time
	lastEnded    time.Time
	moved        time.Time // When the last row was read.
}

func newLedger() *ledger {
	return &ledger{tasks: map[string]*taskFacts{}}
}

// read reads the rows that are new since the last read.
func (l *ledger) read(ctx context.Context, client redis.Cmdable, key string) error {
	raw, err := client.LRange(ctx, key, l.next, -1).Result()
	if err != nil {
		return fmt.Errorf("read ledger %s: %w", key, err)
	}
	for _, text := range raw {
		var r row
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return fmt.Errorf("read row %d of ledger %s: %w", l.next, key, err)
		}
		if err := l.apply(r); err != nil {
			return fmt.Errorf("read row %d of ledger %s: %w", l.next, key, err)
		}
		l.next++
	}
	return nil
}

// apply adds one row. Rows of one task may come in any order: a worker can start a task before the API has written that
// it accepted it.
func (l *ledger) apply(r row) error {
	t := l.tasks[r.Task]
	if t == nil {
		t = &taskFacts{Kind: r.Kind}
		l.tasks[r.Task] = t
	}
	l.moved = time.Now()
	at := time.UnixMicro(int64(r.At * 1e6))
	switch r.Event {
	case "accepted":
		t.Accepted = true
	case "started":
		t.Started++
		if l.firstStarted.IsZero() || at.Before(l.firstStarted) {
			l.firstStarted = at
		}
	case "ended":
		t.Ended++
		t.Result = r.Result
		if at.After(l.lastEnded) {
			l.lastEnded = at
		}
	default:
		return fmt.Errorf("unknown event %q", r.Event)
	}
	return nil
}

// progress is how far the tasks of one kind are.
type progress struct{ waiting, running, done int }

// progress counts the tasks of one kind.
func (l *ledger) progress(kind string) progress {
	var p progress
	for _, t := range l.tasks {
		switch {
		case t.Kind != kind:
		case t.Ended > 0:
			p.done++
		case t.Started > 0:
			p.running++
		default:
			p.waiting++
		}
	}
	return p
}

// unfinished is how many tasks have not ended.
func (l *ledger) unfinished() int {
	n := 0
	for _, t := range l.tasks {
		if t.Ended == 0 {
			n++
		}
	}
	return n
}
