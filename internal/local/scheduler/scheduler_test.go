package scheduler

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunsAtOnceAndThenAtEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		runs := make(chan time.Duration, 10)
		s := Start(5*time.Minute, func(context.Context) { runs <- time.Since(began) })
		time.Sleep(12 * time.Minute)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		close(runs)
		var got []time.Duration
		for at := range runs {
			got = append(got, at)
		}
		if want := []time.Duration{0, 5 * time.Minute, 10 * time.Minute}; !slices.Equal(got, want) {
			t.Errorf("runs at %v, want %v", got, want)
		}
	})
}

func TestRunsOverlapAndCloseEndsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{}, 10)
		s := Start(time.Second, func(ctx context.Context) {
			<-ctx.Done()
			ended <- struct{}{}
		})
		time.Sleep(2500 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := len(ended); n != 3 {
			t.Errorf("%d runs were under way at once, want 3", n)
		}
	})
}

func TestParseRate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration // 0: refused.
	}{
		{"rate(5 minutes)", 5 * time.Minute},
		{"rate(1 minute)", time.Minute},
		{"rate(1 hour)", time.Hour},
		{"rate(2 days)", 48 * time.Hour},
		{"rate(10 seconds)", 10 * time.Second},
		{"rate(365 days)", 365 * 24 * time.Hour},
		{"rate(1 minutes)", 0},
		{"rate(5 minute)", 0},
		{"rate(0 minutes)", 0},
		{"rate(-1 minutes)", 0},
		{"rate(366 days)", 0},
		{"rate(99999999999999999999 days)", 0},
		{"rate(5minutes)", 0},
		{"rate(5 weeks)", 0},
		{"cron(0 10 * * ? *)", 0},
		{"5m", 0},
		{"", 0},
	} {
		got, err := ParseRate(tt.in)
		if got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}
