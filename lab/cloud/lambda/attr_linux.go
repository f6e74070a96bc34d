package lambda

import "syscall"

// instanceAttr starts an instance in a group of its own, so that a Ctrl-C in the terminal reaches the host only, which then
// ends its instances, and has the kernel kill it with the death of the thread that starts it: see spawner.
func instanceAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
