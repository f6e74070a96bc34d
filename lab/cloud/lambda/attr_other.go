//go:build unix && !linux

package lambda

import "syscall"

// instanceAttr starts an instance in a group of its own, so that a Ctrl-C in the terminal reaches the host only, which then
// ends its instances. Without a signal for the death of the host, an instance ends when its runtime next finds the Runtime
// API gone.
func instanceAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
