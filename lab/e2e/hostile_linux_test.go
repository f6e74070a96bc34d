package e2e_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// hostile is a broker that is hostile in one way: a server that speaks Redis's protocol to do harm, or workers that do so through an
// honest Redis.
type hostile struct {
	name    string
	server  func(w io.Writer, command []string) bool // Answers, if it is its command; nil: an honest Redis,
	workers []hostileWorker                          // with such workers.
	says    string                                   // In the check's error; "" is none.
	cause   string                                   // In what the decision on a server's target records as the cause.
}

func TestHostileServers(t *testing.T) {
	t.Parallel()
	checkBesideHostile(t, []hostile{
		{name: "array-beyond-memory", server: to("EVAL", "*4611686018427387904\r\n"), says: "the answer is too large"},
		{name: "array-of-billions", server: to("HELLO", "*2000000000\r\n"), says: "the answer is too large"},
		{name: "string-of-a-terabyte", server: to("EVAL", "$1099511627776\r\n"), says: "the answer is too large"},
		{name: "nested", server: to("EVAL", strings.Repeat("*1\r\n", 1_000_000)), says: "nests arrays"},
		{name: "a-million-answers", server: to("EVAL", "*1000000\r\n"+strings.Repeat(":1\r\n", 1_000_000)), says: "the answer is too large"},
		{name: "version-3-map", server: to("EVAL", "%2000000000\r\n"), says: "version 3"},
		{name: "version-3-push", server: to("SADD", ">4611686018427387904\r\n"), says: "version 3"},
		{name: "status-without-end", server: to("SADD", "+"+strings.Repeat("a", 1<<20)), says: "a line of more than"},
		{name: "error-of-a-megabyte", server: to("SADD", "-ERR "+strings.Repeat("a", 1<<20)+"\r\n"), says: "a line of more than"},
		{name: "negative-length", server: to("EVAL", "*-7\r\n"), says: "does not answer as a Redis does"},
		{name: "drip", server: drip("HLEN"), says: "timeout"},
		{name: "too-many-listeners", server: to("PUBLISH", ":4611686018427387904\r\n"), says: "which is no count"},
		{name: "empty-reply", server: either(to("PUBLISH", ":1\r\n"), to("BRPOP", "*0\r\n")), says: "answers BRPOP with 0 values"},
		{name: "fewer-than-none", server: to("LLEN", ":-1\r\n"), cause: "the server says -1, which is no count"},
		{name: "more-than-can-be", server: to("LLEN", ":9223372036854775807\r\n"), cause: "which is no count"},
		{name: "held-beyond-count", server: either(to("LLEN", ":0\r\n"), to("HLEN", ":9223372036854775807\r\n"))},
	})
}

// Each broker has its largest share here, as there are few.
func TestHostileWorkers(t *testing.T) {
	t.Parallel()
	checkBesideHostile(t, []hostile{
		{name: "queues-100k", workers: []hostileWorker{{queues: queueNames(100_000, 4), active: "[]"}}},
		{name: "queues-400k", workers: []hostileWorker{{queues: queueNames(400_000, 4), active: "[]"}}},
		{name: "queue-of-300k", workers: []hostileWorker{{queues: queueNames(1, 300_000), active: "[]"}}},
		{name: "empty-tasks", workers: []hostileWorker{{queues: queueNames(0, 0), active: "[" + strings.Repeat("{},", 1_900_000) + "{}]"}}},
		{name: "large", workers: []hostileWorker{{queues: queueNames(0, 0), active: `[{"args": "` + strings.Repeat("a", 5<<20) + `"}]`}}},
	})
}

func TestMoreHostileWorkers(t *testing.T) {
	t.Parallel()
	checkBesideHostile(t, []hostile{
		{name: "deep", workers: []hostileWorker{{queues: queueNames(0, 0), active: strings.Repeat("[", 1_000_000)}}},
		{name: "keys", workers: []hostileWorker{{queues: queueNames(0, 0), active: `[{` + strings.Repeat(`"a":1,`, 900_000) + `"a":1}]`}}},
		{name: "many-tasks", workers: crowd(50, hostileWorker{queueNames(0, 0), "[" + strings.Repeat("{},", 32_000) + "{}]"})},
		// The queues of all are many more than are remembered of one look.
		{name: "many-queues", workers: crowd(400, hostileWorker{queueNames(990, 100), "[]"})},
	})
}

