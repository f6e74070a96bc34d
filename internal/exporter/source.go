package exporter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// source is one thing that is looked at, in its own time.
type source struct {
	name  string
	every time.Duration
	// look looks, and returns what it saw.
	look func(ctx context.Context) ([]prometheus.Metric, error)
	// blind is what there is to show while nothing is known; nil if that is nothing.
	blind func() []prometheus.Metric
	shown []family               // What look returns.
	also  []prometheus.Collector // What it counts beside that.
	log   *slog.Logger

	mu    sync.Mutex
	begun time.Time // When it began to be looked at; zero while it was not.
	seen  []prometheus.Metric
	at    time.Time // When it was last seen; zero if it has not been.
	ended time.Time // When a look last ended, well or not.
	err   error     // Of the last look.
}

// looking is how long a look may take. A sweep's takes 4 s at most, and AWS's calls are tried again for a while.
const looking = 30 * time.Second

// lasting is for how many intervals what was seen is taken for true, when looks fail to end.
const lasting = 3

// run looks until ctx ends.
func (s *source) run(ctx context.Context) {
	s.mu.Lock()
	s.begun = time.Now()
	s.mu.Unlock()
	ticker := time.NewTicker(s.every) // It drops ticks while a look takes longer.
	defer ticker.Stop()
	for {
		s.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// once looks once. That it begins to fail, or ends to, is logged: not that it goes on.
func (s *source) once(ctx context.Context) {
	looks, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	began := time.Now()
	seen, err := s.look(looks)
	if ctx.Err() != nil {
		return // It was ended, and not by its own fault.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
	switch {
	case err != nil && s.err == nil:
		s.log.Warn("cannot be seen", "source", s.name, "error", err.Error())
	case err == nil && s.err != nil:
		s.log.Info("seen again", "source", s.name)
	}
	if s.err = err; err == nil {
		s.seen, s.at = seen, began
	}
}

// stalled says whether looks have not ended for so long that what was seen is no longer true.
func (s *source) stalled(now time.Time) bool {
	last := s.ended
	if last.IsZero() {
		last = s.begun
	}
	return !last.IsZero() && now.Sub(last) > lasting*s.every+looking
}

// Describe is prometheus.Collector's.
func (s *source) Describe(descs chan<- *prometheus.Desc) {
	up, last := s.state()
	for _, f := range append([]family{up, last}, s.shown...) {
		descs <- f.desc
	}
	for _, c := range s.also {
		c.Describe(descs)
	}
}

// Collect is prometheus.Collector's. It asks nobody.
func (s *source) Collect(metrics chan<- prometheus.Metric) {
	s.mu.Lock()
	seen, at := s.seen, s.at
	known := s.err == nil && !at.IsZero() && !s.stalled(time.Now())
	s.mu.Unlock()
	up, last := s.state()
	if known {
		metrics <- up.of(1)
	} else {
		metrics <- up.of(0)
		seen = nil
		if s.blind != nil {
			seen = s.blind()
		}
	}
	if !at.IsZero() {
		metrics <- last.of(float64(at.UnixMilli()) / 1000)
	}
	for _, m := range seen {
		metrics <- m
	}
	for _, c := range s.also {
		c.Collect(metrics)
	}
}

// state is whether the source is seen, and when it last was.
func (s *source) state() (up, last family) {
	of := prometheus.Labels{"source": s.name}
	return family{prometheus.NewDesc("sluice_source_up", "Whether the last look at this source of the exporter's succeeded.", nil, of)},
		family{prometheus.NewDesc("sluice_source_last_look_timestamp_seconds", "When the source was last seen, in Unix time.", nil, of)}
}

// family is the metrics of one name that are shown as they were seen, and not counted here.
type family struct{ desc *prometheus.Desc }

func newFamily(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(name, help, labels, nil)}
}

// of is the metric with this value.
func (f family) of(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, value, labels...)
}
