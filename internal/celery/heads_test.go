package celery

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// TestHeads tells a story of one queue: for how long, in seconds, its oldest head has been seen; -1 if there is none.
func TestHeads(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	now := noon
	o := lookOptions(m.Addr())
	o.Now = func() time.Time { return now }
	broker := newBroker(t, o)
	push := func(key string, ids ...string) {
		for _, id := range ids {
			_, _ = m.Lpush(key, taskMessage(id, "video", nil))
		}
	}
	take := func(key string) {
		if _, err := m.RPop(key); err != nil {
			t.Fatal(err)
		}
	}
	many := make([]string, maxMessages)
	for i := range many {
		many[i] = fmt.Sprintf("more%d", i)
	}
	for _, step := range []struct {
		what   string
		change func()
		want   float64
	}{
		{"nothing waits", func() {}, -1},
		{"one is seen for the first time", func() { push("video", "a") }, 0},
		{"others come behind it", func() { push("video", "b", "c") }, 10},
		{"so many that the list is not read any more", func() { push("video", many...) }, 20},
		{"it is taken", func() { take("video") }, 0},
		{"the next one stays", func() {}, 10},
		{"one of another priority comes", func() { push("video\x06\x169", "low") }, 20},
		{"the list is read again", func() {
			for range maxMessages - 5 {
				_, _ = m.Lpop("video")
			}
		}, 30},
		{"only the other priority is left", func() { m.Del("video") }, 20},
		{"and then nothing", func() { m.Del("video\x06\x169") }, -1},
		{"the same message comes again: it has not waited meanwhile", func() { push("video", "b") }, 0},
		{"a head that is due later is no head", func() {
			m.Del("video")
			_, _ = m.Lpush("video", taskMessage("eta", "video", "2026-11-21T18:00:00+00:00"))
		}, -1},
		{"but what waits behind it is", func() { push("video", "d") }, 0},
		{"and stays it", func() {}, 10},
	} {
		step.change()
		look, err := broker.Look(t.Context(), []string{"video"}, testPatience)
		if err != nil {
			t.Fatal(err)
		}
		got := -1.0
		if since := look.Queues["video"].HeadSince; !since.IsZero() {
			got = look.At.Sub(since).Seconds()
		}
		if got != step.want {
			t.Fatalf("%s: seen for %v s, want %v", step.what, got, step.want)
		}
		now = now.Add(10 * time.Second)
	}
	if n := len(broker.heads.seen); n != 1 {
		t.Errorf("%d heads are remembered, want 1", n)
	}
}

// TestDigestIsTheScripts holds the digest of a message that was read against that of the script, in a real Redis.
func TestDigestIsTheScripts(t *testing.T) {
	client, addr := realRedis(t)
	broker := newBroker(t, lookOptions(addr))
	for _, message := range []string{"short", taskMessage("a", "video", nil), strings.Repeat("x", 9000), strings.Repeat("y", 3000) + strings.Repeat("z", 3000)} {
		client.Del(t.Context(), "video")
		fill(t, client, "video", message, 1)
		d, err := broker.measure(t.Context(), []string{"video"}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.heads["video"]; got != digest(message) {
			t.Errorf("the script makes %q of %d bytes, and we %q", got, len(message), digest(message))
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	none, before, after := time.Time{}, noon, noon.Add(time.Second)
	for _, c := range [][3]time.Time{
		{none, none, none}, {none, after, after}, {after, none, after}, {before, after, before}, {after, before, before}, {after, after, after},
	} {
		if got := older(c[0], c[1]); !got.Equal(c[2]) {
			t.Errorf("of %v and %v the older is %v", c[0], c[1], got)
		}
	}
}

func TestHeadsAreBounded(t *testing.T) {
	t.Parallel()
	h := heads{seen: map[string]head{}}
	for i := range maxHeads {
		h.since(fmt.Sprint(i), "a", noon)
	}
	if got := h.since("one more", "a", noon); !got.IsZero() || len(h.seen) != maxHeads {
		t.Errorf("%d heads are remembered, and of one more that it was seen at %v", len(h.seen), got)
	}
	if got := h.since("7", "a", noon.Add(time.Minute)); !got.Equal(noon) {
		t.Errorf("a known one was seen at %v", got)
	}
	if got := h.since("7", "b", noon.Add(time.Hour)); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("a known list has a new head, seen since %v", got)
	}
}

func TestRequestsAreTold(t *testing.T) {
	var mu sync.Mutex
	told := map[string]int{}
	count := func(operation string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			operation += " failed"
		}
		told[operation]++
	}
	m := miniredis.RunT(t)
	_ = m.Set("video", "a key of another type is no failed request")
	o := lookOptions(m.Addr())
	o.Called = count
	broker := newBroker(t, o)
	startFake(t, m.Addr(), "w1@a", says{methodQueues: videoOnly, methodActive: nil}) // It answers half of what it is asked.
	if _, err := broker.Look(t.Context(), []string{"video"}, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if told["brpop"] == 0 || told["pipeline"] == 0 {
		t.Errorf("told of %v", told)
	}
	for operation := range told {
		if strings.Contains(operation, "failed") {
			t.Errorf("told of %v: nothing has failed", told)
		}
	}

	clear(told)
	o.Addrs = []string{testenv.RefusingAddr(t)}
	if _, err := newBroker(t, o).Look(t.Context(), []string{"video"}, testPatience); !errors.As(err, new(*policy.Error)) {
		t.Fatal(err)
	}
	if told["pipeline failed"] != 1 || told["pipeline"] != 0 {
		t.Errorf("told of %v, want one failed pipeline", told)
	}
}
