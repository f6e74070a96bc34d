package ecs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// The states of services and deployments, as ECS names them.
const (
	active    = "ACTIVE"
	draining  = "DRAINING"
	inactive  = "INACTIVE"
	primary   = "PRIMARY"
	rolling   = "IN_PROGRESS"
	completed = "COMPLETED"
)

// ServiceConfig describes a service to create.
type ServiceConfig struct {
	Cluster string // Name; default "default".
	Name    string
	Desired int
	// Command, Env and Dir are what its tasks run: see Spec.
	Command []string
	Env     []string
	Dir     string
	// Public is the part of Env that the task definition shows.
	Public []string
	// CPU and MemoryMB are the size of a task, in units of 1/1024 vCPU and in MB; default 256 and 512. They are only told.
	CPU, MemoryMB int
	// StopTimeout is how long a task has between SIGTERM and SIGKILL; default 30 s, at most 120 s, as on Fargate.
	StopTimeout time.Duration
	// Pending is how long a new task of this service stays PENDING; default that of the model's Options.
	Pending        time.Duration
	Zones          []string // Default the a and b of the Region.
	TaskDefinition string   // family:revision; default Name + ":1".
	Tags           map[string]string
	// Rebalancing has ECS even out the Availability Zones by itself: see rebalance. Off by default, although ECS has it on for
	// services that are made without a word about it.
	Rebalancing bool
}

type service struct {
	ServiceConfig
	arn         string
	status      string
	desired     int
	createdAt   time.Time
	deployments []*deployment               // The first is the PRIMARY one.
	tasks       []*task                     // Those that have not stopped.
	events      []types.ServiceEvent        // The newest first, as ECS tells them; a hundred at most. None is ever changed.
	containers  []types.ContainerDefinition // See SetContainers.
	blocked     bool                        // The last try to lower the count was blocked by protected tasks.

	tooMany time.Time // Since when there have been too many tasks; zero if there are not.

	failures  int // Tasks that failed in a row.
	restartAt time.Time
	balancer  *task // A task beyond the desired count, on its way up to even out the zones.

	startsToFail int // See FailStarts.
	startFailure string

	history []counts
}

type deployment struct {
	id, taskDefinition   string
	state                string
	createdAt, updatedAt time.Time
	failedTasks          int
}

// counts is what a service's counts were from a time on.
type counts struct {
	at               time.Time
	running, pending int
}

// CreateService creates a service, and its cluster if need be. It errs if the config makes no sense or the name is taken.
func (m *Model) CreateService(c ServiceConfig) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.create(c)
	return err
}

func (m *Model) create(c ServiceConfig) (*service, error) {
	c.Cluster = cmp.Or(c.Cluster, "default")
	c.TaskDefinition = cmp.Or(c.TaskDefinition, c.Name+":1")
	c.StopTimeout = cmp.Or(c.StopTimeout, 30*time.Second)
	c.CPU, c.MemoryMB = cmp.Or(c.CPU, 256), cmp.Or(c.MemoryMB, 512)
	if len(c.Zones) == 0 {
		c.Zones = []string{m.opts.Region + "a", m.opts.Region + "b"}
	}
	c.Tags = maps.Clone(c.Tags)
	switch {
	case c.Name == "":
		return nil, errors.New("create service: it has no name")
	case c.Desired < 0:
		return nil, fmt.Errorf("create service %s: the desired count %d is negative", c.Name, c.Desired)
	case c.StopTimeout < 0 || c.StopTimeout > 120*time.Second:
		return nil, fmt.Errorf("create service %s: the stop timeout %v is not in 0..120 s", c.Name, c.StopTimeout)
	}
	key := serviceKey{c.Cluster, c.Name}
	if old := m.services[key]; old != nil && old.status != inactive {
		return nil, fmt.Errorf("create service %s: it exists in cluster %s", c.Name, c.Cluster)
	}
	now := m.opts.Now()
	s := &service{
		ServiceConfig: c, arn: m.arn("service", c.Cluster+"/"+c.Name),
		status: active, desired: c.Desired, createdAt: now,
	}
	m.clusters[c.Cluster] = true
	m.services[key] = s
	m.ordered = slices.DeleteFunc(m.ordered, func(o *service) bool { return o.Cluster == c.Cluster && o.Name == c.Name })
	at, _ := slices.BinarySearchFunc(m.ordered, s, func(a, b *service) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Name, b.Name))
	})
	m.ordered = slices.Insert(m.ordered, at, s)
	m.deploy(s, now)
	m.tick()
	m.tell(Event{At: now, Cluster: s.Cluster, Service: s.Name, Desired: s.desired, Status: s.status})
	return s, nil
}

