package ecs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Processes is the Runner whose tasks are real processes.
//
// Each task runs under a supervisor of its own: this same program, started again (see supervise). The two are joined by a
// pipe. A byte through it asks for SIGTERM to the task's main process; its end, which comes however this program ends,
// SIGKILL included, makes the supervisor kill everything that the task has started. On Linux, where it is allowed, the
// supervisor is also the first process of a PID namespace of its own, so that the kernel kills the whole task with it, and
// of a UTS namespace with the host name that Fargate would give. So no process outlives this one.
type Processes struct {
	// Log returns where a task's output goes; nil discards it. It is closed when the task has ended, if it can be.
	Log func(Spec) io.Writer

	// SharePIDs has tasks share this program's namespaces even where they could have their own.
	SharePIDs bool

	once    sync.Once
	starts  chan func()
	isolate bool
}

// Start starts a supervisor and under it the task's command.
func (p *Processes) Start(spec Spec, ended func(Exit)) (Process, error) {
	p.once.Do(p.begin)
	if len(spec.Command) == 0 {
		return nil, fmt.Errorf("start task %s: service %s has no command", spec.TaskID, spec.Service)
	}
	fill := strings.NewReplacer(
		"{hostname}", spec.Hostname, "{task_id}", spec.TaskID, "{private_ip}", spec.PrivateIPv4)
	argv := make([]string, len(spec.Command))
	for i, arg := range spec.Command {
		argv[i] = fill.Replace(arg)
	}
	if _, err := exec.LookPath(argv[0]); err != nil && spec.Dir == "" {
		return nil, fmt.Errorf("start task %s: %w", spec.TaskID, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start task %s: %w", spec.TaskID, err)
	}
	hear, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start task %s: %w", spec.TaskID, err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{supervisorName, spec.Hostname}, argv...)
	cmd.Dir = spec.Dir
	cmd.Env = append(os.Environ(), "AWS_EXECUTION_ENV=AWS_ECS_FARGATE", "HOSTNAME="+spec.Hostname)
	for _, e := range spec.Env {
		cmd.Env = append(cmd.Env, fill.Replace(e))
	}
	cmd.ExtraFiles = []*os.File{hear}
	var log io.Writer
	if p.Log != nil {
		log = p.Log(spec)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = supervisorAttr(p.isolate)
	cmd.WaitDelay = 5 * time.Second // Where something can outlive the supervisor, it may hold the output open.
	failed := make(chan error)
	p.starts <- func() { failed <- cmd.Start() }
	err = <-failed
	_ = hear.Close()
	if err != nil {
		_ = control.Close()
		closeLog(log)
		return nil, fmt.Errorf("start task %s: %w", spec.TaskID, err)
	}
	t := &processTree{control: control, pid: cmd.Process.Pid}
	go func() {
		err := cmd.Wait()
		closeLog(log)
		t.mu.Lock()
		killed := t.killed
		t.killed = true
		if !killed {
			_ = control.Close()
		}
		t.mu.Unlock()
		ended(Exit{Code: exitCode(cmd, err), Killed: killed})
	}()
	return t, nil
}

// begin starts the thread that starts all supervisors. A parent-death signal follows the thread that started the process,
// not the program: this thread lives as long as the program.
func (p *Processes) begin() {
	p.starts = make(chan func())
	p.isolate = !p.SharePIDs && canIsolate()
	go func() {
		runtime.LockOSThread()
		for start := range p.starts {
			start()
		}
	}()
}

// Isolated says whether tasks get namespaces of their own: then their host name is what the Spec says, and not even the
// sudden death of a supervisor leaves anything behind.
func (p *Processes) Isolated() bool {
	p.once.Do(p.begin)
	return p.isolate
}

func closeLog(log io.Writer) {
	if c, ok := log.(io.Closer); ok {
		_ = c.Close()
	}
}

func exitCode(cmd *exec.Cmd, err error) int {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 255
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 137 // The supervisor itself was killed.
}

type processTree struct {
	pid     int // Of the supervisor.
	mu      sync.Mutex
	control *os.File
	killed  bool
}

func (t *processTree) Terminate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.killed {
		_, _ = t.control.Write([]byte{terminate})
	}
}

func (t *processTree) Kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.killed {
		t.killed = true
		_ = t.control.Close()
	}
}
