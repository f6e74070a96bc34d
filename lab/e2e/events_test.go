package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud"
	"sluice/lab/cloud/lambda"
)

// enveloped is an event as EventBridge hands it to the function.
func enveloped(detail string) string {
	return `{"version": "0", "source": "custom.celery.monitor", "detail-type": "celery.task.queue_full", "detail": ` + detail + `}`
}

// TestBadEvents gives one instance of the shipped function all kinds of nonsense. Each is answered by name and with the
// field and the remedy, without any call to ECS, and the same instance answers a good event after each.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256<<10)
	c := start(t, one(`["sleep", "1000"]`, idle+", min: 1"), cloud.Options{})
	c.awaitCounts("workers", 1, 1)
	for _, tt := range []struct{ name, payload, kind, says string }{
		{"a string", `"scale_to"`, "InvalidEvent", "event is not an EventBridge event"},
		{"a list", `[]`, "InvalidEvent", "event is not an EventBridge event"},
		{"null", `null`, "InvalidEvent", `neither "detail-type" nor "target"`},
		{"nothing", `{}`, "InvalidEvent", `neither "detail-type" nor "target"`},
		{"9,000 brackets", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "InvalidEvent", "event is not an EventBridge event"},
		{
			"wrong source", strings.Replace(enveloped(`{}`), "custom.celery.monitor", "aws.ec2", 1), "InvalidEvent",
			`event from source "aws.ec2" with detail-type "celery.task.queue_full" is not ours: expected "custom.celery.monitor"`,
		},
		{"wrong detail type", strings.Replace(enveloped(`{}`), "queue_full", "done", 1), "InvalidEvent", `detail-type "celery.task.done" is not ours`},
		{"a source of 256 KB", strings.Replace(enveloped(`{}`), "custom", long, 1), "InvalidEvent", `xxx..."`},
		{"detail is a string", enveloped(`"{\"scale_to\": 1}"`), "InvalidEvent", "detail is not a JSON object"},
		{"detail is a list", enveloped(`[1]`), "InvalidEvent", "detail is not a JSON object"},
		{"scale_to is a word", enveloped(`{"scale_to": "many"}`), "InvalidEvent", `detail.scale_to: "many" is not a number: send a whole number such as 1`},
		{"scale_to is NaN in words", enveloped(`{"scale_to": "NaN"}`), "InvalidEvent", `detail.scale_to: "NaN" is not a number`},
		{"scale_to is true", enveloped(`{"scale_to": true}`), "InvalidEvent", "detail.scale_to: true is not a number"},
		{"scale_to is an object", enveloped(`{"scale_to": {"n": 1}}`), "InvalidEvent", `detail.scale_to: {"n": 1} is not a number`},
		{"scale_to is 256 KB long", enveloped(`{"scale_to": "` + long + `"}`), "InvalidEvent", `xxx... is not a number`},
		{"scale_to is half", enveloped(`{"scale_to": 1.5}`), "InvalidEvent", "detail.scale_to: 1.5 is not a whole number"},
		{"scale_to is negative", enveloped(`{"scale_to": -1}`), "InvalidEvent", "detail.scale_to: -1 is negative: send 0 or more; an event can only ask for workers"},
		{"scale_to is hugely negative", enveloped(`{"scale_to": -1e999}`), "InvalidEvent", "detail.scale_to: -1e999 is negative"},
		{"hold_seconds is negative", enveloped(`{"scale_to": 1, "hold_seconds": -5}`), "InvalidEvent", "detail.hold_seconds: -5 is negative"},
		{"two wrong fields", enveloped(`{"scale_to": "a", "hold_seconds": "b"}`), "InvalidEvent", "detail.hold_seconds: \"b\" is not a number: send a whole number such as 1\ndetail.scale_to:"},
		{"target is a number", enveloped(`{"target": 7}`), "InvalidEvent", "detail.target: "},
		{"an unknown target", enveloped(`{"target": "audio"}`), "UnknownTarget", `target "audio" is not in sluice.yaml`},
		{"an unknown target of 256 KB", enveloped(`{"target": "` + long + `"}`), "UnknownTarget", `xxx..." is not in sluice.yaml`},
		{"an unknown queue", enveloped(`{"queue": "audio"}`), "UnknownTarget", `no target drains queue "audio": add it to one in sluice.yaml`},
		{"a queue of another target", enveloped(`{"target": "video", "queue": "audio"}`), "InvalidEvent", `target video does not drain queue "audio"`},
		{"the state machine names an unknown target", `{"target": "audio"}`, "UnknownTarget", `target "audio" is not in sluice.yaml`},
	} {
		before := c.ECS().Calls()
		got := c.invoke(cloud.ScaleOut, tt.payload, nil)
		if got.ErrorType != tt.kind || !strings.Contains(got.ErrorMessage, tt.says) || len(got.ErrorMessage) > 1024 {
			t.Errorf("%s: %s: %.1024s; want %s: %s", tt.name, got.ErrorType, got.ErrorMessage, tt.kind, tt.says)
		}
		if diff := cmp.Diff(before, c.ECS().Calls()); diff != "" {
			t.Errorf("%s: it made calls to ECS:\n%s", tt.name, diff)
		}
		var good struct{ Status string }
		if f := c.invoke(cloud.ScaleOut, enveloped(`{"scale_to": 1}`), &good); f.ErrorType != "" || good.Status != "unchanged" {
			t.Errorf("%s: a good event after it: %+v, %+v", tt.name, f, good)
		}
	}

	// What is no JSON never reaches the function: Lambda itself refuses it.
	for _, payload := range []string{"scale_to=1", `{"scale_to": NaN}`, "{", "\x00\xff"} {
		_, err := c.Functions().Invoke(t.Context(), cloud.ScaleOut, []byte(payload))
		var refused *lambda.Error
		if !errors.As(err, &refused) || refused.Code != "InvalidRequestContentException" {
			t.Errorf("payload %q: %v", payload, err)
		}
	}

	// Odd, and yet it is clear what is meant.
	for _, tt := range []struct {
		name, detail string
		want         int
		ignored      []string
	}{
		{"nothing at all", `null`, 1, nil},
		{"negative zero", `{"scale_to": -0.0}`, 1, nil},
		{"less than there is", `{"scale_to": 0}`, 1, nil},
		{"unknown fields", `{"scale_to": 1, "scaleTo": 3, "trace": {"id": 7}}`, 1, []string{"scaleTo", "trace"}},
		{"a whole number with a point, and 256 KB beside it", `{"scale_to": 2.0, "payload": "` + long + `"}`, 2, []string{"payload"}},
		{"a field name of 256 KB", `{"scale_to": 2, "` + long + `": 1}`, 2, []string{strings.Repeat("x", 64) + "..."}},
		{"huge", `{"scale_to": 1e999}`, 3, nil},
		{"more than an integer holds", `{"scale_to": 9223372036854775808}`, 3, nil},
	} {
		var got struct {
			Desired int `json:"desired_count"`
			Ignored []string
		}
		if f := c.invoke(cloud.ScaleOut, enveloped(tt.detail), &got); f.ErrorType != "" {
			t.Errorf("%s: %+v", tt.name, f)
		}
		if got.Desired != tt.want || !cmp.Equal(got.Ignored, tt.ignored) {
			t.Errorf("%s: %+v; want %d and %q", tt.name, got, tt.want, tt.ignored)
		}
		if n := c.service("workers").Desired; n != tt.want {
			t.Errorf("%s: the count is %d, not %d", tt.name, n, tt.want)
		}
	}
	if n := c.coldStarts(cloud.ScaleOut); n != 1 {
		t.Errorf("%d instances were started for all of this; want the same one to live on", n)
	}
}

