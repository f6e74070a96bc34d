// Package fleet is an ECS service as the scaler sees it, by the AWS SDK.
//
// One sweep looks at every target, so reading is what has to be cheap: services are described ten at a time with their
// tags, the batches of a few at once, each service once however often it is asked for. A client-side budget keeps the calls
// below the rates that AWS documents for an account and Region, which others share.
//
// Each service gets its own answer. A batch that fails as a whole, as ECS does for one bad member, is asked again one by
// one, so that a target that cannot be read spoils no other.
//
// Reads are tried again within the caller's deadline. A write is tried again only where ECS has surely not done it (it was
// throttled): a time-out or a 5xx leaves it open whether the count was written, and writing it blindly again could undo
// what another has decided since. Protection and tags are written again like reads: twice is as good as once.
//
// Which worker runs in which task, the names of the workers tell, or they do not: see Match.
//
// Every error is a *policy.Error, so that the state machine knows what is worth trying again.
package fleet

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/internal/policy"
)

// API is what the fleet calls of ECS; *ecs.Client has it.
type API interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	GetTaskProtection(context.Context, *ecs.GetTaskProtectionInput, ...func(*ecs.Options)) (*ecs.GetTaskProtectionOutput, error)
	UpdateTaskProtection(context.Context, *ecs.UpdateTaskProtectionInput, ...func(*ecs.Options)) (*ecs.UpdateTaskProtectionOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
	TagResource(context.Context, *ecs.TagResourceInput, ...func(*ecs.Options)) (*ecs.TagResourceOutput, error)
}

// Options sets up a Fleet. The zero value is right for production.
type Options struct {
	Now func() time.Time // For the budget; default time.Now.
	// Attempts is how often a call is tried at most; default 4.
	Attempts int
	// MaxBackoff bounds the pause between two attempts; default 500 ms.
	MaxBackoff time.Duration
	// AttemptTimeout bounds one attempt, so that one lost answer does not use up the caller's deadline; default 3 s.
	AttemptTimeout time.Duration
	// Called is told of each attempt at a call that has ended, by ECS's name for it, such as "DescribeServices", with its error or nil: for
	// counting. It may be called by several goroutines at once; nil: nobody is told.
	Called func(operation string, err error)
}

// Fleet reads and changes ECS services. It is safe for concurrent use.
type Fleet struct {
	api  API
	opts Options

	services, tasks, protection, updates, tags *budget
}

// New returns a fleet that calls api.
func New(api API, o Options) *Fleet {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Attempts == 0 {
		o.Attempts = 4
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 500 * time.Millisecond
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = 3 * time.Second
	}
	if o.Called == nil {
		o.Called = func(string, error) {}
	}
	// AWS documents, per account and Region: DescribeServices 100 at once and 20/s, ListTasks and DescribeTasks 100 and
	// 20/s, GetTaskProtection and UpdateTaskProtection 200 and 80/s, UpdateService 50 and 5/s. We take nine tenths of each,
	// since others share them: of the 100 calls that a sweep of 1,000 services needs, the last ten wait for half a second.
	return &Fleet{
		api: api, opts: o,
		services:   newBudget(o.Now, 90, 18),
		tasks:      newBudget(o.Now, 90, 18),
		protection: newBudget(o.Now, 180, 72),
		updates:    newBudget(o.Now, 45, 4.5),
		tags:       newBudget(o.Now, 45, 4.5),
	}
}

// SetDesired sets the desired count. It is not retried blindly: the count may have been written when it errs.
func (f *Fleet) SetDesired(ctx context.Context, ref policy.ServiceRef, n int) error {
	doing := "update " + name(ref)
	desired := int32(n)
	_, err := f.api.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: &ref.Cluster, Service: &ref.Service, DesiredCount: &desired,
	}, f.write(f.updates))
	if err != nil {
		return fail(doing, "ecs:UpdateService", err)
	}
	return nil
}

func name(ref policy.ServiceRef) string {
	return "service " + ref.Service + " in cluster " + ref.Cluster
}
