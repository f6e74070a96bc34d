package sluicecdk

import (
	"slices"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/telemetry"
)

// TestObservedIsWritten holds the names of what the dashboard shows to those that the functions write.
func TestObservedIsWritten(t *testing.T) {
	t.Parallel()
	if byTarget != telemetry.DimensionTarget || byReason != telemetry.DimensionReason {
		t.Errorf("the dimensions are %s and %s", telemetry.DimensionTarget, telemetry.DimensionReason)
	}
	shown := []string{
		dueBacklog, laterBacklog, held, active, desired, running, headAge, unknown, eventToCount, countToWorker, decisions,
		ecsCalls, ecsErrors, redisCalls, redisErrors,
	}
	var written []string
	for _, m := range telemetry.Metrics {
		written = append(written, m.Name)
		if ofEach := slices.Contains([]string{dueBacklog, running, unknown}, m.Name); ofEach && !m.Target {
			t.Errorf("%s is not written of each target", m.Name)
		} else if !ofEach && m.Name != decisions && !m.Total {
			t.Errorf("%s is not written of all targets together", m.Name)
		}
	}
	slices.Sort(shown)
	slices.Sort(written)
	if !slices.Equal(shown, written) {
		t.Errorf("shown are %q\nwritten are %q", shown, written)
	}
}

func TestStuckAfter(t *testing.T) {
	t.Parallel()
	for timeouts, want := range map[[2]time.Duration]time.Duration{
		{time.Hour, time.Minute}:       time.Hour,
		{time.Minute, 6 * time.Hour}:   6 * time.Hour,
		{time.Minute, 5 * time.Minute}: 15 * time.Minute,
	} {
		c := &config.Config{}
		for _, d := range timeouts {
			c.Brokers = append(c.Brokers, config.Broker{VisibilityTimeout: config.Duration(d)})
		}
		if got := (&resources{plan: plan{config: c}}).stuckAfter(); got != want {
			t.Errorf("visibility timeouts %v: %v, want %v", timeouts, got, want)
		}
	}
}
