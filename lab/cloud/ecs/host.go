package ecs

import (
	"cmp"
	"fmt"
	"time"
)

// What happens to services and tasks without anybody's calling ECS's API, and what only the owner of an account does.

// Interrupt takes a task away as the end of Spot capacity does: SIGTERM at once, SIGKILL when the stop timeout has passed,
// whether it is protected or not. The service replaces it. It errs if there is no such task or it is on its way out.
func (m *Model) Interrupt(taskID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick()
	t := m.byID[taskID]
	if t == nil || t.desired != running {
		return fmt.Errorf("interrupt task %s: it does not run", taskID)
	}
	m.stop(t, m.opts.Now(), "SpotInterruption", "Your Spot Task was interrupted.")
	m.tick()
	return nil
}

// Deploy begins a new deployment of a service, as an operator's "force new deployment" does. It errs if there is no such
// service or it is being deleted.
func (m *Model) Deploy(cluster, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.services[serviceKey{cmp.Or(cluster, "default"), name}]
	if s == nil || s.status != active {
		return fmt.Errorf("deploy service %s: there is no such service in cluster %s", name, cluster)
	}
	m.tick()
	m.deploy(s, m.opts.Now())
	m.tick()
	return nil
}

// FailStarts makes the next n tasks of a service fail to start, or all further ones if n is negative; n = 0 ends that. The
// reason is ECS's, such as "CannotPullContainerError: not found". It errs if there is no such service.
func (m *Model) FailStarts(cluster, name string, n int, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.services[serviceKey{cmp.Or(cluster, "default"), name}]
	if s == nil {
		return fmt.Errorf("fail starts of service %s: there is no such service in cluster %s", name, cluster)
	}
	s.startsToFail, s.startFailure = n, reason
	return nil
}

// startFails says whether the next task of the service is meant to fail to start, and counts it.
func (s *service) startFails() bool {
	if s.startsToFail > 0 {
		s.startsToFail--
		return true
	}
	return s.startsToFail < 0
}

// cannotStart ends a task that never ran.
func (m *Model) cannotStart(t *task, now time.Time, reason string) {
	t.containerReason = reason
	t.stopCode, t.stoppedReason = "TaskFailedToStart", "Task failed to start"
	t.service.failed(now, m.opts.RestartBackoff)
	m.wind(t, now)
}
