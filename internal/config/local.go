package config

// Local is what `sluice-local` runs in place of AWS.
type Local struct {
	// `embedded` starts a Redis and sets REDIS_URL to it for everything; `none` starts none: the brokers' own URLs are used.
	Redis string `yaml:"redis" default:"embedded" enum:"embedded,none"`
	// Replaces `sweep.every` locally. Where it is left out, `sweep.every` holds.
	SweepEvery Duration `yaml:"sweep_every" min:"1s" max:"24h"`
	// The ECS services, each a command that is one task.
	Services []LocalService `yaml:"services" max:"1000"`
}

// The kinds of local Redis.
const (
	RedisEmbedded = "embedded"
	RedisNone     = "none"
)

// LocalService is an ECS service whose tasks are processes on this machine.
type LocalService struct {
	// The ECS cluster, as the target names it.
	Cluster string `yaml:"cluster" required:"true" pattern:"cluster"`
	// The ECS service, as the target names it.
	Service string `yaml:"service" required:"true" pattern:"service"`
	// The program and its arguments. Each is a string: put numbers in quotes.
	Command []string `yaml:"command" required:"true" min:"1" max:"1000"`
	// The directory that the command starts in, relative to sluice.yaml.
	Dir string `yaml:"dir" default:"." pattern:"path"`
	// Environment variables for the command, in addition to those of `sluice-local`.
	Env map[string]string `yaml:"env" max:"1000" pattern:"environment variable"`
	// How long a task stays PENDING.
	StartDelay Duration `yaml:"start_delay" default:"1s" min:"0s" max:"10m"`
	// The time between SIGTERM and SIGKILL. 2m is Fargate's limit.
	StopTimeout Duration `yaml:"stop_timeout" default:"30s" min:"1s" max:"2m"`
}
