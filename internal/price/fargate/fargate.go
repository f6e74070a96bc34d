// Package fargate knows what a task of a service costs.
package fargate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/price"
)

// API is what the price of a task takes of ECS.
type API interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

// Unpriced says why a task has no price that is known.
type Unpriced string

func (u Unpriced) Error() string { return string(u) }

// Hour returns what a task of the service costs an hour, by its task definition's cpu and memory at Fargate's on-demand price of
// the Region. It returns an Unpriced where that is not known: on Spot, whose price moves, on EC2, on Windows, and in a Region that
// the list does not have.
func Hour(ctx context.Context, client API, cluster, service, region string) (float64, error) {
	found, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{service}})
	if err != nil {
		return 0, fmt.Errorf("describe service %s: %w", service, err)
	}
	if len(found.Services) != 1 {
		return 0, Unpriced("its service is not there")
	}
	s := found.Services[0]
	if !onDemand(s) {
		return 0, Unpriced("its tasks do not all run on Fargate on demand, so what they cost is not known")
	}
	out, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition})
	if err != nil {
		return 0, fmt.Errorf("describe task definition %s: %w", aws.ToString(s.TaskDefinition), err)
	}
	return hour(out.TaskDefinition, region)
}

// onDemand reports whether all tasks of the service run on Fargate at its price for everybody.
func onDemand(s types.Service) bool {
	for _, c := range s.CapacityProviderStrategy {
		if aws.ToString(c.CapacityProvider) != "FARGATE" {
			return false
		}
	}
	return s.LaunchType == types.LaunchTypeFargate || len(s.CapacityProviderStrategy) > 0
}

func hour(d *types.TaskDefinition, region string) (float64, error) {
	cpu, badCPU := strconv.Atoi(aws.ToString(d.Cpu))
	memory, badMemory := strconv.Atoi(aws.ToString(d.Memory))
	platform := d.RuntimePlatform
	switch {
	case badCPU != nil || badMemory != nil:
		return 0, Unpriced("its task definition gives no cpu and memory of a task")
	case platform != nil && strings.HasPrefix(string(platform.OperatingSystemFamily), "WINDOWS"):
		return 0, Unpriced("its tasks run on Windows, whose price is not in Sluice's list")
	case price.Of(price.FargateCPUHour, region).Region != region:
		return 0, Unpriced("Fargate's price in " + region + " is not in Sluice's list")
	}
	return price.TaskHour(region, cpu, memory, platform != nil && platform.CpuArchitecture == types.CPUArchitectureArm64), nil
}
