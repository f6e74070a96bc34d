package sluicecdk

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// TestQueriesFindWhatIsLogged holds each query, and the metrics' filter, to lines that the scaler itself logs: a query for a field
// that nobody writes shows an empty table, and nothing else would tell.
func TestQueriesFindWhatIsLogged(t *testing.T) {
	t.Parallel()
	lines := append(scalerLines(t), append(awsLines, refused)...)
	// With each of the targets as the first, since no single one has all fields.
	queries := map[string][][]string{
		"targetsNow": {targetsNow}, "changes": {changes}, "decisionsByReason": {decisionsByReason}, "trouble": {trouble},
	}
	for _, target := range []string{"shop", "lame", "lost", "bound"} {
		c := &config.Config{Targets: []config.Target{{Name: target}}, Sweep: config.Sweep{Every: config.Duration(5 * time.Minute)}}
		f := &function{}
		r := &resources{plan: plan{config: c}, scaleOut: f, check: f, scaleIn: f}
		queries["targetOverTime"] = append(queries["targetOverTime"], targetOverTime(target, r.every()))
		queries["functionCalls"], queries["transitions"] = [][]string{r.functionCalls()}, [][]string{r.transitions()}
		for _, q := range r.savedQueries() {
			queries[q.title] = append(queries[q.title], q.lines)
		}
	}
	for name, versions := range queries {
		var matching []line
		for _, query := range versions {
			matching = append(matching, slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return !filterOf(t, query[0])(l) })...)
		}
		query := versions[0]
		if len(matching) == 0 {
			t.Errorf("%s: no line has %v", name, query[0])
		}
		for _, field := range fields(query) {
			if !slices.ContainsFunc(matching, func(l line) bool { return l.value(field) != nil }) {
				t.Errorf("%s: no line has a field %s", name, field)
			}
		}
		for _, pattern := range parsed(query) {
			if !slices.ContainsFunc(matching, func(l line) bool { return pattern.MatchString(l.raw) }) {
				t.Errorf("%s: no line is parsed by %s", name, pattern)
			}
		}
	}
	for _, m := range []sweepMetric{unknownTargets, strandedTargets} {
		if !slices.ContainsFunc(lines, func(l line) bool {
			n, ok := l.value(m.field).(float64)
			return l.value("message") == sweepMessage && ok && n >= 1
		}) {
			t.Errorf("%s: no line %s has a field %s of 1", m.name, sweepMessage, m.field)
		}
	}
}

// line is a line of a log.
type line struct {
	raw    string
	fields map[string]any
}

