package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// TestDigest has the function that ships tell what the others did, from their own log: a way up and down, and a broker that refuses
// the password.
func TestDigest(t *testing.T) {
	t.Parallel()
	const queue = "video"
	yaml := one(worker(t, append(light, "--queues", queue)...), "") + "deploy: {notify: {every: 10m}}\n"
	c := start(t, yaml, cloud.Options{RedisURL: "redis://" + testenv.RedisServer(t) + "/0"})
	b := newBroker(t, c.RedisURL())

	digest := func() *cloud.Published {
		t.Helper()
		then := c.now()
		at := time.Now().Add(2 * time.Minute).UTC().Format(time.RFC3339) // A period ends a minute before.
		if f := c.invoke(cloud.Notify, fmt.Sprintf(`{"time": %q}`, at), nil); f.ErrorType != "" {
			t.Fatalf("notify: %+v", f)
		}
		if told := c.since(then, func(h cloud.Happening) bool { return h.Published != nil }); len(told) > 0 {
			return told[0].Published
		}
		return nil
	}
	c.sweep()
	if told := digest(); told != nil {
		t.Errorf("told although nothing has changed: %+v", told)
	}

	b.send(12, "hold", "gate", queue, nil)
	b.open("gate", 12)
	c.put(original(`{}`)) // The queue says how many.
	b.awaitEnded()
	b.awaitWorkers(3) // Until all are up a sweep lets none go.
	c.sweep()
	c.awaitCounts("workers", 0, 0)
	told := digest()
	if told == nil {
		t.Fatal("not told of the way up and down")
	}
	t.Logf("%s\n\n%s", told.Subject, told.Message)
	for _, part := range []string{"Sluice: video 0 -> 3 -> 0", "video: 0 -> 3 -> 0, 12 messages waited, idle for "} {
		if !strings.Contains(told.Subject+"\n"+told.Message, part) {
			t.Errorf("%q is not in %q", part, told)
		}
	}

	if err := b.ConfigSet(t.Context(), "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	// Who is connected stays so. The functions have to connect anew.
	if err := b.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.sweep()
	}
	told = digest()
	if told == nil {
		t.Fatal("not told of the broker")
	}
	t.Logf("%s\n\n%s", told.Subject, told.Message)
	if !strings.HasPrefix(told.Subject, "Sluice: video cannot be seen") || !strings.Contains(told.Message, "NOAUTH Authentication required.\n") {
		t.Errorf("told %+v", told)
	}
}
