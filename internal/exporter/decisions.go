package exporter

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
)

// settled is how old a line has to be to be read: until then an older one may still be on its way into the log.
const settled = 30 * time.Second

// portion is how much of the log is read before it is counted.
const portion = 10 * time.Minute

var lastSweep = newFamily("sluice_last_sweep_timestamp_seconds", "When the last sweep that this exporter read of ended, in Unix time.")

// counted is what is counted of the functions' log, from the start of the exporter on.
type counted struct {
	sweeps        prometheus.Counter
	decisions     *prometheus.CounterVec
	reasons       *prometheus.CounterVec
	changes       *prometheus.CounterVec
	eventToCount  *prometheus.HistogramVec
	countToWorker *prometheus.GaugeVec
}

func newCounted() counted {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return counted{
		sweeps:    prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_sweeps_total", Help: "Sweeps that the functions have ended."}),
		decisions: vec("sluice_decisions_total", "Decisions of the functions.", "target", "use_case", "action"),
		reasons:   vec("sluice_decision_reasons_total", "Decisions of the functions that had the reason.", "target", "reason"),
		changes:   vec("sluice_changes_total", "Changes of the count that the functions have made.", "target", "direction"),
		eventToCount: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_event_to_count_seconds", Help: "From an event's time until ECS had taken the new count.",
			// An event's time may be in whole seconds.
			Buckets: []float64{0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60},
		}, []string{"target"}),
		countToWorker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_count_to_worker_seconds", Help: "From the creation of the youngest running task until it ran, as the functions last saw it.",
		}, []string{"target"}),
	}
}

func (c counted) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.sweeps, c.decisions, c.reasons, c.changes, c.eventToCount, c.countToWorker}
}

// newDecisions reads the log of the functions' decisions as it grows.
func newDecisions(d *deployment, client decisions.Client, c *config.Config, every time.Duration) *source {
	n := newCounted()
	var until, swept time.Time
	return &source{
		name: "decisions", every: every, shown: []family{lastSweep}, also: n.collectors(),
		look: func(ctx context.Context) ([]prometheus.Metric, error) {
			now := time.Now()
			stack, err := d.stack(ctx)
			if err != nil {
				return nil, err
			}
			if until.IsZero() {
				// Nothing that was before the start is counted, but a sweep that is missing is missed from the start on.
				begin := now.Add(-settled)
				if swept, err = latestSweep(ctx, stack.Log(client), begin.Add(-lasting*c.Sweep.Every.Std()), begin); err != nil {
					d.forget()
					return nil, err
				}
				until = begin
			}
			// In parts: after an outage of days what has been read stays counted, though a look has not the time for all of it.
			for end := now.Add(-settled); until.Before(end); {
				part := until.Add(portion)
				if part.After(end) {
					part = end
				}
				// All of a part is read before any of it is counted: what a read that fails has begun is read again.
				var entries []decisions.Entry
				for e, err := range stack.Log(client).Records(ctx, decisions.Query{Since: until, Until: part}) {
					if err != nil {
						d.forget()
						return nil, err
					}
					entries = append(entries, e)
				}
				until = part
				for _, e := range entries {
					n.count(e, c)
					if e.Sweep != nil {
						swept = e.Time
					}
				}
			}
			metrics := []prometheus.Metric{}
			if !swept.IsZero() {
				metrics = append(metrics, lastSweep.of(float64(swept.UnixMilli())/1000))
			}
			return metrics, nil
		},
	}
}

// latestSweep is when the last sweep of that time ended; zero if there was none.
func latestSweep(ctx context.Context, log decisions.Log, since, until time.Time) (time.Time, error) {
	q := decisions.Query{Since: since, Until: until, Messages: []decisions.Message{decisions.Sweep}}
	var last time.Time
	for e, err := range log.Records(ctx, q) {
		if err != nil {
			return time.Time{}, err
		}
		last = e.Time
	}
	return last, nil
}

// count counts a line of the log. One about a target that sluice.yaml does not have is another deployment's.
func (n counted) count(e decisions.Entry, c *config.Config) {
	switch {
	case e.Sweep != nil:
		n.sweeps.Inc()
	case e.Decision != nil:
		r := e.Decision
		if _, ok := c.Target(r.Target); !ok {
			return
		}
		n.decisions.WithLabelValues(r.Target, r.UseCase, string(r.Action)).Inc()
		for _, reason := range r.Reasons {
			n.reasons.WithLabelValues(r.Target, string(reason)).Inc()
		}
		if r.StartS != nil {
			n.countToWorker.WithLabelValues(r.Target).Set(*r.StartS)
		}
	case e.Result != nil:
		r := e.Result
		if _, ok := c.Target(r.Target); !ok {
			return
		}
		switch {
		case r.DesiredCount > r.Previous:
			n.changes.WithLabelValues(r.Target, "out").Inc()
		case r.DesiredCount < r.Previous:
			n.changes.WithLabelValues(r.Target, "in").Inc()
		}
		if r.EventToCountMS != nil {
			n.eventToCount.WithLabelValues(r.Target).Observe(float64(*r.EventToCountMS) / 1000)
		}
	}
}
