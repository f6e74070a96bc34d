package cloud

import (
	"context"
	"time"

	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/metrics"
)

// usageEvery is how often it is looked what the tasks use. ECS's metrics are of a minute.
const usageEvery = 15 * time.Second

// startUsage begins to write ECS's metrics of CPU and memory, from what the processes of the tasks really use.
func (c *Cloud) startUsage() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(usageEvery)
		defer tick.Stop()
		before := map[string]ecs.Usage{}
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				before = c.writeUsage(now, before)
			}
		}
	}()
	c.onClose(func() {
		cancel()
		<-done
	})
}

// writeUsage writes what the tasks use, on average over each service: of memory now, and of CPU since before. A task that was not there
// before has no figure of CPU yet.
func (c *Cloud) writeUsage(now time.Time, before map[string]ecs.Usage) (after map[string]ecs.Usage) {
	type sums struct{ memory, cpu, tasks, measured float64 }
	services := map[[2]string]*sums{}
	after = c.ecs.Usage()
	for task, u := range after {
		s := services[[2]string{u.Cluster, u.Service}]
		if s == nil {
			s = new(sums)
			services[[2]string{u.Cluster, u.Service}] = s
		}
		s.tasks++
		s.memory += u.MemoryMB / float64(u.SizeMB)
		if b, ok := before[task]; ok && u.At.After(b.At) {
			s.measured++
			s.cpu += max(0, (u.CPU-b.CPU).Seconds()) / u.At.Sub(b.At).Seconds() / (float64(u.SizeCPU) / 1024)
		}
	}
	for of, s := range services {
		put := func(name string, sum, n float64) {
			if n > 0 {
				c.metrics.Put(metrics.Metric{
					Namespace: "AWS/ECS", Name: name, Dimensions: map[string]string{"ClusterName": of[0], "ServiceName": of[1]},
				}, now, 100*sum/n)
			}
		}
		put("MemoryUtilization", s.memory, s.tasks)
		put("CPUUtilization", s.cpu, s.measured)
	}
	return after
}
