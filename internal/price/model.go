package price

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
)

// Group is what a line of a bill is for.
type Group string

// The groups.
const (
	Controller Group = "controller" // What scaling takes.
	Watching   Group = "watching"   // Logs, metrics, alarms: what tells how it goes.
	Network    Group = "network"    // Only where deploy.vpc.endpoints asks for it.
)

// WorkerAlarmsLine is the name of the line that grows most with the number of targets.
const WorkerAlarmsLine = "alarms of workers"

// Line is a line of a bill: a quantity, and what it comes to, which is their product. Only metrics get cheaper by the thousand.
type Line struct {
	Group    Group   `json:"group"`
	Name     string  `json:"name"`
	How      string  `json:"how"` // What the quantity is made of, in words.
	Quantity float64 `json:"quantity"`
	Price    Price   `json:"price"`
	USD      float64 `json:"usd"`
}

// Bill is what Sluice itself costs in a month. The workers, their Redis and the secret are the application's.
type Bill struct {
	Region      string   `json:"region"` // Of deploy.region, or Reference.
	AsOf        string   `json:"as_of"`
	Targets     int      `json:"targets"`
	Use         Use      `json:"use"`
	Lines       []Line   `json:"lines"`
	Controller  float64  `json:"controller_usd"`
	Total       float64  `json:"total_usd"`
	Assumptions []string `json:"assumptions"`
	NotCounted  []string `json:"not_counted"`
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

// Borrowed says whether some price is another Region's, since the list does not have this one's.
func (b Bill) Borrowed() bool {
	return slices.ContainsFunc(b.Lines, func(l Line) bool { return l.Price.Region != b.Region })
}

// Monthly is the bill of a config that is used so.
func Monthly(c *config.Config, u Use) Bill {
	return monthly(c, len(c.Targets), c.Schedules(), u)
}

// MonthlyOf is the bill of a config as if it had so many targets, all like its own.
func MonthlyOf(c *config.Config, targets int, u Use) Bill {
	per := c.Deploy.TargetsPerSchedule
	return monthly(c, targets, (targets+per-1)/per, u)
}

func monthly(c *config.Config, targets, schedules int, u Use) Bill {
	b := bill{
		Bill:    Bill{Region: c.Deploy.Region, AsOf: AsOf, Targets: targets, Use: u, Assumptions: Assumptions(c, u)},
		config:  c,
		targets: float64(targets),
		sweeps:  math.Floor(float64(Month)/float64(c.Sweep.Every)) * float64(schedules),
		looks:   math.Floor(float64(Month)/float64(c.Sweep.Every)) * float64(targets),
	}
	if b.Region == "" {
		b.Region = Reference
	}
	b.controller()
	b.watching()
	b.network()
	for _, l := range b.Lines {
		b.Total += l.USD
		if l.Group == Controller {
			b.Controller += l.USD
		}
	}
	b.NotCounted = []string{
		"the workers, their Redis and the secret with its URL, which the application has anyhow",
		"a NAT gateway, if the functions need one",
	}
	return b.Bill
}

// bill is a bill in the making.
type bill struct {
	Bill
	config  *config.Config
	targets float64
	sweeps  float64 // A month, of all schedules.
	looks   float64 // A month: how many times a target is looked at by a sweep.
	calls   float64 // Of functions.
}

func (b *bill) line(g Group, name string, quantity float64, item Item, how string, args ...any) {
	p := Of(item, b.Region)
	b.Lines = append(b.Lines, Line{Group: g, Name: name, How: fmt.Sprintf(how, args...), Quantity: quantity, Price: p, USD: quantity * p.USD})
}

// function adds the time of a function's calls.
func (b *bill) function(g Group, name string, calls, seconds, memory float64, how string, args ...any) {
	b.line(g, name, seconds*memory/mb, LambdaGBSecond, how, args...)
	b.calls += calls
}

func (b *bill) controller() {
	u := b.Use
	b.line(Controller, "schedules", b.sweeps, ScheduledCall, "%s sweeps, one each %s", number(b.sweeps), b.config.Sweep.Every)
	b.line(Controller, "sweeps", b.sweeps*QuietTransitions, Transition, "%s sweeps of %d state transitions", number(b.sweeps), QuietTransitions)
	b.function(Controller, "looks", b.sweeps, b.sweeps*checkSeconds+b.looks*targetSeconds, CheckMemory,
		"Check with %d MB for %s", CheckMemory, seconds(b.sweeps*checkSeconds+b.looks*targetSeconds))
	b.line(Controller, "events", u.Events, CustomEvent, "%s events", number(u.Events))
	b.function(Controller, "scale-outs", u.Events, u.Events*scaleOutSeconds, ScaleOutMemory,
		"ScaleOut with %d MB for %s", ScaleOutMemory, seconds(u.Events*scaleOutSeconds))
	b.line(Controller, "runs", u.Runs*RunTransitions, Transition, "%s runs of %d more transitions", number(u.Runs), RunTransitions)
	b.function(Controller, "scale-ins", u.Runs, u.Runs*scaleInSeconds, ScaleInMemory, "ScaleIn with %d MB for %s", ScaleInMemory, seconds(u.Runs*scaleInSeconds))
	b.function(Controller, "second looks", 2*u.Runs, 2*u.Runs*checkSeconds, CheckMemory,
		"Check before and after each run, for %s", seconds(2*u.Runs*checkSeconds))
	b.line(Controller, "requests", b.calls, LambdaRequest, "%s calls of functions", number(b.calls))
}

func (b *bill) watching() {
	c, u := b.config, b.Use
	bytes := b.sweeps*sweepBytes + b.looks*targetBytes + u.Events*eventBytes + u.Runs*runBytes
	metrics := float64(StackMetrics)
	switch c.Metrics.Level {
	case config.MetricsTargets:
		bytes += b.looks * metricEntryBytes
		metrics += b.targets * TargetMetrics
		fallthrough
	case config.MetricsTotals:
		bytes += b.sweeps * metricLineBytes
		metrics += TotalMetrics + ReasonMetrics
	}
	b.line(Watching, "logs", bytes/gb, LogsIn, "%.1f GB taken in", bytes/gb)
	b.line(Watching, "logs kept", bytes/gb*float64(c.Deploy.LogRetention)/30*logsShrink, LogsKept,
		"for %d days, shrunk to %.0f %%", c.Deploy.LogRetention, logsShrink*100)
	b.line(Watching, "metrics", metrics, Metric, "%s at most; metrics.level is %s", number(metrics), c.Metrics.Level)
	b.Lines[len(b.Lines)-1].USD = Metrics(metrics, b.Region)
	alarms := float64(StackAlarms)
	if c.Deploy.Notify != nil {
		alarms++
	}
	if c.Metrics.Level != config.MetricsOff {
		alarms++ // QueueStuck, which watches one of them.
	}
	b.line(Watching, "alarms", alarms, Alarm, "%s of Sluice itself", number(alarms))
	if c.Deploy.Alarms.Workers {
		how := "CPU and memory of each target"
		if b.targets > maxWorkerAlarms {
			how = "CPU and memory of all services of the clusters"
		}
		b.line(Watching, WorkerAlarmsLine, b.targets*WorkerAlarms, Alarm, "%s", how)
	}
	b.line(Watching, "dashboard", 0, Dashboard, "three are free in an account")
	// Lambda and Step Functions sample one request a second and 5 % of the others, which is all of a sweep's.
	traces := b.sweeps + u.Events
	b.line(Watching, "traces", max(0, traces-freeTraces), Trace, "%s, of which %s are free", number(traces), number(freeTraces))
	if n := c.Deploy.Notify; n != nil {
		calls := math.Floor(float64(Month) / float64(n.Every))
		b.function(Watching, "digests", calls, calls*notifySeconds, NotifyMemory, "Notify with %d MB, each %s", NotifyMemory, n.Every)
		// At most one each time, and no more than there are changes to tell of.
		sent := min(calls, 2*u.Runs)
		b.line(Watching, "mails", sent, Mail, "at most %s to an address", number(sent))
	}
}

// logsShrink is what is left of a log where it is kept: CloudWatch Logs bills compressed sizes, and JSON shrinks to about 15 %.
const logsShrink = 0.15

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
	b.line(Network, "endpoints", hours, EndpointHour, "%d in %d zones", services, len(vpc.Subnets))
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
