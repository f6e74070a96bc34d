package scaler

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

func event(detail string) string {
	return `{"version":"0","id":"1","source":"custom.celery.monitor","detail-type":"celery.task.queue_full",` +
		`"account":"123456789012","time":"2026-11-21T12:00:00Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

func twoTargets(o *Options) {
	o.Targets = []Target{target("worker", "celery"), target("video", "video", "audio")}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	type want struct {
		Target  string
		ScaleTo int
		Hold    time.Duration
		Direct  bool
		Ignored []string
		Kind    policy.Kind
		Text    string // Part of the error text.
	}
	tests := []struct {
		name    string
		targets func(*Options)
		payload string
		want    want
	}{
		{"the original event", nil, event(`{"scale_to": 1}`), want{Target: "worker", ScaleTo: 1}},
		{"no detail at all", nil, event(`{}`), want{Target: "worker"}},
		{"detail null", nil, event(`null`), want{Target: "worker"}},
		{"no detail", nil, strings.Replace(event(`0`), `,"detail":0`, "", 1), want{Target: "worker"}},
		{"null is absent", nil, event(`{"scale_to": null, "target": null, "note": null}`), want{Target: "worker"}},
		{"a very large number", nil, event(`{"scale_to": 3000000000}`), want{Target: "worker", ScaleTo: math.MaxInt32}},
		{"a large number", nil, event(`{"scale_to": 1000000000}`), want{Target: "worker", ScaleTo: 1_000_000_000}},
		{"zero asks for nothing", nil, event(`{"scale_to": 0}`), want{Target: "worker"}},
		{"another form of the same number", nil, event(`{"scale_to": 2e0}`), want{Target: "worker", ScaleTo: 2}},
		{"huge", nil, event(`{"scale_to": 1e300}`), want{Target: "worker", ScaleTo: math.MaxInt32}},
		{"larger than any number", nil, event(`{"scale_to": 1e999}`), want{Target: "worker", ScaleTo: math.MaxInt32}},
		{"hold", nil, event(`{"scale_to": 3, "hold_seconds": 90}`), want{Target: "worker", ScaleTo: 3, Hold: 90 * time.Second}},
		{"hold is bounded", nil, event(`{"hold_seconds": 1e12}`), want{Target: "worker", Hold: maxHold}},
		{
			"other fields are let pass and named", nil, event(`{"scale_to": 1, "trace": "x", "scaleTo": 4}`),
			want{Target: "worker", ScaleTo: 1, Ignored: []string{"scaleTo", "trace"}},
		},
		{
			"the first ten of them are named", nil, event(`{"c":1,"b":1,"a":1,"f":1,"e":1,"d":1,"l":1,"k":1,"j":1,"i":1,"h":1,"g":1}`),
			want{Target: "worker", Ignored: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}},
		},
		{
			"64 bytes of a name are not too many", nil, event(`{"` + strings.Repeat("x", 64) + `": 1}`),
			want{Target: "worker", Ignored: []string{strings.Repeat("x", 64)}},
		},
		{"by target", twoTargets, event(`{"target": "video", "scale_to": 2}`), want{Target: "video", ScaleTo: 2}},
		{"by queue", twoTargets, event(`{"queue": "audio"}`), want{Target: "video"}},
		{"by both", twoTargets, event(`{"queue": "audio", "target": "video"}`), want{Target: "video"}},
		{"the state machine", nil, `{"target": "worker"}`, want{Target: "worker", Direct: true}},

		{
			"both, at odds", twoTargets, event(`{"queue": "celery", "target": "video"}`),
			want{Kind: policy.InvalidEvent, Text: `does not drain queue "celery"`},
		},
		{
			"neither, and two targets", twoTargets, event(`{"scale_to": 1}`),
			want{Kind: policy.UnknownTarget, Text: "name one"},
		},
		{"unknown target", nil, event(`{"target": "nobody"}`), want{Kind: policy.UnknownTarget, Text: `"nobody"`}},
		{"unknown target, with a queue", nil, event(`{"target": "nobody", "queue": "celery"}`), want{Kind: policy.UnknownTarget, Text: `"nobody"`}},
		{"unknown queue", nil, event(`{"queue": "nobody"}`), want{Kind: policy.UnknownTarget, Text: `"nobody"`}},
		{"unknown target from the state machine", nil, `{"target": "gone"}`, want{Kind: policy.UnknownTarget, Text: `"gone"`}},
		{"negative", nil, event(`{"scale_to": -1}`), want{Kind: policy.InvalidEvent, Text: "detail.scale_to: -1 is negative"}},
		{"hugely negative", nil, event(`{"scale_to": -1e999}`), want{Kind: policy.InvalidEvent, Text: "is negative"}},
		{"a fraction", nil, event(`{"scale_to": 1.5}`), want{Kind: policy.InvalidEvent, Text: "not a whole number"}},
		{"a string", nil, event(`{"scale_to": "1"}`), want{Kind: policy.InvalidEvent, Text: `"1" is not a number`}},
		{"a boolean", nil, event(`{"scale_to": true}`), want{Kind: policy.InvalidEvent, Text: "not a number"}},
		{"NaN", nil, event(`{"scale_to": NaN}`), want{Kind: policy.InvalidEvent, Text: "not an EventBridge event"}},
		{
			"all faults are named, in order", nil, event(`{"scale_to": "1", "target": 5, "queue": 6, "hold_seconds": -1}`),
			want{Kind: policy.InvalidEvent, Text: "detail.hold_seconds: -1 is negative: send 0 or more; an event can only ask for workers\n" +
				"detail.queue: 6 is not a text: send a name in quotes\ndetail.scale_to: \"1\" is not a number: send a whole number such as 1\n" +
				"detail.target: 5 is not a text: send a name in quotes"},
		},
		{"detail a list", nil, event(`[1]`), want{Kind: policy.InvalidEvent, Text: "detail is not a JSON object"}},
		{"detail a string", nil, event(`"{}"`), want{Kind: policy.InvalidEvent, Text: "detail is not a JSON object"}},
		{"not JSON", nil, `scale me`, want{Kind: policy.InvalidEvent, Text: "not an EventBridge event"}},
		{"empty", nil, ``, want{Kind: policy.InvalidEvent, Text: "not an EventBridge event"}},
		{"an empty object", nil, `{}`, want{Kind: policy.InvalidEvent, Text: "send it through EventBridge"}},
		{
			"wrong source", nil, strings.Replace(event(`{}`), "custom.celery.monitor", "aws.ec2", 1),
			want{Kind: policy.InvalidEvent, Text: `source "aws.ec2"`},
		},
		{
			"wrong detail type", nil, strings.Replace(event(`{}`), "queue_full", "other", 1),
			want{Kind: policy.InvalidEvent, Text: "is not ours"},
		},
		{
			"256 KB in one field", nil, event(`{"scale_to": "` + strings.Repeat("9", 256<<10) + `"}`),
			want{Kind: policy.InvalidEvent, Text: "not a number"},
		},
		{
			"256 KB of fields", nil, event(`{"scale_to": 1, "` + strings.Repeat("x", 256<<10) + `": 1}`),
			want{Target: "worker", ScaleTo: 1, Ignored: []string{strings.Repeat("x", 64) + "..."}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w *world
			if tt.targets != nil {
				w = newWorld(t, tt.targets)
			} else {
				w = newWorld(t)
			}
			d, err := w.Demand([]byte(tt.payload))
			if tt.want.Kind != "" {
				if kindOf(err) != tt.want.Kind || !strings.Contains(err.Error(), tt.want.Text) {
					t.Fatalf("error %v, want kind %s with %q", err, tt.want.Kind, tt.want.Text)
				}
				if len(err.Error()) > 1000 {
					t.Fatalf("an error text of %d bytes", len(err.Error()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := want{Target: d.Target.Name, ScaleTo: d.ScaleTo, Hold: d.Hold, Direct: d.Direct, Ignored: d.Ignored}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("demand (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDemand(f *testing.F) {
	f.Add(event(`{"scale_to": 1}`))
	f.Add(event(`{"scale_to": -1e999, "hold_seconds": 1.5, "queue": [], "target": {}}`))
	f.Add(`{"target": "worker"}`)
	f.Add(`[]`)
	s, err := New(Options{
		Targets: []Target{target("worker", "celery")}, Brokers: map[string]Broker{"main": &fakeBroker{}},
		EventSource: "custom.celery.monitor", EventDetailType: "celery.task.queue_full",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		d, err := s.Demand([]byte(payload))
		if err != nil {
			if k := kindOf(err); k != policy.InvalidEvent && k != policy.UnknownTarget {
				t.Fatalf("error of kind %q: %v", k, err)
			}
			return
		}
		if !json.Valid([]byte(payload)) || d.Target.Name != "worker" || d.ScaleTo < 0 || d.Hold < 0 || d.Hold > maxHold {
			t.Fatalf("%q gives %+v", payload, d)
		}
	})
}
