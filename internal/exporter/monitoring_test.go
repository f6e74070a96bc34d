package exporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/internal/telemetry"
	"sluice/lab/testenv"
)

// monitoring is the folder with the rules and dashboards.
func monitoring(t *testing.T, path ...string) string {
	t.Helper()
	return filepath.Join(append([]string{testenv.Root(), "monitoring"}, path...)...)
}

// promtool runs Prometheus's own tool. It is no test without it: `make test-deps` installs it.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		path = filepath.Join(testenv.Root(), "build", "tools", "promtool")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("promtool is missing: run `make promtool` as root, or install Prometheus 2.42 or newer, on Debian with: sudo apt-get install prometheus")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	// It tells of what is only unusual without failing.
	if err != nil || strings.HasPrefix(args[0], "check") && args[1] == "metrics" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", monitoring(t, "prometheus", "sluice.rules.yml"))
	promtool(t, "", "test", "rules", monitoring(t, "prometheus", "sluice.rules.test.yml"))
}

// rule is a rule of sluice.rules.yml.
type rule struct {
	Record, Alert, Expr string
	Annotations         map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	read(t, monitoring(t, "prometheus", "sluice.rules.yml"), yaml.Unmarshal, &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func read(t *testing.T, path string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestEachAlertIsTestedAndExplained holds that there is a story in which it rings and one in which it does not, and that its runbook
// is there.
func TestEachAlertIsTestedAndExplained(t *testing.T) {
	t.Parallel()
	var stories struct {
		Tests []struct {
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, monitoring(t, "prometheus", "sluice.rules.test.yml"), func(b []byte, v any) error { return yaml.Unmarshal(b, v) }, &stories)
	rings, silent := map[string]bool{}, map[string]bool{}
	for _, s := range stories.Tests {
		for _, a := range s.Alerts {
			rings[a.Name] = rings[a.Name] || len(a.Expect) > 0
			silent[a.Name] = silent[a.Name] || len(a.Expect) == 0
		}
	}
	docs, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "observability.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !rings[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: the stories have it ring: %v, and not ring: %v", r.Alert, rings[r.Alert], silent[r.Alert])
		}
		for _, a := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no %s", r.Alert, a)
			}
		}
		if want := "docs/observability.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: its runbook is %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !regexp.MustCompile(`(?m)^#+ ` + r.Alert + `$`).Match(docs) {
			t.Errorf("docs/observability.md has no section %s", r.Alert)
		}
	}
}

// everything is an exporter with a sample of every metric that there is.
func everything(t *testing.T) string {
	t.Helper()
	var text string
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(t)
		f := &fakeStack{lines: map[string][]types.FilteredLogEvent{}, queues: map[string]string{"http://q/out": "0", "http://q/rule": "0"}}
		r := seen("worker", 3)
		r.Paused = "in"
		p := &stubPlanner{plan: plan(r, seen("video", 0))}
		figures := &fakeFigures{values: func(string, string) []float64 { return []float64{50} }}
		d, calls := f.deployment(), newCalls()
		e := start(t, newTargets(p, c, 30*time.Second), newDecisions(d, f, c, 30*time.Second), newDeadLetters(d, f), newWorkers(figures, c))
		e.registry.MustRegister(calls, buildInfo("v1"), sweepEvery(c),
			collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		calls.called("ecs", "DescribeServices", nil)
		synctest.Wait()
		f.log(t, "/check", "sweep", scaler.Sweep{})
		f.log(t, "/check", "decision", scaler.Record{Target: "worker", Reasons: []policy.Reason{policy.ReasonSteady}, StartS: new(30.0)})
		f.log(t, "/out", "result", scaler.Change{Target: "worker", DesiredCount: 1, EventToCountMS: new(int64(300))})
		time.Sleep(2 * time.Minute)
		w := httptest.NewRecorder()
		e.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text = w.Body.String()
	})
	return text
}

// exported are the metrics of an exposition, with those that Prometheus makes of them, and the labels of each.
func exported(text string) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for line := range strings.Lines(text) {
		m := regexp.MustCompile(`^([a-z_]+)(\{.*\})? `).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		labels := map[string]bool{"job": true, "instance": true}
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = true
		}
		out[m[1]] = labels
	}
	return out
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	text := everything(t)
	promtool(t, text, "check", "metrics")
	if !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "process_resident_memory_bytes") {
		t.Error("the Go runtime's and the process's metrics are missing")
	}
}