// deploy begins a new deployment, whose tasks replace those of the others.
func (m *Model) deploy(s *service, now time.Time) {
	d := &deployment{
		id:             fmt.Sprintf("ecs-svc/%019d", m.rand.Uint64()%1e19),
		taskDefinition: s.TaskDefinition, state: rolling, createdAt: now, updatedAt: now,
	}
	s.deployments = append([]*deployment{d}, s.deployments...)
	m.touch()
}

// failed records a task that failed, and puts off its replacement: at once for the first, then later and later.
func (s *service) failed(now time.Time, backoff time.Duration) {
	s.failures++
	if len(s.deployments) > 0 {
		s.deployments[0].failedTasks++
	}
	if s.failures > 1 {
		s.restartAt = now.Add(min(backoff<<min(s.failures-2, 10), 15*time.Minute))
	}
}

func (m *Model) note(s *service, now time.Time, format string, args ...any) {
	text := fmt.Sprintf("(service %s) ", s.Name) + fmt.Sprintf(format, args...)
	id := fmt.Sprintf("%016x%016x", m.rand.Uint64(), m.rand.Uint64())
	s.events = append([]types.ServiceEvent{{CreatedAt: &now, Id: &id, Message: &text}}, s.events[:min(len(s.events), 99)]...)
	m.tell(Event{
		At: now, Cluster: s.Cluster, Service: s.Name, Desired: s.desired, Previous: s.desired,
		Status: s.status, Reason: text,
	})
}

// live returns the tasks of a service that are meant to run, of one deployment or (id "") of all.
func (s *service) live(id string) []*task {
	var out []*task
	for _, t := range s.tasks {
		if t.desired == running && (id == "" || t.deployment == id) {
			out = append(out, t)
		}
	}
	return out
}

// settle ends deployments: the old ones when none of their tasks is left, the primary one when all of its tasks run. A
// change of the desired count alone never sets a completed deployment in progress again, as on ECS.
func (m *Model) settle(s *service, now time.Time) bool {
	d := s.deployments[0]
	did := false
	s.deployments = slices.DeleteFunc(s.deployments, func(old *deployment) bool {
		gone := old != d && len(s.live(old.id)) == 0
		did = did || gone
		return gone
	})
	up := 0
	for _, t := range s.live(d.id) {
		if t.status == running {
			up++
		}
	}
	if d.state == rolling && len(s.deployments) == 1 && up == s.desired {
		d.state, d.updatedAt = completed, now
		m.note(s, now, "(deployment %s) deployment completed.", d.id)
		did = true
	}
	return did
}

// count notes the counts of a service when they change, so that they can be told late.
func (m *Model) count(s *service, now time.Time) {
	c := counts{at: now}
	for _, t := range s.tasks {
		switch t.status {
		case running:
			c.running++
		case provisioning, pending:
			c.pending++
		}
	}
	if n := len(s.history); n > 0 && s.history[n-1].running == c.running && s.history[n-1].pending == c.pending {
		return
	}
	s.history = append(s.history, c)
}

// lagging returns the counts as they were CountLag ago.
func (m *Model) lagging(s *service, now time.Time) counts {
	seen := now.Add(-m.opts.CountLag)
	for len(s.history) > 1 && !s.history[1].at.After(seen) {
		s.history = s.history[1:]
	}
	if len(s.history) == 0 || s.history[0].at.After(seen) {
		return counts{}
	}
	return s.history[0]
}

func (m *Model) setDesired(s *service, n int) {
	previous := s.desired
	s.desired = n
	s.Desired = n
	if n != previous {
		m.tell(Event{
			At: m.opts.Now(), Cluster: s.Cluster, Service: s.Name, Desired: n, Previous: previous, Status: s.status,
		})
	}
}