// checkBesideHostile has the Check function look at one good broker beside the hostile ones. The good target is decided on as ever, each
// other one is unknown by itself, and the function keeps to a part of its 60 s and 512 MB, for each and for all of them at once.
func checkBesideHostile(t *testing.T, rows []hostile) {
	good := testenv.RedisServer(t)
	var brokers, targets, services strings.Builder
	names := []string{"good"}
	add := func(name, url string) {
		_, _ = fmt.Fprintf(&brokers, "  - {name: %s, url: %q}\n", name, url)
		_, _ = fmt.Fprintf(&targets, "  - {name: %s, broker: %[1]s, cluster: media, service: %[1]s, queues: [queue], max: 3, settle: 1s, grace: 0s, messages_per_worker: 5}\n", name)
		_, _ = fmt.Fprintf(&services, "    - {cluster: media, service: %s, command: [sleep, \"1000\"], start_delay: 10ms}\n", name)
	}
	add("good", "redis://"+good)
	if err := newBroker(t, "redis://"+good).LPush(t.Context(), "queue", "{}", "{}", "{}", "{}", "{}", "{}", "{}").Err(); err != nil {
		t.Fatal(err)
	}
	serveWorker(t, good, "good@a", hostileWorker{queues: queueNames(0, 0), active: "[]"})
	for _, r := range rows {
		names = append(names, r.name)
		if r.server != nil {
			add(r.name, "redis://"+testenv.RESPServer(t, nil, func(conn io.Writer, command []string) {
				if !r.server(conn, command) {
					_, _ = io.WriteString(conn, scriptless(command[0]))
				}
			}))
			continue
		}
		addr := testenv.RedisServer(t)
		for i, w := range r.workers {
			serveWorker(t, addr, fmt.Sprintf("w%d@a", i), w)
		}
		add(r.name, "redis://"+addr)
	}
	c := start(t, fmt.Sprintf("version: 1\nbrokers:\n%stargets:\n%slocal:\n  redis: none\n  services:\n%s", &brokers, &targets, &services), cloud.Options{})
	c.setDesireds(1, names...)
	for _, name := range names {
		c.awaitCounts(name, 1, 1)
	}
	goodAsEver := func(after string) {
		t.Helper()
		if got := c.check("good"); got.Error != nil || !got.ShouldScaleOut || shown(got.QueueLen) != "7" {
			t.Errorf("the good target after %s: %s, queue_len %s, error %q", after, got.decided(), shown(got.QueueLen), got.error())
		}
	}
	goodAsEver("nothing")
	for _, r := range rows {
		then := c.now()
		began := time.Now()
		got := c.check(r.name)
		took, memory := time.Since(began), c.peakMemory(cloud.Check)
		t.Logf("%s took %v, at most %d MB so far: %s, %.200q", r.name, took, memory, got.decided(), got.error())
		if took > 20*time.Second || memory > 400 {
			t.Errorf("%s: it took %v, and so far at most %d MB", r.name, took, memory)
		}
		if want := "hold unknown"; r.workers != nil {
			// A worker may lie about what it executes, or not be done with its answer in time; but nobody is let go.
			if got.ShouldScaleIn || got.Error != nil {
				t.Errorf("%s: %s, %q", r.name, got.decided(), got.error())
			}
		} else if (got.Error == nil) != (r.says == "") || !strings.Contains(got.error(), r.says) || got.decided() != want {
			t.Errorf("%s: %s, %q; want %s, %q", r.name, got.decided(), got.error(), want, r.says)
		}
		c.await("the record", then, func(h cloud.Happening) bool {
			if h.Invocation == nil || len(h.Invocation.Decisions()) == 0 || h.Invocation.Decisions()[0].Fields["target"] != r.name {
				return false
			}
			for _, d := range h.Invocation.Decisions() {
				cause, _ := d.Fields["cause"].(string)
				raw, err := json.Marshal(d.Fields)
				if err != nil || len(raw) > 16<<10 {
					t.Errorf("%s: the record has %d bytes, %v", r.name, len(raw), err)
				}
				if !strings.Contains(cause, r.cause) {
					t.Errorf("%s: the cause is %.300q, want %q", r.name, cause, r.cause)
				}
			}
			return true
		})
		goodAsEver(r.name)
	}

	var all struct {
		Checked, Failed int
		Targets         []look
	}
	began := time.Now()
	if f := c.invoke(cloud.Check, `{}`, &all); f.ErrorType != "" {
		t.Fatalf("check of all: %+v", f)
	}
	t.Logf("a check of all %d took %v, at most %d MB", len(names), time.Since(began), c.peakMemory(cloud.Check))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("a check of all took %v", took)
	}
	if memory := c.peakMemory(cloud.Check); memory > 480 {
		t.Errorf("a check of all took %d MB; the function has 512", memory)
	}
	if all.Checked != len(names) || !slices.ContainsFunc(all.Targets, func(l look) bool { return l.Target == "good" && l.ShouldScaleOut }) {
		t.Errorf("a check of all: %d checked, %+v", all.Checked, all.Targets)
	}
	for _, target := range all.Targets {
		if target.ShouldScaleIn {
			t.Errorf("%s is to be scaled in: %s", target.Target, target.decided())
		}
	}
	if n := c.coldStarts(cloud.Check); n != 1 {
		t.Errorf("%d instances of Check were started; want the same one to live on", n)
	}
}

