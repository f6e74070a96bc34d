// Package scheduler stands in for EventBridge Scheduler: it runs a job at a fixed rate.
//
// As there, a schedule without a start date runs for the first time at once and then at every interval, each run starts on
// time whether or not the one before has ended, so runs overlap, and what a run returns is nobody's business but the
// target's. Only rates are understood, since Sluice needs nothing else; and besides minutes, hours and days a rate may
// be in seconds, which AWS does not have, so that a demo need not last an hour.
//
// See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html.
package scheduler

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Schedule runs a job at a rate until it is closed. It uses package time's clock, which testing/synctest replaces.
type Schedule struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start runs job now and then at every interval, each time in a goroutine of its own. The interval must be positive.
func Start(every time.Duration, job func(context.Context)) *Schedule {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Schedule{cancel: cancel}
	s.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			s.wg.Go(func() { job(ctx) })
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// Close ends the schedule, cancels the context of the jobs under way, and returns when they have ended.
func (s *Schedule) Close() error {
	s.cancel()
	s.wg.Wait()
	return nil
}

var rate = regexp.MustCompile(`^rate\((\d+) (second|minute|hour|day)(s?)\)$`)

// maxRate bounds a rate, so that it fits into a time.Duration with room to spare.
const maxRate = 365 * 24 * time.Hour

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
