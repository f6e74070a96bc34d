package ecs

import "time"

// Usage is what a task uses of its size.
type Usage struct {
	Cluster, Service string
	At               time.Time
	MemoryMB         float64       // What it uses now; memory that its processes share counts once.
	CPU              time.Duration // What it has used since it began.
	SizeMB, SizeCPU  int           // Of the task: in MB, and in 1/1024 vCPU.
}

// measured is a Process that can be asked what it uses.
type measured interface {
	// usage returns false if it is not known, or no longer.
	usage() (memoryMB float64, cpu time.Duration, ok bool)
}

// Usage returns what the tasks with processes use, by their ids, as far as this machine says.
func (m *Model) Usage() map[string]Usage {
	type asked struct {
		Usage
		process measured
	}
	tasks := map[string]asked{}
	m.mu.Lock()
	for _, t := range m.tasks {
		if p, ok := t.process.(measured); ok {
			s := t.service
			tasks[t.id] = asked{Usage{Cluster: s.Cluster, Service: s.Name, SizeMB: s.MemoryMB, SizeCPU: s.CPU}, p}
		}
	}
	m.mu.Unlock()
	all := map[string]Usage{}
	for id, a := range tasks { // Without the lock, since it takes some milliseconds.
		u := a.Usage
		var ok bool
		if u.MemoryMB, u.CPU, ok = a.process.usage(); ok {
			u.At = m.opts.Now()
			all[id] = u
		}
	}
	return all
}
