package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/scaler"
	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// idle is a file whose workers are processes that do nothing, and say nothing: the queue alone tells.
const idle = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], min: 2, max: 5, activity: {source: none}, grace: 0s, settle: 1s}
local:
  sweep_every: 24h
  services:
    - {cluster: media, service: workers, command: [sleep, "1000"], start_delay: 0s, stop_timeout: 1s}
`

// startCloud starts a local cloud and returns the path of its file. Clients of AWS find it in the environment.
func startCloud(t *testing.T, yaml string) (path string) {
	t.Helper()
	functions := t.TempDir()
	if err := cloud.BuildFunctions(testenv.Root(), functions); err != nil {
		t.Fatal(err)
	}
	path = write(t, yaml)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := cloud.Start(t.Context(), cloud.Options{Config: c, ConfigPath: path, Lambdas: functions, NoSweep: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, kv := range cloud.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(functions, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(functions, "none"))
	return path
}

// The whole way: the tag, a sweep at once, and the showing until no task is left. Then what was set is taken back.
func TestDrain(t *testing.T) {
	path := startCloud(t, idle)

	// Ctrl-C ends the showing, and not the drain.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said bytes.Buffer
	progress := &testenv.Output{Until: "asked for", Then: cancel}
	if status := run(ctx, []string{"drain", "video", "--wait", "--config", path}, &said, progress); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if !strings.Contains(progress.String(), "The drain goes on without this program: `sluice status video` shows how far it is.\nsluice: interrupted") ||
		!strings.Contains(said.String(), "2 to 5  0 to 0") || !strings.Contains(said.String(), "Left: ") {
		t.Errorf("said\n%s%s", said.String(), progress.String())
	}

	status, out, errs := execute(t, "drain", "video", "--wait", "--timeout", "2m", "--config", path)
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, out, errs)
	}
	for _, want := range []string{"unchanged", "No task is left.", "Workers come back after `sluice set video --clear`."} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	fits(t, out)
	if !strings.Contains(errs, "  0 running, 0 asked for\n") {
		t.Errorf("no progress:\n%s", errs)
	}

	// Once more, as JSON: nothing to change, and nothing left.
	status, out, errs = execute(t, "drain", "video", "--wait", "--config", path, "-o", "json")
	var d struct {
		Targets []retag
		Sweep   string
		Left    *tasksLeft
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || status != 0 {
		t.Fatalf("exit status %d: %v\n%s%s", status, err, out, errs)
	}
	if d.Targets[0].Changed || d.Left == nil || !d.Left.none() || !strings.Contains(d.Sweep, ":execution:") {
		t.Errorf("said %+v", d)
	}

	status, out, errs = execute(t, "set", "video", "--clear", "--config", path)
	if status != 0 || !strings.Contains(out, "2 to 5") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}

	// What the sweeps saw is in the log, and what a task is made of in its definition.
	t.Run("saved", func(t *testing.T) {
		if err := testenv.WaitFor(t.Context(), func() error { // Nobody has waited for the end of the last drain's sweep.
			status, out, errs := execute(t, "cost", "--since", "1h", "--config", path, "-o", "json")
			var k costs
			if err := json.Unmarshal([]byte(out), &k); err != nil || status != 0 {
				return fmt.Errorf("exit status %d: %v\n%s", status, err, errs)
			}
			one := k.Saved.Targets[0]
			if one.Peak != 2 || one.Seen <= 0 || one.Ran <= 0 || one.Saved <= 0 || one.Saved >= one.Constant || one.TaskHour == nil || one.USD == nil || k.Saved.Priced != 1 {
				return fmt.Errorf("%+v", one)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, out, _ := execute(t, "cost", "--since", "1h", "--config", path)
		fits(t, out)
		if out = strings.Join(strings.Fields(out), " "); !strings.Contains(out, "AT PEAK") || !strings.Contains(out, "Saved less than a cent on 1 of 1 target") || !strings.Contains(out, "Whether you would have run the peak") {
			t.Error(out)
		}
	})
	t.Run("paused", func(t *testing.T) {
		execute(t, "pause", "video", "--config", path)
		status, out, errs := execute(t, "drain", "video", "--config", path)
		if status != 1 || out != "" || !strings.Contains(errs, "`sluice resume video --in` first") {
			t.Errorf("exit status %d\n%s%s", status, out, errs)
		}
		execute(t, "resume", "video", "--config", path)
	})
	t.Run("no stack", func(t *testing.T) {
		other := write(t, idle+"deploy: {stack: other}\n")
		status, out, errs := execute(t, "drain", "video", "--config", other)
		if status != 1 || !strings.Contains(out, scaler.TagMax) || !strings.Contains(errs, "the tag is set, so the next sweep drains the workers, at most 5m from now") {
			t.Errorf("exit status %d\n%s%s", status, out, errs)
		}
	})
}

func TestWhatDrainRefuses(t *testing.T) {
	soon := scaler.TagValue("true", time.Now().Add(time.Hour))
	target := config.Target{Name: "video", Max: 5}
	dry := target
	dry.DryRun = true
	for _, test := range []struct {
		name   string
		target config.Target
		tags   map[string]string
		want   string
	}{
		{"nothing in the way", target, nil, ""},
		{"paused", target, map[string]string{scaler.TagPaused: soon}, "is paused"},
		{"paused in", target, map[string]string{scaler.TagPausedIn: "true"}, "is paused"},
		{"paused out, which does not matter", target, map[string]string{scaler.TagPausedOut: "true"}, ""},
		{"a dry run", dry, nil, "is in a dry run"},
		{"a dry run that a tag ends", dry, map[string]string{scaler.TagDryRun: "false"}, ""},
		{"a max that cannot be read, and is replaced", target, map[string]string{scaler.TagMax: "many"}, ""},
		{"another tag that cannot be read", target, map[string]string{scaler.TagPausedOut: "perhaps"}, "tag sluice:paused-out: \"perhaps\" is neither true nor false"},
		{"a dry run by a tag", target, map[string]string{scaler.TagDryRun: "true"}, "is in a dry run"},
	} {
		c, err := drainFlags{}.change(test.target, test.tags, time.Now())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil && (c.set[scaler.TagMax] != "0" || overrides(test.target, c.applied(map[string]string{scaler.TagMin: "3"}), time.Now()).Limits.Max != 0) {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
}

// Workers that are not asked are not told to fetch no more either: who drains them has to know.
func TestDrainOfWorkersThatAreNotAsked(t *testing.T) {
	for source, notes := range map[string]int{config.ActivityInspect: 0, config.ActivityCounter: 1, config.ActivityNone: 1} {
		c, err := drainFlags{}.change(config.Target{Max: 3, Activity: config.Activity{Source: source}}, nil, time.Now())
		if err != nil || len(c.notes) != notes {
			t.Errorf("%s: %v, %v", source, c.notes, err)
		}
	}
}
