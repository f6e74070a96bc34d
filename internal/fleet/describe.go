package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sluice/internal/awsname"
	"sluice/internal/policy"
)

const (
	batchSize = 10 // Services in a DescribeServices call, ECS's limit.
	atOnce    = 8  // Calls at the same time.
)

// asked is one service to ask for, and the refs that mean it.
type asked struct {
	policy.ServiceRef
	same   []policy.ServiceRef
	result policy.Described
}

// Describe returns the services asked for, each with its own error. A service that does not exist, or that is being
// deleted, is an error of kind policy.ServiceMissing.
func (f *Fleet) Describe(ctx context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	var hopeless atomic.Bool // The members of a failed batch were asked one by one, and all were refused.
	var all []*asked
	var batches [][]*asked
	for _, services := range byCluster(refs) {
		all = append(all, services...)
		batches = slices.AppendSeq(batches, slices.Chunk(services, batchSize))
	}
	_ = each(ctx, len(batches), func(ctx context.Context, i int) error {
		f.describe(ctx, batches[i], &hopeless)
		return nil // Each service has its own error.
	})
	out := make(map[policy.ServiceRef]policy.Described, len(refs))
	for _, a := range all {
		for _, ref := range a.same {
			out[ref] = a.result
		}
	}
	return out
}

// byCluster groups the services by cluster, each service once, in the order of their first mention.
func byCluster(refs []policy.ServiceRef) [][]*asked {
	var groups [][]*asked
	group := map[string]int{}
	known := map[[2]string]*asked{}
	for _, ref := range refs {
		cluster := awsname.Last(ref.Cluster)
		key := [2]string{cluster, ref.Service}
		// A service's ARN ends in cluster/service; in accounts of before 2018 in the service alone.
		if i := strings.LastIndexByte(ref.Service, '/'); i >= 0 && strings.HasSuffix(ref.Service[:i], "/"+cluster) {
			key[1] = ref.Service[i+1:]
		}
		if a := known[key]; a != nil {
			if !slices.Contains(a.same, ref) {
				a.same = append(a.same, ref)
			}
			continue
		}
		a := &asked{ServiceRef: ref, same: []policy.ServiceRef{ref}}
		known[key] = a
		g, ok := group[cluster]
		if !ok {
			g = len(groups)
			group[cluster] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], a)
	}
	return groups
}

// describe fills in the results of at most ten services of one cluster. A role that may see nothing must not cost eleven
// calls for each batch: once a whole batch has been refused one by one, others are not asked so any more.
func (f *Fleet) describe(ctx context.Context, batch []*asked, hopeless *atomic.Bool) {
	in := &ecs.DescribeServicesInput{
		Cluster: &batch[0].Cluster, Include: []types.ServiceField{types.ServiceFieldTags},
	}
	for _, a := range batch {
		in.Services = append(in.Services, a.Service)
	}
	out, err := f.api.DescribeServices(ctx, in, f.read(f.services))
	if err != nil && len(batch) > 1 && perhapsOfOne(err) && !hopeless.Load() {
		refused := 0
		for _, a := range batch {
			f.describe(ctx, []*asked{a}, hopeless)
			if a.result.Err != nil {
				refused++
			}
		}
		if refused == len(batch) {
			hopeless.Store(true)
		}
		return
	}
	for _, a := range batch {
		if err != nil {
			a.result.Err = fail("describe "+name(a.ServiceRef), "ecs:DescribeServices", err)
			continue
		}
		a.result = find(a.ServiceRef, out)
	}
}

// perhapsOfOne says whether one member of a batch may have spoilt it for the others: ECS refused the request as such, as
// it does if the role may see nine of ten services. That nothing was said about any member by a missing cluster, a rate
// limit or a server's fault.
func perhapsOfOne(err error) bool {
	var cluster *types.ClusterNotFoundException
	var response *smithyhttp.ResponseError
	return errors.As(err, &response) && !errors.As(err, &cluster) && !throttled(err) &&
		response.HTTPStatusCode() >= http.StatusBadRequest && response.HTTPStatusCode() < http.StatusInternalServerError
}

// find takes one service out of an answer.
func find(ref policy.ServiceRef, out *ecs.DescribeServicesOutput) policy.Described {
	doing := "describe " + name(ref)
	for _, s := range out.Services {
		if aws.ToString(s.ServiceName) != awsname.Last(ref.Service) {
			continue
		}
		if status := aws.ToString(s.Status); status != "ACTIVE" {
			err := fmt.Errorf("it is %s: it is being deleted, or has been; remove the target from sluice.yaml, or correct it", status)
			return policy.Described{Err: &policy.Error{Kind: policy.ServiceMissing, Err: fmt.Errorf("%s: %w", doing, err)}}
		}
		return policy.Described{Service: service(s)}
	}
	reason := "MISSING"
	for _, failure := range out.Failures {
		if awsname.Last(aws.ToString(failure.Arn)) == awsname.Last(ref.Service) {
			reason = strings.TrimSpace(aws.ToString(failure.Reason) + " " + aws.ToString(failure.Detail))
		}
	}
	if reason != "MISSING" {
		return policy.Described{Err: &policy.Error{
			Kind: policy.FleetUnavailable, Err: fmt.Errorf("%s: ECS says %s", doing, reason),
		}}
	}
	return policy.Described{Err: &policy.Error{Kind: policy.ServiceMissing, Err: fmt.Errorf(
		"%s: there is no such service; correct the cluster and service in sluice.yaml, or remove the target", doing)}}
}

func service(s types.Service) policy.Service {
	out := policy.Service{
		ARN: aws.ToString(s.ServiceArn), Desired: int(s.DesiredCount), Running: int(s.RunningCount),
		Pending: int(s.PendingCount), Deploying: deploying(s), Tags: map[string]string{},
		Rebalancing: s.AvailabilityZoneRebalancing == types.AvailabilityZoneRebalancingEnabled,
	}
	for _, t := range s.Tags {
		out.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

// deploying says whether a deployment is in progress: ECS is replacing tasks, and chooses which ones itself.
//
// That is so while there is a deployment besides the primary one (ECS lists it until the last of its tasks is gone), or
// several task sets (blue/green), or while a finished roll-out is still being watched and may be rolled back (bake time).
// The primary deployment's being IN_PROGRESS does not say it: a new service stays so until it is steady for the first
// time, its tasks only ever start, and a change of its desired count prolongs it. Once COMPLETED, a change of the desired
// count leaves it so.
func deploying(s types.Service) bool {
	for _, d := range s.Deployments {
		switch aws.ToString(d.Status) {
		case "PRIMARY":
			bake := s.DeploymentConfiguration != nil && aws.ToInt32(s.DeploymentConfiguration.BakeTimeInMinutes) > 0
			if bake && d.RolloutState == types.DeploymentRolloutStateInProgress {
				return true
			}
		case "INACTIVE": // Wholly replaced.
		default:
			return true
		}
	}
	return len(s.TaskSets) > 1
}
