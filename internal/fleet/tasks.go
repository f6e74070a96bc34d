package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/awsname"
	"sluice/internal/policy"
)

// ECS's limits for the tasks in one call.
const (
	taskBatch       = 100 // DescribeTasks.
	protectionBatch = 10  // GetTaskProtection, UpdateTaskProtection.
)

// Tasks returns the tasks of one service that have not stopped yet, those on their way out included, by age. Whether a task
// is protected is not in ECS's description of it: that takes a call of its own for each ten.
func (f *Fleet) Tasks(ctx context.Context, ref policy.ServiceRef) ([]policy.Task, error) {
	doing := "list tasks of " + name(ref)
	// A task that is stopping is listed among the stopped ones, as that is what it is meant to be; so are the stopped ones
	// of the last hour. In this order: a task that is told to stop in between is in at least one of the lists.
	var arns []string
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		pages := ecs.NewListTasksPaginator(f.api, &ecs.ListTasksInput{
			Cluster: &ref.Cluster, ServiceName: &ref.Service, DesiredStatus: status,
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx, f.read(f.tasks))
			if err != nil {
				return nil, fail(doing, "ecs:ListTasks", err)
			}
			arns = append(arns, page.TaskArns...)
		}
	}
	slices.Sort(arns)
	arns = slices.Compact(arns)

	batches := slices.Collect(slices.Chunk(arns, taskBatch))
	parts := make([][]policy.Task, len(batches))
	err := each(ctx, len(batches), func(ctx context.Context, i int) (err error) {
		parts[i], err = f.describeTasks(ctx, ref, batches[i])
		return err
	})
	if err != nil {
		return nil, fail("describe tasks of "+name(ref), "ecs:DescribeTasks", err)
	}
	tasks := slices.Concat(parts...)
	if err := f.addProtection(ctx, ref, tasks); err != nil {
		return nil, fail("look up the protection of tasks of "+name(ref), "ecs:GetTaskProtection", err)
	}
	slices.SortFunc(tasks, func(a, b policy.Task) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return tasks, nil
}

// describeTasks describes at most a hundred tasks, and returns those that have not stopped yet.
func (f *Fleet) describeTasks(ctx context.Context, ref policy.ServiceRef, ids []string) ([]policy.Task, error) {
	out, err := f.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{
		Cluster: &ref.Cluster, Tasks: ids, Include: []types.TaskField{types.TaskFieldTags},
	}, f.read(f.tasks))
	if err != nil {
		return nil, err
	}
	for _, failure := range out.Failures {
		// A task that is no longer known has stopped over an hour ago.
		if reason := aws.ToString(failure.Reason); reason != missing {
			return nil, fmt.Errorf("ECS says %s of task %s", reason, awsname.Last(aws.ToString(failure.Arn)))
		}
	}
	var tasks []policy.Task
	for _, t := range out.Tasks {
		if task, here := task(t); here {
			tasks = append(tasks, task)
		}
	}
	return tasks, nil
}

// addProtection fills in until when each task is protected from scale-in. Tasks on their way out are not asked for: nothing
// protects them any more.
func (f *Fleet) addProtection(ctx context.Context, ref policy.ServiceRef, tasks []policy.Task) error {
	var staying []*policy.Task
	for i := range tasks {
		if tasks[i].State != policy.TaskStopping {
			staying = append(staying, &tasks[i])
		}
	}
	batches := slices.Collect(slices.Chunk(staying, protectionBatch))
	return each(ctx, len(batches), func(ctx context.Context, i int) error {
		in := &ecs.GetTaskProtectionInput{Cluster: &ref.Cluster}
		byID := map[string]*policy.Task{}
		for _, t := range batches[i] {
			in.Tasks = append(in.Tasks, t.ID)
			byID[t.ID] = t
		}
		out, err := f.api.GetTaskProtection(ctx, in, f.read(f.protection))
		if err != nil {
			return err
		}
		for _, failure := range out.Failures {
			// A task that has stopped since it was listed is not protected, nor is one that cannot be.
			if reason := aws.ToString(failure.Reason); reason != missing && reason != notValid {
				return fmt.Errorf("ECS says %s of task %s", reason, awsname.Last(aws.ToString(failure.Arn)))
			}
		}
		for _, p := range out.ProtectedTasks {
			if t := byID[awsname.Last(aws.ToString(p.TaskArn))]; t != nil && p.ProtectionEnabled {
				t.ProtectedUntil = aws.ToTime(p.ExpirationDate)
			}
		}
		return nil
	})
}

// task translates a task; false if its processes have ended, or never began and never will.
func task(t types.Task) (policy.Task, bool) {
	out := policy.Task{
		ARN: aws.ToString(t.TaskArn), ID: awsname.Last(aws.ToString(t.TaskArn)), CreatedAt: aws.ToTime(t.CreatedAt), StartedAt: aws.ToTime(t.StartedAt),
		Zone: aws.ToString(t.AvailabilityZone),
	}
	for _, tag := range t.Tags {
		if out.Tags == nil {
			out.Tags = map[string]string{}
		}
		out.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	switch aws.ToString(t.LastStatus) {
	case "DEPROVISIONING", "STOPPED", "DELETED":
		return policy.Task{}, false
	case "PROVISIONING", "PENDING":
		out.State = policy.TaskPending
	case "DEACTIVATING", "STOPPING":
		out.State = policy.TaskStopping
	default:
		// RUNNING; and ACTIVATING, when the worker is up already.
		out.State = policy.TaskRunning
	}
	if aws.ToString(t.DesiredStatus) == string(types.DesiredStatusStopped) {
		out.State = policy.TaskStopping
	}
	for _, a := range t.Attachments {
		for _, d := range a.Details {
			if aws.ToString(d.Name) == "privateIPv4Address" {
				out.PrivateIPv4 = aws.ToString(d.Value)
			}
		}
	}
	for _, c := range t.Containers {
		if id := aws.ToString(c.RuntimeId); id != "" {
			out.RuntimeIDs = append(out.RuntimeIDs, id)
		}
	}
	return out, true
}

// SetTags sets tags on the service or task with this ARN, leaving its other tags as they are. Doing it twice does no harm, so it is
// tried again like a read.
func (f *Fleet) SetTags(ctx context.Context, arn string, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	in := &ecs.TagResourceInput{ResourceArn: &arn}
	for k, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	if _, err := f.api.TagResource(ctx, in, f.read(f.tags)); err != nil {
		return fail("tag "+arn, "ecs:TagResource", err)
	}
	return nil
}
