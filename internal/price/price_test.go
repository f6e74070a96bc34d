package price_test

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/internal/price"
	"sluice/internal/telemetry"
)

func parse(t *testing.T, more string) *config.Config { return parseOf(t, 1, more) }

// parseOf is a config of so many targets.
func parseOf(t *testing.T, targets int, more string) *config.Config {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nbrokers: [{name: b, url_secret: s}]\ntargets:\n")
	for i := range targets {
		fmt.Fprintf(&b, "  - {name: t%d, cluster: c, service: s%d, queues: [q%d], max: 1}\n", i, i, i)
	}
	c, err := config.Parse([]byte(b.String()+more), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var items = []price.Item{
	price.LambdaGBSecond, price.LambdaRequest, price.Transition, price.ScheduledCall, price.CustomEvent, price.LogsIn, price.Metric, price.Alarm,
	price.Dashboard, price.EndpointHour, price.FargateCPUHour, price.FargateGBHour, price.FargateARMCPUHour, price.FargateARMGBHour,
}

func TestEveryPriceSaysWhereItIsFrom(t *testing.T) {
	for _, item := range items {
		for _, region := range []string{"", "us-east-1", "eu-central-1", "eu-west-1", "sa-east-1", "cn-north-1"} {
			p := price.Of(item, region)
			u, err := url.Parse(p.Source)
			if err != nil || u.Host != "aws.amazon.com" || p.USD <= 0 || p.AsOf != price.AsOf || p.Item != item {
				t.Errorf("%+v", p)
			}
			if p.Region != region && p.Region != price.Reference {
				t.Errorf("asked for %s: of %s", region, p.Region)
			}
			// Regions differ by some percent. More than half as much again is a slip of the pen.
			if ratio := p.USD / price.Of(item, "").USD; ratio < 0.9 || ratio > 1.6 {
				t.Errorf("%s in %s is %.2f times that in %s", item, p.Region, ratio, price.Reference)
			}
		}
	}
	// arm64 is a fifth cheaper everywhere, which tells a slip in one of both.
	for _, region := range []string{"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1"} {
		for _, pair := range [][2]price.Item{{price.FargateCPUHour, price.FargateARMCPUHour}, {price.FargateGBHour, price.FargateARMGBHour}} {
			if ratio := price.Of(pair[1], region).USD / price.Of(pair[0], region).USD; math.Abs(ratio-0.8) > 0.005 {
				t.Errorf("%s in %s is %.3f of %s", pair[1], region, ratio, pair[0])
			}
		}
	}
}

// Worked by hand from AWS's tables.
func TestWorkedExamples(t *testing.T) {
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.0005*math.Max(1, want) {
			t.Errorf("%s = %.6f, want %.6f", name, got, want)
		}
	}
	near("0.25 vCPU and 0.5 GB on x86 for 730 h", 730*price.TaskHour("us-east-1", 256, 512, false), 9.01)
	near("0.25 vCPU and 0.5 GB on arm64 for 730 h", 730*price.TaskHour("us-east-1", 256, 512, true), 7.21)
	near("1 vCPU and 2 GB in Frankfurt", price.TaskHour("eu-central-1", 1024, 2048, false), 0.04656+2*0.00511)

	c := parse(t, "deploy: {alarms: {workers: false}}\n")
	idle := price.Monthly(c, price.Use{})
	near("an idle controller: 8,640 sweeps", idle.Controller, 8640*(1e-6+3*0.025/1e3+0.20/1e6)+8640*(0.3+0.0057)*0.5*0.0000133334)
	busy := price.Monthly(c, price.Use{Runs: 1000})
	near("1,000 runs", busy.Controller-idle.Controller, 1000*(11*0.025/1e3+3*0.20/1e6+(6*0.25+2*0.3*0.5)*0.0000133334))
	events := price.Monthly(c, price.Use{Events: 1e6})
	near("a million events", events.Controller-idle.Controller, 1+0.20+1e6*0.5*0.5*0.0000133334)
}

// A bill can be checked by hand: each line is its quantity times its price, and they add up.
func TestABillAddsUp(t *testing.T) {
	for _, more := range []string{
		"", "sweep: {every: 1m}\n", "metrics: {level: totals}\n", "metrics: {level: targets}\n", "deploy: {notify: {every: 1h}}\n",
		"deploy: {account: '123456789012', region: eu-central-1}\n",
		"deploy: {vpc: {id: vpc-00000001, subnets: [subnet-00000001, subnet-00000002], endpoints: true}}\n",
	} {
		b := price.Monthly(parseOf(t, 3, more), price.Use{Events: 1000, Runs: 100})
		var total, controller float64
		last := slices.IndexFunc(b.Lines, func(l price.Line) bool { return l.Name == price.LastOfController })
		for i, l := range b.Lines {
			total += l.USD
			if i <= last {
				controller += l.USD
			}
			if math.Abs(l.USD-l.Quantity*l.Price.USD) > 1e-9 || l.Name == "" || l.How == "" || l.Quantity < 0 {
				t.Errorf("%s: %+v", more, l)
			}
		}
		if math.Abs(total-b.Total) > 1e-9 || math.Abs(controller-b.Controller) > 1e-9 || controller >= total {
			t.Errorf("%s: lines come to %f, %f of it the controller, and the bill says %f and %f", more, total, controller, b.Total, b.Controller)
		}
	}
}

// What a field of sluice.yaml costs shows in its line, and in no other than it should.
func TestWhatFieldsCost(t *testing.T) {
	of := func(more, name string) float64 {
		b := price.Monthly(parse(t, more), price.Use{Events: 100, Runs: 10})
		for _, l := range b.Lines {
			if l.Name == name {
				return l.USD
			}
		}
		return math.NaN()
	}
	for _, test := range []struct {
		more, name string
		want       float64
	}{
		{"", "sweeps", 0.648},
		{"sweep: {every: 1m}\n", "sweeps", 5 * 0.648},
		{"sweep: {every: 24h}\n", "sweeps", 30 * 3 * 0.025 / 1e3},
		{"", "metrics", 0.60},
		{"metrics: {level: totals}\n", "metrics", 0.30 * (2 + price.TotalMetrics + price.ReasonMetrics)},
		{"metrics: {level: targets}\n", "metrics", 0.30 * (2 + price.TotalMetrics + price.ReasonMetrics + price.TargetMetrics)},
		{"", "alarms", 1.80},
		{"deploy: {notify: {}}\n", "alarms", 1.90},
		{"", "alarms of workers", 0.20},
		{"deploy: {alarms: {workers: false}}\n", "alarms of workers", math.NaN()},
		{"", "endpoints", math.NaN()},
		{"deploy: {vpc: {id: vpc-00000001, subnets: [subnet-00000001, subnet-00000002], endpoints: true}}\n", "endpoints", 2 * 2 * 720 * 0.01},
		{"deploy: {account: '123456789012', region: eu-central-1}\n", "sweeps", 0.648},
	} {
		if got := of(test.more, test.name); math.Abs(got-test.want) > 1e-6 || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%q: %s is $%f, want $%f", test.more, test.name, got, test.want)
		}
	}
	// Each schedule sweeps by itself, but a target is in one of them only.
	shards := price.Monthly(parseOf(t, 1000, "deploy: {targets_per_schedule: 100}\n"), price.Use{})
	whole := price.Monthly(parseOf(t, 1000, ""), price.Use{})
	if sweeps := shards.Lines[1].USD; math.Abs(sweeps-10*0.648) > 1e-6 || shards.Lines[2].USD < whole.Lines[2].USD || shards.Lines[2].USD > 2*whole.Lines[2].USD {
		t.Errorf("ten schedules: sweeps $%f, looks $%f against $%f of one", sweeps, shards.Lines[2].USD, whole.Lines[2].USD)
	}
	if frankfurt := of("deploy: {account: '123456789012', region: eu-central-1}\n", "logs"); math.Abs(frankfurt/of("", "logs")-1.26) > 1e-9 {
		t.Errorf("logs in Frankfurt are $%f", frankfurt)
	}
}

// The number of metrics is that of those that are written.
func TestMetricsAreTelemetrys(t *testing.T) {
	var totals, targets int
	for _, m := range telemetry.Metrics {
		if m.Total {
			totals++
		}
		if m.Target {
			targets++
		}
	}
	if totals != price.TotalMetrics || targets != price.TargetMetrics {
		t.Errorf("telemetry writes %d metrics of all and %d of each target, the price is of %d and %d", totals, targets, price.TotalMetrics, price.TargetMetrics)
	}
}

func TestBorrowedPrices(t *testing.T) {
	for region, want := range map[string]bool{"us-east-1": false, "sa-east-1": true} {
		b := price.Monthly(parse(t, fmt.Sprintf("deploy: {account: '123456789012', region: %s}\n", region)), price.Use{})
		if b.Borrowed() != want || b.Region != region {
			t.Errorf("%s: borrowed %v, Region %s", region, b.Borrowed(), b.Region)
		}
		if s := strings.Join(b.Sources(), " "); !strings.Contains(s, "https://aws.amazon.com/lambda/pricing/") || !strings.Contains(s, "/step-functions/") {
			t.Errorf("sources %s", s)
		}
	}
}
