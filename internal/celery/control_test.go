package celery

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// told notes what workers are told, as "name method queue", and answers as Celery does.
type told struct {
	mu    sync.Mutex
	notes []string
}

func (n *told) says(name string) says {
	answer := func(c controlBody) any {
		n.mu.Lock()
		defer n.mu.Unlock()
		queue, _ := c.Arguments["queue"].(string)
		n.notes = append(n.notes, name+" "+c.Method+" "+queue)
		return map[string]any{"ok": "no longer consuming from " + queue}
	}
	return says{methodCancel: answer, methodAdd: answer}
}

func (n *told) sorted() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.notes))
}

func node(name string, queues ...string) policy.Node {
	return policy.Node{Name: name, Answers: 1, Queues: queues, Active: policy.Known(0)}
}

func TestControlTellsEachNodeItsQueues(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	var notes told
	for _, name := range []string{"w1@a", "w2@b", "w3@c"} {
		startFake(t, m.Addr(), name, notes.says(name))
	}
	begin := time.Now()
	if err := broker.Cancel(t.Context(), []policy.Node{node("w1@a", "video", "mail", "video"), node("w2@b", "video")}); err != nil {
		t.Fatal(err)
	}
	if err := broker.Consume(t.Context(), []policy.Node{node("w2@b", "video")}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > testPatience {
		t.Errorf("both took %v, though all answered", took)
	}
	want := []string{"w1@a cancel_consumer mail", "w1@a cancel_consumer video", "w2@b add_consumer video", "w2@b cancel_consumer video"}
	if diff := cmp.Diff(want, notes.sorted()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	for _, key := range m.Keys() {
		t.Errorf("the key %q is left behind", key)
	}
}

func TestControlRefuses(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	var notes told
	startFake(t, m.Addr(), "w1@a", notes.says("w1@a"))
	for name, c := range map[string]struct {
		nodes []policy.Node
		want  string
	}{
		"no name":              {[]policy.Node{node("w1@a", "video"), node("", "video")}, "tell nodes to stop fetching: node 2 of 2 has no name"},
		"no queues":            {[]policy.Node{node("w1@a")}, "tell nodes to stop fetching: node w1@a: no queue is given"},
		"a queue without name": {[]policy.Node{node("w1@a", "video", "")}, "tell nodes to stop fetching: node w1@a: a queue has no name"},
		"listed twice":         {[]policy.Node{node("w1@a", "video"), node("w2@b", "video"), node("w1@a", "mail")}, "tell nodes to stop fetching: node w1@a is listed twice: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := broker.Cancel(t.Context(), c.nodes)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("cancel: %v; want %q", err, c.want)
			}
			other := strings.Replace(c.want, "stop fetching", "fetch again", 1)
			if err := broker.Consume(t.Context(), c.nodes); err == nil || !strings.HasPrefix(err.Error(), other) {
				t.Errorf("consume: %v; want %q", err, other)
			}
		})
	}
	// Nobody to tell is no error, and nothing is sent then either.
	if err := newBroker(t, lookOptions(testenv.RefusingAddr(t))).Cancel(t.Context(), nil); err != nil {
		t.Errorf("cancel of no node: %v", err)
	}
	// Where nodes are asked for no queue of theirs, it is not looked at.
	if err := checkNodes([]policy.Node{node("w1@a"), node("w2@b", "")}, false); err != nil {
		t.Error(err)
	}
	if err := broker.Cancel(t.Context(), []policy.Node{node("w1@a", "last")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"w1@a cancel_consumer last"}, notes.sorted()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// What is wrong with an answer is told; that there is none is not.
func TestControlJudgesAnswers(t *testing.T) {
	ok := map[string]any{"ok": "no longer consuming"}
	failing := map[string]any{"error": "TypeError('unexpected keyword')"}
	for name, c := range map[string]struct {
		workers map[string]says
		twins   string // This one is started twice.
		answers int    // Under each name, as far as is known.
		slow    bool   // Not all answer.
		want    string
	}{
		"well":            {workers: map[string]says{"w1@a": {methodCancel: ok}, "w2@b": {methodCancel: ok}}},
		"nobody is there": {},
		"one is silent":   {workers: map[string]says{"w1@a": {methodCancel: ok}, "w2@b": {}}, slow: true},
		"in pickle": {workers: map[string]says{
			"w1@a": {methodCancel: answerAs{"application/x-python-serialize", "\x80\x04}\x94\x8c\x04w1@a\x94]\x94s."}}, "w2@b": {methodCancel: ok},
		}},
		"errors": {
			workers: map[string]says{"w1@a": {methodCancel: failing}, "w2@b": {methodCancel: failing}},
			want: "tell nodes to stop fetching: node w1@a, queue video: it answered cancel_consumer with the error TypeError('unexpected keyword')\n" +
				"node w2@b, queue video: it answered cancel_consumer with the error TypeError('unexpected keyword')",
		},
		"a twin has come": {
			workers: map[string]says{"w1@a": {methodCancel: ok}, "w2@b": {methodCancel: ok}},
			twins:   "w2@b",
			want: "tell nodes to stop fetching: node w2@b: 2 workers answered under this name, 1 known: a command reaches all workers of a name, " +
				"so names have to be unique (celery worker -n)",
		},
		"twins that are known": {
			workers: map[string]says{"w1@a": {methodCancel: ok}, "w2@b": {methodCancel: ok}},
			twins:   "w2@b",
			answers: 2,
			slow:    true, // Of w1@a, two are thought to be there.
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := miniredis.RunT(t)
			for name, say := range c.workers {
				startFake(t, m.Addr(), name, say)
				if name == c.twins {
					startFake(t, m.Addr(), name, say)
				}
			}
			nodes := []policy.Node{node("w1@a", "video"), node("w2@b", "video")}
			for i := range nodes {
				nodes[i].Answers = c.answers
			}
			broker := newBroker(t, lookOptions(m.Addr()))
			if c.slow {
				broker.waits.control = controlPatience
			}
			broker.waits.linger = 2 * time.Second
			begin := time.Now()
			err := broker.Cancel(t.Context(), nodes)
			if slow := time.Since(begin) >= broker.waits.control; slow != c.slow {
				t.Errorf("it took %v; want all of %v: %v", time.Since(begin), broker.waits.control, c.slow)
			}
			if got := message(err); got != c.want {
				t.Errorf("cancel: %q; want %q", got, c.want)
			}
			if typed := (*policy.Error)(nil); errors.As(err, &typed) {
				t.Errorf("cancel: kind %s; that is for what the broker does", typed.Kind)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// cutConn breaks when it has sent so many bytes.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.left = 0
	_ = c.Close()
	return n, net.ErrClosed
}

// Wherever the connection breaks, the workers have been told everything or nothing.
func TestControlIsAllOrNothing(t *testing.T) {
	client, addr := realRedis(t)
	sub := client.Subscribe(t.Context(), testKeys().controlChannel())
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes := []policy.Node{node("w1@a", "video", "mail", "sound"), node("w2@b", "video")}
	var cut, whole int
	for size := 0; whole < 3; size += 23 {
		o := lookOptions(addr)
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &cutConn{conn, size}, err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // Nobody answers.
		err := newBroker(t, o).Cancel(ctx, nodes)
		cancel()
		if err := client.Publish(t.Context(), testKeys().controlChannel(), "the-end").Err(); err != nil {
			t.Fatal(err)
		}
		frames := 0
		for {
			m, err := sub.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Payload == "the-end" {
				break
			}
			frames++
		}
		switch {
		case frames == 0 && err != nil:
			cut++
		case frames == 3:
			whole++
		default:
			t.Errorf("cut after %d bytes: %d of 3 commands were sent, and the error is %v", size, frames, err)
		}
	}
	if cut < 20 {
		t.Errorf("only %d cuts were in time: the test is blind", cut)
	}
}

// Only what can be taken back, or changes nothing, is ever sent, and what changes something to named workers only.
func TestOnlyTheseMethodsAreSent(t *testing.T) {
	client, addr := realRedis(t)
	var notes told
	say := notes.says("w1@a")
	say[methodQueues], say[methodActive], say[methodRegistered] = videoOnly, noTasks, []any{"tasks.nap"}
	startFake(t, addr, "w1@a", say)
	broker := newBroker(t, lookOptions(addr))
	nodes := []policy.Node{node("w1@a", "video", "mail")}
	seen := monitor(t, client, addr)
	for name, call := range map[string]func() error{
		"look":    func() error { _, err := broker.Look(t.Context(), []string{"video"}, testPatience); return err },
		"beats":   func() error { _, err := broker.Beats(t.Context(), 0); return err },
		"counter": func() error { _, err := broker.Counter(t.Context(), "counter"); return err },
		"cancel":  func() error { return broker.Cancel(t.Context(), nodes) },
		"consume": func() error { return broker.Consume(t.Context(), nodes) },
		"rates":   func() error { _, err := broker.RateLimited(t.Context(), nodes); return err },
		"lock":    func() error { _, err := broker.Lock(t.Context(), "main", "a", time.Second); return err },
		"unlock":  func() error { return broker.Unlock(t.Context(), "main", "a") },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sent := map[string]int{}
	for _, line := range seen() {
		_, rest, _ := strings.Cut(line, `] "`)
		words := strings.SplitN(`"`+rest, " ", 3)
		if len(words) < 3 || !strings.EqualFold(words[0], `"publish"`) {
			continue
		}
		payload, err := strconv.Unquote(words[2])
		if err != nil {
			t.Fatalf("line %s: %v", line, err)
		}
		var e envelope
		var c controlBody
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		body, err := e.payload()
		if err = errors.Join(err, json.Unmarshal(body, &c)); err != nil {
			t.Fatal(err)
		}
		sent[c.Method]++
		if asks := c.Method == methodQueues || c.Method == methodActive; !asks && !slices.Equal(c.Destination, []string{"w1@a"}) {
			t.Errorf("%s was sent to %q", c.Method, c.Destination)
		}
	}
	want := map[string]int{"active_queues": 1, "active": 1, "registered": 1, "cancel_consumer": 2, "add_consumer": 2}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("methods sent (-want +got):\n%s", diff)
	}
}

// The broker's own errors have their kinds, with the command that was refused as the cause and not the transaction.
func TestControlAtBrokenBroker(t *testing.T) {
	nodes := []policy.Node{node("w1@a", "video")}
	for name, c := range map[string]struct {
		answers map[string]string
		kind    policy.Kind
		says    string
	}{
		"no rights": {map[string]string{"PUBLISH": "-NOPERM this user has no permissions to access the channel", "EXEC": "-EXECABORT Transaction discarded"}, policy.BrokerRefused, "NOPERM"},
		"a replica": {map[string]string{"SADD": "-READONLY You can't write against a read only replica.", "EXEC": "-EXECABORT Transaction discarded"}, policy.BrokerUnavailable, "READONLY"},
		"loading":   {map[string]string{"": "-LOADING Redis is loading the dataset in memory"}, policy.BrokerUnavailable, "LOADING"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := respServer(t, func(command []string) string {
				word := strings.ToUpper(command[0])
				if answer, ok := c.answers[word]; ok {
					return answer + "\r\n"
				}
				if answer, ok := c.answers[""]; ok && word != "HELLO" {
					return answer + "\r\n"
				}
				switch word {
				case "HELLO":
					return "-ERR unknown command 'HELLO'\r\n"
				case "MULTI":
					return "+OK\r\n"
				}
				return "+QUEUED\r\n"
			})
			err := newBroker(t, lookOptions(addr)).Cancel(t.Context(), nodes)
			var typed *policy.Error
			if !errors.As(err, &typed) || typed.Kind != c.kind || !strings.Contains(err.Error(), c.says) ||
				!strings.HasPrefix(err.Error(), "tell nodes to stop fetching: ") {
				t.Errorf("cancel: %v; want kind %s and %q", err, c.kind, c.says)
			}
		})
	}
}

// A twin that answers when all answers that were due have come is seen as well.
func TestControlSeesASlowTwin(t *testing.T) {
	m := miniredis.RunT(t)
	broker := newBroker(t, lookOptions(m.Addr()))
	broker.waits.linger = 3 * time.Second
	for _, delay := range []time.Duration{0, broker.waits.linger / 6} {
		startFake(t, m.Addr(), "w1@a", says{methodCancel: func(controlBody) any {
			time.Sleep(delay)
			return map[string]any{"ok": "no longer consuming"}
		}})
	}
	err := broker.Cancel(t.Context(), []policy.Node{node("w1@a", "video")})
	if !errors.Is(err, errEqualNames) || !strings.Contains(err.Error(), "node w1@a: 2 workers answered") {
		t.Errorf("cancel: %v; want the twin in it", err)
	}
}

// A connection that breaks after the workers have been told is the broker's failure: the caller may tell them again.
func TestControlCutWhileItWaits(t *testing.T) {
	client, addr := realRedis(t)
	startFake(t, addr, "w1@a", says{methodCancel: func(controlBody) any {
		if err := testenv.WaitFor(t.Context(), func() error {
			list, err := client.ClientList(t.Context()).Result()
			if err != nil {
				return err
			}
			for _, line := range strings.Split(list, "\n") {
				if strings.Contains(line, "cmd=brpop") {
					return client.ClientKillByFilter(t.Context(), "ID", strings.TrimPrefix(strings.Fields(line)[0], "id=")).Err()
				}
			}
			return errors.New("nobody waits for an answer")
		}); err != nil {
			t.Error(err)
		}
		return map[string]any{"ok": "no longer consuming"}
	}})
	err := newBroker(t, lookOptions(addr)).Cancel(t.Context(), []policy.Node{node("w1@a", "video")})
	var typed *policy.Error
	if !errors.As(err, &typed) || typed.Kind != policy.BrokerUnavailable || !strings.Contains(err.Error(), "wait for replies") {
		t.Errorf("cancel: %v; want kind BrokerUnavailable, while it waits", err)
	}
}
