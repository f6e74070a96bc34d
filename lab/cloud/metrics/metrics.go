// Package metrics stands in for CloudWatch metrics: it keeps figures by the minute for some hours, and answers GetMetricData.
//
// Of statistics it knows Average, Maximum, Minimum, Sum and SampleCount; of expressions none, which it refuses. As there, a metric
// that nobody has ever put has no data, and is no error.
//
// See https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html.
package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/lab/cloud/wire"
)

// kept is how long figures are kept. CloudWatch keeps those of a minute for 15 days.
const kept = 3 * time.Hour

// Metric is what figures are of.
type Metric struct {
	Namespace, Name string
	Dimensions      map[string]string
}

// key is the metric as a text that no other metric has.
func (m Metric) key() string {
	parts := []string{m.Namespace, m.Name}
	for _, name := range slices.Sorted(maps.Keys(m.Dimensions)) {
		parts = append(parts, name, m.Dimensions[name])
	}
	return strings.Join(parts, "\x00")
}

// Store keeps metrics. Its methods may be called concurrently; the zero value is ready.
type Store struct {
	mu      sync.Mutex
	metrics map[string][]statistics // In the order of time.
}

// statistics are the figures of a time that begins at at.
type statistics struct {
	at            time.Time
	n             int
	sum, min, max float64
}

func (s *statistics) add(o statistics) {
	if s.n == 0 {
		s.min, s.max = o.min, o.max
	}
	s.n += o.n
	s.sum += o.sum
	s.min, s.max = min(s.min, o.min), max(s.max, o.max)
}

// of are the statistics by their names.
var of = map[string]func(statistics) float64{
	"Average":     func(s statistics) float64 { return s.sum / float64(s.n) },
	"Maximum":     func(s statistics) float64 { return s.max },
	"Minimum":     func(s statistics) float64 { return s.min },
	"Sum":         func(s statistics) float64 { return s.sum },
	"SampleCount": func(s statistics) float64 { return float64(s.n) },
}

// Put adds a figure. Figures come in the order of time.
func (s *Store) Put(m Metric, at time.Time, value float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metrics == nil {
		s.metrics = map[string][]statistics{}
	}
	minute := at.Truncate(time.Minute)
	list := slices.DeleteFunc(s.metrics[m.key()], func(o statistics) bool { return minute.Sub(o.at) > kept })
	if n := len(list); n == 0 || list[n-1].at.Before(minute) {
		list = append(list, statistics{at: minute})
	}
	list[len(list)-1].add(statistics{n: 1, sum: value, min: value, max: value})
	s.metrics[m.key()] = list
}

// Query asks for the figures of one metric.
type Query struct {
	ID         string
	Label      string
	ReturnData *bool
	MetricStat *struct {
		Metric struct {
			Namespace, MetricName string
			Dimensions            []struct{ Name, Value string }
		}
		Period int // In seconds.
		Stat   string
	}
}

// Input is the input of GetMetricData. Its answers are not paged.
type Input struct {
	MetricDataQueries  []Query
	StartTime, EndTime wire.Time // The figures from StartTime on, and before EndTime.
	ScanBy             string
	MaxDatapoints      int
	NextToken          string
}

// maxQueries and maxDatapoints are the documented limits.
const (
	maxQueries    = 500
	maxDatapoints = 100_800
)

// Get answers GetMetricData.
func (s *Store) Get(in Input) (map[string]any, error) {
	if n := len(in.MetricDataQueries); n < 1 || n > maxQueries {
		return nil, wire.Errorf("ValidationError", "there are %d queries, not 1 to %d", n, maxQueries)
	}
	if !in.StartTime.Before(in.EndTime.Time) {
		return nil, wire.Errorf("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	results := []any{}
	for _, q := range in.MetricDataQueries {
		if q.MetricStat == nil {
			return nil, wire.Errorf("ValidationError", "query %s has no MetricStat", q.ID)
		}
		value, ok := of[q.MetricStat.Stat]
		if !ok || q.MetricStat.Period <= 0 || q.MetricStat.Period%60 != 0 {
			return nil, wire.Errorf("ValidationError", "query %s: the statistic %q of %d s is not known here: there are %s of whole minutes",
				q.ID, q.MetricStat.Stat, q.MetricStat.Period, strings.Join(slices.Sorted(maps.Keys(of)), ", "))
		}
		times, values := []any{}, []any{}
		for _, f := range s.figures(q, in.StartTime.Time, in.EndTime.Time) {
			times, values = append(times, f.at), append(values, value(f))
		}
		if in.ScanBy != "TimestampAscending" { // The newest first, unless it is said.
			slices.Reverse(times)
			slices.Reverse(values)
		}
		if limit := in.MaxDatapoints; limit > 0 && limit < len(values) || len(values) > maxDatapoints {
			return nil, wire.Errorf("ValidationError", "query %s has %d figures, and the local cloud does not page them", q.ID, len(values))
		}
		if q.ReturnData != nil && !*q.ReturnData {
			continue
		}
		label := q.Label
		if label == "" {
			label = q.MetricStat.Metric.MetricName
		}
		results = append(results, map[string]any{"Id": q.ID, "Label": label, "StatusCode": "Complete", "Timestamps": times, "Values": values})
	}
	return map[string]any{"MetricDataResults": results}, nil
}

// figures are those that are asked for, by period. The caller holds the lock.
func (s *Store) figures(q Query, start, end time.Time) []statistics {
	m := Metric{q.MetricStat.Metric.Namespace, q.MetricStat.Metric.MetricName, map[string]string{}}
	for _, d := range q.MetricStat.Metric.Dimensions {
		m.Dimensions[d.Name] = d.Value
	}
	period := time.Duration(q.MetricStat.Period) * time.Second
	var list []statistics
	for _, f := range s.metrics[m.key()] {
		at := f.at.Truncate(period)
		if f.at.Before(start.Truncate(time.Minute)) || !f.at.Before(end) {
			continue
		}
		if n := len(list); n == 0 || !list[n-1].at.Equal(at) {
			list = append(list, statistics{at: at})
		}
		list[len(list)-1].add(f)
	}
	return list
}