// value is that of a field, in the notation of Logs Insights: reasons.0.
func (l line) value(field string) any {
	var v any = l.fields
	for part := range strings.SplitSeq(field, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := strings.Index("0123456789", part)
			if i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// parseLines reads lines of JSON.
func parseLines(t *testing.T, text string) (lines []line) {
	t.Helper()
	for raw := range strings.Lines(text) {
		l := line{raw: raw}
		if err := json.Unmarshal([]byte(raw), &l.fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// awsLines are lines of Lambda and Step Functions with the fields that AWS documents for them ("Lambda Telemetry API Event schema
// reference" and "Log levels for Step Functions execution events").
var awsLines = []line{
	{fields: map[string]any{"type": "platform.report", "record": map[string]any{"metrics": map[string]any{
		"durationMs": 1234.5, "billedDurationMs": 1277.0, "memorySizeMB": 512.0, "maxMemoryUsedMB": 40.0, "initDurationMs": 42.0,
	}, "requestId": "8286a188-ba32-4475-8077-530cd35c09a9"}}},
	{fields: map[string]any{"type": "TaskStateEntered", "execution_arn": "arn"}},
}

// refused is how package function logs an invocation that ends in an error.
var refused = line{fields: map[string]any{
	"level": "ERROR", "message": "invocation ended in an error", "error": "detail.scale_to is negative", "kind": "InvalidEvent",
}}

var (
	literal  = regexp.MustCompile(`"[^"]*"`)
	comment  = regexp.MustCompile(`(?m)^#.*$`)
	glob     = regexp.MustCompile(`^parse @message '(.*)' as [a-z_]+$`)
	word     = regexp.MustCompile(`@?[a-zA-Z_][a-zA-Z0-9_.]*\(?`)
	alias    = regexp.MustCompile(` as ([a-z_0-9]+)`)
	keywords = strings.Fields("filter stats fields sort limit as and or in by desc like")
)

// fields are the fields of the log that the query names: not its keywords, functions and the names that it gives itself.
func fields(query []string) (out []string) {
	given := slices.Clone(keywords)
	for _, m := range alias.FindAllStringSubmatch(strings.Join(query, "\n"), -1) {
		given = append(given, m[1])
	}
	for _, l := range query {
		if glob.MatchString(l) {
			continue
		}
		for _, w := range word.FindAllString(strings.ReplaceAll(comment.ReplaceAllString(literal.ReplaceAllString(l, ""), ""), "bin(5m)", ""), -1) {
			if !strings.HasSuffix(w, "(") && !strings.HasPrefix(w, "@") && !slices.Contains(given, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// parsed are the patterns of the query's parse commands.
func parsed(query []string) (out []*regexp.Regexp) {
	for _, l := range query {
		if m := glob.FindStringSubmatch(l); m != nil {
			out = append(out, regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(m[1]), `\*`, `.*?`)))
		}
	}
	return out
}

// scalerLines are what the functions log: of a sweep over a target with a silent worker and a queue that nobody fetches, one that is
// stranded, one whose broker is down, and one that a window, a tag and a dry run bear on; and of an event.
func scalerLines(t *testing.T) []line {
	t.Helper()
	var log strings.Builder
	bound, most := target("bound", "up", "bound"), 4
	bound.DryRun = true
	bound.Windows = []scaler.Window{{Name: "office hours", Max: &most, Open: func(time.Time) bool { return true }}}
	s, err := scaler.New(scaler.Options{
		Targets: []scaler.Target{
			target("shop", "up", "shop", "nobody's"), target("lame", "up", "lame"), target("lost", "down", "lost"), bound,
		},
		Brokers: map[string]scaler.Broker{"up": broker{}, "down": broker{err: errors.New("connection refused")}},
		Fleet:   fleet{},
		// As lambdacontext.NewLogger has it, which the functions use.
		Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.MessageKey:
				a.Key = "message"
			case slog.TimeKey:
				a.Key = "timestamp"
			}
			return a
		}})),
		Now:         time.Now,
		EventSource: "s", EventDetailType: "d",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.CheckAll(t.Context(), scaler.Shard{})
	d, err := s.Demand([]byte(`{"source":"s","detail-type":"d","time":"2026-11-22T12:00:00Z",
		"detail":{"target":"shop","scale_to":9,"scaleto":9,"by":"hand"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ScaleOut(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return parseLines(t, log.String())
}

func target(name, broker string, queues ...string) scaler.Target {
	return scaler.Target{
		Name: name, Broker: broker, Queues: queues, Ref: policy.ServiceRef{Cluster: "c", Service: name},
		Limits: policy.Limits{Max: 5, MessagesPerWorker: 1}, Source: scaler.SourceInspect,
	}
}

// broker has a message in each queue, and one worker, which fetches from one of them and from one that no target has.
type broker struct {
	scaler.Broker
	err error
}

func (b broker) Look(_ context.Context, queues []string, _ time.Duration) (policy.Look, error) {
	l := policy.Look{
		At: time.Now(), Queues: map[string]policy.Queue{}, Loose: policy.Known(0), Listeners: policy.Known(1), FetchedKnown: true,
		Nodes: []policy.Node{{Name: "celery@heard", Answers: 1, Queues: []string{"shop", "nobody knows"}, Active: policy.Known(0)}},
	}
	for _, q := range queues {
		l.Queues[q] = policy.Queue{Backlog: policy.Known(1), Held: policy.Known(0), HeadSince: time.Now().Add(-time.Minute)}
	}
	return l, b.err
}

func (broker) Beats(context.Context, int) (map[string]policy.Beat, error) { return nil, nil }

func (broker) RateLimited(context.Context, []policy.Node) (map[string]bool, error) { return nil, nil }

func (broker) Untracked(context.Context, []policy.Node) (map[string][]string, error) { return nil, nil }

func (broker) Lock(context.Context, string, string, time.Duration) (bool, error) { return true, nil }

func (broker) Unlock(context.Context, string, string) error { return nil }

// fleet has two tasks for each service, one of them silent, and none for the service lame.
type fleet struct{ scaler.Fleet }

func (fleet) Describe(_ context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	out := map[policy.ServiceRef]policy.Described{}
	for _, ref := range refs {
		s := policy.Service{ARN: "arn:" + ref.Service, Tags: map[string]string{}}
		if ref.Service == "bound" {
			s.Tags = map[string]string{"sluice:paused-in": "true", "sluice:floor": "1@2126-11-22T00:00:00Z"}
		}
		if ref.Service != "lame" {
			s.Desired, s.Running = 2, 2
		}
		out[ref] = policy.Described{Service: s}
	}
	return out
}

func (fleet) Tasks(_ context.Context, ref policy.ServiceRef) ([]policy.Task, error) {
	if ref.Service == "lame" {
		return nil, nil
	}
	return []policy.Task{{ID: "heard", State: policy.TaskRunning}, {ID: "silent", State: policy.TaskRunning}}, nil
}

func (fleet) Match([]string, []policy.Task) map[string]string {
	return map[string]string{"celery@heard": "heard"}
}

func (fleet) SetDesired(context.Context, policy.ServiceRef, int) error { return nil }

func TestBin(t *testing.T) {
	t.Parallel()
	for every, want := range map[time.Duration]string{
		time.Minute: "1m", 59 * time.Minute: "59m", time.Hour: "1h", 90 * time.Minute: "2h", 24 * time.Hour: "24h",
	} {
		if got := bin(every); got != want {
			t.Errorf("bin(%v) = %s, want %s", every, got, want)
		}
	}
}

// TestQueriesAreDocumented holds the page to the titles.
func TestQueriesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	f := &function{}
	r := &resources{plan: plan{config: &config.Config{Targets: make([]config.Target, 1)}}, scaleOut: f, check: f, scaleIn: f}
	for _, q := range r.savedQueries() {
		if !strings.Contains(string(page), "| "+q.title+" |") {
			t.Errorf("docs/observability.md has no row for the query %q", q.title)
		}
	}
}