// counterpart is what a metric that Sluice writes to CloudWatch is called here.
var counterpart = map[string]string{
	telemetry.Backlog: "sluice_backlog_messages", telemetry.DueBacklog: "sluice_due_backlog_messages", telemetry.Active: "sluice_active_tasks",
	telemetry.HeldMessages: "sluice_held_messages", telemetry.Desired: "sluice_target_desired_workers", telemetry.Running: "sluice_target_running_workers",
	telemetry.HeadAge: "sluice_head_age_seconds", telemetry.Unknown: "sluice_target_unknown", telemetry.EventToCount: "sluice_event_to_count_seconds_bucket",
	telemetry.CountToWorker: "sluice_count_to_worker_seconds", telemetry.Decisions: "sluice_decision_reasons_total",
	telemetry.ECSCalls: "sluice_calls_total", telemetry.ECSErrors: "sluice_call_errors_total",
	telemetry.RedisCalls: "sluice_calls_total", telemetry.RedisErrors: "sluice_call_errors_total",
}

func TestWhatCloudWatchHasIsHereToo(t *testing.T) {
	t.Parallel()
	have := exported(everything(t))
	for _, m := range telemetry.Metrics {
		if name := counterpart[m.Name]; have[name] == nil {
			t.Errorf("CloudWatch's %s is %q here, and that is not exported", m.Name, name)
		}
	}
}

// TestTheDocumentedMetrics holds that docs/observability.md lists each metric, and no other.
func TestTheDocumentedMetrics(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "observability.md"))
	if err != nil {
		t.Fatal(err)
	}
	have, listed := map[string]bool{}, map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (sluice_[a-z_]+) `).FindAllStringSubmatch(everything(t), -1) {
		have[line[1]] = true
	}
	for _, line := range regexp.MustCompile("(?m)^\\| `(sluice_[a-z_]+)`").FindAllSubmatch(docs, -1) {
		listed[string(line[1])] = true
	}
	for name := range have {
		if !listed[name] {
			t.Errorf("docs/observability.md does not list %s", name)
		}
	}
	for name := range listed {
		if !have[name] {
			t.Errorf("docs/observability.md lists %s, which is not exported", name)
		}
	}
}

// others are the metrics of node_exporter and of Prometheus itself that are used.
var others = map[string][]string{
	"up": {"job", "instance"}, "node_memory_MemAvailable_bytes": {"instance"}, "node_memory_MemTotal_bytes": {"instance"},
}

// The parts of a query that are no metric.
var (
	texts    = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|\$\w+`)
	matchers = regexp.MustCompile(`\{[^}]*\}`)
	grouping = regexp.MustCompile(`\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)`)
	words    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	operator = []string{"and", "or", "unless", "bool", "offset"}
)

// metricsOf are the metrics that a query names, and the labels that it picks or groups them by.
func metricsOf(expr string) (names, labels []string) {
	for _, m := range matchers.FindAllString(expr, -1) {
		for _, l := range regexp.MustCompile(`(\w+)\s*(=|!=|=~|!~)"`).FindAllStringSubmatch(m, -1) {
			labels = append(labels, l[1])
		}
	}
	for _, g := range grouping.FindAllString(expr, -1) {
		labels = append(labels, regexp.MustCompile(`\w+`).FindAllString(g[strings.IndexByte(g, '('):], -1)...)
	}
	expr = grouping.ReplaceAllString(matchers.ReplaceAllString(texts.ReplaceAllString(expr, ""), ""), "")
	for _, w := range words.FindAllString(expr, -1) {
		if w = strings.TrimSpace(w); !strings.HasSuffix(w, "(") && !slices.Contains(operator, w) && !regexp.MustCompile(`^[0-9]*e?[0-9]*$`).MatchString(w) {
			names = append(names, w)
		}
	}
	return names, labels
}

