package ecs

import (
	"maps"
	"time"
)

// ServiceState is a service as it is now, without lag.
type ServiceState struct {
	Cluster, Name             string
	Status                    string
	Desired, Running, Pending int
	Tags                      map[string]string
}

// TaskState is a task as it is now, or how it ended.
type TaskState struct {
	ID, Cluster, Service                        string
	Status                                      string // As ECS names it, such as "RUNNING".
	PrivateIPv4, Hostname, Zone                 string
	CreatedAt, StartedAt, StoppingAt, StoppedAt time.Time // Zero if not yet.
	ProtectedUntil                              time.Time // Zero if never protected.
	Deployment                                  string    // The id of the deployment that started it.
	StopCode, Reason                            string
	Exit                                        *Exit // Nil if its process has not ended, or never began.
}

// Snapshot returns all services, by cluster and name, and all tasks of the last hour, by age.
func (m *Model) Snapshot() ([]ServiceState, []TaskState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick()
	var services []ServiceState
	for _, s := range m.ordered {
		state := ServiceState{
			Cluster: s.Cluster, Name: s.Name, Status: s.status, Desired: s.desired, Tags: maps.Clone(s.Tags),
		}
		if n := len(s.history); n > 0 {
			state.Running, state.Pending = s.history[n-1].running, s.history[n-1].pending
		}
		services = append(services, state)
	}
	var tasks []TaskState
	for _, t := range m.tasks {
		state := TaskState{
			ID: t.id, Cluster: t.service.Cluster, Service: t.service.Name, Status: t.status,
			PrivateIPv4: t.ip, Hostname: t.hostname, Zone: t.zone,
			CreatedAt: t.createdAt, StartedAt: t.startedAt, StoppingAt: t.stoppingAt, StoppedAt: t.stoppedAt,
			ProtectedUntil: t.protectedUntil, Deployment: t.deployment, StopCode: t.stopCode, Reason: t.stoppedReason,
		}
		if t.exit != nil {
			exit := *t.exit
			state.Exit = &exit
		}
		tasks = append(tasks, state)
	}
	return services, tasks
}
