package ecs

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// zones counts the tasks of service a that are meant to run, by zone.
func (s *stage) zones() map[string]int {
	out := map[string]int{}
	for _, t := range s.services[serviceKey{"default", "a"}].live("") {
		out[t.zone]++
	}
	return out
}

// uneven is a service of which the two tasks of zone y have been stopped, and those of zone x protected meanwhile.
func uneven(t *testing.T, seed uint64, rebalancing bool) *stage {
	t.Helper()
	s := newStage(t, Options{Seed: seed, Pending: 20 * time.Second}, ServiceConfig{
		Name: "a", Desired: 6, Zones: []string{"x", "y"}, Rebalancing: rebalancing,
	})
	s.pass(20 * time.Second)
	var x []*task
	for _, task := range s.tasks {
		if task.zone == "x" {
			x = append(x, task)
		}
	}
	s.protect(1, x...)
	s.desired(4)
	if diff := cmp.Diff(map[string]int{"x": 3, "y": 1}, s.zones()); diff != "" {
		t.Fatalf("zones (-want +got):\n%s", diff)
	}
	return s
}

func TestRebalancing(t *testing.T) {
	victims := map[string]bool{}
	for seed := range uint64(10) {
		s := uneven(t, seed, true)
		s.pass(59 * time.Second)
		if diff := cmp.Diff(map[string]int{"x": 3, "y": 1}, s.zones()); diff != "" {
			t.Errorf("while all of x are protected (-want +got):\n%s", diff)
		}
		s.pass(time.Second)
		if diff := cmp.Diff(map[string]int{"x": 3, "y": 2}, s.zones()); diff != "" {
			t.Errorf("one more starts in the lean zone first (-want +got):\n%s", diff)
		}
		s.pass(19 * time.Second)
		if diff := cmp.Diff(map[string]int{"x": 3, "y": 2}, s.zones()); diff != "" {
			t.Errorf("none is stopped before it is up (-want +got):\n%s", diff)
		}
		s.pass(time.Second)
		if diff := cmp.Diff(map[string]int{"x": 2, "y": 2}, s.zones()); diff != "" {
			t.Errorf("it is up (-want +got):\n%s", diff)
		}
		for i, task := range s.tasks {
			if task.zone == "x" && task.desired == stopped {
				victims[string(rune('0'+i))] = true
			}
		}
		s.pass(time.Hour)
		if diff := cmp.Diff(map[string]int{"x": 2, "y": 2}, s.zones()); diff != "" {
			t.Errorf("even zones stay (-want +got):\n%s", diff)
		}
		services, _ := s.Snapshot()
		if services[0].Desired != 4 {
			t.Errorf("the desired count is %d", services[0].Desired)
		}
	}
	if len(victims) != 3 {
		t.Errorf("ten seeds stopped %v of the three tasks", victims)
	}
}

func TestNoRebalancingUnasked(t *testing.T) {
	s := uneven(t, 1, false)
	s.pass(time.Hour)
	if diff := cmp.Diff(map[string]int{"x": 3, "y": 1}, s.zones()); diff != "" {
		t.Errorf("zones (-want +got):\n%s", diff)
	}
}

func TestUnevenByOneIsEvenEnough(t *testing.T) {
	s := newStage(t, Options{Pending: time.Second}, ServiceConfig{Name: "a", Desired: 5, Zones: []string{"x", "y"}, Rebalancing: true})
	s.pass(time.Minute)
	if diff := cmp.Diff(map[string]int{"x": 3, "y": 2}, s.zones()); diff != "" || len(s.tasks) != 5 {
		t.Errorf("%d tasks were started, zones (-want +got):\n%s", len(s.tasks), diff)
	}
}

// TestRebalancingGivesWay tells what becomes of the task that is to even out the zones when something else comes first.
func TestRebalancingGivesWay(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(s *stage)
		want map[string]int
	}{
		{"the count falls", func(s *stage) { s.desired(2) }, map[string]int{"x": 1, "y": 1}},
		{"the count falls to zero", func(s *stage) { s.desired(0) }, map[string]int{}},
		{"the count rises", func(s *stage) { s.desired(6) }, map[string]int{"x": 3, "y": 3}},
		{"a task of the fat zone ends", func(s *stage) {
			i := slices.IndexFunc(s.tasks, func(t *task) bool { return t.zone == "x" && t.desired == running })
			s.acts[s.tasks[i].id].ended(Exit{})
			s.Tick()
		}, map[string]int{"x": 2, "y": 2}},
		{"a deployment begins", func(s *stage) {
			if err := s.Deploy("", "a"); err != nil {
				s.t.Fatal(err)
			}
		}, map[string]int{"x": 2, "y": 2}},
		{"all are protected", func(s *stage) {
			s.protect(2880, s.services[serviceKey{"default", "a"}].live("")...)
		}, map[string]int{"x": 3, "y": 2}},
	} {
		s := uneven(t, 1, true)
		s.pass(time.Minute + 10*time.Second) // The protection has expired, and a task is on its way up.
		c.act(s)
		s.pass(30 * time.Minute)
		if diff := cmp.Diff(c.want, s.zones()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestAFullZone has no capacity in zone y: tasks start in x alone, and are evened out when there is some again.
func TestAFullZone(t *testing.T) {
	s := newStage(t, Options{Pending: time.Second}, ServiceConfig{Name: "a", Desired: 2, Zones: []string{"x", "y"}, Rebalancing: true})
	rest := func() {
		for range 5 { // Each tick does what follows from the one before.
			s.pass(time.Minute)
		}
	}
	rest()
	s.ZoneFull("y", true)
	s.desired(5)
	rest()
	if diff := cmp.Diff(map[string]int{"x": 4, "y": 1}, s.zones()); diff != "" {
		t.Errorf("y is full (-want +got):\n%s", diff)
	}
	s.ZoneFull("y", false)
	rest()
	if diff := cmp.Diff(map[string]int{"x": 3, "y": 2}, s.zones()); diff != "" {
		t.Errorf("y has room again (-want +got):\n%s", diff)
	}
	s.ZoneFull("x", true)
	s.ZoneFull("y", true)
	s.desired(6)
	rest()
	if diff := cmp.Diff(map[string]int{"x": 3, "y": 3}, s.zones()); diff != "" {
		t.Errorf("where no zone has room it does not matter (-want +got):\n%s", diff)
	}
}
