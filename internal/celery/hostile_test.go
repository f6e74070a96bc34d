package celery

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// ordinary answers as a Redis does that has one message in each list, one that is fetched, and one worker, which says nothing.
func ordinary(command []string) string {
	switch command[0] {
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n"
	case "LLEN", "HLEN", "SADD", "PUBLISH":
		return ":1\r\n"
	case "SSCAN":
		return "*2\r\n$1\r\n0\r\n*0\r\n"
	case "EVAL":
		return "-NOSCRIPT No matching script.\r\n"
	case "BRPOP":
		return "*-1\r\n"
	case "GET":
		return "$1\r\n1\r\n"
	case "SUBSCRIBE":
		return "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	case "MULTI":
		return "+OK\r\n"
	}
	return ":0\r\n"
}

// hostileAnswers are what a server may answer that is broken, or means harm.
var hostileAnswers = map[string]func(io.Writer){
	"an array beyond memory":  sends("*4611686018427387904\r\n"),
	"an array beyond an int":  sends("*99999999999999999999\r\n"),
	"an array of billions":    sends("*2000000000\r\n"),
	"a string of a terabyte":  sends("$1099511627776\r\n"),
	"a string beyond an int":  sends("$9223372036854775807\r\n"),
	"a negative array":        sends("*-2\r\n"),
	"a negative string":       sends("$-5\r\n"),
	"nested without end":      sends(strings.Repeat("*1\r\n", 1_000_000)),
	"arrays of many arrays":   sends(strings.Repeat("*100000\r\n", 1000)),
	"a million small answers": sends(strings.Repeat(":1\r\n", 1_000_000)),
	"a million empty arrays":  sends("*1000000\r\n" + strings.Repeat("*0\r\n", 1_000_000)),
	"a huge integer":          sends(":" + strings.Repeat("9", 1000) + "\r\n"),
	"the largest integer":     sends(":9223372036854775807\r\n"),
	"less than nothing":       sends(":-9223372036854775808\r\n"),
	"a large count":           sends(":4611686018427387904\r\n"),
	"a map":                   sends("%2000000000\r\n"),
	"an attribute":            sends("|1000000\r\n"),
	"a push":                  sends(">4611686018427387904\r\n"),
	"a big number":            sends("(" + strings.Repeat("9", 4000) + "\r\n"),
	"an empty array":          sends("*0\r\n"),
	"an array of nothing":     sends("*3\r\n*-1\r\n$-1\r\n*-1\r\n"),
	"an array of arrays":      sends("*2\r\n*1\r\n*0\r\n*0\r\n"),
	"no answer to anything":   sends("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"),
	"a status without end":    sends("+" + strings.Repeat("a", 1<<20)),
	"an error of a megabyte":  sends("-ERR " + strings.Repeat("a", 1<<20) + "\r\n"),
	"a string of megabytes":   sends(fmt.Sprintf("$%d\r\n%s\r\n", 30<<20, strings.Repeat("a", 30<<20))),
	"nothing":                 sends(""),
	"bytes one by one": func(conn io.Writer) {
		for range 200 { // Longer than anybody waits.
			if _, err := io.WriteString(conn, "+"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	},
}

func sends(text string) func(io.Writer) {
	answer := []byte(text)
	return func(conn io.Writer) { _, _ = conn.Write(answer) }
}

// A server that answers one command with what it likes costs a bounded time and memory, and ends in an error of the broker or in what is
// not known. Nothing of it ends the process.
func TestHostileServers(t *testing.T) {
	for _, only := range []string{"HELLO", "LLEN", "HLEN", "ZCOUNT", "EVAL", "SADD", "SSCAN", "PUBLISH", "BRPOP", "GET", "SUBSCRIBE", "DEL", "RPOP"} {
		for name, answer := range hostileAnswers {
			t.Run(only+"/"+name, func(t *testing.T) {
				addr := testenv.RESPServer(t, nil, func(conn io.Writer, command []string) {
					if command[0] == only {
						answer(conn)
						return
					}
					_, _ = io.WriteString(conn, ordinary(command))
				})
				broker := newBroker(t, Options{Addrs: []string{addr}, DialTimeout: 200 * time.Millisecond, CommandTimeout: 200 * time.Millisecond})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begin := time.Now()
				look, err := broker.Look(t.Context(), []string{"video"}, 50*time.Millisecond)
				checkHostile(t, look, err)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				beats, _ := broker.Beats(ctx, 1)
				cancel()
				n, err := broker.Counter(t.Context(), "counter")
				if err != nil {
					n = policy.Unknown(err.Error())
				}
				_ = broker.Cancel(t.Context(), []policy.Node{node("w1@a", "video")})
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				runtime.ReadMemStats(&after)
				if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 128 {
					t.Errorf("it took %d MiB", took)
				}
				if len(beats) > 0 || n.N < 0 || n.N > maxCount {
					t.Errorf("heartbeats %v, counter %+v", beats, n)
				}
			})
		}
	}
}

// In cluster mode the client asks for more, and some of it in goroutines of its own, where nobody could recover.
func TestHostileClusters(t *testing.T) {
	answers := map[string]func(io.Writer){
		"slots of nobody":     sends("*1\r\n*2\r\n:0\r\n:16383\r\n"),
		"slots that are none": sends("*1\r\n*3\r\n:-5\r\n:9223372036854775807\r\n*2\r\n$0\r\n\r\n$0\r\n\r\n"),
		"slots backwards":     sends("*1\r\n*3\r\n:16383\r\n:0\r\n*3\r\n$0\r\n\r\n:0\r\n$-1\r\n"),
		"moved for ever":      sends("-MOVED 1 127.0.0.1:1\r\n"),
		"moved to nowhere":    sends("-MOVED\r\n"),
		"ask":                 sends("-ASK 1 :\r\n"),
	}
	maps.Copy(answers, hostileAnswers)
	for _, only := range []string{"CLUSTER", "COMMAND", "EVAL", "PUBLISH"} {
		for name, answer := range answers {
			t.Run(only+"/"+name, func(t *testing.T) {
				t.Parallel()
				slots := ""
				addr := testenv.RESPServer(t, nil, func(conn io.Writer, command []string) {
					switch {
					case command[0] == only:
						answer(conn)
					case command[0] == "CLUSTER":
						_, _ = io.WriteString(conn, slots)
					case command[0] == "COMMAND":
						_, _ = io.WriteString(conn, "*0\r\n")
					default:
						_, _ = io.WriteString(conn, ordinary(command))
					}
				})
				slots = slotsAt(addr)
				o := Options{Addrs: []string{addr}, ClusterMode: true, KeyPrefix: "{celery}:", DialTimeout: 200 * time.Millisecond, CommandTimeout: 200 * time.Millisecond}
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				begin := time.Now()
				look, err := newBroker(t, o).Look(ctx, []string{"video"}, 50*time.Millisecond)
				checkHostile(t, look, err)
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}

// checkHostile refuses a look that takes anything impossible for known.
func checkHostile(t *testing.T, look policy.Look, err error) {
	t.Helper()
	if err != nil {
		var typed *policy.Error
		if !errors.As(err, &typed) || len(err.Error()) > 2*maxCause {
			t.Errorf("an error without a kind, or of %d bytes: %.200v", len(err.Error()), err)
		}
		return
	}
	counts := []policy.Count{look.Loose, look.Listeners}
	for _, q := range look.Queues {
		counts = append(counts, q.Backlog, q.Held)
	}
	for _, n := range look.Nodes {
		counts = append(counts, n.Active)
		if len(n.Name) > maxName || len(n.Queues) > maxQueues*n.Answers {
			t.Errorf("a name of %d bytes, %d queues", len(n.Name), len(n.Queues))
		}
		for _, q := range n.Queues {
			if len(q) > maxName {
				t.Errorf("the name of a queue has %d bytes", len(q))
			}
		}
	}
	for _, c := range counts {
		if c.N < 0 || c.N > 4*maxCount || !c.Known && c.Cause == "" || len(c.Cause) > 4*maxName {
			t.Errorf("a count of %d, known %v, with a cause of %d bytes", c.N, c.Known, len(c.Cause))
		}
	}
	if len(look.Nodes) > maxReplies || len(look.Fetched) > maxHeld {
		t.Errorf("%d nodes, %d fetched", len(look.Nodes), len(look.Fetched))
	}
}

// What a worker answers is taken whole or not at all: it is bounded in queues, tasks, values and letters, and beyond these it is
// unknown with the cause, and holds every scale-in. Another worker of the broker is seen all the same.
func TestHostileWorkers(t *testing.T) {
	raw := func(text string) answerAs { return answerAs{contentJSON, text} }
	queues := func(n int) []any {
		var all []any
		for i := range n {
			all = append(all, map[string]any{"name": fmt.Sprintf("q%d", i)})
		}
		return all
	}
	named := func(n int) []any { return []any{map[string]any{"name": strings.Repeat("q", n)}} }
	for name, c := range map[string]struct {
		says   says
		cause  string // "" is a good answer; "-" that the worker is not heard at all.
		queues int
		active int
	}{
		"as many queues as may be":   {says: says{methodQueues: queues(maxQueues), methodActive: noTasks}, queues: maxQueues},
		"100,000 queues":             {says: says{methodQueues: queues(100_000), methodActive: noTasks}, cause: "answered active_queues with more than 65536 values"},
		"1,001 queues":               {says: says{methodQueues: queues(maxQueues + 1), methodActive: noTasks}, cause: "answered active_queues with 1001 queues: Sluice takes 1000"},
		"a name as long as may be":   {says: says{methodQueues: named(maxName), methodActive: noTasks}, queues: 1},
		"a queue of 300 KB":          {says: says{methodQueues: named(300_000), methodActive: noTasks}, cause: "a queue whose name has 300000 bytes: Sluice takes 1024"},
		"a million tasks":            {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": [` + strings.Repeat("{},", 1_000_000) + `{}]}`)}, cause: "answered active with more than 65536 values", queues: 1},
		"many tasks":                 {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": [` + strings.Repeat("{},", 30_000) + `{}]}`)}, queues: 1, active: 30_001},
		"ids without end":            {says: says{methodQueues: videoOnly, methodActive: []any{map[string]any{"id": strings.Repeat("a", 1<<20)}}}, queues: 1, active: 1},
		"nested without end":         {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": ` + strings.Repeat("[", 1_000_000))}, cause: "more than 65536 values", queues: 1},
		"nested deeply":              {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`)}, cause: "answered active with what is no reply", queues: 1},
		"a million keys":             {says: says{methodQueues: raw(`{"w1@a": [{` + strings.Repeat(`"a":1,`, 1_000_000) + `"b":1}]}`), methodActive: noTasks}, cause: "more than 65536 values"},
		"a million workers in one":   {says: says{methodQueues: raw(`{` + strings.Repeat(`"w1@a":[],`, 500_000) + `"w1@a":[]}`), methodActive: noTasks}, cause: "more than 65536 values"},
		"a number without end":       {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": [{"time_start": ` + strings.Repeat("9", 100_000) + `}]}`)}, cause: "what is no list of tasks", queues: 1},
		"a start beyond all time":    {says: says{methodQueues: videoOnly, methodActive: raw(`{"w1@a": [{"time_start": 1e300}]}`)}, queues: 1, active: 1},
		"an error without end":       {says: says{methodQueues: videoOnly, methodActive: map[string]any{"error": strings.Repeat("a", 1<<20)}}, cause: "answered active with the error aaaa", queues: 1},
		"a name without end":         {says: says{methodQueues: raw(`{"` + strings.Repeat("w", 300_000) + `@a": []}`)}, cause: "-"},
		"a pickled name without end": {says: says{methodQueues: answerAs{"application/x-python-serialize", strings.Repeat("w", 1<<20) + "@a"}}, cause: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			startFake(t, m.Addr(), "w1@a", c.says)
			startFake(t, m.Addr(), "w2@b", says{methodQueues: videoOnly, methodActive: noTasks})
			patience := time.Minute // It ends when both have answered.
			if c.cause == "-" {
				patience = 3 * time.Second
			}
			begin := time.Now()
			look, err := newBroker(t, lookOptions(m.Addr())).Look(t.Context(), []string{"video"}, patience)
			if err != nil {
				t.Fatal(err)
			}
			checkHostile(t, look, err)
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("the look took %v", took)
			}
			if look.Listeners != policy.Known(2) {
				t.Errorf("%+v listeners", look.Listeners)
			}
			if last := look.Nodes[len(look.Nodes)-1]; last.Name != "w2@b" || last.Active != policy.Known(0) {
				t.Errorf("the other worker: %+v", last)
			}
			first := look.Nodes[0]
			switch {
			case c.cause == "-":
				if len(look.Nodes) != 1 {
					t.Errorf("it was heard: %d nodes", len(look.Nodes))
				}
			case len(look.Nodes) != 2 || first.Name != "w1@a":
				t.Errorf("nodes %.300v", fmt.Sprint(look.Nodes))
			case c.cause == "":
				if first.Active != policy.Known(c.active) || len(first.Queues) != c.queues {
					t.Errorf("active %+v, %d queues; want %d, %d", first.Active, len(first.Queues), c.active, c.queues)
				}
			case first.Active.Known || !strings.Contains(first.Active.Cause, c.cause) || len(first.Queues) != c.queues:
				t.Errorf("active %+v, %d queues; want unknown with %q, %d queues", first.Active, len(first.Queues), c.cause, c.queues)
			}
		})
	}
}

// All workers of a broker share what is remembered of one look. Who comes too late for it is unknown.
func TestRoomOfALook(t *testing.T) {
	tickets := map[string]string{"a": methodQueues}
	left := room(10 * (perValue + maxName))
	known := 0
	for i := range 5 {
		body := fmt.Sprintf(`{"w%d@a": [{"name": "%s"}, {"name": "%[2]s"}, {"name": "%[2]s"}]}`, i, strings.Repeat("q", maxName))
		r, ok := parseReply([]byte(replyOf("a", body)), tickets, &left)
		if !ok || r.node != fmt.Sprintf("w%d@a", i) {
			t.Fatalf("reply %d: %v", i, ok)
		}
		if r.err == nil && len(r.queues) == 3 {
			known++
		} else if len(r.queues) != 0 || !strings.Contains(r.err.Error(), "more than is remembered of one look") {
			t.Errorf("reply %d: %d queues, %v", i, len(r.queues), r.err)
		}
	}
	if known != 3 {
		t.Errorf("%d of 5 replies are known; want 3", known)
	}
}

// replyOf is a reply as kombu sends it.
func replyOf(ticket, body string) string {
	return fmt.Sprintf(`{"body": %q, "content-encoding": "utf-8", "content-type": "application/json", "headers": {"ticket": %q, "clock": 7},
		"properties": {"body_encoding": "base64"}}`, base64.StdEncoding.EncodeToString([]byte(body)), ticket)
}

// A flood of heartbeats is bounded, and so is what is remembered of old versions in them.
func TestFloodOfHeartbeats(t *testing.T) {
	channel := testKeys().heartbeatChannel()
	flood := []byte(fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(channel), channel))
	for i := range 2 * maxReplies {
		beat := replyOf("", fmt.Sprintf(`{"type": "worker-heartbeat", "hostname": "w%d@a", "sw_ver": "5.1", "processed": %d}`, i, maxProcessed))
		flood = fmt.Appendf(flood, "*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(beat), beat)
	}
	broker := newBroker(t, lookOptions(testenv.RESPServer(t, nil, func(conn io.Writer, command []string) {
		if command[0] != "SUBSCRIBE" {
			_, _ = io.WriteString(conn, ordinary(command))
			return
		}
		_, _ = conn.Write(flood)
	})))
	beats, err := broker.beats(t.Context(), 1<<62)
	if err != nil || len(beats) > maxReplies || len(broker.tooOld) > maxOld {
		t.Errorf("%d heartbeats, %v; %d remembered as too old", len(beats), err, len(broker.tooOld))
	}
	if len(beats) == 0 {
		t.Error("no heartbeat was heard: the test is blind")
	}
	sum := int64(0)
	for _, b := range beats {
		sum += b.Processed
	}
	if sum < 0 {
		t.Errorf("the workers have processed %d", sum)
	}
}

// What is in the set of reply bindings may be anybody's: of one step through it a bounded number is cleared up, and none of any length.
func TestHostileBindings(t *testing.T) {
	var scan strings.Builder
	const members = 4 * maxStale
	fmt.Fprintf(&scan, "*2\r\n$1\r\n0\r\n*%d\r\n", members)
	for i := range members {
		member := fmt.Sprintf("%-*s", maxBinding+i%2, fmt.Sprintf("%s1-%d-", oidPrefix, i))
		fmt.Fprintf(&scan, "$%d\r\n%s\r\n", len(member), member)
	}
	cleared := make(chan int, 1)
	addr := respServer(t, func(command []string) string {
		switch command[0] {
		case "SSCAN":
			return scan.String()
		case "SREM":
			for _, member := range command[2:] {
				if len(member) > maxBinding {
					t.Errorf("%.50s... of %d bytes is cleared up", member, len(member))
				}
			}
			cleared <- len(command) - 2
		case "PUBLISH":
			return ":0\r\n"
		}
		return ordinary(command)
	})
	if _, err := newBroker(t, lookOptions(addr)).Look(t.Context(), []string{"video"}, time.Second); err != nil {
		t.Fatal(err)
	}
	if got := <-cleared; got != maxStale+1 {
		t.Errorf("%d bindings were cleared up; want %d and our own", got, maxStale)
	}
}
