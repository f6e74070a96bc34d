package notify

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/price"
)

// prices is what a task of each target costs an hour. A target is missing where that is not known: on Spot, whose price moves, on
// EC2, on Windows, or where ECS does not say.
func (n *Notifier) prices(ctx context.Context, names []string) map[string]float64 {
	prices := map[string]float64{}
	for _, name := range names {
		hourly, err := n.price(ctx, name)
		if err != nil {
			n.log.WarnContext(ctx, "price not known", "target", name, "error", err.Error())
		}
		if hourly > 0 {
			prices[name] = hourly
		}
	}
	return prices
}

// price is what a task of the target costs an hour; 0 if that is not known.
func (n *Notifier) price(ctx context.Context, name string) (float64, error) {
	t, ok := n.config.Target(name)
	if !ok {
		return 0, nil
	}
	services, err := n.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &t.Cluster, Services: []string{t.Service}})
	if err != nil || len(services.Services) != 1 || !onDemand(services.Services[0]) {
		return 0, err
	}
	out, err := n.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: services.Services[0].TaskDefinition})
	if err != nil {
		return 0, err
	}
	return hourly(n.region, out.TaskDefinition), nil
}

// onDemand says whether all tasks of the service run on Fargate at its price for everybody.
func onDemand(s types.Service) bool {
	for _, c := range s.CapacityProviderStrategy {
		if aws.ToString(c.CapacityProvider) != "FARGATE" {
			return false
		}
	}
	return s.LaunchType == types.LaunchTypeFargate || len(s.CapacityProviderStrategy) > 0
}

// hourly is what a task of the definition costs an hour; 0 if that is not known.
func hourly(region string, d *types.TaskDefinition) float64 {
	cpu, badCPU := strconv.Atoi(aws.ToString(d.Cpu))
	memory, badMemory := strconv.Atoi(aws.ToString(d.Memory))
	platform := d.RuntimePlatform
	windows := platform != nil && strings.HasPrefix(string(platform.OperatingSystemFamily), "WINDOWS")
	if badCPU != nil || badMemory != nil || windows {
		return 0
	}
	if price.Of(price.FargateCPUHour, region).Region != region {
		return 0 // The list has no price of this Region, only another one's.
	}
	arm := platform != nil && platform.CpuArchitecture == types.CPUArchitectureArm64
	return price.TaskHour(region, cpu, memory, arm)
}
