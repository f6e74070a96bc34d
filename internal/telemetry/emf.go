package telemetry

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A line in CloudWatch's Embedded Metric Format, which CloudWatch Logs makes metrics of: no call, no permission, no time
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
type (
	emfMetadata struct {
		Timestamp         int64          // In milliseconds.
		CloudWatchMetrics []emfDirective // What to take from the line's other members.
	}
	emfDirective struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []emfMetric
	}
	emfMetric struct{ Name, Unit string }
)

// emfValues is the most values that a metric may have in one line.
const emfValues = 100

// emf is the lines that carry the metrics' values: one, unless there are too many. The dimension may be empty.
func emf(namespace, dimension, value string, values map[string][]float64, now time.Time) ([]byte, error) {
	var out []byte
	for left := values; len(left) > 0; {
		line := map[string]any{"timestamp": now.UTC().Format(time.RFC3339Nano), "level": "INFO", "message": "metrics"}
		d := emfDirective{Namespace: namespace, Dimensions: [][]string{{}}}
		if dimension != "" {
			d.Dimensions, line[dimension] = [][]string{{dimension}}, value
		}
		rest := map[string][]float64{}
		for _, name := range slices.Sorted(maps.Keys(left)) {
			some := left[name]
			if len(some) > emfValues {
				some, rest[name] = some[:emfValues], some[emfValues:]
			}
			d.Metrics = append(d.Metrics, emfMetric{name, unit(name)})
			if line[name] = any(some); len(some) == 1 {
				line[name] = some[0]
			}
		}
		line["_aws"] = emfMetadata{now.UnixMilli(), []emfDirective{d}}
		text, err := json.Marshal(line)
		if err != nil {
			return nil, err
		}
		out = append(append(out, text...), '\n')
		left = rest
	}
	return out, nil
}

// unit is the unit of the metric of that name.
func unit(name string) string {
	return Metrics[slices.IndexFunc(Metrics, func(m Metric) bool { return m.Name == name })].Unit
}
