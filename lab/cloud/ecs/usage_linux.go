package ecs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of CPU times in /proc: Linux has had programs see 100 in a second ever since.
const tick = time.Second / 100

// usage sums up what the task's processes use, the supervisor left out. What the kernel does not let us see counts as nothing.
func (t *processTree) usage() (memoryMB float64, cpu time.Duration, ok bool) {
	for _, pid := range descendants(t.pid) {
		memoryMB += float64(proportionalKB(pid)) / 1024
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // It has ended.
		}
		ok = true
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		// User and system time of the process and of its children that have ended: see proc_pid_stat(5), where they are 14 to 17.
		for i := 11; i <= 14 && i < len(fields); i++ {
			n, err := strconv.ParseInt(string(fields[i]), 10, 64)
			if err == nil {
				cpu += time.Duration(n) * tick
			}
		}
	}
	return memoryMB, cpu, ok
}

// proportionalKB is the memory of a process in kB, of what it shares with others its part.
func proportionalKB(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) > 1 && string(fields[0]) == "Pss:" {
			kb, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err != nil {
				return 0
			}
			return kb
		}
	}
	return 0
}
