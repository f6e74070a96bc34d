package function

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/internal/config"
	"sluice/internal/fleet"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Setup is what a scaler is made of: in a function from Lambda's environment; the command line and the exporter find AWS's settings
// in their own ways.
type Setup struct {
	Config   *config.Config
	AWS      aws.Config       // As the SDK's config package loads it.
	Log      *slog.Logger     // Nil: nothing is logged.
	Now      func() time.Time // Nil: time.Now.
	Observer scaler.Observer  // Nil: nobody.
	// Called hears of each call to "ecs" and "redis", and is called by several goroutines at once; nil: nobody.
	Called func(system, operation string, err error)
}

// Plan is the answer of the Check function to {"plan": {...}}.
type Plan struct {
	scaler.Plan
	Config string `json:"config"` // The fingerprint of the function's configuration: another one than the file's is a deployment that is due.
}

// New returns the scaler for the configuration file at path, with AWS's settings from the environment. It reads files only: nothing is
// connected to yet.
func New(path string, log *slog.Logger, now func() time.Time) (*scaler.Scaler, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	sdk, err := awsSettings()
	if err != nil {
		return nil, err
	}
	return Scaler(Setup{Config: c, AWS: sdk, Log: log, Now: now})
}

// Scaler returns a scaler with a real broker and a real ECS. Nothing is connected to yet: secrets are read, and brokers connected to,
// when they are first used.
func Scaler(s Setup) (*scaler.Scaler, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	sdk, c := Whole(s.AWS), s.Config
	called := func(string) func(string, error) { return nil }
	if s.Called != nil {
		called = func(system string) func(string, error) {
			return func(operation string, err error) { s.Called(system, operation, err) }
		}
	}
	brokers := make(map[string]scaler.Broker, len(c.Brokers))
	for _, b := range c.Brokers {
		brokers[b.Name] = &lazyBroker{name: b.Name, log: s.Log, open: func(ctx context.Context) (broker, error) {
			return openBroker(ctx, sdk, b, s.Now, called("redis"), answerBytes(len(c.Brokers)))
		}}
	}
	return scaler.New(scaler.Options{
		Targets: targets(c),
		Brokers: brokers,
		Fleet:   fleet.New(ecs.NewFromConfig(sdk), fleet.Options{Called: called("ecs")}),
		Log:     s.Log,
		Now:     s.Now,

		Observer: s.Observer,

		EventSource:     c.Events.Source,
		EventDetailType: c.Events.DetailType,
		Coalesce:        c.Events.Coalesce.Std(),
	})
}

// targets are the targets of the configuration as the scaler sees them.
func targets(c *config.Config) []scaler.Target {
	out := make([]scaler.Target, len(c.Targets))
	for i, t := range c.Targets {
		out[i] = scaler.Target{
			Name:   t.Name,
			Ref:    policy.ServiceRef{Cluster: t.Cluster, Service: t.Service},
			Broker: t.Broker,
			Queues: t.Queues,
			Limits: policy.Limits{
				Min: t.Min, Max: t.Max, MessagesPerWorker: t.MessagesPerWorker,
				Grace: t.Grace.Std(), Settle: t.Settle.Std(), ScaleInStep: t.ScaleInStep,
			},
			Windows:    windows(t.Windows),
			DryRun:     t.DryRun,
			Source:     scaler.Source(t.Activity.Source),
			CounterKey: t.Activity.Key,
			FloorHold:  t.FloorHold.Std(),
			Shield:     shield(t, c.Sweep.Every.Std()),
		}
	}
	return out
}

// windows are a target's windows as the scaler sees them.
func windows(in []config.Window) []scaler.Window {
	var out []scaler.Window
	for _, w := range in {
		out = append(out, scaler.Window{Name: w.Name, Min: w.Min, Max: w.Max, Open: w.Open})
	}
	return out
}

// shield is for how long the target's long tasks are protected at a time: until the sweep after the next is surely over.
func shield(t config.Target, every time.Duration) time.Duration {
	if !t.Shield {
		return 0
	}
	return 2*every + 5*time.Minute
}
