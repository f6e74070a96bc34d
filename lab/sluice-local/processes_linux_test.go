package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

// However sluice-local ends, no process of it is left: not the functions' instances, not the tasks' supervisors, not the
// tasks, and none of their descendants, whether orphans, in sessions of their own, or deaf to signals.
func TestLocalLeavesNoProcessBehind(t *testing.T) {
	python := testenv.Python(t)
	dir := t.TempDir()
	sluice := filepath.Join(dir, "sluice-local")
	if out, err := exec.Command("go", "build", "-o", sluice, ".").CombinedOutput(); err != nil {
		t.Fatalf("build sluice-local: %v\n%s", err, out)
	}
	if err := cloud.BuildFunctions(testenv.Root(), filepath.Join(dir, "local")); err != nil {
		t.Fatal(err)
	}
	family, err := filepath.Abs(filepath.Join("testdata", "family.py"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			mark := fmt.Sprintf("SLUICE_TEST_MARK=%d-%d", os.Getpid(), sig)
			name, value, _ := strings.Cut(mark, "=")
			argv, _ := json.Marshal([]string{python, family})
			config := write(t, fmt.Sprintf(`version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets: [{name: video, cluster: media, service: workers, queues: [encode], min: 2, max: 3}]
local:
  sweep_every: 1s
  services:
    - {cluster: media, service: workers, command: %s, start_delay: 0s, stop_timeout: 2s, env: {%s: "%s"}}
`, argv, name, value))

			cmd := exec.Command(sluice, "--config", config)
			cmd.Env = append(os.Environ(), "REDIS_URL=", "AWS_REGION=")
			var log bytes.Buffer
			cmd.Stderr = &log
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill() }()
			first, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil || !strings.HasPrefix(first, "export AWS_ENDPOINT_URL='http://127.0.0.1:") {
				t.Fatalf("first line %q, %v\n%s", first, err, log.String())
			}

			// Two tasks of a supervisor, the main process and its 2 x (2 + 4) descendants that stay, and an instance of Check.
			left := func() (tasks, functions []int) { return processes(t, mark, filepath.Join(dir, "local")) }
			const perTask = 1 + 1 + 12
			if err := testenv.WaitFor(t.Context(), func() error {
				tasks, functions := left()
				if len(tasks) < 2*perTask || len(functions) < 1 {
					return fmt.Errorf("%d processes of tasks and %d of functions run", len(tasks), len(functions))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}

			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			err = wait(cmd, 2*time.Minute)
			if status := cmd.ProcessState; sig != syscall.SIGKILL && (err != nil || status.ExitCode() != 0) {
				t.Errorf("it ended with %v\n%s", err, log.String())
			}
			gone := func() error {
				tasks, functions := left()
				if len(tasks)+len(functions) > 0 {
					return fmt.Errorf("processes %v of tasks and %v of functions are left", tasks, functions)
				}
				return nil
			}
			if sig == syscall.SIGKILL {
				err = testenv.WaitFor(t.Context(), gone) // Others do it, and nobody can say when they are done.
			} else {
				err = gone()
			}
			if err != nil {
				t.Error(err)
				tasks, functions := left()
				for _, pid := range append(tasks, functions...) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		})
	}
}

// wait waits for a process, and kills it if it takes too long.
func wait(cmd *exec.Cmd, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	return errors.Join(err, ctx.Err())
}

// processes lists the living processes with the mark in their environment, and those whose program is in the folder.
func processes(t *testing.T, mark, folder string) (marked, programs []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// A process that has just ended, and one that nobody has waited for yet, has neither.
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		switch {
		case bytes.Contains(environ, []byte(mark)):
			marked = append(marked, pid)
		case strings.HasPrefix(exe, folder+"/"):
			programs = append(programs, pid)
		}
	}
	return marked, programs
}
