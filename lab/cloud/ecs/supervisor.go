package ecs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

const (
	// supervisorName is what a program that imports this package finds as its own name when it is a supervisor.
	supervisorName = "sluice-task"
	// controlFD is where a supervisor hears from the program that started it.
	controlFD = 3
	// terminate asks for SIGTERM to the main process. A byte and not a signal to the supervisor, because a signal that
	// comes before its handler is lost on the first process of a namespace, and kills any other.
	terminate = 't'
)

// init turns a program that was started as a supervisor into one, before it does anything else. That way any program, a
// test's too, supervises its tasks with no file but itself.
func init() {
	if len(os.Args) > 2 && os.Args[0] == supervisorName {
		// Its main thread lives as long as the process: see begin.
		runtime.LockOSThread()
		os.Exit(supervise(os.Args[1], os.Args[2:]))
	}
}

// supervise runs a task: it starts the command, passes SIGTERM on to it, and when the command ends, or the program that
// wants the task does, it kills whatever is left. It returns the task's exit status.
func supervise(hostname string, argv []string) int {
	// The terminal's Ctrl-C is for the program, which stops its tasks in order. Handled and not ignored, since ignoring is
	// inherited by what is started.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	control := os.NewFile(controlFD, "control")
	syscall.CloseOnExec(controlFD)
	enclose(hostname)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = taskAttr()
	if err := cmd.Start(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "CannotStartContainerError: %v\n", err)
		return 127
	}
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := control.Read(b); err != nil {
				killTree(cmd.Process.Pid)
				os.Exit(128 + int(syscall.SIGKILL))
			}
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	err := cmd.Wait()
	killTree(cmd.Process.Pid)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 255
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}
