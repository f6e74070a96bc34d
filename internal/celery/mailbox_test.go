package celery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pidbox is a server that answers as ordinary does, but for what the test has it say. Of a cluster it is the only node.
type pidbox struct {
	addr   string
	mu     sync.Mutex
	seen   map[string]int // How often each command came.
	ticket string         // Of the last command to workers.
}

// newPidbox starts a server. What say returns to the nth command of a name, from 1, is its answer; "" is the ordinary
// one.
func newPidbox(t *testing.T, say func(p *pidbox, command []string, nth int) string) *pidbox {
	t.Helper()
	p := &pidbox{seen: map[string]int{}}
	p.addr = respServer(t, func(command []string) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen[command[0]]++
		switch command[0] {
		case "CLUSTER":
			return slotsAt(p.addr)
		case "COMMAND":
			return "*0\r\n"
		case "PUBLISH":
			var e envelope
			var c controlBody
			_ = json.Unmarshal([]byte(command[2]), &e)
			body, _ := e.payload()
			_ = json.Unmarshal(body, &c)
			p.ticket = c.Ticket
		}
		return cmp.Or(say(p, command, p.seen[command[0]]), ordinary(command))
	})
	return p
}

// slotsAt is the answer to CLUSTER SLOTS of a cluster of one node.
func slotsAt(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$1\r\na\r\n", len(host), host, port)
}

// reply is an answer of the nth worker to the last command.
func (p *pidbox) reply(nth int) string { return replyOf(p.ticket, fmt.Sprintf(`{"w%d@a": []}`, nth)) }

// times is how often a command has come.
func (p *pidbox) times(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[name]
}

// bulk is one string, as RPOP answers it, and popped is a list's name with one, as BRPOP does.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func popped(text string) string { return "*2\r\n" + bulk("list") + bulk(text) }

const (
	nothing  = "$-1\r\n"
	tooLarge = "$1048577\r\n" // For brokers with answers of a MiB.
)

// patient is a round with a command to all workers.
func patient() round { return round{commands: []command{askQueues()}, patience: testPatience} }

// toOne is a round with a command to one worker.
func toOne() round {
	return round{commands: []command{consumer(methodCancel, "video", []string{"w1@a"}, 1)}, patience: testPatience}
}

// Of one broadcast a bounded number of replies is read, and of bytes.
func TestAskIsBounded(t *testing.T) {
	t.Run("replies", func(t *testing.T) {
		p := newPidbox(t, func(p *pidbox, command []string, nth int) string {
			switch command[0] {
			case "PUBLISH":
				return ":6000\r\n"
			case "BRPOP":
				return popped(p.reply(nth))
			}
			return ""
		})
		r := patient()
		r.linger = testPatience
		got, err := newBroker(t, lookOptions(p.addr)).ask(t.Context(), r)
		if err != nil || len(got.replies) != 5000 || got.listeners != 6000 || p.times("RPOP") != 0 {
			t.Errorf("%d replies of %d, and %d more asked for, %v; want 5000 of 6000", len(got.replies), got.listeners, p.times("RPOP"), err)
		}
	})
	for short, want := range []int{32, 33} { // Of 1 MiB each, or the last a byte less.
		p := newPidbox(t, func(_ *pidbox, command []string, nth int) string {
			switch {
			case command[0] == "PUBLISH":
				return ":100\r\n"
			case command[0] == "BRPOP" && nth == 32:
				return popped(strings.Repeat("a", 1<<20-short))
			case command[0] == "BRPOP" && nth < 40:
				return popped(strings.Repeat("a", 1<<20))
			case command[0] == "BRPOP":
				return "-ERR that is enough\r\n"
			}
			return ""
		})
		if _, err := newBroker(t, lookOptions(p.addr)).ask(t.Context(), patient()); err != nil || p.times("BRPOP") != want {
			t.Errorf("%d MiB were read, %v; want %d", p.times("BRPOP"), err, want)
		}
	}
}

