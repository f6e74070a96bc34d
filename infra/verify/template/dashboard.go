package template

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/telemetry"
)

// What a dashboard may have: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html, and for queries
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
const (
	maxWidgets         = 500
	maxWidgetMetrics   = 500
	maxDashboardMetric = 2500
	maxQuery           = 10_000
	maxQueryGroups     = 50
	maxAlarmWidget     = 100
)

// shown are what the dashboard has to show, each as a word that one of its queries or metrics has.
var shown = []string{"backlog", "active", "current", "running", "reasons", "initDuration", "Duration", "ExecutionsStarted"}

// observed is what it has to show of the functions' own metrics.
var observed = []string{
	telemetry.DueBacklog, telemetry.Active, telemetry.Desired, telemetry.Running, telemetry.HeadAge, telemetry.EventToCount,
	telemetry.CountToWorker, telemetry.Decisions, telemetry.ECSErrors, telemetry.RedisErrors,
}

// source is a log group that a query reads.
var source = regexp.MustCompile(`SOURCE '([^']*)'`)

func checkDashboard(d *Deployment, f *findings) {
	boards := d.Sluice.of("AWS::CloudWatch::Dashboard")
	if len(boards) != 1 {
		f.addAt("the stack "+d.Sluice.Name, "make one", "has %d dashboards", len(boards))
		return
	}
	r := boards[0]
	var body struct{ Widgets []map[string]any }
	if err := json.Unmarshal([]byte(r.text("DashboardBody")), &body); err != nil {
		f.add(r, "make it of widgets", "DashboardBody is no JSON: %v", err)
		return
	}
	if n := len(body.Widgets); n == 0 || n > maxWidgets {
		f.add(r, "show the first targets only", "has %d widgets, and may have 1 to %d", n, maxWidgets)
	}
	metrics := 0
	for _, w := range body.Widgets {
		title := text(at(w, "properties", "title"))
		switch kind := text(w["type"]); kind {
		case "text":
		case "metric":
			n := d.checkMetricWidget(f, r, title, w)
			if metrics += n; n > maxWidgetMetrics {
				f.add(r, "split it", "the widget %q has %d metrics, more than %d", title, n, maxWidgetMetrics)
			}
		case "log":
			d.checkLogWidget(f, r, title, text(at(w, "properties", "query")))
		case "alarm":
			alarms := texts(at(w, "properties", "alarms"))
			if len(alarms) > maxAlarmWidget {
				f.add(r, "split it", "the widget %q has %d alarms, more than %d", title, len(alarms), maxAlarmWidget)
			}
			for _, a := range alarms {
				if d.Sluice.target(a, "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm") == nil {
					f.add(r, "show alarms of the template", "the widget %q shows %q, which is no alarm of the template", title, a)
				}
			}
		default:
			f.add(r, "use metric, log, alarm or text", "the widget %q has the unknown type %q", title, kind)
		}
	}
	if metrics > maxDashboardMetric {
		f.add(r, "show fewer", "has %d metrics, more than %d", metrics, maxDashboardMetric)
	}
	wanted := shown
	if d.Config.Metrics.Level != config.MetricsOff {
		wanted = append(slices.Clone(shown), observed...)
	}
	for _, word := range wanted {
		if !strings.Contains(r.text("DashboardBody"), word) {
			f.add(r, "add a widget", "shows nothing of %s", word)
		}
	}
}

// checkMetricWidget returns how many metrics the widget has.
func (d *Deployment) checkMetricWidget(f *findings, r *Resource, title string, w map[string]any) (n int) {
	metrics := list(at(w, "properties", "metrics"))
	for _, row := range metrics {
		fields := list(row)
		if len(fields) > 0 {
			if _, ok := fields[0].(map[string]any); ok { // An expression: over the others, or a search.
				if e := text(at(fields[0], "expression")); strings.HasPrefix(e, "SEARCH") {
					d.checkSearch(f, r, title, e)
				}
				continue
			}
		}
		n++
		if len(fields) < 2 {
			f.add(r, "write namespace, name, dimensions", "the widget %q has the metric %v", title, row)
			continue
		}
		m := metric{namespace: text(fields[0]), name: text(fields[1]), dimensions: map[string]string{}}
		for i := 2; i+1 < len(fields); i += 2 {
			m.dimensions[text(fields[i])] = text(fields[i+1])
		}
		if why := d.missing(d.Sluice, m); why != "" {
			f.add(r, "show what is there", "the widget %q shows %s %s, but %s", title, m.namespace, m.name, why)
		}
	}
	if len(metrics) == 0 {
		f.add(r, "remove it", "the widget %q has no metrics", title)
	}
	return n
}

func (d *Deployment) checkLogWidget(f *findings, r *Resource, title, query string) {
	groups := source.FindAllStringSubmatch(query, -1)
	if len(groups) == 0 || len(groups) > maxQueryGroups {
		f.add(r, "query 1 to 50", "the widget %q queries %d log groups", title, len(groups))
	}
	for _, g := range groups {
		if d.Sluice.target(g[1], "AWS::Logs::LogGroup") == nil {
			f.add(r, "query log groups of the template", "the widget %q queries %q, which is no log group of the template", title, g[1])
		}
	}
	if len(query) > maxQuery {
		f.add(r, "shorten it", "the widget %q has a query of %d characters, more than %d", title, len(query), maxQuery)
	}
}
