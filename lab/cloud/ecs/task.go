package ecs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of a task, as ECS names them. A desired status is running or stopped only.
const (
	provisioning   = "PROVISIONING"
	pending        = "PENDING"
	running        = "RUNNING"
	stopping       = "STOPPING"
	deprovisioning = "DEPROVISIONING"
	stopped        = "STOPPED"
)

// ECS's own words for the ends of tasks.
const (
	exitedReason  = "Essential container in task exited"
	scalingReason = "Scaling activity initiated by (deployment %s)"
)

// task is one task of a service.
type task struct {
	id, arn    string
	service    *service
	deployment string // The id of the deployment that started it.
	zone, ip   string
	hostname   string
	tags       map[string]string
	runtimeID  string
	// These are made once, since a simulator asks for them all the time.
	clusterARN, definitionARN, containerARN, group string

	status, desired string
	due             time.Time // When the next step is due; zero if it waits for something else.
	process         Process
	asked           bool // SIGTERM has been sent.

	createdAt, startedAt, stoppingAt, stoppedAt time.Time
	protectedUntil                              time.Time
	stopCode, stoppedReason, containerReason    string
	exit                                        *Exit
}

// launch makes a task; its process starts when the delays have passed.
func (m *Model) launch(s *service, d *deployment, now time.Time) *task {
	id := fmt.Sprintf("%016x%016x", m.rand.Uint64(), m.rand.Uint64())
	// The zone with the fewest tasks, as ECS places them.
	zone := slices.MinFunc(m.roomy(s.Zones), func(a, b string) int { return s.inZone(a) - s.inZone(b) })
	m.addrs++
	t := &task{
		id:            id,
		arn:           m.arn("task", s.Cluster+"/"+id),
		service:       s,
		deployment:    d.id,
		zone:          zone,
		ip:            fmt.Sprintf("10.0.%d.%d", (m.addrs/240)%256, m.addrs%240+10),
		runtimeID:     fmt.Sprintf("%s-%010d", id, m.rand.Uint32()),
		clusterARN:    m.arn("cluster", s.Cluster),
		definitionARN: m.definition(d.taskDefinition),
		containerARN:  m.arn("container", s.Cluster+"/"+id+"/1"),
		group:         "service:" + s.Name,
		status:        provisioning,
		desired:       running,
		createdAt:     now,
		due:           now.Add(m.opts.Provisioning),
	}
	t.hostname = m.hostname(t.ip)
	m.tasks = append(m.tasks, t)
	m.byID[id] = t
	s.tasks = append(s.tasks, t)
	m.changed(t, now, "")
	return t
}

func (s *service) inZone(zone string) int {
	n := 0
	for _, t := range s.tasks {
		if t.zone == zone && t.desired == running {
			n++
		}
	}
	return n
}

func (m *Model) changed(t *task, now time.Time, reason string) {
	s := t.service
	m.tell(Event{
		At: now, Cluster: s.Cluster, Service: s.Name, Desired: s.desired, Previous: s.desired,
		Task: t.id, Status: t.status, Reason: reason,
	})
}

// step moves a task on if it is due, and says whether it did.
func (m *Model) step(t *task, now time.Time) bool {
	if t.due.IsZero() || t.due.After(now) {
		return false
	}
	t.due = time.Time{}
	switch t.status {
	case provisioning:
		t.status, t.due = pending, now.Add(cmp.Or(t.service.Pending, m.opts.Pending))
		m.changed(t, now, "")
	case pending:
		m.start(t, now)
	case stopping: // The stop timeout has passed.
		if t.process != nil {
			t.process.Kill()
		}
	case deprovisioning:
		t.status, t.stoppedAt = stopped, now
		t.service.tasks = slices.DeleteFunc(t.service.tasks, func(o *task) bool { return o == t })
		m.changed(t, now, t.stoppedReason)
	}
	return true
}

func (m *Model) start(t *task, now time.Time) {
	if m.closed {
		return
	}
	s := t.service
	if s.startFails() {
		m.cannotStart(t, now, s.startFailure)
		return
	}
	process, err := m.opts.Runner.Start(Spec{
		TaskID: t.id, TaskARN: t.arn, Cluster: s.Cluster, Service: s.Name,
		PrivateIPv4: t.ip, Hostname: t.hostname, Zone: t.zone,
		Command: s.Command, Env: s.Env, Dir: s.Dir,
	}, func(e Exit) { m.ended(t, e) })
	if err != nil {
		m.cannotStart(t, now, fmt.Sprintf("CannotStartContainerError: %v", err))
		return
	}
	t.process, t.status, t.startedAt = process, running, now
	m.changed(t, now, "")
}

// stop tells a task to stop: its main process gets SIGTERM, and the rest of it SIGKILL when the stop timeout has passed.
func (m *Model) stop(t *task, now time.Time, code, reason string) {
	if t.desired == stopped {
		return
	}
	t.stopCode, t.stoppedReason, t.stoppingAt = code, reason, now
	if t.process == nil {
		m.wind(t, now)
		return
	}
	t.desired, t.status, t.asked = stopped, stopping, true
	t.due = now.Add(t.service.StopTimeout)
	t.process.Terminate()
	m.changed(t, now, reason)
}

// ended records that nothing of the task's processes is left.
func (m *Model) ended(t *task, e Exit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opts.Now()
	t.process, t.exit = nil, &e
	if !t.asked {
		t.stopCode, t.stoppedReason = "EssentialContainerExited", exitedReason
		// A worker that has done its duty for a while is replaced at once.
		if now.Sub(t.startedAt) < time.Minute {
			t.service.failed(now, m.opts.RestartBackoff)
		} else {
			t.service.failures = 0
		}
	}
	m.wind(t, now)
	m.idle.Broadcast()
}

// wind starts the last part of a task's life.
func (m *Model) wind(t *task, now time.Time) {
	t.desired, t.status, t.due = stopped, deprovisioning, now.Add(m.opts.Deprovisioning)
	if t.stoppingAt.IsZero() {
		t.stoppingAt = now
	}
	m.changed(t, now, t.stoppedReason)
}

func (m *Model) protected(t *task, now time.Time) bool { return t.protectedUntil.After(now) }

// hostname is the name that a Fargate task's host has in a VPC with DNS host names.
func (m *Model) hostname(ip string) string {
	name := "ip-" + strings.ReplaceAll(ip, ".", "-")
	if m.opts.Region == "us-east-1" {
		return name + ".ec2.internal"
	}
	return name + "." + m.opts.Region + ".compute.internal"
}