// What is no reply, or too large a one, is stepped over: others are read all the same.
func TestAskStepsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	blocks := ""
	p := newPidbox(t, func(p *pidbox, command []string, nth int) string {
		switch command[0] {
		case "PUBLISH":
			return ":3\r\n"
		case "BRPOP":
			blocks += command[len(command)-1] + " "
			return cmp.Or(map[int]string{1: "*2\r\n" + bulk("list") + tooLarge, 2: popped("rubbish"), 3: "*-1\r\n", 4: popped(p.reply(1)), 5: popped(p.reply(2))}[nth], "-ERR one more\r\n")
		case "RPOP":
			if nth == 5 {
				cancel()
			}
			return cmp.Or(map[int]string{1: tooLarge, 2: bulk("rubbish"), 3: nothing, 4: bulk(p.reply(3))}[nth], "-ERR one more\r\n")
		}
		return ""
	})
	o := lookOptions(p.addr)
	o.AnswerBytes = 1 << 20
	r := patient()
	r.linger = testPatience
	got, err := newBroker(t, o).ask(ctx, r)
	heard := ""
	for _, r := range got.replies {
		heard += r.node + " "
	}
	if err != nil || heard != "w1@a w2@a w3@a " {
		t.Errorf("heard %q, %v; want three workers", heard, err)
	}
	if blocks != "1 1 1 1 1 " { // Redis before 6 takes whole seconds only, and 0 is for ever.
		t.Errorf("the server is to block for %q seconds", blocks)
	}
}

// What the server cannot give is an error that says where.
func TestAskFails(t *testing.T) {
	for name, c := range map[string]struct{ publish, brpop, rpop, want string }{
		"with no count":       {publish: ":-1\r\n", want: "count who listens: the server says -1, which is no count"},
		"while it waits":      {brpop: "-ERR broken\r\n", want: "wait for replies: ERR broken"},
		"while it lingers":    {rpop: "-ERR broken\r\n", want: "wait for replies: ERR broken"},
		"with half an answer": {brpop: "*1\r\n" + bulk("list"), want: "wait for replies: the server answers BRPOP with 1 values"},
		"with too much":       {brpop: "*3\r\n" + bulk("list") + bulk("a") + bulk("b"), want: "wait for replies: the server answers BRPOP with 3 values"},
	} {
		p := newPidbox(t, func(p *pidbox, command []string, _ int) string {
			switch command[0] {
			case "PUBLISH":
				return c.publish
			case "BRPOP":
				return cmp.Or(c.brpop, popped(p.reply(1)))
			case "RPOP":
				return c.rpop
			}
			return ""
		})
		r := patient()
		r.linger = testPatience
		if got, err := newBroker(t, lookOptions(p.addr)).ask(t.Context(), r); message(err) != c.want || got.replies != nil {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.want)
		}
	}
}

// A server that answers at once where it should wait is asked 100 times a second, until the patience is over.
func TestAskBreathes(t *testing.T) {
	for _, answer := range []string{"*-1\r\n", "*2\r\n" + bulk("list") + tooLarge} {
		p := newPidbox(t, func(_ *pidbox, command []string, _ int) string {
			switch command[0] {
			case "PUBLISH":
				return ":5000\r\n"
			case "BRPOP":
				return answer
			}
			return ""
		})
		o := lookOptions(p.addr)
		o.AnswerBytes = 1 << 20
		r := patient()
		r.patience = 200 * time.Millisecond
		got, err := newBroker(t, o).ask(t.Context(), r)
		if err != nil || len(got.replies) != 0 || p.times("BRPOP") > 21 {
			t.Errorf("it was asked %d times in %v: %v, %v", p.times("BRPOP"), r.patience, got, err)
		}
	}
}

