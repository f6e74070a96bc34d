package main

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/deployed"
	"sluice/internal/deployed/decisions"
	"sluice/internal/price/fargate"
)

// savings is what was saved in a time that is over, against running as many workers around the clock as ran at its peak: what a fixed count
// would have to be to serve the same. A lower fixed count would be cheaper and slower, so this is no more than it says.
type savings struct {
	Since   time.Time      `json:"since"`
	Until   time.Time      `json:"until"`
	Targets []targetSaving `json:"targets"`
	// Of those targets whose price is known.
	USD    float64 `json:"usd"`
	Priced int     `json:"priced_targets"`
}

// targetSaving is what was saved of one target. Hours are of one task each.
type targetSaving struct {
	Target   string   `json:"target"`
	Seen     float64  `json:"seen_hours"`    // Of the time: how much the log covers. The rest is not counted.
	Ran      float64  `json:"ran_hours"`     // Worker hours.
	Peak     int      `json:"peak"`          // The most tasks that were seen to run.
	Constant float64  `json:"peak_hours"`    // Worker hours of the peak, all of that time.
	Saved    float64  `json:"saved_hours"`   // The difference.
	TaskHour *float64 `json:"task_hour_usd"` // What a task costs an hour; null where it is not known.
	USD      *float64 `json:"usd"`           // null where the price is not known.
	Note     string   `json:"note,omitempty"`
}

// sweepsLook is the use case of a sweep's decisions: they come at regular times, whatever happens.
const sweepsLook = "check"

// tally adds up how many tasks ran, from one look to the next.
type tally struct {
	gap     time.Duration // A longer time between two looks was not seen: nobody knows what ran in it.
	last    time.Time
	running int
	seen    time.Duration
	ran     time.Duration
	peak    int
}

// look is told what a sweep saw.
func (w *tally) look(at time.Time, running *int) {
	if d := at.Sub(w.last); !w.last.IsZero() && d <= w.gap {
		w.seen += d
		w.ran += time.Duration(w.running) * d
	}
	if running == nil { // Unknown: neither this one nor none.
		w.last = time.Time{}
		return
	}
	w.last, w.running, w.peak = at, *running, max(w.peak, *running)
}

func (w *tally) saving(target string) targetSaving {
	s := targetSaving{Target: target, Seen: w.seen.Hours(), Ran: w.ran.Hours(), Peak: w.peak, Constant: w.seen.Hours() * float64(w.peak)}
	s.Saved = s.Constant - s.Ran
	return s
}

// readSavings reads the log of decisions since then, and asks ECS what a task is made of.
func readSavings(cmd *cobra.Command, c *config.Config, since, until time.Time) (*savings, error) {
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return nil, err
	}
	ctx := cmd.Context()
	stack, err := deployed.Find(ctx, cloudformation.NewFromConfig(sdk), c.Deploy.Stack)
	if err != nil {
		return nil, err
	}
	log := decisions.Log{Client: cloudwatchlogs.NewFromConfig(sdk), Groups: []string{stack.Check.Logs}}
	tallies := map[string]*tally{}
	for e, err := range log.Records(ctx, decisions.Query{Since: since, Until: until, Messages: []decisions.Message{decisions.Decision}}) {
		if err != nil {
			return nil, err
		}
		if e.Decision == nil || e.Decision.UseCase != sweepsLook {
			continue
		}
		w := tallies[e.Decision.Target]
		if w == nil {
			// Each sweep but one in a row may be lost, late or slow.
			w = &tally{gap: 3 * sweepEvery(c)}
			tallies[e.Decision.Target] = w
		}
		w.look(e.Time, e.Decision.Running)
	}
	s := &savings{Since: since.UTC(), Until: until.UTC(), Targets: []targetSaving{}}
	client := ecs.NewFromConfig(sdk)
	for _, t := range c.Targets {
		w := tallies[t.Name]
		if w == nil {
			s.Targets = append(s.Targets, targetSaving{Target: t.Name, Note: "no decision on it is in the log of that time"})
			continue
		}
		one := w.saving(t.Name)
		hour, err := fargate.Hour(ctx, client, t.Cluster, t.Service, sdk.Region)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			one.Note = err.Error()
		default:
			usd := one.Saved * hour
			one.TaskHour, one.USD = &hour, &usd
			s.USD += usd
			s.Priced++
		}
		s.Targets = append(s.Targets, one)
	}
	return s, nil
}

// sweepEvery is the time between two sweeps, deployed or local.
func sweepEvery(c *config.Config) time.Duration { return max(c.Sweep.Every.Std(), c.LocalSweepEvery()) }
