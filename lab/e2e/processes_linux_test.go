package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process is a running process.
type process struct {
	pid, parent int
	args        string
}

// descendants are the processes that this one has started, and theirs. Tasks may live in PID namespaces of their own: from
// here they are seen with numbers of ours.
func descendants(t *testing.T) []process {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended.
		}
		args, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything; state and parent follow it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 {
			t.Fatalf("read %s: %s", path, stat)
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		all = append(all, process{pid, parent, strings.ReplaceAll(string(args), "\x00", " ")})
	}
	ours := map[int]bool{os.Getpid(): true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.parent] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(all, func(p process) bool { return !ours[p.pid] || p.pid == os.Getpid() })
}

// signal sends a signal to each process of ours whose command line begins so and holds that, and returns how many there are.
func signal(t *testing.T, begin, holds string, sig syscall.Signal) int {
	t.Helper()
	n := 0
	for _, p := range descendants(t) {
		if strings.HasPrefix(p.args, begin) && strings.Contains(p.args, holds) {
			if err := syscall.Kill(p.pid, sig); err != nil {
				t.Fatalf("signal %d: %v", p.pid, err)
			}
			n++
		}
	}
	return n
}

// kill ends the one running instance of a function, as a failing machine would.
func (c *system) kill(function string) {
	c.t.Helper()
	if n := signal(c.t, c.bootstrap(function), "", syscall.SIGKILL); n != 1 {
		c.t.Fatalf("%d instances of %s run, not 1", n, function)
	}
}

// freeze stops the one running instance of a function in its course, until it is thawed.
func (c *system) freeze(function string) (thaw func()) {
	c.t.Helper()
	if n := signal(c.t, c.bootstrap(function), "", syscall.SIGSTOP); n != 1 {
		c.t.Fatalf("%d instances of %s run, not 1", n, function)
	}
	return func() { signal(c.t, c.bootstrap(function), "", syscall.SIGCONT) }
}

// awaitCall waits until there have been so many calls of an operation of ECS.
func (c *system) awaitCall(op string, n int) {
	c.t.Helper()
	eventually(c.t, func() error {
		if got := c.ECS().Calls()[op]; got < n {
			return fmt.Errorf("%d calls of %s, not %d", got, op, n)
		}
		return nil
	})
}