// Nobody is waited for where nobody listens, and nothing is sent that would be for everybody.
func TestAskNobody(t *testing.T) {
	p := newPidbox(t, func(_ *pidbox, command []string, _ int) string {
		return map[string]string{"PUBLISH": ":0\r\n"}[command[0]]
	})
	b := newBroker(t, lookOptions(p.addr))
	bad := toOne()
	bad.commands = append(bad.commands, consumer(methodCancel, "mail", []string{}, 0))
	if _, err := b.ask(t.Context(), bad); err == nil || p.times("SADD") != 0 {
		t.Errorf("a command to no node: %v, and %d bindings made", err, p.times("SADD"))
	}
	got, err := b.ask(t.Context(), toOne())
	if err != nil || !got.counted || got.listeners != 0 || p.times("BRPOP") != 0 {
		t.Errorf("%+v, %v, and answers asked for %d times", got, err, p.times("BRPOP"))
	}
}

// In cluster mode nobody knows how many listen: all that are addressed are waited for, or else the whole patience.
func TestAskInCluster(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newPidbox(t, func(p *pidbox, command []string, nth int) string {
		switch {
		case command[0] == "SADD" && nth == 3:
			return "-OOM command not allowed\r\n"
		case command[0] == "PUBLISH":
			return ":0\r\n" // They listen at other nodes.
		case command[0] == "BRPOP" && nth <= 3:
			return popped(p.reply(nth))
		case command[0] == "BRPOP":
			cancel()
		}
		return ""
	})
	o := lookOptions(p.addr)
	o.ClusterMode = true
	b := newBroker(t, o)
	one := toOne()
	one.atomic = true
	got, err := b.ask(ctx, one)
	if err != nil || len(got.replies) != 1 || got.counted || p.times("BRPOP") != 1 || p.times("MULTI") != 0 {
		t.Errorf("to one: %+v, %v, after %d waits and %d transactions", got, err, p.times("BRPOP"), p.times("MULTI"))
	}
	if got, err = b.ask(ctx, patient()); err != nil || len(got.replies) != 2 || got.counted || p.times("BRPOP") != 4 {
		t.Errorf("to all: %+v, %v, after %d waits", got, err, p.times("BRPOP")-1)
	}
	if _, err = b.ask(t.Context(), patient()); !strings.HasPrefix(message(err), "OOM") || p.times("PUBLISH") != 2 {
		t.Errorf("without a binding: %v, and %d commands sent", err, p.times("PUBLISH")-2)
	}
}

// The sweep goes on where the last look left it, and knows the age of each look's binding from its name.
func TestSweepGoesOn(t *testing.T) {
	var cursors, members []string
	p := newPidbox(t, func(_ *pidbox, command []string, nth int) string {
		switch command[0] {
		case "PUBLISH":
			return ":0\r\n"
		case "SADD":
			members = append(members, command[2])
		case "SSCAN":
			cursors = append(cursors, command[2])
			return "*2\r\n" + bulk(strconv.Itoa(7*nth)) + "*0\r\n"
		}
		return ""
	})
	b := newBroker(t, lookOptions(p.addr))
	begin := time.Now().Unix()
	for range 3 {
		if _, err := b.ask(t.Context(), patient()); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(cursors, " "); got != "0 7 14" {
		t.Errorf("scans from %s; want 0 7 14", got)
	}
	for _, m := range members {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(m, "sluice-"), "-")
		if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || at < begin || at > time.Now().Unix() {
			t.Errorf("binding %q: %v; want a time from %d on", m, err, begin)
		}
	}
}

func TestPast(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	running, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"cancelled": {cancelled, true}, "ended": {ended, true}, "running": {running, false}, "without an end": {context.Background(), false},
		"ended, and not told yet": {untold{ended}, true},
	} {
		if got := past(c.ctx); got != c.want {
			t.Errorf("%s is past: %v", name, got)
		}
	}
}

// untold is a context whose timer has not run yet.
type untold struct{ context.Context }

func (untold) Err() error { return nil }
