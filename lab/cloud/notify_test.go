package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/scheduler"
)

// What was done is told in words, to the topic that the configuration says.
func TestNotify(t *testing.T) {
	const own = "arn:aws:sns:us-east-1:000000000000:own"
	for _, tt := range []struct{ notify, topic string }{
		{"{every: 1h}", "arn:aws:sns:us-east-1:000000000000:sluice-alarms"},
		{"{every: 1h, topic: \"" + own + "\"}", own},
		{"{every: 1h, email: ops@example.com}", "arn:aws:sns:us-east-1:000000000000:sluice-digest"},
	} {
		t.Run(tt.notify, func(t *testing.T) {
			c, r := start(t, settings(t, "deploy: {notify: "+tt.notify+"}", "sleep", "1000"), Options{NoSweep: true})
			put(t, c, "1")
			r.wait(t, "the scale-out", func(h Happening) bool { return h.Task != nil && h.Task.Task == "" && h.Task.Desired == 1 })
			r.wait(t, "the end of the call", func(h Happening) bool { return h.Invocation != nil && h.Invocation.Function == ScaleOut })
			in := fmt.Sprintf(`{"time":%q}`, time.Now().Add(2*time.Minute).UTC().Format(time.RFC3339))
			if res, err := c.Functions().Invoke(t.Context(), Notify, []byte(in)); err != nil || res.FunctionError != "" {
				t.Fatalf("%s, %v", res.Payload, err)
			}
			p := r.wait(t, "a message", func(h Happening) bool { return h.Published != nil }).Published
			if p.Topic != tt.topic || !strings.Contains(p.Message, "video") {
				t.Errorf("message %+v", p)
			}
			if got := c.deployed().Outputs["NotifyTopic"]; got != tt.topic {
				t.Errorf("output %s", got)
			}
		})
	}
}

// The schedule of the messages has its own pace, and says what time it is.
func TestScheduleOfNotify(t *testing.T) {
	path := settings(t, "deploy: {notify: {every: 1h}}", "true")
	d := builtIn(t, path)
	want := Schedule{
		Name: "digest", Function: Notify, Timing: scheduler.Timing{Every: time.Hour}, Input: `{"time":"<aws.scheduler.scheduled-time>"}`,
		Retry: d.Schedules[1].Retry, DeadLetters: "sweep-dead-letters",
	}
	if diff := cmp.Diff(want, d.Schedules[1]); diff != "" {
		t.Error(diff)
	}
	before := time.Now().Truncate(time.Second)
	_, r := start(t, path, Options{Deployment: d})
	i := r.wait(t, "a call of Notify", func(h Happening) bool { return h.Invocation != nil && h.Invocation.Function == Notify }).Invocation
	at, err := time.Parse(`{"time":"2006-01-02T15:04:05Z"}`, string(i.Payload))
	if err != nil || at.Before(before) || time.Since(at) > time.Minute || !i.Async || i.Result.FunctionError != "" {
		t.Errorf("called with %s, answered %s: %v", i.Payload, i.Result.Payload, err)
	}
}
