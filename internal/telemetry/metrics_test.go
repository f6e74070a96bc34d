package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// recorded is what is written of one invocation.
func recorded(t *testing.T, level Level, happens func(*Recorder)) string {
	t.Helper()
	var out bytes.Buffer
	r := NewRecorder(level, "Sluice/shop", &out, func() time.Time { return noon })
	happens(r)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// short is the lines in short: the dimension, and each metric with its value.
func short(t *testing.T, lines string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(lines) {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		var meta struct {
			AWS emfMetadata `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &meta); err != nil {
			t.Fatal(err)
		}
		d := meta.AWS.CloudWatchMetrics[0]
		text := "of all"
		if dims := d.Dimensions[0]; len(dims) == 1 {
			text = fmt.Sprintf("%s %v", dims[0], members[dims[0]])
		}
		for _, m := range d.Metrics {
			text += fmt.Sprintf(" %s=%v", m.Name, members[m.Name])
		}
		out = append(out, text)
	}
	return out
}

// record is a decision of a sweep.
func record(target string, backlog, later, active, running int, reasons ...policy.Reason) scaler.Record {
	return scaler.Record{
		UseCase: "check", Target: target, Current: 3, Desired: 9, Backlog: &backlog, Later: &later, Active: &active, Held: ptr(1),
		Running: &running, Reasons: reasons,
	}
}

func TestMetricsOfASweep(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	waits := record("film", 4, 10, 2, 3, policy.ReasonBacklog, policy.ReasonMax)
	waits.HeadAgeS = ptr(12.5)
	waitsLonger := record("mail", 1, 0, 0, 1, policy.ReasonBacklog)
	waitsLonger.HeadAgeS = ptr(60.0)
	// The broker cannot be seen, then ECS: what is not known is no zero.
	blind := scaler.Record{
		UseCase: "check", Target: "blind", Current: 5, Desired: 5, Running: ptr(5), Reasons: []policy.Reason{policy.ReasonUnknown},
	}
	lost := scaler.Record{
		UseCase: "check", Target: "lost", Backlog: ptr(7), Later: ptr(0), Active: ptr(0), Held: ptr(0),
		Reasons: []policy.Reason{policy.ReasonUnknown}, Error: "describe service: access denied",
	}
	sweep := func(records ...scaler.Record) func(*Recorder) {
		return func(r *Recorder) {
			for _, d := range records {
				r.Decided(ctx, d)
			}
			r.Swept(ctx, scaler.Sweep{})
		}
	}
	tests := []struct {
		name    string
		level   Level
		happens func(*Recorder)
		want    []string
	}{
		{"sums, but the largest age", Totals, sweep(waits, waitsLonger), []string{
			"of all Active=2 Backlog=15 Desired=6 DueBacklog=5 HeadAge=60 Held=2 Running=4",
			"Reason backlog Decisions=2",
			"Reason max Decisions=1",
		}},
		{"of each target", Targets, sweep(waits, waitsLonger), []string{
			"of all Active=2 Backlog=15 Desired=6 DueBacklog=5 HeadAge=60 Held=2 Running=4",
			"Reason backlog Decisions=2",
			"Reason max Decisions=1",
			"Target film Active=2 Backlog=14 Desired=3 DueBacklog=4 HeadAge=12.5 Held=1 Running=3",
			"Target mail Active=0 Backlog=1 Desired=3 DueBacklog=1 HeadAge=60 Held=1 Running=1",
		}},
		{"what is not known is not written", Targets, sweep(blind, lost), []string{
			"of all Active=0 Backlog=7 Desired=5 DueBacklog=7 Held=0 Running=5",
			"Reason unknown Decisions=2",
			"Target blind Desired=5 Running=5 Unknown=1",
			"Target lost Active=0 Backlog=7 DueBacklog=7 Held=0 Unknown=1",
		}},
		{"nothing is known", Totals, sweep(scaler.Record{UseCase: "check", Target: "a", Reasons: []policy.Reason{policy.ReasonUnknown}}), []string{
			"Reason unknown Decisions=1",
		}},
		{"a look at one target is no sweep", Targets, func(r *Recorder) { r.Decided(ctx, waits) }, []string{
			"Reason backlog Decisions=1", "Reason max Decisions=1",
		}},
		{"an event", Targets, func(r *Recorder) {
			r.Called("ecs", "DescribeServices", nil)
			r.Called("redis", "pipeline", errors.New("refused"))
			r.Decided(ctx, scaler.Record{UseCase: "scale_out", Target: "film", Reasons: []policy.Reason{policy.ReasonDemand}, Backlog: ptr(3)})
			r.Called("ecs", "UpdateService", nil)
			r.Changed(ctx, scaler.Change{Target: "film", EventToCountMS: ptr(int64(240))})
		}, []string{
			"of all EcsCalls=2 EventToCount=240 RedisCalls=1 RedisErrors=1",
			"Reason demand Decisions=1",
			"Target film EventToCount=240",
		}},
		{"a scale-in", Targets, func(r *Recorder) {
			r.Decided(ctx, scaler.Record{UseCase: "confirm", Target: "film", StartS: ptr(31.5), Reasons: []policy.Reason{policy.ReasonIdle}})
			r.Changed(ctx, scaler.Change{Target: "film"})
		}, []string{
			"of all CountToWorker=31.5",
			"Reason idle Decisions=1",
			"Target film CountToWorker=31.5",
		}},
		{"nothing", Targets, func(*Recorder) {}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, short(t, recorded(t, tt.level, tt.happens))); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvocationsAreApart(t *testing.T) {
	t.Parallel()
	got := recorded(t, Targets, func(r *Recorder) {
		r.Called("ecs", "DescribeServices", errors.New("throttled"))
		r.Decided(t.Context(), record("film", 1, 0, 0, 0, policy.ReasonBacklog))
		r.Swept(t.Context(), scaler.Sweep{})
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
		r.Called("ecs", "DescribeServices", nil)
	})
	lines := short(t, got)
	if last := lines[len(lines)-1]; last != "of all EcsCalls=1" {
		t.Errorf("the second invocation wrote %q", last)
	}
}

func TestOffIsNobody(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{Off, ""} {
		if r := NewRecorder(level, "", nil, time.Now); r != nil {
			t.Errorf("level %q: %v", level, r)
		}
	}
	if err := (*Recorder)(nil).Flush(); err != nil {
		t.Error(err)
	}
}

func TestALogThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	r := NewRecorder(Totals, "", broken{}, time.Now)
	r.Called("ecs", "DescribeServices", nil)
	if err := r.Flush(); err == nil || !strings.Contains(err.Error(), "write metrics: disk full") {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// everything is what can happen, to two targets, with more values than a line may have.
func everything(r *Recorder) {
	ctx := context.Background()
	for _, target := range []string{"film", "mail"} {
		d := record(target, 4, 1, 2, 3, policy.ReasonBacklog, policy.ReasonUnknown)
		d.HeadAgeS, d.StartS = ptr(1.5), ptr(30.0)
		r.Decided(ctx, d)
		for range 130 {
			r.Changed(ctx, scaler.Change{Target: target, EventToCountMS: ptr(int64(100))})
		}
	}
	r.Swept(ctx, scaler.Sweep{})
	r.Called("ecs", "DescribeServices", errors.New("throttled"))
	r.Called("redis", "pipeline", errors.New("refused"))
}

// TestEveryMetricIsWritten holds the table of metrics to what is written, by name, unit and dimension.
func TestEveryMetricIsWritten(t *testing.T) {
	t.Parallel()
	total, target := map[string]string{}, map[string]string{}
	for line := range strings.Lines(recorded(t, Targets, everything)) {
		var l struct {
			AWS emfMetadata `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		for _, m := range l.AWS.CloudWatchMetrics[0].Metrics {
			switch dims := l.AWS.CloudWatchMetrics[0].Dimensions[0]; {
			case len(dims) == 0:
				total[m.Name] = m.Unit
			case dims[0] == DimensionTarget:
				target[m.Name] = m.Unit
			case dims[0] != DimensionReason || m.Name != Decisions:
				t.Errorf("%s has the dimension %s", m.Name, dims[0])
			}
		}
	}
	wantTotal, wantTarget := map[string]string{}, map[string]string{}
	for _, m := range Metrics {
		if m.Total {
			wantTotal[m.Name] = m.Unit
		}
		if m.Target {
			wantTarget[m.Name] = m.Unit
		}
	}
	if diff := cmp.Diff([]map[string]string{wantTotal, wantTarget}, []map[string]string{total, target}); diff != "" {
		t.Errorf("(-in the table +written):\n%s", diff)
	}
	// They are made by metric filters of the stack, of the same namespace.
	for _, taken := range []string{"UnknownTargets", "StrandedTargets"} {
		if slices.ContainsFunc(Metrics, func(m Metric) bool { return m.Name == taken }) {
			t.Errorf("%s is another's", taken)
		}
	}
}
