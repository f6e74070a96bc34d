package ecs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/lab/testenv"
)

// TestMain lets a test start this test program again as a program that runs one task, to be killed.
func TestMain(m *testing.M) {
	if share := os.Getenv("ECS_TEST_RUN_TASK"); share != "" {
		p := &Processes{SharePIDs: share == "shared", Log: func(Spec) io.Writer { return os.Stdout }}
		spec := Spec{TaskID: "t1", Hostname: "ip-10-0-0-11.ec2.internal", Command: []string{"sh", "-c", os.Getenv("ECS_TEST_SCRIPT")}}
		if _, err := p.Start(spec, func(Exit) {}); err != nil {
			fmt.Println(err)
		}
		select {}
	}
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}

// family is a task whose processes do all they can to survive: they ignore SIGTERM, one leaves for a session of its own,
// one is the orphan of a dead parent. Each is known by its argument, which tells it from all others.
var family = `trap "" TERM; sleep 987654321 & setsid sleep 987654321 & (setsid sh -c "sleep 987654321 & exit" &); echo up; wait`

// relatives are the processes that run the family's sleep, or its shell.
func relatives(t *testing.T, mark string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && bytes.Contains(line, []byte(mark)) && pid != os.Getpid() {
			out = append(out, pid)
		}
	}
	return out
}

// marked is the family with a number of its own instead of 987654321.
func marked(t *testing.T) (script, mark string) {
	mark = fmt.Sprintf("%d%07d", 1000+len(t.Name()), os.Getpid())
	return strings.ReplaceAll(family, "987654321", mark), mark
}

func TestNothingOutlivesTheProgram(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		whole      bool // The supervisor is killed in the same moment, as by killall.
	}{
		{"in namespaces", "isolated", false},
		{"in namespaces, the supervisor killed first", "isolated", true},
		{"in ours", "shared", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mode := c.mode
			if mode == "isolated" && !canIsolate() {
				t.Skip("SKIPPED: this machine allows no namespaces")
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			script, mark := marked(t)
			cmd.Env = append(os.Environ(), "ECS_TEST_RUN_TASK="+mode, "ECS_TEST_SCRIPT="+script)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if line != "up\n" {
				t.Fatalf("the task said %q, %v", line, err)
			}
			if err := testenv.WaitFor(t.Context(), func() error {
				// Supervisor, shell and three sleepers.
				if n := len(relatives(t, mark)); n < 5 {
					return fmt.Errorf("%d processes are up", n)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if c.whole {
				// The oldest relative is the supervisor.
				if err := syscall.Kill(slices.Min(relatives(t, mark)), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if err := testenv.WaitFor(t.Context(), func() error {
				if left := relatives(t, mark); len(left) > 0 {
					return fmt.Errorf("processes %v are left", left)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProcesses(t *testing.T) {
	script, mark := marked(t)
	for _, c := range []struct {
		name    string
		command []string
		until   string // What the task has to have said before it is acted on.
		act     func(Process)
		want    Exit
		says    string
	}{
		{"ends by itself", []string{"sh", "-c", "exit 3"}, "", nil, Exit{Code: 3}, ""},
		{"ends by a signal", []string{"sh", "-c", "kill -SEGV $$"}, "", nil, Exit{Code: 139}, ""},
		{
			"is asked to end",
			[]string{"sh", "-c", `trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.02; done`},
			"up", Process.Terminate,
			Exit{},
			"bye",
		},
		{"will not end and is killed", []string{"sh", "-c", script}, "up", Process.Kill, Exit{Code: 137, Killed: true}, ""},
		{"knows who it is", []string{"echo", "{hostname} {task_id} {private_ip}"}, "", nil, Exit{}, "ip-10-0-0-9.ec2.internal 0abc 10.0.0.9"},
		{"hears from the environment", []string{"sh", "-c", "echo $WHO"}, "", nil, Exit{}, "task 0abc"},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, shared %v", c.name, shared), func(t *testing.T) {
				out := new(testenv.Output)
				p := &Processes{SharePIDs: shared, Log: func(Spec) io.Writer { return out }}
				end := make(chan Exit, 1)
				spec := Spec{
					TaskID: "0abc", Hostname: "ip-10-0-0-9.ec2.internal", PrivateIPv4: "10.0.0.9",
					Command: c.command, Env: []string{"WHO=task {task_id}"},
				}
				process, err := p.Start(spec, func(e Exit) { end <- e })
				if err != nil {
					t.Fatal(err)
				}
				if err := testenv.WaitFor(t.Context(), func() error {
					if !strings.Contains(out.String(), c.until) {
						return errors.New("the task is silent")
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if c.act != nil {
					c.act(process)
				}
				if got := <-end; got != c.want {
					t.Errorf("got %+v, want %+v (it said %q)", got, c.want, out.String())
				}
				if !strings.Contains(out.String(), c.says) {
					t.Errorf("it said %q, want %q", out.String(), c.says)
				}
				if left := relatives(t, mark); len(left) > 0 {
					t.Errorf("processes %v are left", left)
				}
			})
		}
	}
}

func TestHostname(t *testing.T) {
	out := new(testenv.Output)
	p := &Processes{Log: func(Spec) io.Writer { return out }}
	if !p.Isolated() {
		t.Skip("SKIPPED: this machine allows no namespaces")
	}
	end := make(chan Exit, 1)
	spec := Spec{TaskID: "t", Hostname: "ip-10-0-0-9.ec2.internal", Command: []string{"uname", "-n"}}
	if _, err := p.Start(spec, func(e Exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	<-end
	if got := out.String(); got != "ip-10-0-0-9.ec2.internal\n" {
		t.Errorf("the host's name is %q", got)
	}
}

func TestCommandNotFound(t *testing.T) {
	p := &Processes{}
	if _, err := p.Start(Spec{TaskID: "t", Command: []string{"no-such-command"}}, func(Exit) {}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
