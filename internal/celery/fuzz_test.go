package celery

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/policy"
)

// recording is a connection to a server that sends what has been recorded, whatever it is asked.
type recording struct {
	net.Conn
	answers io.Reader
}

func (r recording) Read(p []byte) (int, error) { return r.answers.Read(p) }

func (recording) Write(p []byte) (int, error)      { return len(p), nil }
func (recording) Close() error                     { return nil }
func (recording) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (recording) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (recording) SetDeadline(time.Time) error      { return nil }
func (recording) SetReadDeadline(time.Time) error  { return nil }
func (recording) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer has everything that a broker is used for go against a server that answers what it likes: the client's parsing and ours.
func FuzzServer(f *testing.F) {
	const hello = "-ERR unknown command 'HELLO'\r\n"
	bulk := func(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
	entry := unackedEntry(taskMessage("a", "video", "2026-11-21T12:00:30+00:00"), "", "video")
	keys := ":1\r\n:0\r\n:0\r\n:0\r\n:1\r\n:0\r\n*4\r\n" + bulk(strings.Repeat("a", digestLen)) + "$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n"
	messages := "*5\r\n*5\r\n:1\r\n:1\r\n$1\r\n1\r\n:0\r\n" + bulk(entry) + "*3\r\n:1\r\n:1\r\n" + bulk(taskMessage("b", "video", nil)) +
		strings.Repeat("*2\r\n:0\r\n:1\r\n", 3)
	published := ":1\r\n*2\r\n$1\r\n0\r\n*1\r\n" + bulk("sluice-1-a") + ":1\r\n:1\r\n"
	reply := "*2\r\n" + bulk("list") + bulk(replyOf("a", `{"w1@a": []}`))
	beat := "*3\r\n" + bulk("subscribe") + bulk("c") + ":1\r\n*3\r\n" + bulk("message") + bulk("c") +
		bulk(replyOf("", `{"type": "worker-heartbeat", "hostname": "w1@a", "sw_ver": "5.6.3", "processed": 5}`))
	for op, answers := range []string{
		hello + keys + messages + published + reply + reply, hello + beat, hello + "$1\r\n7\r\n",
		hello + "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n*2\r\n$1\r\n0\r\n*0\r\n:1\r\n" + reply, hello + published + reply,
		hello + "$-1\r\n", hello + "+OK\r\n$1\r\na\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n",
	} {
		f.Add(uint8(op), []byte(answers))
	}
	f.Add(uint8(0), []byte(hello+"*4611686018427387904\r\n"))
	f.Add(uint8(1), []byte(hello+"*0\r\n"))
	f.Fuzz(func(t *testing.T, op uint8, answers []byte) {
		dialled := false
		b, err := New(Options{
			Addrs: []string{"server:6379"}, AnswerBytes: 1 << 16, Now: func() time.Time { return noon }, CommandTimeout: time.Second,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if dialled {
					return nil, io.EOF
				}
				dialled = true
				return recording{answers: strings.NewReader(string(answers))}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond) // Some wait for a second, and there is nothing to wait for.
		defer cancel()
		nodes := []policy.Node{node("w1@a", "video")}
		switch op % 7 {
		case 0:
			look, err := b.Look(ctx, []string{"video"}, time.Millisecond)
			checkHostile(t, look, err)
		case 1:
			beats, _ := b.Beats(ctx, 1)
			for name, beat := range beats {
				if len(name) > maxName || beat.Active < 0 || beat.Processed < 0 || beat.Processed > maxProcessed || len(beat.Version) > 50 {
					t.Errorf("heartbeat %+v", beat)
				}
			}
		case 2:
			n, err := b.Counter(ctx, "counter")
			if err == nil && (n.N < 0 || n.N > maxCount) {
				t.Errorf("counter %+v", n)
			}
		case 3:
			_ = b.Cancel(ctx, nodes)
		case 4:
			_, _ = b.RateLimited(ctx, nodes)
		case 5:
			_, _ = b.Lock(ctx, "main", "a", time.Second)
		case 6:
			_ = b.Unlock(ctx, "main", "a")
		}
	})
}

func FuzzParseReply(f *testing.F) {
	for _, body := range []string{
		`{"w1@a": []}`, `{"w1@a": [{"name": "video"}]}`, `{"w1@a": [{"id": "a", "args": "()", "kwargs": "{}", "time_start": 1.5}]}`,
		`{"w1@a": [{"id": "a", "args": [], "kwargs": {}, "time_start": 1e308, "acknowledged": true}]}`, `{"w1@a": {"error": "no"}}`,
		`{"w1@a": ["tasks.a [rate_limit=1/s]"]}`, `{"w1@a": null}`, `{"a": 1, "b": 2}`, "\x80\x04}\x94\x8c\x05w1@vm\x94]\x94s.", `[[[[`,
	} {
		for _, method := range []string{methodQueues, methodActive, methodRegistered, methodCancel} {
			f.Add(method, contentJSON, []byte(body), []byte(replyOf("a", body)))
			f.Add(method, "application/x-python-serialize", []byte(body), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, method, contentType string, body, message []byte) {
		tickets := map[string]string{"a": method}
		text := strings.Replace(replyOf("a", string(body)), contentJSON, contentType, 1)
		for _, m := range [][]byte{message, []byte(text)} {
			left := room(1 << 12)
			r, ok := parseReply(m, tickets, &left)
			if left < 0 || left > 1<<12 {
				t.Errorf("%d bytes are left", left)
			}
			if !ok {
				continue
			}
			if r.node == "" || len(r.node) > maxName || r.err != nil && len(r.queues)+len(r.tasks)+len(r.info) > 0 {
				t.Errorf("reply %+v", r)
			}
			found, _, _ := nodes([]reply{r})
			checkHostile(t, policy.Look{
				Nodes: found, Loose: policy.Known(0), Listeners: policy.Known(1),
			}, nil)
		}
	})
}

func FuzzParseBeat(f *testing.F) {
	f.Add([]byte(replyOf("", `{"type": "worker-heartbeat", "hostname": "w1@a", "active": 1, "processed": 5, "sw_ver": "5.6.3", "timestamp": 1.5}`)))
	f.Add([]byte(`{"body": 7, "content-type": "application/json"}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, message := range [][]byte{data, []byte(replyOf("", string(data)))} {
			beat, name, ok := parseBeat(message)
			if ok != (name != "") || len(name) > maxName || beat.Active < 0 || beat.Processed < 0 || beat.Processed > maxProcessed || !utf8.ValidString(beat.Version) {
				t.Errorf("heartbeat %+v of %q, %v", beat, name, ok)
			}
			_ = tooOld(beat.Version)
		}
		_ = tooOld(string(data))
	})
}

func FuzzParseTask(f *testing.F) {
	for _, eta := range []any{nil, "2026-11-21T20:30:29.294805+00:00", "2026-11-21 20:30:29", 7} {
		message := taskMessage("a", "video", eta)
		f.Add([]byte(message))
		f.Add([]byte(unackedEntry(message, "", "video")))
	}
	f.Add([]byte(replyOf("", `{"id": "a", "task": "t", "eta": "2026-11-21T20:30:29"}`)))
	f.Add([]byte(`[null, null, null]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, got := range []task{parseTask(data), parseTask([]byte(replyOf("", string(data))))} {
			if len(got.id) > maxName || len(got.name) > maxName {
				t.Errorf("an id of %d bytes, a name of %d", len(got.id), len(got.name))
			}
		}
		h, err := parseHeld(data)
		if err != nil && h != (held{}) {
			t.Errorf("an entry %+v, %v", h, err)
		}
		if queue, certain := h.queueOf(func(string) bool { return true }); certain && queue == "" {
			t.Error("a queue without a name is certain")
		}
		if n := values(data); n < 1 || n > len(data)+1 {
			t.Errorf("%d values in %d bytes", n, len(data))
		}
	})
}
