package price

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/config"
)

// Month is the month that prices are by: 30 days make round numbers of sweeps, and nothing here is exact to the percent.
const Month = 30 * 24 * time.Hour

// What Sluice's stack is made of. The stack's own tests hold the numbers of alarms and metrics to these.
const (
	QuietTransitions = 3   // Of the state machine, for a sweep with nothing to do: Check, AnythingToDo, Quiet.
	RunTransitions   = 11  // More, for a target that is let go: from the Map to Verify. 8 where it is brought up.
	StackMetrics     = 2   // UnknownTargets and StrandedTargets.
	StackAlarms      = 18  // One more with deploy.notify, and one with metrics.level totals or targets.
	WorkerAlarms     = 2   // Of each target, with deploy.alarms.workers: CPU and memory.
	CheckMemory      = 512 // In MB.
	ScaleOutMemory   = 512
	ScaleInMemory    = 256
	NotifyMemory     = 256
	TotalMetrics     = 13  // Of all targets together, with metrics.level totals or targets: internal/telemetry has the list.
	TargetMetrics    = 10  // Of each target, with metrics.level targets.
	ReasonMetrics    = 8   // How many of the reasons occur in an hour. An estimate.
	maxWorkerAlarms  = 100 // Above so many targets two alarms watch all services of their clusters, and are billed for each.
)

// What is estimated, from runs on a laptop with the local cloud (docs/benchmarks.md) and sizes of logs there. The dashboard shows what it is
// in an account of your own.
const (
	checkSeconds     = 0.3    // Of a look at few targets: mostly waiting for ECS and Redis.
	targetSeconds    = 0.0057 // More for each target in it.
	scaleOutSeconds  = 0.5    // From a cold start, which is billed.
	scaleInSeconds   = 6.0    // Pauses of the drain: docs/benchmarks.md, group drain.
	sweepBytes       = 10_000 // Of all the log lines of a sweep, the state machine's included.
	targetBytes      = 600    // More for each target in it.
	eventBytes       = 2_000
	runBytes         = 25_000
	metricLineBytes  = 1_500 // Of a sweep, with metrics.level totals or targets.
	metricEntryBytes = 600   // More for each target, with metrics.level targets.
	gb               = 1e9   // As CloudWatch Logs counts.
	mb               = 1024  // In a GB, as Lambda counts.
)

// Use is what Sluice is used for in a month.
type Use struct {
	Events float64 `json:"events"` // That ask for workers, of all targets together.
	Runs   float64 `json:"runs"`   // How many times a target goes up from zero and down again, of all targets together.
}

// Defaults of Use where nobody says, for each target: twice a working day up and down, and five events each time.
const (
	DefaultRuns   = 60
	DefaultEvents = 300
)

// DefaultUse is what is assumed of a config.
func DefaultUse(c *config.Config) Use {
	n := float64(len(c.Targets))
	return Use{Events: n * DefaultEvents, Runs: n * DefaultRuns}
}

// LastOfController is the name of the last line of the controller, which scales. Those behind it watch it.
const LastOfController = "requests"

// Line is a line of a bill: a quantity, and what it comes to, which is their product.
type Line struct {
	Name     string  `json:"name"`
	How      string  `json:"how"` // What the quantity is made of, in words.
	Quantity float64 `json:"quantity"`
	Price    Price   `json:"price"`
	USD      float64 `json:"usd"`
}

// Bill is what Sluice itself costs in a month: first the lines of the controller, which scales, then what watches it, and the VPC.
type Bill struct {
	Region      string  `json:"region"` // Of deploy.region, or Reference.
	AsOf        string  `json:"as_of"`
	Targets     int     `json:"targets"`
	Use         Use     `json:"use"`
	Lines       []Line  `json:"lines"`
	Controller  float64 `json:"controller_usd"`
	Total       float64 `json:"total_usd"`
	Assumptions string  `json:"assumptions"`
	NotCounted  string  `json:"not_counted"`
}

