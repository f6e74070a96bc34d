package config

import "time"

// Window is a time with bounds of its own, such as office hours. Of the windows that are open, the first one that gives a bound decides it.
type Window struct {
	// What logs and commands call the window. No other window of the target has it.
	Name string `yaml:"name" required:"true" pattern:"window"`
	// When the window opens: minute, hour, day of the month, month and day of the week, as crontab has them. Where a day of the month and a day of the week are given, one of them is enough. A time that the clocks skip in spring is when they skip it; one that they repeat in autumn is the first. Where the hour is `*`, each hour that passes counts.
	Cron string `yaml:"cron" required:"true" pattern:"cron"`
	// The time zone of `cron`, by its name in the IANA database, such as Europe/Berlin.
	TimeZone string `yaml:"time_zone" default:"UTC" pattern:"time zone"`
	// How long the window is open, in time that passes: where the clocks change meanwhile, it closes an hour earlier or later by the clock.
	For Duration `yaml:"for" required:"true" min:"1m" max:"744h"`
	// The fewest tasks while the window is open, in place of the target's. A window gives min, max or both.
	Min *int `yaml:"min" min:"0" max:"5000"`
	// The most tasks while the window is open, in place of the target's. 0 keeps the target at zero.
	Max *int `yaml:"max" min:"0" max:"5000"`
	// So much earlier the window opens, for workers that shall be there when its time comes. A sweep sees it, so give it at least `sweep.every` and the time that a task takes to start.
	PreWarm Duration `yaml:"pre_warm" default:"0s" min:"0s" max:"24h"`
}

// mostOpenings bounds the search for a window's end: one that has opened so many times and not closed in between, never does.
const mostOpenings = 10_000

// Open says whether the window is open at a time, pre-warm included. A window that is not valid never is.
func (w Window) Open(at time.Time) bool {
	t, err := w.timetable()
	if err != nil {
		return false
	}
	begin := t.next(at.Add(-w.For.Std()))
	return !begin.IsZero() && !w.opening(begin).After(at)
}

// Next returns when the window next opens after a time, and when it next closes: the earlier one of them tells whether it is open.
// Either is zero if that is not to be seen: the window never opens (again), or never closes.
func (w Window) Next(at time.Time) (opens, closes time.Time) {
	t, err := w.timetable()
	if err != nil {
		return time.Time{}, time.Time{}
	}
	begin := t.next(at.Add(-w.For.Std()))
	if begin.IsZero() {
		return time.Time{}, time.Time{}
	}
	if opens = w.opening(begin); opens.After(at) {
		closes, _ = w.closing(t, begin)
		return opens, closes
	}
	closes, begin = w.closing(t, begin)
	if begin.IsZero() {
		return time.Time{}, closes
	}
	return w.opening(begin), closes
}

// opening is when the window opens for a time of its cron.
func (w Window) opening(begin time.Time) time.Time { return begin.Add(-w.PreWarm.Std()) }

// closing follows openings for as long as each begins before the last one is over. It returns the end, and the time of the cron that
// the window opens for after that.
func (w Window) closing(t *timetable, begin time.Time) (end, next time.Time) {
	for range mostOpenings {
		end = begin.Add(w.For.Std())
		next = t.next(begin)
		if next.IsZero() || w.opening(next).After(end) {
			return end, next
		}
		begin = next
	}
	return time.Time{}, time.Time{}
}

// Bounds are the target's fewest and most tasks at a time, and the names of the windows that decide either.
func (t *Target) Bounds(at time.Time) (least, most int, by []string) {
	return t.bounds(func(i int) bool { return t.Windows[i].Open(at) })
}

func (t *Target) bounds(open func(window int) bool) (least, most int, by []string) {
	least, most = t.Min, t.Max
	var hasMin, hasMax bool
	for i := range t.Windows {
		w := &t.Windows[i]
		givesMin, givesMax := w.Min != nil && !hasMin, w.Max != nil && !hasMax
		if !givesMin && !givesMax || !open(i) {
			continue
		}
		if givesMin {
			least, hasMin = *w.Min, true
		}
		if givesMax {
			most, hasMax = *w.Max, true
		}
		by = append(by, w.Name)
	}
	return least, most, by
}
