package scheduler

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/lab/cloud/delivery"
)

func TestRunsAtOnceAndThenAtEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		runs := make(chan time.Duration, 10)
		s := Start(Options{Timing: Timing{Every: 5 * time.Minute}, Target: func(context.Context, time.Time) error { runs <- time.Since(began); return nil }})
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
		s := Start(Options{Timing: Timing{Every: time.Second}, Target: func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			ended <- struct{}{}
			return ctx.Err()
		}, GiveUp: func(*delivery.GaveUp) { t.Error("a call that was cancelled was given up") }})
		time.Sleep(2500 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := len(ended); n != 3 {
			t.Errorf("%d runs were under way at once, want 3", n)
		}
	})
}

// A call that fails is made again beside those that come at their time, and is given up in the end.
func TestFailedCallsAreMadeAgainAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		boom := errors.New("boom")
		calls, letters := make(chan time.Duration, 10), make(chan *delivery.GaveUp, 10)
		s := Start(Options{
			Timing: Timing{Every: 5 * time.Second}, Retry: delivery.Policy{Retries: 1, MaxAge: time.Minute},
			Target: func(_ context.Context, at time.Time) error {
				// The time that it is for stays the same.
				if due := time.Since(began).Truncate(5 * time.Second); at.Sub(began) != due {
					t.Errorf("a call for %v, want %v", at.Sub(began), due)
				}
				calls <- time.Since(began)
				return boom
			},
			GiveUp: func(why *delivery.GaveUp) { letters <- why },
		})
		time.Sleep(7 * time.Second)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		close(calls)
		var got []time.Duration
		for at := range calls {
			got = append(got, at)
		}
		if want := []time.Duration{0, time.Second, 5 * time.Second, 6 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("calls at %v, want %v", got, want)
		}
		want := delivery.GaveUp{Retries: 1, Exhausted: delivery.MaximumRetryAttempts, Code: "SDK_CLIENT_ERROR", Err: boom}
		if n := len(letters); n != 2 || *<-letters != want {
			t.Errorf("%d dead letters, not two of %+v", n, want)
		}
	})
}

func TestFirstCall(t *testing.T) {
	m := time.Minute
	for _, tt := range []struct {
		now    string
		timing Timing
		want   time.Duration
	}{
		{"10:03:00", Timing{Every: 5 * m}, 0},
		{"10:03:00", Timing{Every: 5 * m, Offset: 2 * m}, 2 * m},
		{"10:03:00", Timing{Every: 5 * m, Clock: true}, 2 * m},
		{"10:03:00", Timing{Every: 5 * m, Clock: true, Offset: 3 * m}, 0},
		{"10:03:01", Timing{Every: 5 * m, Clock: true, Offset: 3 * m}, 5*m - time.Second},
		{"10:03:00", Timing{Every: 60 * m, Clock: true, Offset: 30 * m}, 27 * m},
		{"10:33:00", Timing{Every: 60 * m, Clock: true, Offset: 30 * m}, 57 * m},
	} {
		now, err := time.Parse("15:04:05", tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.timing.first(now); got != tt.want {
			t.Errorf("%+v at %s: first after %v, want %v", tt.timing, tt.now, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	m := time.Minute
	for _, tt := range []struct {
		in   string
		want Timing // None: refused.
	}{
		{"rate(5 minutes)", Timing{Every: 5 * m}},
		{"cron(0/5 * * * ? *)", Timing{Every: 5 * m, Clock: true}},
		{"cron(3/5 * * * ? *)", Timing{Every: 5 * m, Clock: true, Offset: 3 * m}},
		{"cron(30 * * * ? *)", Timing{Every: 60 * m, Clock: true, Offset: 30 * m}},
		{"cron(* * * * ? *)", Timing{Every: m, Clock: true}},
		{"cron(0 10 * * ? *)", Timing{}},
		{"cron(5/5 * * * ? *)", Timing{}}, // It leaves out minute 0.
		{"cron(0/7 * * * ? *)", Timing{}}, // 7 minutes, and 4 at the end of each hour.
		{"cron(60 * * * ? *)", Timing{}},
		{"cron(0/0 * * * ? *)", Timing{}},
		{"at(2026-01-01T00:00:00)", Timing{}},
	} {
		got, err := Parse(tt.in)
		if got != tt.want || (err == nil) != (tt.want != Timing{}) {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
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

func TestExpressionsOfTimings(t *testing.T) {
	for _, s := range []string{
		"rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "rate(25 hours)", "rate(2 days)", "rate(90 seconds)", "rate(1 second)",
		"cron(7 * * * ? *)", "cron(2/5 * * * ? *)", "cron(0 * * * ? *)",
	} {
		timing, err := Parse(s)
		if err != nil || timing.String() != s {
			t.Errorf("%s: %v, %v", s, timing, err)
		}
	}
}
