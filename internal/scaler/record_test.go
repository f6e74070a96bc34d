package scaler

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// witness is an observer that keeps what it is told.
type witness struct {
	records []Record
	changes []Change
	sweeps  []Sweep
}

func (o *witness) Decided(_ context.Context, r Record) { o.records = append(o.records, r) }
func (o *witness) Changed(_ context.Context, c Change) { o.changes = append(o.changes, c) }
func (o *witness) Swept(_ context.Context, s Sweep)    { o.sweeps = append(o.sweeps, s) }

// logged is a world whose log is kept, line by line, beside what its observer is told.
func logged(t *testing.T, change ...func(*Options)) (*world, *witness, *bytes.Buffer) {
	t.Helper()
	o, log := &witness{}, &bytes.Buffer{}
	w := newWorld(t, append(change, func(options *Options) {
		options.Observer = o
		options.Log = slog.New(slog.NewJSONHandler(log, nil))
	})...)
	return w, o, log
}

// lines are the lines with that message, without what slog adds.
func lines(t *testing.T, log *bytes.Buffer, message string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] == message {
			delete(fields, "msg")
			delete(fields, "time")
			delete(fields, "level")
			out = append(out, fields)
		}
	}
	return out
}

// asMap is what v is in JSON.
func asMap(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// TestRecord has a target of which as much as possible can be told, and one of which nothing can.
func TestRecord(t *testing.T) {
	t.Parallel()
	w, o, log := logged(t, func(o *Options) { o.Targets = append(o.Targets, target("gone", "other")) })
	w.Targets[0].Windows = []Window{{Name: "office hours", Max: new(int), Open: func(time.Time) bool { return true }}}
	*w.Targets[0].Windows[0].Max = 7
	w.run("worker", 2, "celery", "nobody's")
	w.fleet.changeService("worker-svc", func(s *policy.Service) {
		s.Desired, s.Running = 3, 3 // One that is not heard from: the single tasks are looked at.
		s.Tags = map[string]string{TagFloor: "1@2026-11-21T13:00:00Z", TagPausedIn: "true", TagDryRun: "", TagMax: "many"}
	})
	w.fleet.tasks["worker-svc"] = append(w.fleet.tasks["worker-svc"], policy.Task{
		ID: "silent", State: policy.TaskRunning, CreatedAt: start.Add(-10 * time.Minute), StartedAt: start.Add(-9*time.Minute - 12345*time.Millisecond),
		ProtectedUntil: start.Add(time.Hour),
	})
	w.broker.look.Queues["celery"] = policy.Queue{
		Backlog: policy.Known(3), Held: policy.Known(1), Later: 5, HeadSince: start.Add(-90 * time.Second),
	}
	w.broker.look.Queues["other"] = policy.Queue{Backlog: policy.Unknown("WRONGTYPE"), Held: policy.Known(0)}
	w.CheckAll(t.Context(), Shard{})
	three, one, five, zero := 3, 1, 5, 0
	headAge, startTime := 90.0, 47.7
	want := []Record{{
		V: 1, UseCase: "check", Target: "worker", Service: "worker-svc", Cluster: "prod",
		Action: policy.Hold, Current: 3, Desired: 3, Wish: 1,
		Reasons: []policy.Reason{policy.ReasonUnknown, policy.ReasonPausedIn, policy.ReasonOverride},
		Backlog: &three, Held: &one, Later: &five, Running: &three, Pending: &zero, Protected: &one,
		Max: 7, Window: "office hours", Floor: 1, DryRun: true, Paused: "in", HeadAgeS: &headAge, StartS: &startTime,
		Cause: "1 of 3 running tasks are not heard from", Unlisted: []string{"nobody's"}, Unheard: []string{"silent"},
		Error: `tag sluice:max: "many" is not a whole number from 0 to 5000: correct or delete it`,
	}, {
		V: 1, UseCase: "check", Target: "gone", Service: "gone-svc", Cluster: "prod", Action: policy.Hold,
		Reasons: []policy.Reason{policy.ReasonUnknown}, Active: &zero, Held: &zero, Later: &zero, Max: 10,
		Cause: "WRONGTYPE", Error: "describe service gone-svc: no answer",
	}}
	if diff := cmp.Diff(want, o.records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	var told []map[string]any
	for _, r := range o.records {
		told = append(told, asMap(t, r))
	}
	if diff := cmp.Diff(told, lines(t, log, "decision")); diff != "" {
		t.Errorf("the log lines (-record +line):\n%s", diff)
	}
	if diff := cmp.Diff([]map[string]any{asMap(t, o.sweeps[0])}, lines(t, log, "sweep")); diff != "" || len(o.sweeps) != 1 {
		t.Errorf("%d sweeps, and the log line (-sweep +line):\n%s", len(o.sweeps), diff)
	}
	if s := o.sweeps[0]; s != (Sweep{Shards: 1, Checked: 2, Failed: 2, Unknown: 2}) {
		t.Errorf("sweep %+v", s)
	}
	for _, field := range []string{"backlog", "active"} { // Unknown is null, and never absent or 0.
		if v, ok := lines(t, log, "decision")[map[string]int{"backlog": 1, "active": 0}[field]][field]; !ok || v != nil {
			t.Errorf("%s that is not known is %v, there: %v", field, v, ok)
		}
	}
}

// TestFromEventToCount measures from the event's time, or from what the producer says more exactly.
func TestFromEventToCount(t *testing.T) {
	t.Parallel()
	ms := func(n int64) *int64 { return &n }
	for _, tt := range []struct {
		name, payload string
		age           *int64
		ignored       []string
	}{
		{"EventBridge's time", event(`{"scale_to": 1}`), ms(1250), nil},
		{"the producer's", event(`{"scale_to": 1, "sent_at": "2026-11-21T12:00:00.900Z"}`), ms(350), nil},
		{"a producer's in another zone", event(`{"scale_to": 1, "sent_at": "2026-11-21T13:00:01+01:00"}`), ms(250), nil},
		{"a producer's clock that is ahead", event(`{"scale_to": 1, "sent_at": "2026-11-21T12:00:03Z"}`), ms(0), nil},
		{"a producer's that cannot be", event(`{"scale_to": 1, "sent_at": "1970-01-01T00:00:00Z"}`), ms(1250), nil},
		{"a producer's that is no time", event(`{"scale_to": 1, "sent_at": "soon"}`), ms(1250), []string{"sent_at"}},
		{"a trace", event(`{"scale_to": 1, "traceparent": "00-a-b-01", "tracestate": "x=y"}`), ms(1250), nil},
		{"no time at all", strings.Replace(event(`{"scale_to": 1}`), `"time":"2026-11-21T12:00:00Z",`, "", 1), nil, nil},
		{"a time that is none", strings.Replace(event(`{"scale_to": 1}`), "2026-11-21T12:00:00Z", "noon", 1), nil, nil},
		{"the state machine", `{"target": "worker"}`, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, o, log := logged(t)
			w.now = start.Add(1250 * time.Millisecond)
			w.setBacklog("celery", 5)
			took := 40 * time.Millisecond
			w.before = func(_ int, call string) {
				if strings.HasPrefix(call, "set desired") {
					w.now = w.now.Add(took)
				}
			}
			change, err := w.scaleOut(t, tt.payload)
			if err != nil {
				t.Fatal(err)
			}
			count := tt.age
			if count != nil && *count > 0 {
				count = ms(*count + took.Milliseconds())
			}
			if diff := cmp.Diff([]*int64{tt.age, count}, []*int64{o.records[0].EventAgeMS, change.EventToCountMS}); diff != "" {
				t.Errorf("from the event to the decision, and to the count (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.ignored, change.Ignored); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]map[string]any{asMap(t, change)}, lines(t, log, "result")); diff != "" || !cmp.Equal([]Change{change}, o.changes) {
				t.Errorf("the answer, and what is logged and told of it (-answer +line):\n%s", diff)
			}
			// What is answered from memory raised no count.
			w.now = w.now.Add(500 * time.Millisecond)
			if again, err := w.scaleOut(t, tt.payload); err != nil || again.EventToCountMS != nil {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// TestTheReadmeListsEveryTag holds the README's table of tags against those that are read.
func TestTheReadmeListsEveryTag(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| tag | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]*) \|`).FindAllStringSubmatch(table, -1) {
		got = append(got, regexp.MustCompile("sluice:[a-z-]+").FindAllString(row[1], -1)...)
	}
	want := []string{TagPaused, TagPausedIn, TagPausedOut, TagMin, TagMax, TagDryRun, TagReason, TagFloor}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the README's tags (-code +README):\n%s", diff)
	}
}
