package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// rights are what the README says that a Redis user for Sluice needs, as rules of ACL SETUSER, for the database and the keys of the
// application that are given.
func rights(t *testing.T, db int, queue, counter string) []string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(testenv.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "A Redis user for Sluice alone needs the commands ")
	commands, rest, keys := strings.Cut(text, "; the keys ")
	names, rest, channels := strings.Cut(rest, "; and the channels ")
	rest, _, end := strings.Cut(rest, ", where ")
	if !found || !keys || !channels || !end {
		t.Fatal("the README has no such paragraph any more")
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	words := func(text, sign string) []string {
		var rules []string
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			for word := range strings.FieldsSeq(m[1]) {
				rules = append(rules, sign+word)
			}
		}
		return rules
	}
	rules := []string{"on", ">secret", "-@all", "~" + counter}
	rules = append(rules, words(commands, "+")...)
	rules = append(rules, words(names, "~")...)
	rules = append(rules, words(rest, "&")...)
	for i := range rules {
		rules[i] = strings.NewReplacer("QUEUE", queue, "/0.", fmt.Sprintf("/%d.", db)).Replace(rules[i])
	}
	return rules
}

// TestTheRightsOfTheReadme has Sluice work as a user who may do what the README lists, and nothing else. Redis itself keeps a log of
// all that it denies to anybody.
func TestTheRightsOfTheReadme(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t)
	url := fmt.Sprintf("redis://%s/1", server)
	b := newBroker(t, url)
	rules := []any{"ACL", "SETUSER", "sluice"}
	for _, rule := range rights(t, 1, "video", "celery:active_tasks") {
		rules = append(rules, rule)
	}
	if err := b.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	// The workers send heartbeats, to which Sluice listens, and fetch four messages each.
	c := start(t, fmt.Sprintf(`version: 1
brokers: [{name: redis, url: "redis://sluice:secret@%s/1"}]
targets:
  - {name: video, cluster: media, service: workers, queues: [video], max: 3, settle: 1s, grace: 0s}
  - {name: counted, cluster: media, service: counted, queues: [video2], max: 1, activity: {source: counter, key: "celery:active_tasks"}}
local:
  redis: none
  services:
    - {cluster: media, service: workers, command: %s, dir: %q, env: {REDIS_URL: %q}, start_delay: 10ms}
    - {cluster: media, service: counted, command: [sleep, "1000"]}
`, server, worker(t, "--queues", "video", "--concurrency", "1", "--pool", "threads"), app(), url), cloud.Options{})

	// One worker has all the messages, so that the other is asked whether it may hold any: partly let go, then wholly, and in
	// between all of them fetch again.
	c.setDesired("workers", 1)
	b.awaitWorkers(1)
	b.send(3, "hold", "gate", "video", nil)
	b.awaitStarted(1)
	eventually(t, func() error {
		if n := b.LLen(t.Context(), "video").Val(); n > 0 {
			return fmt.Errorf("%d messages wait", n)
		}
		return nil
	})
	c.setDesired("workers", 2)
	b.awaitWorkers(2)
	k := crew{c, b, nil}
	k.expectSweep("a sweep while one works", "scaled in", 1)
	b.open("gate", 3)
	b.awaitEnded()
	b.awaitWorkers(1) // The one that was let go fetches nothing either while it stops, and would pass for the drained one.
	end := k.beginSweep()
	k.awaitDrained(1, 0)
	thaw := k.freeze(cloud.ScaleIn) // Or it might let it go before the work has come.
	b.send(1, "hold", "gate", "video", nil)
	thaw()
	b.awaitStarted(4)
	k.expect(end(), "work in the middle of a drain", "resumed", 1)
	b.open("gate", 1)
	k.end(2)

	denied, err := b.ACLLog(t.Context(), 10).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range denied {
		t.Errorf("denied to %s: %s of %q, in %s", d.Username, d.Reason, d.Object, d.Context)
	}
}
