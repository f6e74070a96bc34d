package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is where the figures come from: without it they say nothing.
type machine struct {
	Date  string `json:"date"`
	OS    string `json:"os"`
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
	// Load is the load average of the last minute before the run, as Linux tells it. Well above the number of cores the
	// times are those of a race for the processor.
	Load string `json:"load"`
}

func thisMachine() machine {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		OS:   runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: "unknown", Load: "unknown",
	}
	info, _ := os.ReadFile("/proc/cpuinfo") // Not there but on Linux.
	for line := range bytes.Lines(info) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	if first, _, ok := strings.Cut(string(load), " "); ok {
		m.Load = first
	}
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %s, %s, %d cores, %s, load %s before the run", m.Date, m.OS, m.CPU, m.Cores, m.Go, m.Load)
}
