//go:build !linux

package ecs

import "syscall"

// Elsewhere than on Linux a task is a process group of its own: what leaves the group can outlive it.

func supervisorAttr(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func canIsolate() bool { return false }

func enclose(string) {}

func taskAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killTree(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
