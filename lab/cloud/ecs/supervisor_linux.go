package ecs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisorAttr starts a supervisor in a session of its own. With a namespace of its own, the kernel kills it when this
// program dies, and with it the whole namespace. Without one it must live on for as long as the killing takes.
func supervisorAttr(isolate bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if !isolate {
		return attr
	}
	attr.Pdeathsig = syscall.SIGKILL
	attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		// Who is not root may do this in a user namespace, as the same user, with the one right to name the host.
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return attr
}

// canIsolate tries whether this machine lets us make namespaces: containers often do not.
func canIsolate() bool {
	self, err := os.Executable()
	if err != nil {
		return false
	}
	hear, control, err := os.Pipe()
	if err != nil {
		return false
	}
	defer func() { _, _ = hear.Close(), control.Close() }()
	cmd := exec.Command(self)
	cmd.Args = []string{supervisorName, "localhost", "true"}
	cmd.ExtraFiles = []*os.File{hear}
	cmd.SysProcAttr = supervisorAttr(true)
	return cmd.Run() == nil
}

// enclose makes the supervisor the one that orphans of the task fall to, and names the host if the host is its own.
func enclose(hostname string) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	if os.Getpid() == 1 {
		_ = unix.Sethostname([]byte(hostname))
	}
}

// taskAttr starts the task's main process in a group of its own, and has the kernel kill it if the supervisor dies.
func taskAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killTree kills everything that the task has started. As the first process of a namespace the supervisor has only to
// end; else it kills its descendants until there are none (orphans become its children), for at most some seconds.
func killTree(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	if os.Getpid() == 1 {
		return
	}
	// The list is not of one moment: a process that was read before its parent, which dies meanwhile, hangs on nobody. By the
	// next time it has become our child, so only two empty lists in a row say that there are none.
	empty := 0
	for deadline := time.Now().Add(5 * time.Second); empty < 2 && time.Now().Before(deadline); {
		alive := descendants(os.Getpid())
		empty++
		if len(alive) > 0 {
			empty = 0
		}
		for _, pid := range alive {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// descendants lists the living descendants of a process.
func descendants(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// pid (name) state ppid ...; the name may hold anything, so what counts is after its last parenthesis.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 || string(fields[0]) == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	var out []int
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		out = append(out, pid)
	}
	return out
}
