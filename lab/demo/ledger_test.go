package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// ledgerIn returns a client of an embedded Redis whose list "ledger" has the rows.
func ledgerIn(t *testing.T, rows ...string) (*redis.Client, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	for _, r := range rows {
		if _, err := server.RPush("ledger", r); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

func TestLedgerReadsOnAndKeepsFactsByTask(t *testing.T) {
	client, server := ledgerIn(t,
		`{"task": "a", "kind": "shop.confirm", "node": "w1", "pid": 7, "event": "started", "at": 10.0}`, // Before it was accepted.
		`{"task": "a", "kind": "shop.confirm", "event": "accepted", "at": 10.1}`,
		`{"task": "b", "kind": "shop.report", "event": "accepted", "at": 10.1}`,
		`{"task": "c", "kind": "shop.report", "event": "accepted", "at": 10.2}`,
		`{"task": "b", "kind": "shop.report", "node": "w2", "pid": 8, "event": "started", "at": 10.3}`,
	)
	l := newLedger()
	if err := l.read(t.Context(), client, "ledger"); err != nil {
		t.Fatal(err)
	}
	type story struct {
		Confirm, Report progress
		Unfinished      int
	}
	look := func() story {
		return story{l.progress("shop.confirm"), l.progress("shop.report"), l.unfinished()}
	}
	compare := cmp.AllowUnexported(progress{})
	if diff := cmp.Diff(story{progress{running: 1}, progress{waiting: 1, running: 1}, 3}, look(), compare); diff != "" {
		t.Errorf("first read (-want +got):\n%s", diff)
	}

	for _, r := range []string{
		`{"task": "a", "kind": "shop.confirm", "node": "w1", "event": "ended", "result": {"total": 7}, "at": 11.5}`,
		`{"task": "b", "kind": "shop.report", "node": "w2", "event": "started", "at": 12}`,
	} {
		if _, err := server.RPush("ledger", r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.read(t.Context(), client, "ledger"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(story{progress{done: 1}, progress{waiting: 1, running: 1}, 2}, look(), compare); diff != "" {
		t.Errorf("second read (-want +got):\n%s", diff)
	}
	want := map[string]*taskFacts{
		"a": {Kind: "shop.confirm", Accepted: true, Started: 1, Ended: 1, Result: json.RawMessage(`{"total": 7}`)},
		"b": {Kind: "shop.report", Accepted: true, Started: 2},
		"c": {Kind: "shop.report", Accepted: true},
	}
	if diff := cmp.Diff(want, l.tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if got := float64(l.lastEnded.UnixMilli()) / 1e3; got != 11.5 {
		t.Errorf("last task ended at %v, want 11.5", got)
	}
	if got := float64(l.firstStarted.UnixMilli()) / 1e3; got != 10 {
		t.Errorf("first task started at %v, want 10", got)
	}
}

func TestLedgerRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for text, want := range map[string]string{
		`{"task": "a", "event": "eaten"}`: `read row 0 of ledger ledger: unknown event "eaten"`,
		`nonsense`:                        `read row 0 of ledger ledger: invalid character`,
	} {
		client, _ := ledgerIn(t, text)
		err := newLedger().read(t.Context(), client, "ledger")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
	client, server := ledgerIn(t)
	server.Close()
	if err := newLedger().read(context.Background(), client, "ledger"); err == nil {
		t.Error("no error though Redis is gone")
	}
}
