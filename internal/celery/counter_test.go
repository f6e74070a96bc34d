package celery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/internal/policy"
)

func TestCounter(t *testing.T) {
	const key = "celery:active_tasks"
	set := func(value string) func(m *miniredis.Miniredis) {
		return func(m *miniredis.Miniredis) { _ = m.Set(key, value) }
	}
	for name, c := range map[string]struct {
		prepare func(m *miniredis.Miniredis)
		want    policy.Count
	}{
		"missing":   {func(*miniredis.Miniredis) {}, policy.Known(0)},
		"zero":      {set("0"), policy.Known(0)},
		"a count":   {set("17"), policy.Known(17)},
		"negative":  {set("-1"), policy.Unknown(`read counter celery:active_tasks: "-1" is no count`)},
		"a float":   {set("1.5"), policy.Unknown(`read counter celery:active_tasks: "1.5" is no count`)},
		"text":      {set("many"), policy.Unknown(`read counter celery:active_tasks: "many" is no count`)},
		"binary":    {set("\x80"), policy.Unknown(`read counter celery:active_tasks: "?" is no count`)},
		"the most":  {set("4294967295"), policy.Known(maxCount)},
		"one more":  {set("4294967296"), policy.Unknown(`read counter celery:active_tasks: "4294967296" is no count`)},
		"very long": {set(strings.Repeat("9", 999)), policy.Unknown(`read counter celery:active_tasks: "` + strings.Repeat("9", 200) + `..." is no count`)},
		"a list":    {func(m *miniredis.Miniredis) { _, _ = m.Lpush(key, "x") }, policy.Unknown("read counter celery:active_tasks: WRONGTYPE Operation against a key holding the wrong kind of value")},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			c.prepare(m)
			got, err := newBroker(t, Options{Addrs: []string{m.Addr()}, KeyPrefix: "acme:"}).Counter(t.Context(), key)
			if err != nil || got != c.want {
				t.Errorf("counter %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestBeats(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	if beats, err := broker.Beats(t.Context(), 0); err != nil || len(beats) != 0 {
		t.Errorf("heartbeats of nobody: %v, %v", beats, err)
	}
	stop := beatEvery(t, m, `{"hostname": "w1@vm", "processed": 3, "sw_ver": "5.6.3", "type": "worker-heartbeat"}`)
	defer stop()
	begin := time.Now()
	beats, err := broker.Beats(t.Context(), 1)
	if err != nil || len(beats) != 1 || beats["w1@vm"].Processed != 3 || time.Since(begin) >= testPatience {
		t.Errorf("heartbeats of one worker: %v, %v, after %v", beats, err, time.Since(begin))
	}
	broker.waits.beats = beatWindow
	begin = time.Now()
	beats, err = broker.Beats(t.Context(), 2)
	if took := time.Since(begin); err != nil || len(beats) != 1 || took < beatWindow {
		t.Errorf("heartbeats of two workers of which one beats: %v, %v, after %v", beats, err, took)
	}
}

// Among all that a server may send to a subscription only heartbeats are heard, and what is no message at all is its failure.
func TestBeatsAmongOtherMessages(t *testing.T) {
	const subscribed = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
	event := func(body string) string {
		text := replyOf("", body)
		return fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n", len(text), text)
	}
	beat := event(`{"type": "worker-heartbeat", "hostname": "w1@a", "processed": 3}`)
	for name, c := range map[string]struct {
		sent  string
		fails bool
	}{
		"others before it":     {sent: subscribed + subscribed + "*2\r\n$4\r\npong\r\n$0\r\n\r\n" + event(`{"type": "worker-online", "hostname": "w2@b"}`) + event("[]") + beat},
		"nothing instead":      {sent: "*0\r\n" + beat, fails: true},
		"nothing after a time": {sent: subscribed + "*0\r\n" + beat, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			broker := newBroker(t, lookOptions(respServer(t, func(command []string) string {
				if command[0] == "SUBSCRIBE" {
					return c.sent
				}
				return ordinary(command)
			})))
			beats, err := broker.Beats(t.Context(), 1)
			if c.fails {
				if err == nil || !strings.HasPrefix(err.Error(), "listen for heartbeats: the server sent what is no message: ") {
					t.Errorf("heartbeats %v, %v", beats, err)
				}
			} else if err != nil || len(beats) != 1 || beats["w1@a"].Processed != 3 {
				t.Errorf("heartbeats %v, %v; want that of w1@a", beats, err)
			}
		})
	}
}
