package sluicecdk_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sluice/infra/lab"
	"sluice/internal/config"
	"sluice/internal/telemetry"
	"sluice/lab/cloud/cfn/template"
)

// What a dashboard may have: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html, and
// for queries https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
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

// checkDashboard: the dashboard is within CloudWatch's limits and shows what exists. One that shows nothing tells
// nobody.
func checkDashboard(t lab.T, d *lab.Deployment) {
	d.Sluice.Counts(t, 1, "AWS::CloudWatch::Dashboard")
	for _, r := range d.Sluice.Of("AWS::CloudWatch::Dashboard") {
		var body struct{ Widgets []map[string]any }
		if err := json.Unmarshal([]byte(r.Text("DashboardBody")), &body); err != nil {
			t.Errorf("DashboardBody is no JSON: %v", err)
			return
		}
		all := 0
		for _, w := range body.Widgets {
			title := template.Text(template.Within(w, "properties", "title"))
			switch kind := template.Text(w["type"]); kind {
			case "text":
			case "metric":
				n := checkMetricWidget(t, d, title, w)
				if all += n; n > maxWidgetMetrics {
					t.Errorf("the widget %q has %d metrics", title, n)
				}
			case "log":
				checkLogWidget(t, d, title, template.Text(template.Within(w, "properties", "query")))
			case "alarm":
				alarms := template.Texts(template.Within(w, "properties", "alarms"))
				if len(alarms) > maxAlarmWidget {
					t.Errorf("the widget %q has %d alarms", title, len(alarms))
				}
				for _, a := range alarms {
					if d.Sluice.Target(a, "AWS::CloudWatch::Alarm") == nil {
						t.Errorf("the widget %q shows %q, which is no alarm of the template", title, a)
					}
				}
			default:
				t.Errorf("the widget %q has the unknown type %q", title, kind)
			}
		}
		if n := len(body.Widgets); n == 0 || n > maxWidgets || all > maxDashboardMetric {
			t.Errorf("the dashboard has %d widgets with %d metrics", n, all)
		}
		wanted := shown
		if d.Config.Metrics.Level != config.MetricsOff {
			wanted = append(slices.Clone(shown), observed...)
		}
		for _, word := range wanted {
			if !strings.Contains(r.Text("DashboardBody"), word) {
				t.Errorf("the dashboard shows nothing of %s", word)
			}
		}
	}
}

// checkMetricWidget returns how many metrics the widget has.
func checkMetricWidget(t lab.T, d *lab.Deployment, title string, w map[string]any) (n int) {
	metrics := template.List(template.Within(w, "properties", "metrics"))
	if len(metrics) == 0 {
		t.Errorf("the widget %q has no metrics", title)
	}
	for _, row := range metrics {
		if e, ok := template.Within(row, 0).(map[string]any); ok { // An expression: over the others, or a search.
			if text := template.Text(e["expression"]); strings.HasPrefix(text, "SEARCH") {
				checkSearch(t, d, title, text)
			}
			continue
		}
		n++
		fields := template.Texts(row)
		if len(fields) < 2 {
			t.Errorf("the widget %q has the metric %v", title, row)
			continue
		}
		m := metric{namespace: fields[0], name: fields[1], dimensions: map[string]string{}}
		for i := 2; i+1 < len(fields); i += 2 {
			m.dimensions[fields[i]] = fields[i+1]
		}
		if why := missing(d, m); why != "" {
			t.Errorf("the widget %q shows %s %s, but %s", title, m.namespace, m.name, why)
		}
	}
	return n
}

// search is an expression that finds metrics by their name.
var search = regexp.MustCompile(`^SEARCH\('\{"([^"]*)",(\w+)\} MetricName="(\w+)"', '(\w+)', (\d+)\)$`)

// checkSearch holds a search to what is written. One that finds nothing shows nothing, and nobody would tell.
func checkSearch(t lab.T, d *lab.Deployment, title, expression string) {
	m := search.FindStringSubmatch(expression)
	if m == nil {
		t.Errorf("the widget %q has a search that is not understood: %s", title, expression)
		return
	}
	if m[1] != namespace(d) {
		t.Errorf("the widget %q searches in %q, where nothing is written", title, m[1])
	}
	if why := unwritten(d, m[3], []string{m[2]}); why != "" {
		t.Errorf("the widget %q searches for %s, but %s", title, m[3], why)
	}
}

// source is a log group that a query reads.
var source = regexp.MustCompile(`SOURCE '([^']*)'`)

func checkLogWidget(t lab.T, d *lab.Deployment, title, query string) {
	groups := source.FindAllStringSubmatch(query, -1)
	if len(groups) == 0 || len(groups) > maxQueryGroups || len(query) > maxQuery {
		t.Errorf("the widget %q queries %d log groups with %d characters", title, len(groups), len(query))
	}
	for _, g := range groups {
		if d.Sluice.Target(g[1], "AWS::Logs::LogGroup") == nil {
			t.Errorf("the widget %q queries %q, which is no log group of the template", title, g[1])
		}
	}
}

