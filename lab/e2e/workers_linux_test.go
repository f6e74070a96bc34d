package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/testenv"
)

// TestBadWorkers has targets whose workers do not run, stand still, answer late, bear one name twice, or use a
// serializer other than JSON. All are seen by the one instance of the check. None that may be busy is let
// go, and none is harmed by being asked: at the end each ends its work and leaves as it should.
func TestBadWorkers(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t)
	targets := []struct {
		name, command, env string
		tasks              int
	}{
		{"none", `["sleep", "1000"]`, `{}`, 1},
		{"silent", worker(t, append(light, "--queues", "silent")...), `{}`, 1},
		{"twins", worker(t, append(light, "--queues", "twins", "--hostname", "same@host")...), `{}`, 2},
		{"pickle", worker(t, append(light, "--queues", "pickle")...), `{CELERY: '{"accept_content": ["pickle", "json"]}', C_FORCE_ROOT: "1"}`, 1},
		{"foreign", worker(t, append(light, "--queues", "foreign")...), `{CELERY: '{"task_serializer": "pickle", "accept_content": ["pickle", "json"]}', C_FORCE_ROOT: "1"}`, 1},
		{"deaf", worker(t, append(light, "--queues", "deaf")...), `{CELERY: '{"task_serializer": "pickle", "accept_content": ["pickle"]}', C_FORCE_ROOT: "1"}`, 1},
	}
	var brokers, list, services strings.Builder
	at := map[string]*broker{}
	for i, w := range targets {
		url := fmt.Sprintf("redis://%s/%d", server, i)
		at[w.name] = newBroker(t, url)
		_, _ = fmt.Fprintf(&brokers, "  - {name: %s, url: %q}\n", w.name, url)
		_, _ = fmt.Fprintf(&list, "  - {name: %s, broker: %[1]s, cluster: media, service: %[1]s, queues: [%[1]s], max: 3, settle: 1s, grace: 0s}\n", w.name)
		env := strings.Replace(w.env, "{", "{REDIS_URL: "+url+", ", 1)
		_, _ = fmt.Fprintf(&services, "    - {cluster: media, service: %s, command: %s, dir: %q, env: %s, start_delay: 10ms}\n", w.name, w.command, app(), env)
	}
	c := start(t, fmt.Sprintf("version: 1\nbrokers:\n%stargets:\n%slocal:\n  redis: none\n  services:\n%s", &brokers, &list, &services), cloud.Options{})
	for _, w := range targets {
		c.setDesired(w.name, int32(w.tasks))
	}
	expect := func(when, target, decided, active, held string) {
		t.Helper()
		got := c.check(target)
		if got.decided() != decided || shown(got.ActiveTasks) != active || shown(got.Held) != held || got.Error != nil {
			t.Errorf("%s, %s: %s, active_tasks %s, held %s, error %q; want %s, %s, %s", when, target,
				got.decided(), shown(got.ActiveTasks), shown(got.Held), got.error(), decided, active, held)
		}
	}
	const idle = "candidate idle settle"

	// With nothing to do. ECS calls the tasks of none running, and nothing answers. foreign answers in pickle, which nobody
	// but Python should read: it is heard, and not understood. deaf takes nothing but pickle, and so no question of ours,
	// which are in JSON: for all that is known it is busy.
	c.awaitCounts("none", 1, 1)
	for _, w := range targets[1:] {
		if w.name != "deaf" {
			at[w.name].awaitWorkers(w.tasks)
			continue
		}
		at[w.name].awaitAnyLook(100*time.Millisecond, func(seen policy.Look) error {
			if seen.Listeners.N != w.tasks {
				return fmt.Errorf("%d workers listen, not %d", seen.Listeners.N, w.tasks)
			}
			return nil
		})
	}
	expect("with nothing to do", "none", "hold unknown", "null", "0")
	expect("with nothing to do", "foreign", "hold unknown", "null", "0")
	expect("with nothing to do", "deaf", "hold steady", "1", "0")
	var all struct{ Targets []look }
	if f := c.invoke(cloud.Check, `{}`, &all); f.ErrorType != "" {
		t.Fatalf("check: %+v", f)
	}
	candidates := map[string]string{}
	for _, l := range all.Targets {
		candidates[l.Target] = l.decided()
	}
	if diff := cmp.Diff(map[string]string{"silent": idle, "twins": idle, "pickle": idle}, candidates); diff != "" {
		t.Errorf("with nothing to do, to be let go (-want +got):\n%s", diff)
	}

	// One name twice: what one of them does is not taken for what both do, nor for nothing. There is one too many, but nobody
	// can tell which: the closer look of a sweep will find that.
	twins := at["twins"]
	twins.send(1, "hold", "gate", "twins", nil)
	twins.awaitStarted(1)
	expect("one of two works", "twins", "candidate surplus settle", "1", "0")

	// A set in a pickled argument cannot be written into a reply in JSON. A worker that is asked in the wrong way for what
	// it holds never answers again.
	pickle := at["pickle"]
	pickle.send(2, "hold", "gate", "pickle", map[string]any{"serializer": "pickle"})
	pickle.awaitStarted(1)
	pickle.awaitLook(func(seen policy.Look) error {
		if q := seen.Queues["pickle"]; len(seen.Nodes) != 1 || seen.Nodes[0].Active != policy.Known(1) || q.Held != policy.Known(1) {
			return fmt.Errorf("it is not at one task that executes and one that waits: %+v", seen)
		}
		return nil
	})
	for range 3 {
		expect("a pickled task runs and one waits", "pickle", "hold steady", "1", "1")
	}
	pickle.open("gate", 2)
	pickle.awaitEnded()

	// A worker that stands still listens and does not answer: it is busy, whatever it does.
	if n := signal(t, testenv.Python(t), "--queues silent", syscall.SIGSTOP); n == 0 {
		t.Fatal("there is no worker to stop")
	}
	for range 2 {
		expect("the worker stands still", "silent", "hold steady", "1", "0")
	}
	s := c.sweep()
	results := map[string]result{"pickle": {Target: "pickle", Outcome: "scaled in"}, "twins": {Target: "twins", Outcome: "dropped"}}
	if diff := cmp.Diff(results, s.Results); diff != "" || c.service("silent").Desired != 1 || c.service("none").Desired != 1 || c.service("twins").Desired != 2 {
		t.Errorf("a sweep while others stand still, work or are not there (-want +got):\n%s\n%+v", diff, s.Execution)
	}
	if d := decided(s.last(t, "twins")); d != "hold untold" {
		t.Errorf("a sweep while one of two works: %s", d)
	}
	// It goes on, and answers all that it was asked meanwhile, late. Nobody waits for that any more, and it is taken for no
	// other answer.
	signal(t, testenv.Python(t), "--queues silent", syscall.SIGCONT)
	eventually(t, func() error {
		if got := c.check("silent"); got.decided() != idle {
			return fmt.Errorf("the worker goes on: %s", got.decided())
		}
		return nil
	})
	if left := at["silent"].Keys(t.Context(), "*.reply.celery.pidbox").Val(); len(left) > 0 {
		t.Errorf("late answers are left in Redis: %q", left)
	}

	twins.open("gate", 1)
	twins.awaitEnded()
	s = c.sweep()
	if s.Status != asl.Succeeded && !s.starved() {
		t.Errorf("the last sweep: %+v", s.Execution)
	}
	eventually(t, func() error {
		for _, name := range []string{"silent", "twins"} {
			if n := c.service(name).Desired; n > 0 {
				s = c.sweep()
				return fmt.Errorf("the last sweep left %d of the tasks of %s: %+v", n, name, s.Execution)
			}
		}
		return nil
	})
	for _, w := range targets {
		if w.name == "none" || w.name == "foreign" || w.name == "deaf" {
			if n := c.service(w.name).Desired; n != 1 {
				t.Errorf("the last sweep left %d of the tasks of %s, of which nothing is known", n, w.name)
			}
			continue
		}
		expectCleanExits(t, c, w.name, w.tasks)
		at[w.name].expectNothingLostOrDoubled()
	}
}