// Sources are the pages that the bill's prices are from.
func (b Bill) Sources() []string {
	var pages []string
	for _, l := range b.Lines {
		pages = append(pages, l.Price.Source)
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// Borrowed reports whether some price is another Region's, since the list does not have this one's.
func (b Bill) Borrowed() bool {
	return slices.ContainsFunc(b.Lines, func(l Line) bool { return l.Price.Region != b.Region })
}

// Monthly is the bill of a config that is used so.
func Monthly(c *config.Config, u Use) Bill {
	each := math.Floor(float64(Month) / float64(c.Sweep.Every))
	b := bill{
		Bill:   Bill{Region: c.Deploy.Region, AsOf: AsOf, Targets: len(c.Targets), Use: u},
		config: c, sweeps: each * float64(c.Schedules()), looks: each * float64(len(c.Targets)),
	}
	if b.Region == "" {
		b.Region = Reference
	}
	b.controller()
	b.Controller = b.Total
	b.watching()
	b.network()
	b.Assumptions = fmt.Sprintf("%s events and %s runs from zero and back a month, of all targets together; a look takes %.1f s and %.1f ms more for each "+
		"target; letting one go takes %.0f s; a sweep logs %d KB and %.1f KB more for each target; a month has 30 days; free tiers and discounts are left out",
		number(u.Events), number(u.Runs), checkSeconds, targetSeconds*1000, scaleInSeconds, sweepBytes/1000, float64(targetBytes)/1000)
	b.NotCounted = "the workers, their Redis and the secret with its URL, which the application has anyhow; a NAT gateway, if the functions need one; " +
		"mails and kept logs, which come to cents; traces beyond the 100,000 that are free"
	return b.Bill
}

// bill is a bill in the making.
type bill struct {
	Bill
	config *config.Config
	sweeps float64 // A month, of all schedules.
	looks  float64 // A month: how many times a target is looked at by a sweep.
}

func (b *bill) line(name string, quantity float64, item Item, how string, args ...any) {
	p := Of(item, b.Region)
	l := Line{Name: name, How: fmt.Sprintf(how, args...), Quantity: quantity, Price: p, USD: quantity * p.USD}
	b.Lines, b.Total = append(b.Lines, l), b.Total+l.USD
}

func (b *bill) controller() {
	u, sweeps := b.Use, number(b.sweeps)
	looks, outs, ins, again := b.sweeps*checkSeconds+b.looks*targetSeconds, u.Events*scaleOutSeconds, u.Runs*scaleInSeconds, 2*u.Runs*checkSeconds
	calls := b.sweeps + u.Events + 3*u.Runs
	b.line("schedules", b.sweeps, ScheduledCall, "%s sweeps, one each %s", sweeps, b.config.Sweep.Every)
	b.line("sweeps", b.sweeps*QuietTransitions, Transition, "%s sweeps of %d state transitions", sweeps, QuietTransitions)
	b.line("looks", looks*CheckMemory/mb, LambdaGBSecond, "Check with %d MB for %s", CheckMemory, seconds(looks))
	b.line("events", u.Events, CustomEvent, "%s events", number(u.Events))
	b.line("scale-outs", outs*ScaleOutMemory/mb, LambdaGBSecond, "ScaleOut with %d MB for %s", ScaleOutMemory, seconds(outs))
	b.line("runs", u.Runs*RunTransitions, Transition, "%s runs of %d more transitions", number(u.Runs), RunTransitions)
	b.line("scale-ins", ins*ScaleInMemory/mb, LambdaGBSecond, "ScaleIn with %d MB for %s", ScaleInMemory, seconds(ins))
	b.line("second looks", again*CheckMemory/mb, LambdaGBSecond, "Check before and after each run, for %s", seconds(again))
	b.line(LastOfController, calls, LambdaRequest, "%s calls of functions", number(calls))
}

func (b *bill) watching() {
	c, u, targets := b.config, b.Use, float64(len(b.config.Targets))
	bytes := b.sweeps*sweepBytes + b.looks*targetBytes + u.Events*eventBytes + u.Runs*runBytes
	metrics, alarms := float64(StackMetrics), float64(StackAlarms)
	if c.Metrics.Level != config.MetricsOff {
		bytes += b.sweeps * metricLineBytes
		metrics += TotalMetrics + ReasonMetrics
		alarms++ // QueueStuck, which watches one of them.
	}
	if c.Metrics.Level == config.MetricsTargets {
		bytes += b.looks * metricEntryBytes
		metrics += targets * TargetMetrics
	}
	if c.Deploy.Notify != nil {
		alarms++
	}
	b.line("logs", bytes/gb, LogsIn, "%.1f GB taken in", bytes/gb)
	b.line("metrics", metrics, Metric, "%s at most; metrics.level is %s", number(metrics), c.Metrics.Level)
	b.line("alarms", alarms, Alarm, "%s of Sluice itself", number(alarms))
	if c.Deploy.Alarms.Workers {
		how := "CPU and memory of each target"
		if targets > maxWorkerAlarms {
			how = "CPU and memory of all services of the clusters"
		}
		b.line("alarms of workers", targets*WorkerAlarms, Alarm, "%s", how)
	}
}

func (b *bill) network() {
	vpc := b.config.Deploy.VPC
	if vpc == nil || !vpc.Endpoints {
		return
	}
	services := 1 // ECS.
	if slices.ContainsFunc(b.config.Brokers, func(k config.Broker) bool { return k.URLSecret != "" }) {
		services++
	}
	if slices.ContainsFunc(b.config.Brokers, func(k config.Broker) bool { return k.URLParameter != "" }) {
		services++
	}
	hours := float64(services*len(vpc.Subnets)) * Month.Hours()
	b.line("endpoints", hours, EndpointHour, "%d in %d zones", services, len(vpc.Subnets))
}

// number is a number with commas, whole.
func number(n float64) string {
	s := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// seconds is a time of a function, rounded as it deserves.
func seconds(s float64) string {
	if s < 10 {
		return strings.TrimSuffix(strconv.FormatFloat(s, 'f', 1, 64), ".0") + " s"
	}
	return number(s) + " s"
}
