package exporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"sluice/internal/config"
)

// fakeFigures is a CloudWatch. It has a value for each minute, and gives one a page.
type fakeFigures struct {
	calls, most int
	denied      atomic.Bool
	values      func(service, metric string) []float64
}

func (f *fakeFigures) GetMetricData(
	_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options),
) (*cloudwatch.GetMetricDataOutput, error) {
	f.calls++
	f.most = max(f.most, len(in.MetricDataQueries))
	if f.denied.Load() {
		return nil, errors.New("denied")
	}
	if d := in.EndTime.Sub(*in.StartTime); d != 5*time.Minute || in.EndTime.Second() != 0 {
		return nil, fmt.Errorf("%v until %v: not five whole minutes", d, in.EndTime)
	}
	page := 0
	if in.NextToken != nil {
		_, _ = fmt.Sscan(*in.NextToken, &page)
	}
	out := &cloudwatch.GetMetricDataOutput{}
	for _, q := range in.MetricDataQueries {
		m := q.MetricStat.Metric
		values := f.values(*m.Dimensions[0].Value+"/"+*m.Dimensions[1].Value, *m.MetricName)
		if page < len(values) {
			out.MetricDataResults = append(out.MetricDataResults, types.MetricDataResult{Id: q.Id, Values: values[page : page+1]})
		}
		if page+1 < len(values) {
			out.NextToken = aws.String(fmt.Sprint(page + 1))
		}
	}
	return out, nil
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFigures{values: func(service, metric string) []float64 {
			switch service + " " + metric {
			case "prod/celery-worker CPUUtilization":
				return []float64{10, 20, 30, 40, 50}
			case "prod/celery-worker MemoryUtilization":
				return []float64{85}
			case "media/transcode MemoryUtilization":
				return nil // Nobody runs.
			}
			return nil
		}}
		e := start(t, newWorkers(f, testConfig(t)))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_workers_cpu_ratio{target="worker"}`: "0.3", `sluice_workers_memory_ratio{target="worker"}`: "0.85",
			`sluice_workers_cpu_ratio{target="video"}`: "", `sluice_workers_memory_ratio{target="video"}`: "", `sluice_source_up{source="workers"}`: "1",
		})
		f.denied.Store(true)
		time.Sleep(workersEvery)
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{`sluice_workers_cpu_ratio{target="worker"}`: "", `sluice_source_up{source="workers"}`: "0"})
	})
}

// TestManyWorkers holds that no call asks for more than CloudWatch takes, and that each figure is given to its own target.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	var targets strings.Builder
	for i := range 600 {
		fmt.Fprintf(&targets, "  - {name: t%d, cluster: prod, service: s%d, queues: [q%d], max: 1}\n", i, i, i)
	}
	c, err := config.Parse([]byte("version: 1\nbrokers: [{name: main, url: \"redis://localhost\"}]\ntargets:\n"+targets.String()), "")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFigures{values: func(service, metric string) []float64 {
			var i float64
			_, _ = fmt.Sscanf(service, "prod/s%g", &i)
			if metric == "CPUUtilization" {
				return []float64{i}
			}
			return []float64{i + 1000}
		}}
		e := start(t, newWorkers(f, c))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_workers_cpu_ratio{target="t0"}`: "0", `sluice_workers_cpu_ratio{target="t300"}`: "3",
			`sluice_workers_memory_ratio{target="t300"}`: "13", `sluice_workers_memory_ratio{target="t599"}`: "15.99",
		})
		if f.calls != 3 || f.most != queriesPerCall {
			t.Errorf("%d calls with up to %d queries, want 3 with up to %d", f.calls, f.most, queriesPerCall)
		}
	})
}
