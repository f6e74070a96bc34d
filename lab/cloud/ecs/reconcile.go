package ecs

import (
	"fmt"
	"slices"
	"time"
)

// reconcile starts and stops tasks of a service as ECS's scheduler does, and says whether it did anything.
func (m *Model) reconcile(s *service, now time.Time) bool {
	if s.status == inactive {
		return false
	}
	if s.status == draining && len(s.tasks) == 0 {
		s.status, s.deployments = inactive, nil
		m.tell(Event{At: now, Cluster: s.Cluster, Service: s.Name, Status: s.status})
		return true
	}
	d := s.deployments[0]
	mine := s.live(d.id)
	all := s.live("")
	// A rolling deployment with ECS's defaults: never fewer than 100 % running, never more than 200 % in all.
	room := 2*s.desired - len(all)
	if len(s.deployments) == 1 {
		room = s.desired - len(all)
	}
	did := false
	if lacking := min(s.desired-len(mine), room); lacking > 0 && !s.restartAt.After(now) && s.status == active {
		// After failures one task at a time is tried.
		if s.failures > 1 {
			lacking = 1
		}
		for range lacking {
			m.launch(s, d, now)
		}
		m.note(s, now, "has started %d tasks.", lacking)
		did = true
	}
	return m.rebalance(s, now) || m.reduce(s, now) || m.settle(s, now) || did
}

// reduce stops the tasks that are too many: first those of older deployments whose replacements run, then any.
func (m *Model) reduce(s *service, now time.Time) bool {
	d := s.deployments[0]
	all := s.live("")
	var old []*task
	up := 0
	for _, t := range all {
		if t.deployment != d.id {
			old = append(old, t)
		}
		if t.status == running {
			up++
		}
	}
	excess, from := len(all)-s.desired, all
	if s.balancer != nil {
		excess--
	}
	if len(old) > 0 && excess > 0 {
		// Tasks of the old deployment go first, and only as far as enough others are up.
		from = old
		waiting := slices.ContainsFunc(old, func(t *task) bool { return t.status != running })
		if !waiting {
			excess = min(excess, max(up-s.desired, 0))
		}
	}
	if excess <= 0 {
		s.blocked, s.tooMany = false, time.Time{}
		return false
	}
	if s.tooMany.IsZero() {
		s.tooMany = now
	}
	if now.Before(s.tooMany.Add(m.opts.Reducing)) {
		return false
	}
	victims := m.choose(s, from, excess, now)
	if len(victims) < excess && !s.blocked {
		s.blocked = true
		m.note(s, now, "was unable to scale in due to %d tasks under protection.", excess-len(victims))
	}
	if len(victims) == 0 {
		return false
	}
	for _, t := range victims {
		m.stop(t, now, "ServiceSchedulerInitiated", fmt.Sprintf(scalingReason, d.id))
	}
	m.note(s, now, "has stopped %d running tasks.", len(victims))
	return true
}

// choose picks n unprotected tasks to stop: those that do not run yet first, then from the zone with the most tasks, and
// among equals by chance, which is all that ECS promises.
func (m *Model) choose(s *service, from []*task, n int, now time.Time) []*task {
	var free []*task
	for _, t := range from {
		if !m.protected(t, now) {
			free = append(free, t)
		}
	}
	m.rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	zones := map[string]int{}
	for _, t := range s.live("") {
		zones[t.zone]++
	}
	var out []*task
	for len(out) < n && len(free) > 0 {
		best := slices.MinFunc(free, func(a, b *task) int {
			if (a.status == running) != (b.status == running) {
				if b.status == running {
					return -1
				}
				return 1
			}
			return zones[b.zone] - zones[a.zone]
		})
		free = slices.DeleteFunc(free, func(t *task) bool { return t == best })
		zones[best.zone]--
		out = append(out, best)
	}
	return out
}