// saved are the queries that there have to be.
var saved = []string{
	"Decisions of a target", "Why a target is held", "Unknown and errors", "Slow looks", "Counts of a target over time",
	"Worker hours by target", "From event to count", "Events that were ignored or refused",
}

// checkQueries: the queries for people are saved, in a folder of the stack's own, for log groups of the template.
func checkQueries(t lab.T, d *lab.Deployment) {
	var titles []string
	for _, r := range d.Sluice.Of("AWS::Logs::QueryDefinition") {
		title, ours := strings.CutPrefix(r.Text("Name"), namespace(d)+"/")
		if titles = append(titles, title); !ours {
			t.Errorf("%s is called %q, so that two Sluices of an account cannot be told apart", r.ID, r.Text("Name"))
		}
		groups := template.Texts(r.At("LogGroupNames"))
		if len(groups) == 0 || len(groups) > maxQueryGroups {
			t.Errorf("%s queries %d log groups", r.ID, len(groups))
		}
		for _, g := range groups {
			if d.Sluice.Target(g, "AWS::Logs::LogGroup") == nil {
				t.Errorf("%s queries %q, which is no log group of the template", r.ID, g)
			}
		}
	}
	for _, title := range saved {
		if !slices.Contains(titles, title) {
			t.Errorf("there is no query %q", title)
		}
	}
}

// titles are how outputs call the functions.
var titles = map[string]string{scaleOut: "ScaleOut", check: "Check", scaleIn: "ScaleIn", notify: "Notify"}

// checkOutputs: the command line finds everything of a deployment by the outputs of its stack alone, so that one which
// is missing, or tells of something else, has it look at the wrong thing or at nothing.
func checkOutputs(t lab.T, d *lab.Deployment) {
	for id, want := range outputs(d) {
		got := template.Text(d.Sluice.Outputs[id])
		switch {
		case got == "":
			t.Errorf("there is no output %s", id)
		case !sameSet(strings.Split(got, ","), strings.Split(want, ",")): // Lists of names have no order.
			t.Errorf("the output %s tells of %s, not of %s", id, got, want)
		}
	}
}

// outputs are those that there have to be, with what they have to tell.
func outputs(d *lab.Deployment) map[string]string {
	want := map[string]string{}
	queue := func(whose, arn string) {
		if q := d.Sluice.Target(arn, "AWS::SQS::Queue"); q != nil {
			want[whose+"DeadLetters"] = q.Ref() // Its URL.
		}
	}
	for _, name := range functionNames(d) {
		want[titles[name]+"Function"], want[titles[name]+"Logs"] = d.Function(name).Ref(), logGroupOf(d, name)
		queue(titles[name], d.Function(name).Text("DeadLetterConfig", "TargetArn"))
	}
	for i, group := range template.Texts(d.Function(check).At("VpcConfig", "SecurityGroupIds")) {
		want[fmt.Sprintf("SecurityGroup%d", i+1)] = group
	}
	for _, r := range d.Sluice.Of("AWS::Events::Rule") {
		want["Rule"] = r.Ref()
		if lastPart(d.Config.Events.Bus) != "default" { // There the reference is BUS|RULE.
			want["Rule"] = "${Fn::Select [1,'${Fn::Split ['|','" + r.Ref() + "']}']}"
		}
		queue("Rule", r.Text("Targets", 0, "DeadLetterConfig", "Arn"))
	}
	for kind, id := range map[string]string{"AWS::StepFunctions::StateMachine": "StateMachine", "AWS::CloudWatch::Dashboard": "Dashboard"} {
		for _, r := range d.Sluice.Of(kind) {
			want[id] = r.Ref()
		}
	}
	var schedules []string
	for _, r := range sweepSchedules(d) {
		schedules = append(schedules, r.Ref())
		queue("Schedules", r.Text("Target", "DeadLetterConfig", "Arn"))
	}
	want["Schedules"] = strings.Join(schedules, ",")
	for _, r := range d.Sluice.Of("AWS::Scheduler::ScheduleGroup") {
		want["ScheduleGroup"] = r.Text("Name")
	}
	for _, a := range d.Sluice.Of("AWS::CloudWatch::Alarm") { // The check alarms sees that it is the right one.
		want["AlarmTopic"] = a.Text("AlarmActions", 0)
	}
	for _, r := range notifySchedules(d) {
		want["NotifySchedule"] = r.Ref()
		want["NotifyTopic"] = d.Function(notify).Text("Environment", "Variables", "SLUICE_TOPIC_ARN")
	}
	return want
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
