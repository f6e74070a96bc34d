// Package price knows what AWS asks, and what Sluice itself comes to by it.
//
// The list (list.go) is data: what one unit of each thing costs, by Region, with the page that says so. It has no free tiers and no
// discounts, which are an account's as a whole. The model (model.go) makes a month of a sluice.yaml out of it, line by line, each line a
// quantity times a price, so that it can be checked by hand.
//
// The dashboard's figures, `sluice cost`, the messages of deploy.notify and the table of docs/deploy.md come from here, and from nowhere
// else. Nothing here asks AWS.
package price

import "fmt"

// AsOf is when the list was put together. It was held against public price tables, and not read from AWS's price API: AWS's own pages,
// which each price names, have the last word.
const AsOf = "2026-11-22"

// Item is a thing that AWS has a price for.
type Item string

// The items, each with its unit.
const (
	LambdaGBSecond    Item = "Lambda on arm64, GB-second"
	LambdaRequest     Item = "Lambda, request"
	Transition        Item = "Step Functions, transition"
	ScheduledCall     Item = "EventBridge Scheduler, call"
	CustomEvent       Item = "EventBridge, custom event"
	LogsIn            Item = "CloudWatch Logs, GB taken in"
	Metric            Item = "CloudWatch, metric a month"
	Alarm             Item = "CloudWatch, alarm a month"
	Dashboard         Item = "CloudWatch, dashboard a month"
	EndpointHour      Item = "VPC endpoint, hour in a zone"
	FargateCPUHour    Item = "Fargate on x86, vCPU-hour"
	FargateGBHour     Item = "Fargate on x86, GB-hour"
	FargateARMCPUHour Item = "Fargate on arm64, vCPU-hour"
	FargateARMGBHour  Item = "Fargate on arm64, GB-hour"
)

// Reference is the Region whose prices stand in for those that the list does not have.
const Reference = "us-east-1"

// Price is what AWS asks for one unit of an item.
type Price struct {
	Item   Item    `json:"item"`
	USD    float64 `json:"usd"`
	Region string  `json:"region"` // Of which it is: the one that was asked for, or Reference.
	Source string  `json:"source"` // The page of AWS's that says so.
	AsOf   string  `json:"as_of"`
}

// Of is the price of an item in a Region, or in Reference where the list does not have the Region's own. An empty Region means Reference.
func Of(item Item, region string) Price {
	e, ok := list[item]
	if !ok {
		panic(fmt.Sprintf("no price of %q", item)) // Items are constants, and a test looks at all of them.
	}
	p := Price{Item: item, USD: e.usd, Region: Reference, Source: e.source, AsOf: AsOf}
	if usd, ok := e.elsewhere[region]; ok {
		p.USD, p.Region = usd, region
	}
	return p
}

// entry is an item's price in Reference, and in the Regions where it is known.
type entry struct {
	usd       float64
	source    string
	elsewhere map[string]float64
}

// The pages.
const (
	lambdaPage      = "https://aws.amazon.com/lambda/pricing/"
	statesPage      = "https://aws.amazon.com/step-functions/pricing/"
	eventbridgePage = "https://aws.amazon.com/eventbridge/pricing/"
	cloudwatchPage  = "https://aws.amazon.com/cloudwatch/pricing/"
	endpointPage    = "https://aws.amazon.com/privatelink/pricing/"
	fargatePage     = "https://aws.amazon.com/fargate/pricing/"
)

// list holds the first tier of each price. What Sluice uses stays within it, but for more than 10,000 metrics, which get cheaper.
var list = map[Item]entry{
	LambdaGBSecond: {0.0000133334, lambdaPage, same(0.0000133334, "us-east-2", "us-west-2", "eu-west-1", "eu-west-2", "eu-central-1", "ap-northeast-1")},
	LambdaRequest:  {0.20 / 1e6, lambdaPage, same(0.20/1e6, "us-east-2", "us-west-2", "eu-west-1", "eu-west-2", "eu-central-1", "ap-northeast-1")},
	Transition:     {0.025 / 1e3, statesPage, same(0.025/1e3, "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1")},
	ScheduledCall:  {1.00 / 1e6, eventbridgePage, nil},
	CustomEvent:    {1.00 / 1e6, eventbridgePage, same(1.00/1e6, "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1")},
	LogsIn: {0.50, cloudwatchPage, map[string]float64{
		"us-east-2": 0.50, "us-west-2": 0.50, "eu-west-1": 0.57, "eu-central-1": 0.63, "ap-northeast-1": 0.76,
	}},
	Metric:    {0.30, cloudwatchPage, same(0.30, "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1")},
	Alarm:     {0.10, cloudwatchPage, same(0.10, "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1")},
	Dashboard: {3.00, cloudwatchPage, same(3.00, "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1")},

	EndpointHour: {0.01, endpointPage, map[string]float64{"us-east-2": 0.01, "us-west-2": 0.01, "eu-west-1": 0.011, "eu-central-1": 0.012}},

	FargateCPUHour: {0.04048, fargatePage, map[string]float64{
		"us-east-2": 0.04048, "us-west-2": 0.04048, "eu-west-1": 0.04048, "eu-central-1": 0.04656, "ap-northeast-1": 0.05056,
	}},
	FargateGBHour: {0.004445, fargatePage, map[string]float64{
		"us-east-2": 0.004445, "us-west-2": 0.004445, "eu-west-1": 0.004445, "eu-central-1": 0.00511, "ap-northeast-1": 0.00553,
	}},
	FargateARMCPUHour: {0.03238, fargatePage, map[string]float64{
		"us-east-2": 0.03238, "us-west-2": 0.03238, "eu-west-1": 0.03238, "eu-central-1": 0.03725, "ap-northeast-1": 0.04045,
	}},
	FargateARMGBHour: {0.00356, fargatePage, map[string]float64{
		"us-east-2": 0.00356, "us-west-2": 0.00356, "eu-west-1": 0.00356, "eu-central-1": 0.00409, "ap-northeast-1": 0.00442,
	}},
}

func same(usd float64, regions ...string) map[string]float64 {
	m := make(map[string]float64, len(regions))
	for _, r := range regions {
		m[r] = usd
	}
	return m
}

// TaskHour is what one Fargate task costs for an hour, without storage beyond the 20 GB that are included. cpu is in units of 1/1024 vCPU, as
// a task definition has it, and memory in MiB.
func TaskHour(region string, cpu, memory int, arm bool) float64 {
	perCPU, perGB := Of(FargateCPUHour, region), Of(FargateGBHour, region)
	if arm {
		perCPU, perGB = Of(FargateARMCPUHour, region), Of(FargateARMGBHour, region)
	}
	return float64(cpu)/1024*perCPU.USD + float64(memory)/1024*perGB.USD
}
