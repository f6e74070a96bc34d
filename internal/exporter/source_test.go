package exporter

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// stubPlanner answers as it is told, and counts.
type stubPlanner struct {
	looks atomic.Int32
	plan  func(ctx context.Context) (scaler.Plan, error)
}

func (p *stubPlanner) Plan(ctx context.Context, in scaler.PlanInput) (scaler.Plan, error) {
	p.looks.Add(1)
	if in.Close || len(in.Targets) > 0 {
		return scaler.Plan{}, errors.New("a scrape of all targets is not a close look")
	}
	return p.plan(ctx)
}

func testConfig(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(`
version: 1
brokers: [{name: main, url: "redis://localhost"}]
targets:
  - {name: worker, cluster: prod, service: celery-worker, queues: [celery], max: 10}
  - {name: video, cluster: "arn:aws:ecs:eu-west-1:123456789012:cluster/media", service: transcode, queues: [video], max: 4}
`), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scrape is what /metrics shows, a line each, without the comments.
func scrape(t *testing.T, e *Exporter) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	e.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	samples := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") && i > 0 {
			samples[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return samples
}

// want holds samples; "" means that there is none.
func want(t *testing.T, got map[string]string, samples map[string]string) {
	t.Helper()
	for name, value := range samples {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func health(e *Exporter) int {
	w := httptest.NewRecorder()
	e.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/-/healthy", nil))
	return w.Code
}

// start runs the sources until the test ends.
func start(t *testing.T, sources ...*source) *Exporter {
	t.Helper()
	e := empty(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, len(sources))
	for _, s := range sources {
		e.add(s)
		go func() { s.run(ctx); done <- struct{}{} }()
	}
	t.Cleanup(func() {
		cancel()
		for range sources {
			<-done
		}
	})
	return e
}

func plan(records ...scaler.Record) func(context.Context) (scaler.Plan, error) {
	return func(context.Context) (scaler.Plan, error) {
		var p scaler.Plan
		for _, r := range records {
			p.Targets = append(p.Targets, scaler.TargetPlan{Record: r})
		}
		return p, nil
	}
}

func n(i int) *int { return &i }

// seen is a target of which all is known.
func seen(name string, backlog int) scaler.Record {
	return scaler.Record{
		Target: name, Current: 2, Desired: 3, Wish: 3, Backlog: &backlog, Later: n(5), Active: n(1), Held: n(0), Running: n(2), Pending: n(0),
		Min: 0, Max: 10, Reasons: []policy.Reason{policy.ReasonBacklog}, HeadAgeS: new(1.5),
	}
}

func TestWhatIsSeenIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &stubPlanner{plan: plan(seen("worker", 12), seen("video", 0))}
		e := start(t, newTargets(p, testConfig(t), 30*time.Second))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_due_backlog_messages{target="worker"}`:                                             "12",
			`sluice_backlog_messages{target="worker"}`:                                                 "17",
			`sluice_active_tasks{target="worker"}`:                                                     "1",
			`sluice_held_messages{target="worker"}`:                                                    "0",
			`sluice_head_age_seconds{target="worker"}`:                                                 "1.5",
			`sluice_target_desired_workers{target="worker"}`:                                           "2",
			`sluice_target_running_workers{target="worker"}`:                                           "2",
			`sluice_target_planned_workers{target="worker"}`:                                           "3",
			`sluice_target_max_workers{target="worker"}`:                                               "10",
			`sluice_target_unknown{target="worker"}`:                                                   "0",
			`sluice_target_paused{direction="in",target="worker"}`:                                     "0",
			`sluice_target_reason{reason="backlog",target="worker"}`:                                   "1",
			`sluice_target_info{broker="main",cluster="prod",service="celery-worker",target="worker"}`: "1",
			`sluice_due_backlog_messages{target="video"}`:                                              "0",
			`sluice_source_up{source="targets"}`:                                                       "1",
			`sluice_look_duration_seconds_count`:                                                       "1",
		})
	})
}

// TestHoweverOftenItIsScraped holds that scrapes ask nobody.
func TestHoweverOftenItIsScraped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &stubPlanner{plan: plan(seen("worker", 12))}
		e := start(t, newTargets(p, testConfig(t), 30*time.Second))
		for range 599 { // 5 minutes, less the last half second.
			time.Sleep(500 * time.Millisecond)
			scrape(t, e)
		}
		if got := p.looks.Load(); got != 10 {
			t.Errorf("%d looks in 5 minutes, want 10", got)
		}
	})
}

// TestUnknownIsAbsent holds that what cannot be seen is never shown as 0, nor as what it was.
func TestUnknownIsAbsent(t *testing.T) {
	t.Parallel()
	broken := scaler.Record{
		Target: "video", Current: 3, Desired: 3, Running: n(3), Pending: n(0), Reasons: []policy.Reason{policy.ReasonUnknown}, Error: "refused",
	}
	silent := seen("video", 4) // Of its workers one does not answer.
	silent.Active, silent.Reasons = nil, []policy.Reason{policy.ReasonUnknown}
	missing := scaler.Record{Target: "video", Reasons: []policy.Reason{policy.ReasonUnknown}, Backlog: n(7), Active: n(0), Held: n(0), Error: "no such service"}
	odd := seen("video", 4) // A tag that makes no sense.
	odd.Reasons, odd.Error = []policy.Reason{policy.ReasonOverride}, "tag sluice:min: ..."
	for name, tt := range map[string]struct {
		record scaler.Record
		want   map[string]string
	}{
		"a tag": {odd, map[string]string{`sluice_due_backlog_messages{target="video"}`: "4", `sluice_target_desired_workers{target="video"}`: "2"}},
		"a broker": {broken, map[string]string{
			`sluice_due_backlog_messages{target="video"}`: "", `sluice_backlog_messages{target="video"}`: "", `sluice_active_tasks{target="video"}`: "",
			`sluice_held_messages{target="video"}`: "", `sluice_target_wish_workers{target="video"}`: "",
			`sluice_target_desired_workers{target="video"}`: "3", `sluice_target_running_workers{target="video"}`: "3",
		}},
		"a worker": {silent, map[string]string{
			`sluice_due_backlog_messages{target="video"}`: "4", `sluice_active_tasks{target="video"}`: "", `sluice_target_wish_workers{target="video"}`: "",
		}},
		"a service": {missing, map[string]string{
			`sluice_due_backlog_messages{target="video"}`: "7", `sluice_target_desired_workers{target="video"}`: "",
			`sluice_target_running_workers{target="video"}`: "", `sluice_target_max_workers{target="video"}`: "", `sluice_target_paused{direction="in",target="video"}`: "",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := start(t, newTargets(&stubPlanner{plan: plan(seen("worker", 1), tt.record)}, testConfig(t), 30*time.Second))
				synctest.Wait()
				got := scrape(t, e)
				want(t, got, tt.want)
				want(t, got, map[string]string{
					`sluice_target_unknown{target="video"}`: "1", `sluice_target_unknown{target="worker"}`: "0",
					`sluice_due_backlog_messages{target="worker"}`: "1", `sluice_source_up{source="targets"}`: "1",
				})
			})
		})
	}
}

// TestALookThatFails holds that what was seen before is no longer shown, and is again once it is seen.
func TestALookThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		p := &stubPlanner{}
		p.plan = func(ctx context.Context) (scaler.Plan, error) {
			time.Sleep(time.Second)
			if fails.Load() {
				return scaler.Plan{}, errors.New("broken")
			}
			return plan(seen("worker", 12), seen("video", 1))(ctx)
		}
		e := start(t, newTargets(p, testConfig(t), 30*time.Second))
		known := map[string]string{
			`sluice_due_backlog_messages{target="worker"}`: "12", `sluice_target_unknown{target="worker"}`: "0",
			`sluice_source_up{source="targets"}`: "1",
		}
		unknown := map[string]string{
			`sluice_due_backlog_messages{target="worker"}`: "", `sluice_target_unknown{target="worker"}`: "1",
			`sluice_source_up{source="targets"}`: "0", `sluice_target_unknown{target="video"}`: "1",
		}
		want(t, scrape(t, e), unknown) // Nothing has been seen yet.
		time.Sleep(2 * time.Second)
		want(t, scrape(t, e), known)
		fails.Store(true)
		time.Sleep(31 * time.Second)
		want(t, scrape(t, e), unknown)
		fails.Store(false)
		time.Sleep(30 * time.Second)
		want(t, scrape(t, e), known)
	})
}

// TestALookThatDoesNotEnd holds that what was seen is taken for true for a while only, that the others go on, and that the
// exporter then says that it is ill.
func TestALookThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		first := true
		p := &stubPlanner{}
		p.plan = func(ctx context.Context) (scaler.Plan, error) {
			if !first {
				<-hang // It does not even mind its deadline.
			}
			first = false
			return plan(seen("worker", 12))(ctx)
		}
		other := 0
		shown := newFamily("sluice_test_looks", "Of another source.")
		e := start(t, newTargets(p, testConfig(t), 30*time.Second), &source{
			name: "other", every: 10 * time.Second, shown: []family{shown},
			look: func(context.Context) ([]prometheus.Metric, error) {
				other++
				return []prometheus.Metric{shown.of(float64(other))}, nil
			},
		})
		defer close(hang)
		time.Sleep(119 * time.Second)
		want(t, scrape(t, e), map[string]string{
			`sluice_due_backlog_messages{target="worker"}`: "12", `sluice_source_up{source="targets"}`: "1", `sluice_test_looks`: "12",
		})
		if got := health(e); got != http.StatusOK {
			t.Errorf("health %d after two minutes", got)
		}
		time.Sleep(30 * time.Second)
		want(t, scrape(t, e), map[string]string{
			`sluice_due_backlog_messages{target="worker"}`: "", `sluice_target_unknown{target="worker"}`: "1",
			`sluice_source_up{source="targets"}`: "0", `sluice_source_up{source="other"}`: "1", `sluice_test_looks`: "15",
		})
		if got := health(e); got != http.StatusServiceUnavailable {
			t.Errorf("health %d although the look hangs", got)
		}
	})
}
