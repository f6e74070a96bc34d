package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/testenv"
)

// TestBadBrokers has one check look at many brokers of which nearly each is broken in its own way. Every target has one
// task, and no workers that could be asked, so that with a broken broker taken for an empty one it would be let go: the
// one empty queue shows that. None of the others ever is.
func TestBadBrokers(t *testing.T) {
	t.Parallel()
	plain := testenv.RedisServer(t)
	locked := testenv.RedisServer(t, "--requirepass", "right")
	host, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	replica := testenv.RedisServer(t, "--replicaof", host+" "+port)
	db := func(n int) string { return fmt.Sprintf("redis://%s/%d", plain, n) }
	const unavailable, refused = "BrokerUnavailable", "BrokerRefused"
	rows := []struct {
		name, url string
		prepare   func(*broker) error // What the application, or an accident, left in Redis.
		kind      string              // The error under which the state machine sees a scale-out end; "" is none.
		says      string              // In the check's error.
		decided   string
		backlog   string // What the check says of it.
	}{
		{"refused", "redis://" + testenv.RefusingAddr(t), nil, unavailable, "connection refused", "hold unknown", "null"},
		{"black-hole", "redis://" + respServer(t, false, blackHole), nil, unavailable, "timeout", "hold unknown", "null"},
		{"no-password", "redis://" + locked, nil, refused, "NOAUTH", "hold unknown", "null"},
		{"wrong-password", "redis://:wrong@" + locked, nil, refused, "WRONGPASS", "hold unknown", "null"},
		{"wrong-user", "redis://nobody:right@" + locked, nil, refused, "WRONGPASS", "hold unknown", "null"},
		{"wrong-database", "redis://" + plain + "/99", nil, refused, "DB index is out of range", "hold unknown", "null"},
		{"tls-to-a-plain-port", "rediss://" + plain, nil, unavailable, "does this port speak TLS?", "hold unknown", "null"},
		{"self-signed", "rediss://" + respServer(t, true, scriptless), nil, refused, "certificate", "hold unknown", "null"},
		{"plain-to-a-tls-port", "redis://" + respServer(t, true, scriptless), nil, unavailable, "does it want TLS?", "hold unknown", "null"},
		{"loading", "redis://" + respServer(t, false, loading), nil, unavailable, "LOADING", "hold unknown", "null"},
		{"read-only", "redis://" + replica, nil, unavailable, "READONLY", "hold unknown", "null"},

		// Nothing is broken here but a part: what is not known of that holds the target, and is no alarm.
		{"no-scripts", "redis://" + respServer(t, false, scriptless), nil, "", "", "hold steady", "4"},
		{"queue-is-no-list", db(1), func(b *broker) error { return b.Set(t.Context(), "queue", "text", 0).Err() }, "", "", "hold unknown", "null"},
		{"priority-is-no-list", db(2), func(b *broker) error { return b.SAdd(t.Context(), "queue\x06\x166", "text").Err() }, "", "", "hold unknown", "null"},
		{"unacked-is-no-hash", db(3), func(b *broker) error { return b.Set(t.Context(), "unacked", "text", 0).Err() }, "", "", "hold unknown", "0"},

		// Odd messages are messages: a worker has to start and deal with them.
		{"binary", db(4), func(b *broker) error {
			return b.LPush(t.Context(), "queue", "\x00\xff\xfe", "{", "[[[[", "", strings.Repeat("\x80", 4<<20)).Err()
		}, "", "", "hold steady", "5"},
		{"protocol-1", db(5), func(b *broker) error {
			b.send(2, "quick", "", "queue", map[string]any{"protocol": 1})
			// Due tomorrow: no work yet, and not counted.
			b.send(1, "quick", "", "queue", map[string]any{"protocol": 1, "countdown": 86400})
			return nil
		}, "", "", "hold steady", "2"},
		{"a-million", db(6), func(b *broker) error {
			for range 20 { // Redis lets no script run for longer than 5 s.
				if err := b.Eval(t.Context(), "for i = 1, 5e4 do redis.call('LPUSH', KEYS[1], '{}') end return 1", []string{"queue"}).Err(); err != nil {
					return err
				}
			}
			return nil
		}, "", "", "scale_out backlog max", "1000000"},

		{"empty", db(7), nil, "", "", "candidate idle settle", "0"},
	}
	var brokers, targets, services strings.Builder
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
		_, _ = fmt.Fprintf(&brokers, "  - {name: %s, url: %q}\n", r.name, r.url)
		_, _ = fmt.Fprintf(&targets, "  - {name: %s, broker: %[1]s, cluster: media, service: %[1]s, queues: [queue], max: 3, settle: 1s, grace: 0s%s}\n", r.name, idle)
		_, _ = fmt.Fprintf(&services, "    - {cluster: media, service: %s, command: [sleep, \"1000\"], start_delay: 10ms}\n", r.name)
		if r.prepare != nil {
			if err := r.prepare(newBroker(t, r.url)); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
		}
	}
	c := start(t, fmt.Sprintf("version: 1\nbrokers:\n%stargets:\n%slocal:\n  redis: none\n  services:\n%s", &brokers, &targets, &services), cloud.Options{})
	c.setDesireds(1, names...)
	for _, name := range names {
		c.awaitCounts(name, 1, 1) // One on its way up would hold its scale-in.
	}

	// One look at all of them, bounded by the slowest.
	began := time.Now()
	var all struct {
		Checked, Failed int
		Targets         []look
	}
	if f := c.invoke(cloud.Check, `{}`, &all); f.ErrorType != "" {
		t.Fatalf("check: %+v", f)
	}
	t.Logf("a check of %d brokers took %v", len(rows), time.Since(began)) // Its own time-out has bounded it.
	broken := 0
	for _, r := range rows {
		if r.kind != "" {
			broken++
		}
	}
	if all.Checked != len(rows) || all.Failed != broken {
		t.Errorf("%d targets checked, %d failed; want %d and %d", all.Checked, all.Failed, len(rows), broken)
	}

	// Each by itself, with a good look after it, in the same instance.
	for _, r := range rows {
		got := c.check(r.name)
		if !strings.Contains(got.error(), r.says) || (got.Error == nil) != (r.kind == "") {
			t.Errorf("%s: error %q; want %q", r.name, got.error(), r.says)
		}
		if r.kind != "" && !strings.HasPrefix(got.error(), "broker "+r.name+": look at broker: ") {
			t.Errorf("%s: error %q; want it to name the broker", r.name, got.error())
		}
		if strings.Contains(got.error(), "wrong@") || strings.Contains(got.error(), ":right") {
			t.Errorf("%s: error %q shows a password", r.name, got.error())
		}
		if got.decided() != r.decided || shown(got.QueueLen) != r.backlog || shown(got.DesiredCount) != "1" {
			t.Errorf("%s: %s, queue_len %s, desired_count %s; want %s, %s, 1", r.name, got.decided(), shown(got.QueueLen), shown(got.DesiredCount), r.decided, r.backlog)
		}
		if got := c.check("empty"); !got.ShouldScaleIn {
			t.Errorf("a good look after %s: %+v", r.name, got)
		}
		if f := c.invoke(cloud.ScaleOut, fmt.Sprintf(`{"target": %q}`, r.name), &struct{}{}); f.ErrorType != r.kind {
			t.Errorf("%s: scale-out ended with %+v; want %q", r.name, f, r.kind)
		}
	}
	for _, function := range []string{cloud.Check, cloud.ScaleOut} {
		if n := c.coldStarts(function); n != 1 {
			t.Errorf("%d instances of %s were started; want the same one to live on", n, function)
		}
	}

	// The sweep as a whole.
	s := c.sweep()
	if s.Status != asl.Failed || s.Error != "TargetsFailed" {
		t.Errorf("the sweep ended with %s, %s", s.Status, s.Error)
	}
	for _, r := range rows {
		want := 1
		switch r.name {
		case "a-million":
			want = 3
		case "empty":
			want = 0
		}
		if n := c.service(r.name).Desired; n != want {
			t.Errorf("%s: the sweep left a count of %d; want %d", r.name, n, want)
		}
		if got := s.Results[r.name]; got.Failed != (r.kind != "") || !strings.Contains(got.Error, r.says) {
			t.Errorf("%s: the sweep says %+v", r.name, got)
		}
	}

	// Who says how many gets them all the same, whatever the broker.
	c.put(original(`{"target": "black-hole", "scale_to": 2}`), original(`{"target": "wrong-password", "scale_to": 2}`))
	c.awaitDesired("black-hole", 2)
	c.awaitDesired("wrong-password", 2)
}

// awaitDesired waits until the service has this desired count.
func (c *system) awaitDesired(service string, n int) {
	c.t.Helper()
	eventually(c.t, func() error {
		if got := c.service(service).Desired; got != n {
			return fmt.Errorf("service %s: %d desired, not %d", service, got, n)
		}
		return nil
	})
}