func TestMetricsOf(t *testing.T) {
	t.Parallel()
	names, labels := metricsOf(`sum by (le, target) (rate(a_bucket{job=~"$job", x!="y"}[5m])) * 60 and on (job) up{z="b_c"} == 0 unless target:b:c > 1e3`)
	if got, want := fmt.Sprint(names, labels), "[a_bucket up target:b:c] [job x z le target job]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// queries are all queries for Prometheus: of the rules, and of the dashboard, by where they stand.
func queries(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range rules(t) {
		out[r.Record+r.Alert] = r.Expr
	}
	for _, p := range dashboard(t, "prometheus.json").Panels {
		for _, target := range p.Targets {
			out["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	return out
}

// TestQueriesNameWhatIsExported holds that no rule and no panel waits for a metric or a label that never comes.
func TestQueriesNameWhatIsExported(t *testing.T) {
	t.Parallel()
	have := exported(everything(t))
	for name, labels := range others {
		have[name] = map[string]bool{}
		for _, l := range labels {
			have[name][l] = true
		}
	}
	for _, r := range rules(t) {
		if r.Record == "" {
			continue
		}
		names, _ := metricsOf(r.Expr)
		have[r.Record] = have[names[0]]
	}
	for where, expr := range queries(t) {
		names, labels := metricsOf(expr)
		if len(names) == 0 {
			t.Errorf("%s names no metric: %s", where, expr)
		}
		known := map[string]bool{}
		for _, n := range names {
			if have[n] == nil {
				t.Errorf("%s: nobody exports %s", where, n)
			}
			maps.Copy(known, have[n])
		}
		for _, l := range labels {
			if !known[l] {
				t.Errorf("%s: none of %q has the label %s", where, names, l)
			}
		}
	}
}

// board is a dashboard of Grafana, as far as the tests look at it.
type board struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type, Query, Definition string
		}
	}
}

type panel struct {
	ID         int
	Type       string
	Title      string
	GridPos    struct{ X, Y, W, H int }
	Datasource struct{ Type, UID string }
	Targets    []struct {
		RefID      string `json:"refId"`
		Datasource struct{ Type, UID string }
		Expr       string // For Prometheus.
		QueryMode  string // For CloudWatch, as what follows.
		Namespace  string
		MetricName string
		Dimensions map[string]string
		Statistic  string
		Expression string
	}
}

func dashboard(t *testing.T, name string) board {
	t.Helper()
	text, err := os.ReadFile(monitoring(t, "grafana", name))
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		board
		Query any
	}
	// The query of a variable is a text or an object: only a text is of interest here.
	text = regexp.MustCompile(`"query": \{`).ReplaceAll(text, []byte(`"queryObject": {`))
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b.board
}

// TestDashboards holds what Grafana would complain of when it imports them, or would show as an empty panel.
func TestDashboards(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"prometheus.json": "prometheus", "cloudwatch.json": "cloudwatch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := dashboard(t, name)
			if b.UID == "" || b.Title == "" || b.SchemaVersion < 39 {
				t.Errorf("uid %q, title %q, schema %d", b.UID, b.Title, b.SchemaVersion)
			}
			if v := b.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" || v.Query != kind {
				t.Errorf("the first variable is %+v: want the data source", v)
			}
			variables := map[string]bool{"__rate_interval": true}
			for _, v := range b.Templating.List {
				variables[v.Name] = true
			}
			text, err := os.ReadFile(monitoring(t, "grafana", name))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range regexp.MustCompile(`\$\{?([a-z_]+)`).FindAllStringSubmatch(string(text), -1) {
				if !variables[v[1]] {
					t.Errorf("nobody declares the variable %s", v[1])
				}
			}
			ids, used := map[int]bool{}, map[[2]int]string{}
			for _, p := range b.Panels {
				if p.ID == 0 || ids[p.ID] {
					t.Errorf("panel %s: its id %d is not its own", p.Title, p.ID)
				}
				ids[p.ID] = true
				for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
					for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
						if other, ok := used[[2]int{x, y}]; ok || x >= 24 {
							t.Fatalf("panel %s lies over %s, or outside", p.Title, other)
						}
						used[[2]int{x, y}] = p.Title
					}
				}
				if p.Type == "row" {
					continue
				}
				if p.Title == "" || len(p.Targets) == 0 || p.Datasource.Type != kind || p.Datasource.UID != "${datasource}" {
					t.Errorf("panel %d %q: %d queries of %+v", p.ID, p.Title, len(p.Targets), p.Datasource)
				}
				refs := map[string]bool{}
				for _, target := range p.Targets {
					if refs[target.RefID] || target.Datasource.UID != "${datasource}" {
						t.Errorf("panel %s: query %s twice, or of another data source", p.Title, target.RefID)
					}
					refs[target.RefID] = true
				}
			}
		})
	}
}

