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
		{"a producer's of all but a day ago", event(`{"scale_to": 1, "sent_at": "2026-11-20T12:30:00Z"}`), ms(84_601_250), nil},
		{"a producer's of more than a day ago", event(`{"scale_to": 1, "sent_at": "2026-11-20T11:30:00Z"}`), ms(1250), nil},
		{"a producer's that was never set", event(`{"scale_to": 1, "sent_at": "0001-01-01T00:00:00Z"}`), ms(1250), []string{"sent_at"}},
		{
			"a producer's alone", strings.Replace(event(`{"scale_to": 1, "sent_at": "2026-11-21T12:00:00.900Z"}`), `"time":"2026-11-21T12:00:00Z",`, "", 1),
			ms(350), nil,
		},
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
			if len(o.changes) != 2 || len(o.records) != 2 || (o.records[1].EventAgeMS == nil) != (tt.age == nil) {
				t.Errorf("told of %+v and %+v", o.records, o.changes)
			}
		})
	}
}

// TestWhatIsNotKnownIsNotRecorded has nothing told by a broker, or by ECS, that was not asked, and no cause of what holds nothing.
func TestWhatIsNotKnownIsNotRecorded(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t)
	w.run("worker", 1, "celery")
	w.broker.look.Queues["celery"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), Later: 5, HeadSince: start.Add(-time.Minute)}
	w.broker.err = broken(policy.BrokerUnavailable, "refused")
	if _, err := w.scaleOut(t, event(`{"scale_to": 2}`)); err != nil {
		t.Fatal(err)
	}
	if r := o.records[0]; r.Later != nil || r.HeadAgeS != nil || r.Backlog != nil || r.Cause != "" || r.Error != "refused" || *r.Running != 1 {
		t.Errorf("with the broker out of reach: %+v", r)
	}
	if _, err := w.scaleOut(t, event(`{"scale_to": 1}`)); err != nil {
		t.Fatal(err)
	}
	if r := o.records[1]; r.Running != nil || r.Pending != nil || !cmp.Equal(r.Reasons, []policy.Reason{policy.ReasonCoalesced}) {
		t.Errorf("answered from memory: %+v", r)
	}
}

// TestOfSeveralTheOldestAndTheYoungest: the oldest head of a target's queues, and the youngest of its running tasks.
func TestOfSeveralTheOldestAndTheYoungest(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t, func(o *Options) {
		o.Targets = []Target{target("worker", "celery", "old", "mail", "empty"), target("video", "video")}
	})
	w.broker.look = emptyLook("celery", "old", "mail", "empty", "video")
	w.run("worker", 1, "celery")
	for queue, age := range map[string]time.Duration{"celery": time.Minute, "old": time.Hour, "mail": 2 * time.Minute, "video": 3 * time.Hour} {
		w.broker.look.Queues[queue] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), HeadSince: start.Add(-age)}
	}
	at := func(minutes int) time.Time { return start.Add(-time.Duration(minutes) * time.Minute) }
	w.fleet.tasks["worker-svc"] = []policy.Task{
		{ID: "worker0", State: policy.TaskRunning, CreatedAt: at(60), StartedAt: at(59)},
		{ID: "youngest", State: policy.TaskRunning, CreatedAt: at(12), StartedAt: at(10)},
		{ID: "older", State: policy.TaskRunning, CreatedAt: at(25), StartedAt: at(20)},
		{ID: "going", State: policy.TaskStopping, CreatedAt: at(9), StartedAt: at(8)},
		{ID: "odd", State: policy.TaskRunning, StartedAt: at(7)},
		{ID: "coming", State: policy.TaskPending, CreatedAt: at(6)},
	}
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Running = 3 }) // More than are asked for: they are looked at.
	w.CheckAll(t.Context(), Shard{})
	if r := o.records[0]; r.HeadAgeS == nil || *r.HeadAgeS != 3600 || r.StartS == nil || *r.StartS != 120 {
		t.Errorf("%+v", asMap(t, r))
	}
}

func TestWhatIsPaused(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]policy.Signals{
		"": {}, "in": {PausedIn: true}, "out": {PausedOut: true}, "in, out": {PausedIn: true, PausedOut: true},
		"all": {Paused: true, PausedIn: true, PausedOut: true},
	} {
		if got := paused(s); got != want {
			t.Errorf("%+v is paused: %q, want %q", s, got, want)
		}
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
