package celery

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"3.1.26": true, "4.4.7": true, "5.0.5": true, "5.1.2": true, "5.2.0": false, "5.2.0rc1": false, "5.2rc1": false, "5.2": false,
		"5.10.0": false, "6.0.0": false, "5": false, "": false, "unknown": false, "x.1": false, "5.1rc1": true, "5.1b9": true, "5.0a": true, "5.19dev": false,
		"5.1:": true, "5.1/": true, "5.x": false, "0.9": true, "4.9": true,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%q is too old: %v, want %v", version, got, want)
		}
	}
}

// oldActive is a task in the answer of Celery 5.1.2 to active with safe, recorded.
var oldActive = []any{map[string]any{
	"id": "a1392494-7cec-4404-9bee-4fdf3a2683f6", "name": "hold", "args": []any{"g"}, "kwargs": map[string]any{}, "type": "hold",
	"hostname": "w1@vm", "time_start": 1795301728.7210793, "acknowledged": true, "worker_pid": 15879,
}}

// A worker before 5.2 gives itself away by its answer; it is refused by name, and is asked for nothing unsafe again as
// long as it is there.
func TestOldCeleryIsRefused(t *testing.T) {
	m := miniredis.RunT(t)
	var asked atomic.Int64
	startFake(t, m.Addr(), "w1@vm", says{methodQueues: videoOnly, methodActive: counted{&asked, oldActive}})
	broker := newBroker(t, lookOptions(m.Addr()))
	broker.waits.beats = time.Second // It sends none.
	for range 3 {
		_, err := broker.Look(t.Context(), []string{"video"}, testPatience)
		var refused *policy.Error
		if !errors.As(err, &refused) || refused.Kind != policy.BrokerRefused {
			t.Fatalf("look: %v; want it refused", err)
		}
		if want := "celery before 5.2 at w1@vm: Sluice needs Celery 5.2 or newer"; !strings.Contains(err.Error(), want) {
			t.Errorf("look: %v; want %q in it", err, want)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked for active %d times; want 1", n)
	}
}

// counted counts how often an answer is given.
type counted struct {
	times  *atomic.Int64
	answer any
}

func (c counted) MarshalJSON() ([]byte, error) {
	c.times.Add(1)
	return json.Marshal(c.answer)
}

// A heartbeat tells the version before active is ever sent, and tells when the worker has been replaced.
func TestOldCeleryIsToldByHeartbeat(t *testing.T) {
	m := miniredis.RunT(t)
	var asked atomic.Int64
	startFake(t, m.Addr(), "w1@vm", says{methodQueues: videoOnly, methodActive: counted{&asked, noTasks}})
	broker := newBroker(t, lookOptions(m.Addr()))
	hear := func(version string) {
		stop := beatEvery(t, m, fmt.Sprintf(`{"hostname": "w1@vm", "sw_ver": %q, "type": "worker-heartbeat"}`, version))
		defer stop()
		if beats, err := broker.Beats(t.Context(), 1); err != nil || beats["w1@vm"].Version != version {
			t.Fatalf("heartbeats: %+v, %v", beats, err)
		}
	}
	hear("5.1.2")
	_, err := broker.Look(t.Context(), []string{"video"}, testPatience)
	if err == nil || !strings.HasPrefix(err.Error(), "look at broker: celery 5.1.2 at w1@vm: ") {
		t.Errorf("look: %v", err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("it was asked for active %d times; want never", n)
	}
	hear("5.6.3")
	if _, err := broker.Look(t.Context(), []string{"video"}, testPatience); err != nil {
		t.Errorf("look after the worker was replaced: %v", err)
	}
}

// Once the old workers do not answer any more, the broker is looked at as ever.
func TestOldCeleryIsForgotten(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	broker.noteVersion("w1@vm", "5.1.2")
	startFake(t, m.Addr(), "w2@vm", says{methodQueues: videoOnly, methodActive: noTasks})
	look, err := broker.Look(t.Context(), []string{"video"}, testPatience)
	if err != nil || look.Heard() != 1 {
		t.Errorf("look: %+v, %v", look, err)
	}
}

// Of several the first by name is told of, whatever the order in which they were noted.
func TestOldCelerysAreToldInOrder(t *testing.T) {
	m := miniredis.RunT(t)
	for _, names := range [][]string{{"w1@a", "w2@b", "w3@c"}, {"w3@c", "w2@b", "w1@a"}} {
		broker := newBroker(t, lookOptions(m.Addr()))
		for _, name := range names {
			broker.noteVersion(name, "5.1.2")
		}
		for range 10 {
			if err := broker.oldError(); err == nil || !strings.Contains(err.Error(), "celery 5.1.2 at w1@a: ") {
				t.Errorf("%v", err)
			}
		}
		if got := strings.Join(broker.oldNodes(), " "); got != "w1@a w2@b w3@c" {
			t.Errorf("%s", got)
		}
	}
}

// While some worker is silent it may be the old one: it is not forgotten.
func TestOldCeleryMayBeSilent(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	broker.noteVersion("w1@vm", "5.1.2")
	startFake(t, m.Addr(), "w1@vm", says{})
	startFake(t, m.Addr(), "w2@vm", says{methodQueues: videoOnly, methodActive: noTasks})
	if _, err := broker.Look(t.Context(), []string{"video"}, 300*time.Millisecond); err == nil || !strings.Contains(err.Error(), "celery 5.1.2 at w1@vm: ") {
		t.Errorf("look: %v", err)
	}
}

// A broker that cannot be asked says so, and one that cannot tell who is there goes on to refuse.
func TestOldCeleryIsNotForgottenUnseen(t *testing.T) {
	unreachable := newBroker(t, lookOptions(testenv.RefusingAddr(t)))
	o := lookOptions(newPidbox(t, func(_ *pidbox, command []string, _ int) string {
		return map[string]string{"PUBLISH": ":0\r\n"}[command[0]] // They listen at other nodes.
	}).addr)
	o.ClusterMode = true
	cluster := newBroker(t, o)
	for want, broker := range map[string]*Broker{"connection refused": unreachable, "celery 5.1.2 at w1@a: ": cluster} {
		broker.noteVersion("w1@a", "5.1.2")
		if err := broker.refuseOld(t.Context(), 50*time.Millisecond); !strings.Contains(message(err), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// A worker that has shown that it is too old is refused, also if its heartbeats cannot be heard. A bounded number of them
// is remembered.
func TestRememberOld(t *testing.T) {
	refused := respServer(t, refusing("NOPERM this user has no permissions", "SUBSCRIBE"))
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	var crowd []string
	for i := range 1001 {
		crowd = append(crowd, fmt.Sprintf("w%04d@a", i))
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		noted []string // Before, of 5.1.2.
		names []string
		want  string // What the error begins with.
		then  int    // How many are remembered.
	}{
		"none, whoever else is noted": {t.Context(), []string{"w1@a"}, nil, "", 1},
		"no right to listen":          {t.Context(), nil, []string{"w1@a"}, "NOPERM", 1},
		"no time to listen":           {expired, nil, []string{"w2@b", "w1@a"}, "look at broker: celery before 5.2 at w1@a: ", 2},
		"one more than is known":      {expired, []string{"w1@a"}, []string{"w1@a", "w2@b"}, "look at broker: celery 5.1.2 at w1@a: ", 2},
		"more than are remembered":    {expired, nil, crowd, "look at broker: celery before 5.2 at w0000@a: ", 1000},
		"more than have been noted":   {expired, crowd, nil, "", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			broker := newBroker(t, lookOptions(refused))
			for _, name := range c.noted {
				broker.noteVersion(name, "5.1.2")
			}
			err := broker.rememberOld(c.ctx, c.names)
			if (err == nil) != (c.want == "") || !strings.HasPrefix(message(err), c.want) || len(broker.oldNodes()) != c.then {
				t.Errorf("%v, and %d remembered; want %q, %d", err, len(broker.oldNodes()), c.want, c.then)
			}
		})
	}
}

// What is remembered of a worker is the last that it said, also where there is no room for more workers.
func TestNoteVersion(t *testing.T) {
	broker := newBroker(t, Options{Addrs: []string{"a:1"}})
	for i := range maxOld + 1 {
		broker.noteVersion(fmt.Sprintf("w%d@a", i), "5.1.2")
	}
	broker.noteVersion("w0@a", "5.0.1")
	broker.noteVersion("w1@a", "5.2.0")
	last := fmt.Sprintf("w%d@a", maxOld)
	if v := broker.tooOld; len(v) != maxOld-1 || v["w0@a"] != "5.0.1" || v["w1@a"] != "" || v["w2@a"] != "5.1.2" || v[last] != "" {
		t.Errorf("%d are remembered; %q, %q, %q, %q", len(v), v["w0@a"], v["w1@a"], v["w2@a"], v[last])
	}
}

// beatEvery publishes a heartbeat again and again, so that it does not matter when somebody begins to listen.
func beatEvery(t *testing.T, m *miniredis.Miniredis, body string) (stop func()) {
	message := fmt.Sprintf(`{"body": %q, "content-type": "application/json", "properties": {"body_encoding": "base64"}}`,
		base64.StdEncoding.EncodeToString([]byte(body)))
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			m.Publish(testKeys().heartbeatChannel(), message)
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
