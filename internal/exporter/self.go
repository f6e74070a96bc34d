package exporter

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
)

// calls counts the exporter's own calls.
type calls struct{ made, failed *prometheus.CounterVec }

func newCalls() calls {
	return calls{
		made: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_calls_total", Help: "Calls that this exporter has made, by system (ecs, redis) and operation.",
		}, []string{"system", "operation"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_call_errors_total", Help: "Those of them that failed.",
		}, []string{"system", "operation"}),
	}
}

// called hears of each call.
func (c calls) called(system, operation string, err error) {
	c.made.WithLabelValues(system, operation).Inc()
	failed := c.failed.WithLabelValues(system, operation) // There from the first call on, so that its rate is known.
	if err != nil {
		failed.Inc()
	}
}

// Describe is prometheus.Collector's.
func (c calls) Describe(descs chan<- *prometheus.Desc) {
	c.made.Describe(descs)
	c.failed.Describe(descs)
}

// Collect is prometheus.Collector's.
func (c calls) Collect(metrics chan<- prometheus.Metric) {
	c.made.Collect(metrics)
	c.failed.Collect(metrics)
}

// buildInfo says what program this is.
func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sluice_build_info", Help: "What this exporter was built from: always 1.",
	}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	return info
}

// sweepEvery says how often a sweep is due, for alerts that miss one.
func sweepEvery(c *config.Config) prometheus.Collector {
	every := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_sweep_interval_seconds", Help: "The time between two sweeps, as sluice.yaml has it.",
	})
	every.Set(c.Sweep.Every.Std().Seconds())
	return every
}
