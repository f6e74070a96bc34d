package template

import (
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/price"
)

// What a saved query may have: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_QueryDefinition.html.
const (
	maxQueryName   = 255
	maxSavedGroups = 50
)

// saved are the queries that there have to be.
var saved = []string{
	"Decisions of a target", "Why a target is held", "Unknown and errors", "Slow looks", "Counts of a target over time",
	"Worker hours by target", "From event to count", "Events that were ignored or refused",
}

func checkQueries(d *Deployment, f *findings) {
	var titles []string
	for _, r := range d.Sluice.of("AWS::Logs::QueryDefinition") {
		folder, title, _ := strings.Cut(r.text("Name"), d.namespace()+"/")
		titles = append(titles, title)
		if folder != "" || title == "" {
			f.add(r, "name it "+d.namespace()+"/TITLE, so that two Sluices of an account can be told apart", "is called %q", r.text("Name"))
		}
		groups := texts(r.at("LogGroupNames"))
		if len(groups) == 0 || len(groups) > maxSavedGroups {
			f.add(r, "query 1 to 50", "queries %d log groups", len(groups))
		}
		for _, g := range groups {
			if d.Sluice.target(g, "AWS::Logs::LogGroup") == nil {
				f.add(r, "query log groups of the template", "queries %q, which is no log group of the template", g)
			}
		}
		f.within(r.ID+".Name", r.text("Name"), maxQueryName, nil)
		f.within(r.ID+".QueryString", r.text("QueryString"), maxQuery, nil)
	}
	for _, title := range saved {
		if !slices.Contains(titles, title) {
			f.addAt("the stack "+d.Sluice.Name, "save it", "has no query %q", title)
		}
	}
}

// checkPrice: `sluice cost` and the tables of the documentation count what the stack has.
func checkPrice(d *Deployment, f *findings) {
	bill := map[string]float64{}
	for _, l := range price.Monthly(d.Config, price.DefaultUse(d.Config)).Lines {
		bill[l.Name] = l.Quantity
	}
	// Two alarms that watch all services together are billed for each of these.
	together := 0
	for _, a := range d.Sluice.alarms() {
		if len(a.expressions) > 0 && strings.HasPrefix(a.expressions[0], "SELECT ") {
			together++
		}
	}
	alarms := len(d.Sluice.of("AWS::CloudWatch::Alarm")) - together + together*len(d.Config.Targets)
	if billed := bill["alarms"] + bill["alarms of workers"]; float64(alarms) != billed {
		f.addAt("the stack "+d.Sluice.Name, "count them in internal/price", "has %d alarms to pay for, and its price is of %v", alarms, billed)
	}
	filters := len(d.Sluice.of("AWS::Logs::MetricFilter"))
	if filters != price.StackMetrics && d.Config.Metrics.Level == config.MetricsOff {
		f.addAt("the stack "+d.Sluice.Name, "count them in internal/price", "has %d metrics, and its price is of %d", filters, price.StackMetrics)
	}
	memory := map[string]int{scaleOut: price.ScaleOutMemory, check: price.CheckMemory, scaleIn: price.ScaleInMemory, notify: price.NotifyMemory}
	for _, name := range d.functionNames() {
		f.want(d.Functions[name], memory[name], "MemorySize")
	}
}
