package celery

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// countingConn counts what a broker receives.
type countingConn struct {
	net.Conn
	received *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

// countedBroker is a broker that counts the bytes that it receives.
func countedBroker(t testing.TB, o Options) (*Broker, *atomic.Int64) {
	t.Helper()
	received := &atomic.Int64{}
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return countingConn{conn, received}, err
	}
	return newBroker(t, o), received
}

func realRedis(t testing.TB, args ...string) (*redis.Client, string) {
	t.Helper()
	addr := testenv.RedisServer(t, args...)
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = client.Close() })
	return client, addr
}

// fill puts n copies of a message into a list, on the server.
func fill(t testing.TB, client *redis.Client, key, message string, n int) {
	t.Helper()
	const script = `for i = 1, tonumber(ARGV[2]) do redis.call('LPUSH', KEYS[1], ARGV[1]) end return 0`
	for ; n > 0; n -= 100_000 {
		if err := client.Eval(t.Context(), script, []string{key}, message, min(n, 100_000)).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever waits, and however large it is, a look stays within its time and bytes.
func TestLookIsBounded(t *testing.T) {
	client, addr := realRedis(t)
	broker, received := countedBroker(t, lookOptions(addr))
	large := taskMessage("a", "large", nil) + strings.Repeat(" ", 4<<20)
	fill(t, client, "large", large, 50)
	fill(t, client, "million", taskMessage("a", "million", nil), 1_000_000)
	fill(t, client, "few", taskMessage("b", "few", nil), maxMessages)
	heavy := unackedEntry(taskMessage("c", "few", nil)+strings.Repeat(" ", 100<<10), "", "few")
	for i := range maxHeld {
		client.HSet(t.Context(), "unacked", fmt.Sprint(i), heavy)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // The first look dials.
		received.Store(0)
		begin := cpu(t, client)
		look, err := broker.Look(t.Context(), []string{"large", "million", "few"}, time.Second)
		took := cpu(t, client) - begin
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int{"large": 50, "million": 1_000_000, "few": maxMessages} {
			if got := look.Queues[name].Backlog; got != policy.Known(want) {
				t.Errorf("backlog of %s: %+v, want %d", name, got, want)
			}
		}
		if held := look.Loose.N + look.Queues["few"].Held.N; held != maxHeld || look.FetchedKnown {
			t.Errorf("%d held, want %d, and all of it known: %v", held, maxHeld, look.FetchedKnown)
		}
		if got := received.Load(); got > maxRead+64<<10 {
			t.Errorf("the look received %d bytes, which is more than %d", got, maxRead)
		}
		if took > 1 {
			t.Errorf("the look took %.3f s of the server's processor", took)
		}
		t.Logf("%d bytes in %.3f s", received.Load(), took)
	}
}

// A worker's reply that is larger than all bounds is cut off: that worker is unknown, the others are not.
func TestReplyIsBounded(t *testing.T) {
	_, addr := realRedis(t)
	broker, received := countedBroker(t, lookOptions(addr))
	startFake(t, addr, "huge@a", says{methodQueues: videoOnly, methodActive: []any{map[string]any{"args": strings.Repeat("a", 3*maxAnswer)}}})
	startFake(t, addr, "w1@b", says{methodQueues: videoOnly, methodActive: noTasks})
	look, err := broker.Look(t.Context(), []string{"video"}, testPatience)
	if err != nil {
		t.Fatal(err)
	}
	if len(look.Nodes) != 2 || look.Nodes[0].Active.Known || !look.Nodes[1].Active.Known {
		t.Errorf("nodes: %+v", look.Nodes)
	}
	if got := received.Load(); got > maxAnswer+maxAnswer/2 {
		t.Errorf("the look received %d bytes", got)
	}
}

// What a look sends, seen by the server.
func TestLookSendsOnlyTheseCommands(t *testing.T) {
	client, addr := realRedis(t)
	fill(t, client, "video", taskMessage("a", "video", nil), 3)
	client.HSet(t.Context(), "unacked", "1", unackedEntry(taskMessage("b", "video", nil), "", "video"))
	seen := monitor(t, client, addr)
	startFake(t, addr, "w1@a", says{methodQueues: videoOnly, methodActive: noTasks})
	broker := newBroker(t, lookOptions(addr))
	if _, err := broker.Look(t.Context(), []string{"video"}, testPatience); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Beats(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Counter(t.Context(), "counter"); err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"hello", "select", "client", "llen", "hlen", "zcount", "eval", "sadd", "srem", "del", "sscan", "publish", "brpop", "get",
		"lindex", "hkeys", "hstrlen", "hmget", "zscore", // By the script.
		"psubscribe", "smembers", "lpush", // By the worker.
		"ping", "echo", "monitor", // By the test.
	}
	var used []string
	for _, line := range seen() {
		_, rest, ok := strings.Cut(line, "] \"")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "\"")
		used = append(used, strings.ToLower(name))
	}
	slices.Sort(used)
	used = slices.Compact(used)
	for _, name := range used {
		if !slices.Contains(allowed, name) {
			t.Errorf("the look sent %s", name)
		}
	}
	for _, name := range []string{"llen", "eval", "lindex", "publish", "brpop", "get"} {
		if !slices.Contains(used, name) {
			t.Errorf("%s was not seen: the test is blind; it saw %v", name, used)
		}
	}
}

// monitor notes what the server is sent from now on, and returns what gives it, as the lines of MONITOR.
func monitor(t *testing.T, client *redis.Client, addr string) func() []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	seen := make(chan []string, 1)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 64<<10)
		for !strings.Contains(text.String(), "the-end") {
			n, err := conn.Read(buffer)
			if err != nil {
				break
			}
			text.Write(buffer[:n])
		}
		seen <- strings.Split(text.String(), "\r\n")
	}()
	if err := testenv.WaitFor(t.Context(), func() error {
		list, err := client.ClientList(t.Context()).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(list, "cmd=monitor") {
			return fmt.Errorf("nobody monitors: %s", list)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		client.Echo(t.Context(), "the-end")
		return <-seen
	}
}

func BenchmarkLook(b *testing.B) {
	for _, n := range []int{0, 100, 1000} {
		b.Run(fmt.Sprintf("%d waiting", n), func(b *testing.B) {
			client, addr := realRedis(b)
			fill(b, client, "video", taskMessage("a", "video", nil), n)
			broker := newBroker(b, lookOptions(addr))
			b.ReportAllocs()
			for b.Loop() {
				look, err := broker.Look(b.Context(), []string{"video"}, time.Second)
				if err != nil || look.Queues["video"].Backlog != policy.Known(n) {
					b.Fatalf("look: %+v, %v", look, err)
				}
			}
		})
	}
}