// to answers one command.
func to(name, answer string) func(io.Writer, []string) bool {
	whole := []byte(answer)
	return func(w io.Writer, command []string) bool {
		if command[0] != name {
			return false
		}
		_, _ = w.Write(whole)
		return true
	}
}

func either(one, other func(io.Writer, []string) bool) func(io.Writer, []string) bool {
	return func(w io.Writer, command []string) bool { return one(w, command) || other(w, command) }
}

// drip answers one command a byte at a time, without ever coming to an end.
func drip(name string) func(io.Writer, []string) bool {
	return func(w io.Writer, command []string) bool {
		if command[0] != name {
			return false
		}
		for {
			if _, err := io.WriteString(w, "+"); err != nil {
				return true
			}
			time.Sleep(100 * time.Millisecond) // It is what this server is for; the test waits for none of it.
		}
	}
}

// hostileWorker answers active_queues and active with whatever JSON it likes.
type hostileWorker struct{ queues, active string }

// queueNames are "queue" and more queues, in answer to active_queues. Their names have at least so many bytes.
func queueNames(more, size int) string {
	var b strings.Builder
	b.WriteString(`[{"name": "queue"}`)
	for i := range more {
		_, _ = fmt.Fprintf(&b, `, {"name": "%0*d"}`, size, i)
	}
	return b.String() + "]"
}

func crowd(n int, w hostileWorker) []hostileWorker { return slices.Repeat([]hostileWorker{w}, n) }

// serveWorker listens to commands as a worker does.
func serveWorker(t *testing.T, addr, name string, w hostileWorker) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	sub := client.Subscribe(t.Context(), "/0.celery.pidbox")
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range sub.Channel() {
			var frame struct{ Body string }
			var command struct {
				Method, Ticket string
				ReplyTo        struct {
					Key string `json:"routing_key"`
				} `json:"reply_to"`
			}
			err := json.Unmarshal([]byte(m.Payload), &frame)
			body, _ := base64.StdEncoding.DecodeString(frame.Body)
			if err = cmp.Or(err, json.Unmarshal(body, &command)); err != nil {
				t.Errorf("a command: %v", err)
				continue
			}
			answer := w.active
			if command.Method == "active_queues" {
				answer = w.queues
			}
			reply := fmt.Sprintf(`{"body": %q, "content-encoding": "utf-8", "content-type": "application/json",
				"headers": {"ticket": %q}, "properties": {"body_encoding": "base64"}}`,
				base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{%q: %s}`, name, answer)), command.Ticket)
			client.LPush(t.Context(), command.ReplyTo.Key+".reply.celery.pidbox", reply)
		}
	}()
	t.Cleanup(func() {
		_ = sub.Close()
		<-done
		_ = client.Close()
	})
}

// peakMemory is how many MB the function's process has had at most.
func (c *system) peakMemory(function string) int {
	c.t.Helper()
	for _, p := range descendants(c.t) {
		if !strings.HasPrefix(p.args, c.bootstrap(function)) {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			c.t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kb, err := strconv.Atoi(strings.Fields(text)[0])
				if err != nil {
					c.t.Fatal(err)
				}
				return kb >> 10
			}
		}
	}
	c.t.Fatalf("no process of %s runs", function)
	return 0
}
