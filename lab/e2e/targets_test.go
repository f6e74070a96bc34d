package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/testenv"
)

// TestBrokenBrokerSpoilsNothingElse has two targets on one broker, one to bring up and one to let go, and a third on a
// broker that is away: the two get what they need, and the sweep fails for the third's sake, so that an alarm sees it.
func TestBrokenBrokerSpoilsNothingElse(t *testing.T) {
	t.Parallel()
	command := func(queue string) string { return worker(t, append(light, "--queues", queue)...) }
	c := start(t, fmt.Sprintf(`version: 1
brokers:
  - {name: redis, url_env: REDIS_URL}
  - {name: away, url: "redis://%s/0"}
targets:
  - {name: video, broker: redis, cluster: media, service: video, queues: [video], max: 3, settle: 1s, grace: 0s}
  - {name: sound, broker: redis, cluster: media, service: sound, queues: [sound], max: 3, settle: 1s, grace: 0s}
  - {name: text, broker: away, cluster: media, service: text, queues: [text], max: 3, settle: 1s, grace: 0s}
local:
  services:
    - {cluster: media, service: video, command: %s, dir: %q, start_delay: 10ms}
    - {cluster: media, service: sound, command: %s, dir: %q, start_delay: 10ms}
    - {cluster: media, service: text, command: ["sleep", "1000"], start_delay: 10ms}
`, testenv.RefusingAddr(t), command("video"), app(), command("sound"), app()), cloud.Options{})
	b := newBroker(t, c.RedisURL())

	// An event that names its target, or its queue, reaches that target alone; one that names neither reaches none.
	if codes := c.put(original(`{"scale_to": 1, "queue": "sound"}`), original(`{"scale_to": 1, "target": "text"}`)); len(codes) != 2 {
		t.Fatal(codes)
	}
	c.awaitCounts("sound", 1, 1)
	c.awaitCounts("text", 1, 1)
	c.awaitCounts("video", 0, 0)
	b.awaitWorkers(1)

	b.send(1, "hold", "gate", "video", nil)
	s := c.sweep()
	if s.Status != asl.Failed || s.Error != "TargetsFailed" {
		t.Errorf("the sweep ended with %s, %s; want it to fail", s.Status, s.Error)
	}
	for target, outcome := range map[string]string{"video": "scaled out", "sound": "scaled in"} {
		if got := s.Results[target]; got != (result{Target: target, Outcome: outcome}) {
			t.Errorf("%s: %+v; want %q", target, got, outcome)
		}
	}
	if got := s.Results["text"]; !got.Failed || got.Outcome != "failed" || !strings.Contains(got.Error, "broker away: look at broker: ") {
		t.Errorf("text: %+v; want the broker's error", got)
	}
	if d := s.last(t, "text"); decided(d) != "hold unknown" {
		t.Errorf("text: %v; want it held for what is not known", d.Fields)
	}
	c.awaitCounts("video", 1, 1)
	c.awaitCounts("text", 1, 1)
	expectCleanExits(t, c, "sound", 1)
	b.awaitStarted(1)
	b.open("gate", 1)
	b.awaitEnded()
	b.expectNothingLostOrDoubled()
}

// TestPriorities has messages in a list of their own, as Celery makes one for each priority, and none in the queue's own.
func TestPriorities(t *testing.T) {
	t.Parallel()
	c := start(t, one(`["sleep", "1000"]`, ", messages_per_worker: 1"), cloud.Options{})
	b := newBroker(t, c.RedisURL())
	for _, priority := range []int{4, 9} {
		b.send(1, "quick", "", "video", map[string]any{"priority": priority})
	}
	if n := b.LLen(t.Context(), "video").Val(); n != 0 {
		t.Fatalf("%d messages in the queue's own list; want none", n)
	}
	if l := c.check("video"); shown(l.QueueLen) != "2" || !l.ShouldScaleOut {
		t.Errorf("a look at two messages with priorities: %+v", l)
	}
	if s := c.sweep(); s.Results["video"] != (result{Target: "video", Outcome: "scaled out"}) {
		t.Errorf("a sweep: %+v", s.Execution)
	}
	c.awaitCounts("workers", 2, 2)
}
