package exporter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/awsname"
	"sluice/internal/config"
)

// CloudWatch is asked for the last five minutes each five minutes: two metrics of each target, at $0.01 per 1,000 metrics asked
// for, are $0.17 a month for each target.
const (
	workersEvery = 5 * time.Minute
	// behind is how far CloudWatch's figures lag: ECS's come each minute, and some minutes late.
	behind = 2 * time.Minute
	// queriesPerCall is how many metrics GetMetricData takes at once.
	queriesPerCall = 500
)

var (
	workersCPU = newFamily("sluice_workers_cpu_ratio",
		"CPU that the target's workers use of what they have, on average over them and five minutes; 1 is all.", "target")
	workersMemory = newFamily("sluice_workers_memory_ratio",
		"Memory that the target's workers use of what they have, on average over them and five minutes; 1 is all.", "target")
)

// metricsAPI is the call that a look at the workers takes.
type metricsAPI interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

// figure is one figure of a target's workers.
type figure struct {
	shown  family
	target string
}

// newWorkers looks at how hard the workers work.
func newWorkers(api metricsAPI, c *config.Config) *source {
	var figures []figure
	var queries []types.MetricDataQuery
	for _, t := range c.Targets {
		for metric, shown := range map[string]family{"CPUUtilization": workersCPU, "MemoryUtilization": workersMemory} {
			queries = append(queries, query(len(figures), metric, t))
			figures = append(figures, figure{shown, t.Name})
		}
	}
	return &source{
		name: "workers", every: workersEvery, shown: []family{workersCPU, workersMemory},
		look: func(ctx context.Context) ([]prometheus.Metric, error) {
			end := time.Now().Add(-behind).Truncate(time.Minute)
			metrics := []prometheus.Metric{}
			for some := range slices.Chunk(queries, queriesPerCall) {
				averages, err := figuresOf(ctx, api, some, end)
				if err != nil {
					return nil, fmt.Errorf("look at the workers' CPU and memory: %w", err)
				}
				for i, percent := range averages {
					metrics = append(metrics, figures[i].shown.of(percent/100, figures[i].target))
				}
			}
			return metrics, nil
		},
	}
}

// query asks for one of ECS's figures about a service. Its id is the number of the figure.
func query(i int, metric string, t config.Target) types.MetricDataQuery {
	return types.MetricDataQuery{
		Id: aws.String("m" + strconv.Itoa(i)),
		MetricStat: &types.MetricStat{
			Metric: &types.Metric{
				Namespace: aws.String("AWS/ECS"), MetricName: &metric,
				Dimensions: []types.Dimension{
					{Name: aws.String("ClusterName"), Value: aws.String(awsname.Last(t.Cluster))},
					{Name: aws.String("ServiceName"), Value: aws.String(awsname.Last(t.Service))},
				},
			},
			Period: aws.Int32(60), Stat: aws.String("Average"),
		},
	}
}

// figuresOf is the averages over the five minutes before the end, by the number of the figure. A service without workers has none.
func figuresOf(ctx context.Context, api metricsAPI, queries []types.MetricDataQuery, end time.Time) (map[int]float64, error) {
	sums, counts := map[int]float64{}, map[int]int{}
	in := &cloudwatch.GetMetricDataInput{
		MetricDataQueries: queries, StartTime: aws.Time(end.Add(-5 * time.Minute)), EndTime: &end,
	}
	for {
		out, err := api.GetMetricData(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, r := range out.MetricDataResults {
			i, err := strconv.Atoi(strings.TrimPrefix(aws.ToString(r.Id), "m"))
			if err != nil {
				return nil, fmt.Errorf("read GetMetricData: %w", err)
			}
			for _, v := range r.Values {
				sums[i] += v
				counts[i]++
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	for i, n := range counts {
		sums[i] /= float64(n)
	}
	return sums, nil
}
