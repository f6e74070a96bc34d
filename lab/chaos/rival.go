package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
)

// rival is one of the two usual ways to scale Celery workers to zero, written as its users would, for the comparison. It
// answers the same events, and looks at the same intervals as Sluice's sweep.
type rival struct {
	world  *world
	arm    arm
	client *awsecs.Client
}

func newRival(w *world, a arm) *rival { return &rival{w, a, w.client()} }

// rule sweeps until the context is done.
func (r *rival) rule(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.sweep(ctx)
		}
	}
}

// event answers the event that says that there is work.
func (r *rival) event() {
	ctx := context.Background()
	switch r.arm {
	case emptyList:
		r.raise(ctx, r.backlog(ctx))
	case checkThenReduce:
		r.set(ctx, 1)
	}
}

// sweep is one look, and what follows from it.
func (r *rival) sweep(ctx context.Context) {
	backlog := r.backlog(ctx)
	switch r.arm {
	case emptyList:
		// Set the count by the length of the list, and to the minimum when the list is empty.
		if backlog == 0 {
			r.set(ctx, r.world.plan.min)
			return
		}
		r.raise(ctx, backlog)
	case checkThenReduce:
		// Read the length of the list and the number of active tasks, which the tasks themselves keep, and set the count to the
		// minimum when both are zero. More workers come by an event only.
		active, err := r.world.redis.client.Get(ctx, "celery:active_tasks").Int()
		if backlog == 0 && (err != nil || active <= 0) {
			r.set(ctx, r.world.plan.min)
		}
	}
}

// backlog is the length of the list, of all priorities.
func (r *rival) backlog(ctx context.Context) int {
	n := 0
	for _, k := range queueKeys {
		n += int(r.world.redis.client.LLen(ctx, k).Val())
	}
	return n
}

// raise asks for as many workers as the backlog needs, and never for fewer than there are.
func (r *rival) raise(ctx context.Context, backlog int) {
	want := max(1, (backlog+r.world.plan.perWorker-1)/r.world.plan.perWorker)
	services, _ := r.world.cloud.ECS().Snapshot()
	if want = min(want, r.world.plan.max); want > services[0].Desired {
		r.set(ctx, want)
	}
}

// set sets the count. An error is left to the next sweep.
func (r *rival) set(ctx context.Context, n int) {
	_, _ = r.client.UpdateService(ctx, &awsecs.UpdateServiceInput{
		Cluster: aws.String(clusterName), Service: aws.String(serviceName), DesiredCount: aws.Int32(int32(n)),
	})
}
