package notify

import (
	"context"
	"errors"
	"time"

	"sluice/internal/deployed/decisions"
	"sluice/internal/price/fargate"
)

// savedToday is what each target saves today by its changes, in dollars: against as many workers as it has had at most today,
// around the clock. A target is missing if its price or its counts are not known.
func (n *Notifier) savedToday(ctx context.Context, names []string, until time.Time) map[string]float64 {
	days := map[string]*day{}
	for _, name := range names {
		days[name] = &day{}
	}
	midnight := until.Add(-time.Nanosecond).Truncate(24 * time.Hour) // Of UTC.
	q := decisions.Query{Since: midnight, Until: until, Messages: []decisions.Message{decisions.Result}}
	read, err := n.read(ctx, q, func(e decisions.Entry) {
		if e.Result == nil {
			return
		}
		if d := days[e.Result.Target]; d != nil {
			d.count(e.Time.Sub(midnight), e.Result.Previous)
			d.count(e.Time.Sub(midnight), e.Result.DesiredCount)
		}
	})
	if err != nil || read.Before(until) {
		n.log.WarnContext(ctx, "savings not known", "error", err)
		return nil
	}
	saved := map[string]float64{}
	for name, d := range days {
		t, ok := n.config.Target(name)
		if !ok {
			continue
		}
		hour, err := fargate.Hour(ctx, n.ecs, t.Cluster, t.Service, n.region)
		var unpriced fargate.Unpriced
		switch {
		case err == nil:
			saved[name] = hour * d.savedHours(until.Sub(midnight))
		case !errors.As(err, &unpriced):
			n.log.WarnContext(ctx, "price not known", "target", name, "error", err.Error())
		}
	}
	return saved
}

// day is how many workers a target is meant to have, over one day.
type day struct {
	seen    bool
	current int
	since   time.Duration // Since midnight, as the other times.
	peak    int
	hours   float64 // Worker hours until then.
}

// count says that there are so many from then on. The first one holds since midnight.
func (d *day) count(at time.Duration, n int) {
	if d.seen {
		d.hours += float64(d.current) * (at - d.since).Hours()
		d.since = at
	}
	d.seen, d.current, d.peak = true, n, max(d.peak, n)
}

// savedHours is how many worker hours fewer there have been until then than with the peak around the clock.
func (d *day) savedHours(until time.Duration) float64 {
	hours := d.hours + float64(d.current)*(until-d.since).Hours()
	return float64(d.peak)*until.Hours() - hours
}
