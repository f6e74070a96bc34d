package cloud

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/lab/cloud/metrics"
)

// figures asks for a metric of the service media/workers, from a time on for five minutes.
func figures(t *testing.T, c *Cloud, name, stat string, from time.Time, period int32) (times []time.Time, values []float64, err error) {
	t.Helper()
	out, err := cloudwatch.NewFromConfig(client(c)).GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: &from, EndTime: aws.Time(from.Add(5 * time.Minute)), ScanBy: types.ScanByTimestampAscending,
		MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("m0"), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: aws.String("AWS/ECS"), MetricName: &name, Dimensions: []types.Dimension{
				{Name: aws.String("ServiceName"), Value: aws.String("workers")}, {Name: aws.String("ClusterName"), Value: aws.String("media")},
			}},
			Period: &period, Stat: &stat,
		}}},
	})
	if err != nil {
		return nil, nil, err
	}
	if r := out.MetricDataResults; len(r) != 1 || *r[0].Id != "m0" || *r[0].Label != name || r[0].StatusCode != "Complete" {
		t.Fatalf("results %+v", r)
	}
	return out.MetricDataResults[0].Timestamps, out.MetricDataResults[0].Values, nil
}

func TestGetMetricData(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	began := time.Now().UTC().Truncate(time.Hour)
	m := metrics.Metric{Namespace: "AWS/ECS", Name: "X", Dimensions: map[string]string{"ClusterName": "media", "ServiceName": "workers"}}
	for i, v := range []float64{1, 2.5, 4.5, 100} {
		c.metrics.Put(m, began.Add(time.Duration(i)*40*time.Second), v) // At 0:00, 0:40, 1:20 and 2:00.
	}
	at := func(minutes ...int) (list []time.Time) {
		for _, n := range minutes {
			list = append(list, began.Add(time.Duration(n)*time.Minute))
		}
		return list
	}
	for _, tt := range []struct {
		stat   string
		from   time.Time
		period int32
		times  []time.Time
		values []float64
	}{
		{"Average", began, 60, at(0, 1, 2), []float64{1.75, 4.5, 100}},
		{"Maximum", began, 60, at(0, 1, 2), []float64{2.5, 4.5, 100}},
		{"Minimum", began, 120, at(0, 2), []float64{1, 100}},
		{"Sum", began, 120, at(0, 2), []float64{8, 100}},
		{"SampleCount", began, 300, at(0), []float64{4}},
		{"Average", began.Add(time.Minute), 60, at(1, 2), []float64{4.5, 100}},
		{"Average", began.Add(-4 * time.Minute), 60, at(0), []float64{1.75}},
		{"Average", began.Add(3 * time.Minute), 60, nil, nil},
	} {
		times, values, err := figures(t, c, "X", tt.stat, tt.from, tt.period)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.times, times, cmpopts.EquateEmpty()) + cmp.Diff(tt.values, values, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s of %d s from %v: %s", tt.stat, tt.period, tt.from, diff)
		}
	}
	if _, values, err := figures(t, c, "None", "Average", began, 60); err != nil || len(values) != 0 {
		t.Errorf("a metric that nobody puts: %v, %v", values, err)
	}
	if _, _, err := figures(t, c, "X", "p99", began, 60); code(err) != "ValidationError" {
		t.Errorf("an unknown statistic: %v", err)
	}
}
