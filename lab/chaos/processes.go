package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process is a running process of ours.
type process struct {
	pid, parent int
	args        []string
}

// descendants are the processes that this one has started, and theirs. Tasks may live in PID namespaces of their own: from here
// they are seen with numbers of ours. Linux only.
func descendants() ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("list processes: there is no /proc here (%w)", errNoProc)
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
		if err != nil || len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		all = append(all, process{pid, parent, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	return under(os.Getpid(), all), nil
}

var errNoProc = fmt.Errorf("it takes Linux")

// under are the processes that descend from one.
func under(root int, all []process) []process {
	ours := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.parent] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(p process) bool { return !ours[p.pid] || p.pid == root })
}

// functionProcesses are the running instances of a function whose bootstrap is at path.
func functionProcesses(path string) ([]int, error) {
	all, err := descendants()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range all {
		if p.args[0] == path {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}

// workerProcesses are the processes of the worker in the task with that host name, in the round with that mark: the main process
// and all that it has started. None if it is not there any more.
func workerProcesses(mark, host string) (main int, others []int, err error) {
	all, err := descendants()
	if err != nil {
		return 0, nil, err
	}
	for _, p := range all {
		// Under its supervisor, whose arguments are a name, the host and the command: see package ecs.
		if slices.Contains(p.args, mark) && !slices.Contains(p.args, host) && slices.ContainsFunc(all, func(s process) bool {
			return s.pid == p.parent && len(s.args) > 1 && s.args[1] == host && slices.Contains(s.args, mark)
		}) {
			main = p.pid
		}
	}
	if main != 0 {
		for _, p := range under(main, all) {
			others = append(others, p.pid)
		}
	}
	return main, others, nil
}

// signalAll sends a signal to each process. One that has ended meanwhile is none.
func signalAll(pids []int, sig syscall.Signal) int {
	n := 0
	for _, pid := range pids {
		if syscall.Kill(pid, sig) == nil {
			n++
		}
	}
	return n
}
