// Package scheduler stands in for EventBridge Scheduler: it calls a target at a fixed rate.
//
// As there, a schedule without a start date calls for the first time at once and then at every interval, each time whether or
// not the call before has ended, so calls overlap; and a call that fails is made again as the retry policy says. Of
// expressions only rates are understood, and the cron expressions of minutes that Sluice spreads its sweeps with; and besides
// minutes, hours and days a rate may be in seconds, which AWS does not have, so that a demo need not last an hour.
//
// See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/lab/cloud/delivery"
)

// Timing is when a schedule calls its target.
type Timing struct {
	Every  time.Duration // Positive.
	Clock  bool          // By the clock, in UTC: at Offset after each hour, and each Every after that. Else Offset after the start.
	Offset time.Duration
}

// first is how long after now the first call is.
func (t Timing) first(now time.Time) time.Duration {
	if !t.Clock {
		return t.Offset
	}
	wait := now.Truncate(t.Every).Add(t.Offset % t.Every).Sub(now)
	if wait < 0 {
		wait += t.Every
	}
	return wait
}

// String is the schedule expression, as Parse reads it.
func (t Timing) String() string {
	if t.Clock {
		if t.Every == time.Hour {
			return fmt.Sprintf("cron(%d * * * ? *)", t.Offset/time.Minute)
		}
		return fmt.Sprintf("cron(%d/%d * * * ? *)", t.Offset/time.Minute, t.Every/time.Minute)
	}
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		switch n := t.Every / unit.of; {
		case t.Every%unit.of != 0:
		case n == 1:
			return fmt.Sprintf("rate(1 %s)", unit.name)
		default:
			return fmt.Sprintf("rate(%d %ss)", n, unit.name)
		}
	}
	return fmt.Sprintf("rate(%v)", t.Every) // Nothing that Parse reads.
}

// Options say what a schedule does.
type Options struct {
	Timing Timing
	Target func(ctx context.Context, at time.Time) error // At is the time that the call is for, also if it is late.
	Retry  delivery.Policy
	// GiveUp, if not nil, gets each call that failed for good: to put it into a dead-letter queue.
	GiveUp func(why *delivery.GaveUp)
}

// Schedule calls its target until it is closed. It uses package time's clock, which testing/synctest replaces.
type Schedule struct {
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start calls the target at its times, each time in a goroutine of its own.
func Start(opts Options) *Schedule {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Schedule{opts: opts, cancel: cancel}
	next := time.NewTimer(opts.Timing.first(time.Now()))
	s.wg.Go(func() {
		defer next.Stop()
		var at time.Time
		select {
		case <-ctx.Done():
			return
		case at = <-next.C:
		}
		tick := time.NewTicker(opts.Timing.Every)
		defer tick.Stop()
		for {
			due := at
			s.wg.Go(func() { s.call(ctx, due) })
			select {
			case <-ctx.Done():
				return
			case at = <-tick.C:
			}
		}
	})
	return s
}

func (s *Schedule) call(ctx context.Context, at time.Time) {
	var why *delivery.GaveUp
	target := func(ctx context.Context) error { return s.opts.Target(ctx, at) }
	if err := s.opts.Retry.Do(ctx, target); errors.As(err, &why) && s.opts.GiveUp != nil {
		s.opts.GiveUp(why)
	}
}

// Close ends the schedule, cancels the context of the calls under way, and returns when they have ended.
func (s *Schedule) Close() error {
	s.cancel()
	s.wg.Wait()
	return nil
}

var (
	rate = regexp.MustCompile(`^rate\((\d+) (second|minute|hour|day)(s?)\)$`)
	// minutes is each minute, each so many minutes from a first one on, or one minute of each hour.
	minutes = regexp.MustCompile(`^cron\((\*|\d{1,2}|\d{1,2}/\d{1,2}) \* \* \* \? \*\)$`)
)

// maxRate bounds a rate, so that it fits into a time.Duration with room to spare.
const maxRate = 365 * 24 * time.Hour

// Parse reads a schedule expression: a rate, or a cron expression that leaves all but the minutes open.
func Parse(s string) (Timing, error) {
	m := minutes.FindStringSubmatch(s)
	if m == nil {
		every, err := ParseRate(s)
		if err != nil && strings.HasPrefix(s, "cron(") {
			err = fmt.Errorf("parse schedule %q: of cron expressions only those like cron(2/5 * * * ? *) are understood", s)
		}
		return Timing{Every: every}, err
	}
	first, step, stepped := strings.Cut(strings.Replace(m[1], "*", "0/1", 1), "/")
	t := Timing{Every: time.Hour, Clock: true}
	n, err := strconv.Atoi(first)
	if err != nil || n > 59 {
		return Timing{}, fmt.Errorf("parse schedule %q: an hour has the minutes 0 to 59", s)
	}
	t.Offset = time.Duration(n) * time.Minute
	if stepped {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 || 60%n != 0 || t.Offset >= time.Duration(n)*time.Minute {
			return Timing{}, fmt.Errorf("parse schedule %q: only steps that divide an hour and are longer than the first minute are understood", s)
		}
		t.Every = time.Duration(n) * time.Minute
	}
	return t, nil
}

// ParseRate reads a rate expression such as "rate(5 minutes)". As in AWS the unit is singular for 1 and plural for more.
func ParseRate(s string) (time.Duration, error) {
	m := rate.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("parse schedule %q: it is not rate(number unit), with seconds, minutes, hours or days", s)
	}
	unit := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
	}[m[2]]
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 || time.Duration(n) > maxRate/unit {
		return 0, fmt.Errorf("parse schedule %q: the number is not between 1 and %d", s, maxRate/unit)
	}
	if plural := m[3] == "s"; plural != (n > 1) {
		return 0, fmt.Errorf("parse schedule %q: the unit is singular for 1 and plural for more", s)
	}
	return time.Duration(n) * unit, nil
}
