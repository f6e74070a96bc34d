package template

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/internal/telemetry"
)

// unwritten says why the functions do not write a metric: empty if they do.
func (d *Deployment) unwritten(name string, dimensions []string) string {
	level := d.Config.Metrics.Level
	i := slices.IndexFunc(telemetry.Metrics, func(m telemetry.Metric) bool { return m.Name == name })
	switch {
	case i < 0:
		return "no metric filter makes it, and no function writes it"
	case level == config.MetricsOff:
		return "metrics.level is off, so that no function writes it"
	}
	m := telemetry.Metrics[i]
	written := map[string]bool{
		"":                        m.Total,
		telemetry.DimensionTarget: m.Target && level == config.MetricsTargets,
		telemetry.DimensionReason: name == telemetry.Decisions,
	}
	if len(dimensions) == 0 {
		dimensions = []string{""}
	}
	if len(dimensions) > 1 || !written[dimensions[0]] {
		return fmt.Sprintf("the functions do not write it with the dimensions %q", dimensions)
	}
	return ""
}

// search is an expression that finds metrics by their name.
var search = regexp.MustCompile(`^SEARCH\('\{"([^"]*)",(\w+)\} MetricName="(\w+)"', '(\w+)', (\d+)\)$`)

// checkSearch holds a search to what is written. One that finds nothing shows nothing, and nobody would tell.
func (d *Deployment) checkSearch(f *findings, r *Resource, title, expression string) {
	m := search.FindStringSubmatch(expression)
	if m == nil {
		f.add(r, "write it as the others", "the widget %q has a search that is not understood: %s", title, expression)
		return
	}
	if m[1] != d.namespace() {
		f.add(r, "use the namespace of the metric filters", "the widget %q searches in %q, where nothing is written", title, m[1])
	}
	if why := d.unwritten(m[3], []string{m[2]}); why != "" {
		f.add(r, "show what is there", "the widget %q searches for %s, but %s", title, m[3], why)
	}
}

// checkStuck: with metrics an alarm rings where a message is the next one for longer than any task may run.
func (d *Deployment) checkStuck(f *findings, alarms []alarm) {
	longest := 15 * time.Minute
	for _, b := range d.Config.Brokers {
		longest = max(longest, b.VisibilityTimeout.Std())
	}
	watched := slices.ContainsFunc(alarms, func(a alarm) bool {
		return a.goesOffAt(longest.Seconds()) && slices.ContainsFunc(a.metrics, func(m metric) bool {
			return m.namespace == d.namespace() && m.name == telemetry.HeadAge && len(m.dimensions) == 0
		})
	})
	if wanted := d.Config.Metrics.Level != config.MetricsOff; watched != wanted {
		f.addAt("the stack "+d.Sluice.Name, "make one with metrics.level totals and targets, and only then",
			"alarm for a queue that is stuck: %t, and metrics.level is %s", watched, d.Config.Metrics.Level)
	}
}
