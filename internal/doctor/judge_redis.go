package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Obstacle is what ends a connection to a Redis before it can be used.
type Obstacle string

// The obstacles, in the order in which a connection meets them.
const (
	Open        Obstacle = ""            // None.
	Hidden      Obstacle = "hidden"      // The caller may not know where it is: that is no fault of the deployment.
	NoURL       Obstacle = "url"         // Nobody knows where it is.
	Unreachable Obstacle = "unreachable" // No connection.
	WantsTLS    Obstacle = "wants TLS"   // The server speaks TLS, and the URL does not.
	NoTLS       Obstacle = "no TLS"      // The URL speaks TLS, and the server does not.
	Certificate Obstacle = "certificate" // The server's certificate is not to be trusted.
	Password    Obstacle = "password"    // User or password are wrong, or missing.
	Database    Obstacle = "database"    // There is no such database.
	NoRight     Obstacle = "rights"      // The user may not do what Sluice does.
)

// Probe is how far a connection to a Redis came.
type Probe struct {
	Obstacle Obstacle
	Err      error // Of the obstacle.
}

// subject names a broker in findings.
func (b Broker) subject() string { return "broker " + b.Name }

// obstacle makes the check that tells of an obstacle.
func obstacle(which Obstacle, format string) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, b := range f.Brokers {
			switch {
			case b.Probe.Obstacle == which:
				j.find(b.subject(), format, b.Probe.Err)
			case b.Probe.Obstacle != Open && before(b.Probe.Obstacle, which):
				j.unchecked(b.subject(), b.shut())
			}
		}
	}
}

// before says whether an obstacle ends a connection before another could be met.
func before(a, b Obstacle) bool {
	way := []Obstacle{Hidden, NoURL, Unreachable, WantsTLS, NoTLS, Certificate, Password, Database, NoRight}
	return slices.Index(way, a) < slices.Index(way, b)
}

// shut is why nothing behind an obstacle is known.
func (b Broker) shut() error {
	return fmt.Errorf("the connection does not get so far: %w", b.Probe.Err)
}

func redisUnreachable(j *judgement, f *Facts) {
	for _, b := range f.Brokers {
		switch {
		case b.Probe.Obstacle == NoURL, b.Probe.Obstacle == Hidden:
			j.unchecked(b.subject(), b.shut())
		case b.Probe.Obstacle != Unreachable:
		case f.Config.Deploy.VPC == nil:
			j.find(b.subject(), "it cannot be reached from here: %v", b.Probe.Err)
		default:
			// It is not meant to be reached from here, but by the functions.
			seenByFunction(j, f, b)
		}
	}
}

// seenByFunction judges a Redis that only the functions can reach by what the Check function answers.
func seenByFunction(j *judgement, f *Facts, b Broker) {
	a, ok := known(j, b.subject(), f.Answer)
	if !ok {
		return
	}
	for _, t := range a.Plan.Targets {
		i := slices.IndexFunc(f.Targets, func(known Target) bool { return known.Name == t.Record.Target })
		if i >= 0 && f.Targets[i].Broker == b.Name && strings.Contains(t.Record.Error, "broker "+b.Name) {
			j.find(b.subject(), "the Check function cannot reach it: %s", t.Record.Error)
			return
		}
	}
}

// servers calls judge for each Redis that says what it is.
func servers(judge func(*judgement, Broker, Server)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, b := range f.Brokers {
			if s, ok := known(j, b.subject(), b.Server); ok {
				judge(j, b, s)
			}
		}
	}
}

func redisUnverified(j *judgement, f *Facts) {
	for _, b := range f.Brokers {
		if b.TLS != nil && b.TLS.InsecureSkipVerify {
			j.find(b.subject(), "tls.insecure_skip_verify accepts any certificate")
		}
	}
}

func redisReadOnly(j *judgement, b Broker, s Server) {
	if s.Role != "" && s.Role != "master" {
		j.find(b.subject(), "it is a %s", strings.ReplaceAll(s.Role, "slave", "replica"))
	}
}

func redisClusterMode(j *judgement, b Broker, s Server) {
	switch {
	case s.Mode == "cluster" && !b.ClusterMode:
		j.find(b.subject(), "the server runs in cluster mode, and sluice.yaml does not say so")
	case s.Mode != "" && s.Mode != "cluster" && b.ClusterMode:
		j.find(b.subject(), "sluice.yaml says cluster_mode, and the server runs %s", s.Mode)
	}
}

func redisEvicts(j *judgement, b Broker, s Server) {
	if s.MaxMemory > 0 && s.Policy != "" && s.Policy != "noeviction" {
		j.find(b.subject(), "its maxmemory-policy is %s, at a limit of %d MiB", s.Policy, s.MaxMemory>>20)
	}
}

func queueUnreadable(j *judgement, f *Facts) {
	for _, b := range f.Brokers {
		look, ok := known(j, b.subject(), b.Look)
		if !ok {
			continue
		}
		for _, t := range f.Config.TargetsOf(b.Name) {
			for _, q := range t.Queues {
				if n := look.Queues[q].Backlog; !n.Known {
					j.find("target "+t.Name, "queue %s cannot be counted: %s", q, n.Cause)
				}
			}
		}
	}
}

// errNoWorker is why nothing is known of workers.
var errNoWorker = errors.New("no task of it has run for longer than its grace: bring one up with `sluice trigger`, and look again")