// TestBadEventsBecomeDeadLetters sends bad events the way that producers do. They end in the dead-letter queue with the
// reason, or not even EventBridge takes them, and ECS never hears of any.
func TestBadEventsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	c := start(t, one(`["sleep", "1000"]`, idle), cloud.Options{Retry: once})
	long := strings.Repeat("x", 250<<10)
	events := []event{
		original(`{"scale_to":"many"}`),
		original(`{"scale_to":-1}`),
		original(`{"target":"audio"}`),
		original(`{"hold_seconds":{},"payload":"` + long + `"}`),
		original(`{"scale_to": NaN}`),
		original(`scale_to=1`),
		{"custom.other", "celery.task.queue_full", `{"scale_to": 1}`},
		{"aws.ecs", "celery.task.queue_full", `{"scale_to": 1}`},
	}
	codes := c.put(events...)
	want := []string{"", "", "", "", "MalformedDetail", "MalformedDetail", "", "NotAuthorizedForSourceException"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("put_events (-want +got):\n%s", diff)
	}
	c.await("the event of another source", 0, func(h cloud.Happening) bool {
		return h.Delivery != nil && h.Delivery.Rule == "" && h.Delivery.Event.Source == "custom.other"
	})
	eventually(t, func() error {
		if n := len(c.Functions().DeadLetters()); n != 4 {
			return fmt.Errorf("%d dead letters, not 4", n)
		}
		return nil
	})
	reasons := map[string]string{}
	for _, l := range c.Functions().DeadLetters() {
		var e struct{ Detail json.RawMessage }
		if err := json.Unmarshal(l.Payload, &e); err != nil {
			t.Fatal(err)
		}
		reasons[string(e.Detail)] = l.ErrorType + ": " + l.ErrorMessage
	}
	wantReasons := map[string]string{
		events[0].Detail: `InvalidEvent: detail.scale_to: "many" is not a number: send a whole number such as 1`,
		events[1].Detail: `InvalidEvent: detail.scale_to: -1 is negative: send 0 or more; an event can only ask for workers`,
		events[2].Detail: `UnknownTarget: target "audio" is not in sluice.yaml`,
		events[3].Detail: `InvalidEvent: detail.hold_seconds: {} is not a number: send a whole number such as 1`,
	}
	if diff := cmp.Diff(wantReasons, reasons); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if calls := c.ECS().Calls(); len(calls) != 0 {
		t.Errorf("calls to ECS: %v", calls)
	}
}
