package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// sluice is the command line, built once.
var sluice = sync.OnceValues(func() (string, error) {
	path := filepath.Join(lambdas, "sluice")
	out, err := exec.Command("go", "build", "-C", testenv.Root(), "-o", path, "./cmd/sluice").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return path, nil
})

// exporter is a running `sluice exporter`.
type exporter struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
}

// startExporter runs it against the cloud, on a port of its own choice.
func (c *system) startExporter(args ...string) *exporter {
	c.t.Helper()
	path, err := sluice()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.t.Context(), path, append([]string{"exporter", "--config", c.config, "--listen", "127.0.0.1:0", "--every", "5s"}, args...)...)
	cmd.Env = append(os.Environ(), c.Env()...)
	says, err := cmd.StderrPipe()
	if err == nil {
		err = testenv.Start(cmd)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { testenv.Stop(cmd) })
	e := &exporter{t: c.t, cmd: cmd}
	lines := bufio.NewScanner(says)
	for e.url == "" && lines.Scan() {
		c.t.Log(lines.Text())
		_, after, _ := strings.Cut(lines.Text(), "address=")
		e.url, _, _ = strings.Cut(after, " ")
	}
	if e.url == "" {
		c.t.Fatalf("the exporter says no address: %v", lines.Err())
	}
	go func() { _, _ = io.Copy(testLog{c.t}, says) }()
	return e
}

// scrape is what it shows: the values by name and labels.
func (e *exporter) scrape() (map[string]string, error) {
	r, err := http.Get(e.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }()
	samples := map[string]string{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			samples[lines.Text()[:i]] = lines.Text()[i+1:]
		}
	}
	if r.StatusCode != http.StatusOK {
		return nil, errors.New(r.Status)
	}
	return samples, nil
}

// await waits until the samples are as wanted; "" means that there is none.
func (e *exporter) await(what string, want map[string]string) {
	e.t.Helper()
	eventually(e.t, func() error {
		got, err := e.scrape()
		if err != nil {
			return err
		}
		for name, value := range want {
			if got[name] != value {
				return fmt.Errorf("%s: %s is %q, want %q", what, name, got[name], value)
			}
		}
		return nil
	})
}

// silent is a Redis that takes connections and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return ln.Addr().String()
}

// TestExporter holds that the numbers follow the work of real workers, that a broker which says nothing spoils nobody else's, and that
// the exporter ends when it is asked to.
func TestExporter(t *testing.T) {
	t.Parallel()
	const queue = "video"
	yaml := strings.Replace(one(worker(t, append(light, "--queues", queue, "--prefetch-multiplier", "1")...), ", messages_per_worker: 2"),
		"targets:\n", "targets:\n  - {name: mute, broker: silent, cluster: media, service: silent, queues: [mute], max: 1}\n", 1)
	yaml = strings.Replace(yaml, "brokers: [{", fmt.Sprintf("brokers: [{name: silent, url: \"redis://%s\"}, {", silent(t)), 1)
	yaml = strings.Replace(yaml, "{name: video,", "{name: video, broker: redis,", 1)
	yaml = strings.Replace(yaml, "  services:\n", "  services:\n    - {cluster: media, service: silent, command: [sleep, \"1000\"]}\n", 1)
	c := start(t, yaml, cloud.Options{RedisURL: "redis://" + testenv.RedisServer(t) + "/0"})
	b := newBroker(t, c.RedisURL())
	e := c.startExporter("--workers")
	e.await("at rest", map[string]string{
		`sluice_due_backlog_messages{target="video"}`: "0", `sluice_active_tasks{target="video"}`: "0",
		`sluice_target_desired_workers{target="video"}`: "0", `sluice_target_running_workers{target="video"}`: "0",
		`sluice_target_unknown{target="video"}`: "0", `sluice_target_reason{reason="steady",target="video"}`: "1",
		`sluice_dead_letter_messages{queue="ScaleOut"}`: "0", `sluice_source_up{source="workers"}`: "1",

		`sluice_target_unknown{target="mute"}`: "1", `sluice_due_backlog_messages{target="mute"}`: "", `sluice_active_tasks{target="mute"}`: "",
		`sluice_target_desired_workers{target="mute"}`: "0",
	})

	b.send(5, "hold", "gate", queue, nil)
	e.await("messages wait", map[string]string{
		`sluice_due_backlog_messages{target="video"}`: "5", `sluice_target_wish_workers{target="video"}`: "3",
		`sluice_target_desired_workers{target="video"}`: "0", `sluice_target_planned_workers{target="video"}`: "3",
		`sluice_target_reason{reason="backlog",target="video"}`: "1",
	})

	c.put(original(`{"target": "video", "scale_to": 3}`))
	b.awaitStarted(3)
	e.await("workers work", map[string]string{
		`sluice_active_tasks{target="video"}`: "3", `sluice_target_running_workers{target="video"}`: "3",
		`sluice_target_desired_workers{target="video"}`: "3", `sluice_target_unknown{target="video"}`: "0",
	})

	b.open("gate", 5)
	b.awaitEnded()
	e.await("the work is done", map[string]string{
		`sluice_active_tasks{target="video"}`: "0", `sluice_due_backlog_messages{target="video"}`: "0", `sluice_held_messages{target="video"}`: "0",
		`sluice_target_running_workers{target="video"}`: "3",
	})
	c.sweep()
	e.await("workers are gone", map[string]string{
		`sluice_target_desired_workers{target="video"}`: "0", `sluice_target_running_workers{target="video"}`: "0",
	})
	b.expectNothingLostOrDoubled()

	// The log is read half a minute late.
	e.await("the log was read", map[string]string{
		`sluice_changes_total{direction="out",target="video"}`: "1", `sluice_changes_total{direction="in",target="video"}`: "1",
		`sluice_event_to_count_seconds_count{target="video"}`: "1", `sluice_sweeps_total`: "1",
		`sluice_decisions_total{action="scale_out",target="video",use_case="scale_out"}`: "1",
	})

	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Wait(); err != nil {
		t.Errorf("the exporter ended with %v", err)
	}
}
