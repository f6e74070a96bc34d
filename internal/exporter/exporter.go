// Package exporter shows in Prometheus form what Sluice sees: the targets as a sweep would see them now, what the functions have
// decided, what lies in the dead-letter queues, and how hard the workers work.
//
// It looks by itself, each source in its own time, and keeps what it saw. A scrape shows that and asks nobody: however many scrape
// and however often, brokers and AWS are asked no more than once in each interval, and a source that is slow or broken delays
// nothing but itself. What is not known, or is too old to be true, is an absent sample and never 0.
//
// It does nothing: targets are looked at by scaler.Plan, which protects nothing, tags nothing and takes no lock. So it may run
// anywhere, more than once, and be ended at any time.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/internal/config"
	"sluice/internal/function"
	"sluice/internal/loopback"
)

// Options are what an Exporter is made of.
type Options struct {
	Config  *config.Config
	AWS     aws.Config
	Every   time.Duration // How often targets are looked at, and the log is read.
	Stack   bool          // Whether to look at what was deployed: the log of decisions and the dead-letter queues.
	Workers bool          // Whether to ask CloudWatch for the workers' CPU and memory, which has a price.
	Version string        // Of this program.
	Log     *slog.Logger
}

// Exporter looks, and shows what it saw.
type Exporter struct {
	log      *slog.Logger
	registry *prometheus.Registry
	sources  []*source
}

// New returns an exporter. Nobody is asked for anything yet.
func New(o Options) (*Exporter, error) {
	o.AWS = function.Whole(o.AWS)
	e := empty(o.Log)
	calls := newCalls()
	s, err := function.Scaler(function.Setup{Config: o.Config, AWS: o.AWS, Called: calls.called})
	if err != nil {
		return nil, err
	}
	e.add(newTargets(s, o.Config, o.Every))
	if o.Stack {
		d := &deployment{client: cloudformation.NewFromConfig(o.AWS), name: o.Config.Deploy.Stack}
		e.add(newDecisions(d, cloudwatchlogs.NewFromConfig(o.AWS), o.Config, o.Every))
		e.add(newDeadLetters(d, sqs.NewFromConfig(o.AWS)))
	}
	if o.Workers {
		e.add(newWorkers(cloudwatch.NewFromConfig(o.AWS), o.Config))
	}
	e.registry.MustRegister(calls, buildInfo(o.Version), sweepEvery(o.Config),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e, nil
}

// empty is an exporter without a source.
func empty(log *slog.Logger) *Exporter {
	return &Exporter{log: log, registry: prometheus.NewPedanticRegistry()}
}

// add adds a source, with what it has to show.
func (e *Exporter) add(s *source) {
	s.log = e.log
	e.sources = append(e.sources, s)
	e.registry.MustRegister(s)
}

// grace is how long requests that are being answered may take when the exporter ends.
const grace = 5 * time.Second

// Run looks, and answers on the listener, until ctx ends.
func (e *Exporter) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var looking sync.WaitGroup
	for _, s := range e.sources {
		looking.Go(func() { s.run(ctx) })
	}
	defer looking.Wait()
	handler := e.handler()
	if loopback.Bound(ln.Addr()) {
		handler = loopback.Guard(handler)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		cancel()
		return fmt.Errorf("serve metrics: %w", err)
	case <-ctx.Done():
	}
	stopping, end := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer end()
	if err := server.Shutdown(stopping); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("end the server: %w", err)
	}
	return nil
}
