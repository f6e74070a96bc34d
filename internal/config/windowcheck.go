package config

import (
	"slices"
	"strings"
	"time"
)

// validateWindows checks a target's windows, each by itself and then together.
func (d *decoder) validateWindows(t *Target, p *path) {
	if len(t.Windows) == 0 {
		return
	}
	names := make(map[string]int, len(t.Windows))
	for i := range t.Windows {
		w, p := &t.Windows[i], p.field("windows").entry(i)
		if first, ok := names[w.Name]; ok && w.Name != "" {
			d.problemAt(p.field("name"), "give each window of the target a name of its own", "windows[%d] is called %q as well", first, w.Name)
		} else {
			names[w.Name] = i
		}
		switch {
		case d.faulty(p.String(), "min", "max"):
		case w.Min == nil && w.Max == nil:
			d.problemAt(p, "give min, max or both, or remove the window", "changes nothing, without min and max")
		case w.Min != nil && w.Max != nil && *w.Min > *w.Max:
			d.problemAt(p.field("min"), "lower min or raise max", "min %d is more than max %d", *w.Min, *w.Max)
		}
		if !d.faulty(p.String(), "cron", "time_zone") {
			d.validateTimetable(w, p)
		}
	}
	if !d.faulty(p.String(), "windows", "min", "max") {
		d.validateTogether(t, p)
	}
}

func (d *decoder) validateTimetable(w *Window, p *path) {
	// The pattern lets it pass: it would be the time zone of each machine that reads the file.
	if w.TimeZone == "Local" {
		d.problemAt(p.field("time_zone"), "name the zone, such as Europe/Berlin", "Local is another zone on each machine")
		return
	}
	if _, err := time.LoadLocation(w.TimeZone); err != nil {
		d.problemAt(p.field("time_zone"), "use "+patterns["time zone"].Says+", with its capitals", "time zone %s is not known", quote(w.TimeZone))
		return
	}
	t, err := w.timetable()
	switch {
	case err != nil:
		d.problemAt(p.field("cron"), "use "+patterns["cron"].Says, "%s is no time: %v", quote(w.Cron), err)
	// The year has a 29 February. The search goes on for five years, so that "never" is certain.
	case t.next(year).IsZero():
		d.problemAt(p.field("cron"), "correct the day or the month", "%s never comes, so the window never opens", quote(w.Cron))
	}
}

// validateTogether refuses a target of which, at some time, min is more than max.
func (d *decoder) validateTogether(t *Target, p *path) {
	mins, maxes := []int{t.Min}, []int{t.Max}
	for i := range t.Windows {
		if w := &t.Windows[i]; w.Min != nil {
			mins = append(mins, *w.Min)
		}
		if w := &t.Windows[i]; w.Max != nil {
			maxes = append(maxes, *w.Max)
		}
	}
	if slices.Max(mins) <= slices.Min(maxes) {
		return // So it is in most files, and a cold start need not go through a year.
	}
	var told []string
	t.moments(func(at time.Time, open func(int) bool) {
		if least, most, _ := t.bounds(open); least <= most {
			return
		}
		least, most, by := t.Bounds(at)
		names := strings.Join(by, " and ")
		if least <= most || slices.Contains(told, names) {
			return
		}
		told = append(told, names)
		i := slices.IndexFunc(t.Windows, func(w Window) bool { return w.Name == by[0] })
		d.problemAt(p.field("windows").entry(i), "give the window both, or change one of them",
			"min %d is more than max %d with %s open, as at %s", least, most, names, t.Windows[i].shown(at))
	})
}

// hintWindows tells what is allowed and hardly meant.
func (d *decoder) hintWindows(t *Target, p *path, every Duration) {
	for i := range t.Windows {
		w, p := &t.Windows[i], p.field("windows").entry(i)
		if opens, closes := w.Next(year); closes.IsZero() && !opens.After(year) {
			d.problemAt(p.field("for"), "give the target itself these bounds", "the window never closes: it is still open when it opens again")
		}
		switch {
		case w.For+w.PreWarm < every:
			d.problemAt(p.field("for"), "make it longer, or sweep more often", "is shorter than sweep.every, %s: the window may pass unseen", every)
		case w.PreWarm > 0 && w.PreWarm < every:
			d.problemAt(p.field("pre_warm"), "give it "+every.String()+" and the time that a task takes to start",
				"is shorter than sweep.every, %s: the sweep that sees it may come after the window's time", every)
		}
	}
	told := make(map[[2]int]bool)
	t.moments(func(at time.Time, open func(int) bool) {
		for i := range t.Windows {
			for j := range i {
				bound := differ(&t.Windows[j], &t.Windows[i])
				if bound == "" || told[[2]int{j, i}] || !open(i) || !open(j) {
					continue
				}
				told[[2]int{j, i}] = true
				d.problemAt(p.field("windows").entry(i), "put the one first that shall decide",
					"is open together with %s, as at %s, which stands before it and decides %s", t.Windows[j].Name, t.Windows[i].shown(at), bound)
			}
		}
	})
}

// differ names the bounds that both windows give, but not alike.
func differ(a, b *Window) string {
	var names []string
	if a.Min != nil && b.Min != nil && *a.Min != *b.Min {
		names = append(names, "min")
	}
	if a.Max != nil && b.Max != nil && *a.Max != *b.Max {
		names = append(names, "max")
	}
	return strings.Join(names, " and ")
}

// shown is a time in the window's own zone.
func (w *Window) shown(at time.Time) string {
	t, err := w.timetable()
	if err != nil {
		return at.UTC().Format(time.RFC3339)
	}
	return at.In(t.zone).Format("Mon 2006-01-02 15:04 MST")
}

// year is when the year begins that windows are tried in: always the same one, so that a file is judged alike on each day, and a leap year.
var year = time.Date(2028, time.January, 1, 0, 0, 0, 0, time.UTC)

// mostTried is how many times each window is tried: once a day of the year.
const mostTried = 366

// moments goes through the times of a year at which one of the target's windows opens, in order, with those that are open at it. A window that
// opens more often than daily is only tried in its first weeks.
func (t *Target) moments(visit func(at time.Time, open func(window int) bool)) {
	type span struct{ from, to time.Time }
	spans := make([][]span, len(t.Windows))
	var at []time.Time
	for i := range t.Windows {
		w := &t.Windows[i]
		table, err := w.timetable()
		if err != nil {
			return
		}
		for begin := table.next(year); len(spans[i]) < mostTried && !begin.IsZero() && begin.Year() == year.Year(); begin = table.next(begin) {
			spans[i] = append(spans[i], span{w.opening(begin), begin.Add(w.For.Std())})
			at = append(at, w.opening(begin), begin.Add(w.For.Std()))
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for _, at := range slices.CompactFunc(at, time.Time.Equal) {
		visit(at, func(i int) bool {
			for len(spans[i]) > 0 && !spans[i][0].to.After(at) {
				spans[i] = spans[i][1:] // They end in the order in which they begin.
			}
			return len(spans[i]) > 0 && !spans[i][0].from.After(at)
		})
	}
}
