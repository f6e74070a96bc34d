package ecs

import (
	"slices"
	"time"
)

// rebalance evens out the Availability Zones of a service that asks for it, and says whether it did anything.
//
// When the tasks of a steady service are spread unevenly by more than one, ECS starts one more in the leanest zone and, once
// that runs, stops one in the fattest, until they are even ("Availability Zone rebalancing" in its developer guide). It asks
// nobody which of them is busy and spares only those that are protected. When it begins is not documented: here at once,
// which leaves a scaler that makes zones uneven the least time.
func (m *Model) rebalance(s *service, now time.Time) bool {
	if s.balancer != nil {
		t := s.balancer
		waits := t.desired == running && t.status != running
		if waits && s.Rebalancing && s.status == active && len(s.deployments) == 1 {
			return false
		}
		// It is up, and reduce finds one task too many, in the fattest zone; or something else has come in between.
		s.balancer = nil
		return true
	}
	if !s.Rebalancing || s.status != active || len(s.deployments) != 1 {
		return false
	}
	live := s.live("")
	if len(live) != s.desired || slices.ContainsFunc(live, func(t *task) bool { return t.status != running }) {
		return false
	}
	byZone := func(a, b string) int { return s.inZone(a) - s.inZone(b) }
	lean, fat := slices.MinFunc(m.roomy(s.Zones), byZone), slices.MaxFunc(s.Zones, byZone)
	if s.inZone(fat)-s.inZone(lean) <= 1 || s.restartAt.After(now) {
		return false
	}
	spares := func(t *task) bool { return t.zone == fat && !m.protected(t, now) }
	if !slices.ContainsFunc(live, spares) {
		return false
	}
	s.balancer = m.launch(s, s.deployments[0], now)
	m.note(s, now, "has started 1 tasks in %s to balance the Availability Zones.", lean)
	return true
}

// ZoneFull has no new task placed in an Availability Zone, as when Fargate has no capacity there, or ends that. Tasks that are there stay.
func (m *Model) ZoneFull(zone string, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full[zone] = full
	m.touch()
}

// roomy are the zones in which a task can be placed: all of them if there is none.
func (m *Model) roomy(zones []string) []string {
	room := slices.DeleteFunc(slices.Clone(zones), func(z string) bool { return m.full[z] })
	if len(room) == 0 {
		return zones
	}
	return room
}
