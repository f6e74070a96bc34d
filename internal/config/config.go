package config

import (
	"slices"
	"time"
)

// Config is a whole sluice.yaml, complete and valid: Load and Parse return no other.
type Config struct {
	// The version of this file's format: 1.
	Version int `yaml:"version" required:"true" min:"1" max:"1"`
	// The message brokers.
	Brokers []Broker `yaml:"brokers" required:"true" min:"1" max:"200"`
	// The ECS services to scale, each with the queues that it drains.
	Targets []Target `yaml:"targets" required:"true" min:"1" max:"2000"`
	// The events that ask for workers.
	Events Events `yaml:"events"`
	// The regular look at all targets.
	Sweep Sweep `yaml:"sweep"`
	// The CloudWatch metrics of Sluice's own.
	Metrics Metrics `yaml:"metrics"`
	// Where traces go, by OpenTelemetry. Without it none are sent.
	Traces *Traces `yaml:"traces"`
	// What `sluice-local` runs in place of AWS. Ignored when deployed.
	Local Local `yaml:"local"`
	// What `make deploy` makes on AWS. Ignored by the functions.
	Deploy Deploy `yaml:"deploy"`

	// Dir is the directory of the file, which the relative paths in it start from; empty if it came from Parse.
	Dir string `yaml:"-"`

	targets map[string]int
	brokers map[string]int
}

// Events says which EventBridge events ask for workers.
type Events struct {
	// The source that the rule matches. It cannot begin with `aws.`, which EventBridge keeps for AWS.
	Source string `yaml:"source" default:"custom.celery.monitor" pattern:"event source"`
	// The detail type that the rule matches.
	DetailType string `yaml:"detail_type" default:"celery.task.queue_full" pattern:"detail type"`
	// The event bus: its name or ARN.
	Bus string `yaml:"bus" default:"default" pattern:"event bus"`
	// How long a warm Lambda that has just set or seen a count that is high enough asks ECS nothing more. 0s asks each time.
	Coalesce Duration `yaml:"coalesce" default:"1s" min:"0s" max:"1m"`
}

// Sweep is the regular look at all targets.
type Sweep struct {
	// The time between two sweeps, in whole minutes (EventBridge Scheduler knows no finer rate).
	Every Duration `yaml:"every" default:"5m" min:"1m" max:"24h"`
}

// Metrics says which CloudWatch metrics the functions write, in the log's embedded metric format.
type Metrics struct {
	// `off` writes none; `totals` those of all targets together; `targets` also those of each. CloudWatch takes $0.30 a month for each metric: `sluice cost` says what a level comes to.
	Level string `yaml:"level" default:"off" enum:"off,totals,targets"`
}

// The levels of metrics.
const (
	MetricsOff     = "off"
	MetricsTotals  = "totals"
	MetricsTargets = "targets"
)

// Traces says where the functions send their traces.
type Traces struct {
	// The collector's address for OTLP over HTTP. Where it has no path, that is /v1/traces.
	Endpoint string `yaml:"endpoint" required:"true" pattern:"collector"`
	// The share of traces that is sent, where the producer has not decided it.
	Sample float64 `yaml:"sample" default:"1" min:"0" max:"1"`
}

// Target returns the target of that name.
func (c *Config) Target(name string) (Target, bool) {
	i, ok := c.targets[name]
	if !ok {
		return Target{}, false
	}
	return c.Targets[i], true
}

// Broker returns the broker of that name.
func (c *Config) Broker(name string) (Broker, bool) {
	i, ok := c.brokers[name]
	if !ok {
		return Broker{}, false
	}
	return c.Brokers[i], true
}

// TargetsOf returns the targets that use the broker of that name, in the file's order.
func (c *Config) TargetsOf(broker string) []Target {
	return slices.DeleteFunc(slices.Clone(c.Targets), func(t Target) bool { return t.Broker != broker })
}

// LocalSweepEvery is the time between two sweeps under `sluice-local`.
func (c *Config) LocalSweepEvery() time.Duration {
	if c.Local.SweepEvery > 0 {
		return time.Duration(c.Local.SweepEvery)
	}
	return time.Duration(c.Sweep.Every)
}
