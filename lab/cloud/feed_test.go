package cloud

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
)

func TestFeedIsCompleteAndInOrder(t *testing.T) {
	f := newFeed()
	hold := make(chan struct{})
	var got, late []int
	f.subscribe(func(h Happening) {
		<-hold // A slow subscriber holds nobody up but the other subscribers.
		got = append(got, h.Task.Desired)
	})
	for n := range 3 {
		f.task(ecs.Event{Desired: n})
	}
	cancel := f.subscribe(func(h Happening) { late = append(late, h.Task.Desired) })
	cancel()
	close(hold)
	f.close()
	f.task(ecs.Event{Desired: 9})
	if diff := cmp.Diff([]int{0, 1, 2}, got); diff != "" {
		t.Error(diff)
	}
	if len(late) > 1 { // The first one may have been on its way to it.
		t.Errorf("a subscriber that has cancelled got %v", late)
	}
}

// What was told before a flush has been handed out when it returns, however slow the subscriber is; and a feed that is closed
// keeps nobody waiting.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		f.flush() // Nothing was told.
		got := 0
		f.subscribe(func(Happening) {
			time.Sleep(time.Second)
			got++
		})
		for want := 3; want <= 6; want += 3 {
			for range 3 {
				f.task(ecs.Event{})
			}
			f.flush()
			if got != want {
				t.Errorf("%d of %d happenings were handed out", got, want)
			}
		}
		f.close()
		f.task(ecs.Event{})
		f.flush()
	})
}

func TestDecisionsAreReadFromTheLog(t *testing.T) {
	f := newFeed()
	var got []LogRecord
	f.subscribe(func(h Happening) { got = h.Invocation.Decisions() })
	f.attempt(lambda.Attempt{Log: []string{
		`{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"decision","target":"video","desired":2,"reasons":["backlog"],"requestId":"x"}`,
		`{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"result","target":"video"}`,
		`{"no":"message"}`, `plain text`, `[1]`, ``,
	}})
	f.close()
	want := []LogRecord{{
		Level: "INFO", Message: "decision",
		Fields: map[string]any{"target": "video", "desired": 2.0, "reasons": []any{"backlog"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
