package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/awsname"
	"sluice/internal/policy"
)

// longest is how long ECS protects a task at most; a minute is the least (UpdateTaskProtection, expiresInMinutes).
const longest = 2880 * time.Minute

// Why ECS did not do as asked for one task of a call ("API failure reasons" in its developer guide).
const (
	missing  = "MISSING"        // It is not known: it has stopped some time ago, or never was.
	notValid = "TASK_NOT_VALID" // It cannot be protected: it is on its way out, or not a service's.
	// A deployment waits for older tasks that are protected, and ECS protects no more until it has got on.
	blocked = "DEPLOYMENT_BLOCKED"
)

// Protect protects tasks from scale-in for the given time, which is rounded up to minutes and is at most 48 hours, and
// returns until when each is protected: by ECS's clock. A task that is protected already gets the new time, also if that
// ends earlier. A task that has stopped meanwhile is not in the answer; any other that cannot be protected is an error,
// beside those that are.
//
// Doing it twice does no harm, so it is tried again like a read.
func (f *Fleet) Protect(
	ctx context.Context, ref policy.ServiceRef, ids []string, d time.Duration,
) (map[string]time.Time, error) {
	minutes := int32((min(max(d, time.Minute), longest) + time.Minute - 1) / time.Minute)
	until := map[string]time.Time{}
	var refused []string
	var errs []error
	for _, a := range f.setProtection(ctx, ref, ids, &minutes) {
		if a.err != nil {
			errs = append(errs, fail("protect tasks of "+name(ref), updateProtection, a.err))
		}
		refused = append(refused, a.refused...)
		for id, p := range a.set {
			if p.ProtectionEnabled {
				until[id] = aws.ToTime(p.ExpirationDate)
			} else {
				refused = append(refused, id)
			}
		}
	}
	return until, join(append(errs, f.gone(ctx, ref, refused)))
}

// Release ends the protection of tasks. One that has stopped meanwhile is no error. It is tried again like a read.
func (f *Fleet) Release(ctx context.Context, ref policy.ServiceRef, ids []string) error {
	var errs []error
	for _, a := range f.setProtection(ctx, ref, ids, nil) {
		// What cannot be protected is not, so those that were refused need no second look.
		for id, p := range a.set {
			if p.ProtectionEnabled {
				a.err = errors.Join(a.err, fmt.Errorf("ECS says that task %s is still protected", id))
			}
		}
		if a.err != nil {
			errs = append(errs, fail("release tasks of "+name(ref), updateProtection, a.err))
		}
	}
	return join(errs)
}

const updateProtection = "ecs:UpdateTaskProtection"

// protectionAnswer is what became of one call of UpdateTaskProtection.
type protectionAnswer struct {
	set     map[string]types.ProtectedTask // By task ID.
	refused []string                       // IDs that ECS does not know, or takes for no task to be protected.
	err     error                          // Of the call as a whole, or of single tasks of it; what is set is set all the same.
}

// setProtection protects tasks for some minutes, or for nil no longer, ten in a call. A call that fails keeps no other from
// being made: each task that is protected is one that ECS cannot stop.
func (f *Fleet) setProtection(ctx context.Context, ref policy.ServiceRef, ids []string, minutes *int32) []protectionAnswer {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	batches := slices.Collect(slices.Chunk(ids, protectionBatch))
	answers := make([]protectionAnswer, len(batches))
	_ = each(ctx, len(batches), func(ctx context.Context, i int) error {
		out, err := f.api.UpdateTaskProtection(ctx, &ecs.UpdateTaskProtectionInput{
			Cluster: &ref.Cluster, Tasks: batches[i], ProtectionEnabled: minutes != nil, ExpiresInMinutes: minutes,
		}, f.read(f.protection))
		if err != nil {
			answers[i].err = err
			return nil // Each has its own error.
		}
		answers[i] = sortOut(batches[i], out)
		return nil
	})
	return answers
}

// sortOut says what an answer says of each task that was asked for. One that it says nothing of is an error.
func sortOut(batch []string, out *ecs.UpdateTaskProtectionOutput) protectionAnswer {
	a := protectionAnswer{set: map[string]types.ProtectedTask{}}
	told := map[string]bool{}
	for _, p := range out.ProtectedTasks {
		id := awsname.Last(aws.ToString(p.TaskArn))
		a.set[id], told[id] = p, true
	}
	var errs []error
	for _, failure := range out.Failures {
		id := awsname.Last(aws.ToString(failure.Arn))
		told[id] = true
		switch reason := aws.ToString(failure.Reason); reason {
		case missing, notValid:
			a.refused = append(a.refused, id)
		case blocked:
			errs = append(errs, fmt.Errorf("ECS says %s of task %s: a deployment waits for tasks that are protected", reason, id))
		default:
			errs = append(errs, fmt.Errorf("ECS says %s of task %s", strings.TrimSpace(reason+" "+aws.ToString(failure.Detail)), id))
		}
	}
	for _, id := range batch {
		if !told[id] {
			errs = append(errs, fmt.Errorf("ECS says nothing of task %s", id))
		}
	}
	a.err = errors.Join(errs...)
	return a
}

// gone errs unless all of these tasks have stopped or are told to: only then may a task be without protection.
func (f *Fleet) gone(ctx context.Context, ref policy.ServiceRef, ids []string) error {
	slices.Sort(ids)
	var errs []error
	for batch := range slices.Chunk(ids, taskBatch) {
		tasks, err := f.describeTasks(ctx, ref, batch)
		if err != nil {
			errs = append(errs, fail("describe tasks of "+name(ref), "ecs:DescribeTasks", err))
			continue
		}
		for _, t := range tasks {
			if t.State != policy.TaskStopping {
				err := fmt.Errorf("protect task %s of %s: ECS does not, and it is %s", t.ID, name(ref), t.State)
				errs = append(errs, &policy.Error{Kind: policy.FleetUnavailable, Err: err})
			}
		}
	}
	return join(errs)
}

// join makes one error of several, of the kind of the first; nil of none.
func join(errs []error) error {
	err := errors.Join(errs...)
	var first *policy.Error
	if !errors.As(err, &first) {
		return err
	}
	return &policy.Error{Kind: first.Kind, Err: err}
}