// TestTheDashboardsQueriesParse gives them to promtool as rules, with Grafana's variables filled in.
func TestTheDashboardsQueriesParse(t *testing.T) {
	t.Parallel()
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", "sluice", "$target", ".*")
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var group struct {
		Name  string      `yaml:"name"`
		Rules []recording `yaml:"rules"`
	}
	group.Name = "dashboard"
	all := queries(t)
	for i, where := range slices.Sorted(maps.Keys(all)) {
		group.Rules = append(group.Rules, recording{fmt.Sprintf("panel:%d", i), fill.Replace(all[where])})
	}
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(map[string]any{"groups": []any{group}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
}

// ofAWS are the metrics of AWS's own that the dashboard for CloudWatch uses, with their dimensions.
var ofAWS = map[string][]string{
	"AWS/ECS MemoryUtilization": {"ClusterName", "ServiceName"},
	"AWS/ECS CPUUtilization":    {"ClusterName", "ServiceName"},
}

// ofTheStack are the metrics that the deployment makes of the log by filters (infra/sluicecdk/metrics.go).
var ofTheStack = []string{"UnknownTargets", "StrandedTargets"}

// TestCloudWatchMetrics holds that each metric of the dashboard is one that Sluice or AWS writes, with those dimensions.
func TestCloudWatchMetrics(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, p := range dashboard(t, "cloudwatch.json").Panels {
		for _, q := range p.Targets {
			dimensions := slices.Sorted(maps.Keys(q.Dimensions))
			switch {
			case q.QueryMode == "Logs":
				continue
			case q.Namespace != "$namespace":
				if want, ok := ofAWS[q.Namespace+" "+q.MetricName]; !ok || !slices.Equal(dimensions, want) {
					t.Errorf("panel %s: AWS has no metric %s %s with %q", p.Title, q.Namespace, q.MetricName, dimensions)
				}
				continue
			case slices.Contains(ofTheStack, q.MetricName) && len(dimensions) == 0:
				continue
			}
			i := slices.IndexFunc(telemetry.Metrics, func(m telemetry.Metric) bool { return m.Name == q.MetricName })
			if i < 0 {
				t.Errorf("panel %s: Sluice writes no metric %s", p.Title, q.MetricName)
				continue
			}
			m := telemetry.Metrics[i]
			used[m.Name] = true
			ok := map[string]bool{
				"":                        m.Total,
				telemetry.DimensionTarget: m.Target,
				telemetry.DimensionReason: m.Name == telemetry.Decisions,
			}
			if len(dimensions) > 1 || !ok[strings.Join(dimensions, "")] {
				t.Errorf("panel %s: %s is not written with the dimensions %q", p.Title, m.Name, dimensions)
			}
		}
	}
	for _, m := range telemetry.Metrics {
		if !used[m.Name] {
			t.Errorf("no panel shows %s", m.Name)
		}
	}
}

// TestLogsInsightsQueries holds that the queries name fields that the functions log.
func TestLogsInsightsQueries(t *testing.T) {
	t.Parallel()
	fields := map[string]bool{"@timestamp": true, "@message": true, "message": true, "level": true}
	for _, of := range []any{scaler.Record{}, scaler.Change{}, scaler.Sweep{}} {
		for f := range reflect.TypeOf(of).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields[name] = true
			if f.Type.Kind() == reflect.Slice {
				for i := range 3 {
					fields[fmt.Sprintf("%s.%d", name, i)] = true
				}
			}
		}
	}
	keywords := strings.Fields("filter fields stats sort limit parse by as and or not in like desc asc count latest max min avg sum ispresent")
	found := 0
	for _, p := range dashboard(t, "cloudwatch.json").Panels {
		for _, q := range p.Targets {
			if q.QueryMode != "Logs" {
				continue
			}
			found++
			own := map[string]bool{}
			for _, m := range regexp.MustCompile(`\bas ([a-z_]+)`).FindAllStringSubmatch(q.Expression, -1) {
				own[m[1]] = true
			}
			plain := regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(q.Expression, "")
			for _, word := range regexp.MustCompile(`@?[a-z_]+(\.[0-9])?`).FindAllString(plain, -1) {
				if !fields[word] && !own[word] && !slices.Contains(keywords, word) {
					t.Errorf("panel %s: the functions log no field %s", p.Title, word)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no query of the log was found")
	}
}
