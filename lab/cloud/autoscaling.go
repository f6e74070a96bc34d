package cloud

import (
	"slices"
	"time"

	"sluice/lab/cloud/wire"
)

// ScalableTarget is what Application Auto Scaling scales, beside Sluice: here it scales nothing, and can only be seen.
type ScalableTarget struct {
	ServiceNamespace, ResourceID, ScalableDimension string // Such as ecs, service/prod/worker and ecs:service:DesiredCount.
	MinCapacity, MaxCapacity                        int
	made                                            time.Time
}

func (t ScalableTarget) same(other ScalableTarget) bool {
	return t.ServiceNamespace == other.ServiceNamespace && t.ResourceID == other.ResourceID && t.ScalableDimension == other.ScalableDimension
}

// registerScalableTarget answers application-autoscaling:RegisterScalableTarget.
func (c *Cloud) registerScalableTarget(in ScalableTarget) (map[string]any, error) {
	if in.ServiceNamespace == "" || in.ResourceID == "" || in.ScalableDimension == "" {
		return nil, wire.Errorf("ValidationException", "ServiceNamespace, ResourceId and ScalableDimension are required")
	}
	in.made = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scalable = append(slices.DeleteFunc(c.scalable, in.same), in)
	return map[string]any{}, nil
}

// deregisterScalableTarget answers application-autoscaling:DeregisterScalableTarget.
func (c *Cloud) deregisterScalableTarget(in ScalableTarget) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.scalable)
	if c.scalable = slices.DeleteFunc(c.scalable, in.same); len(c.scalable) == n {
		return nil, wire.Errorf("ObjectNotFoundException", "No scalable target registered for %s", in.ResourceID)
	}
	return map[string]any{}, nil
}

// describeScalableTargets answers application-autoscaling:DescribeScalableTargets.
func (c *Cloud) describeScalableTargets(in struct {
	ServiceNamespace, ScalableDimension string
	ResourceIDs                         []string
	MaxResults                          int
	NextToken                           string
},
) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []any{}
	for _, t := range c.scalable {
		if t.ServiceNamespace != in.ServiceNamespace || in.ScalableDimension != "" && t.ScalableDimension != in.ScalableDimension ||
			len(in.ResourceIDs) > 0 && !slices.Contains(in.ResourceIDs, t.ResourceID) {
			continue
		}
		list = append(list, map[string]any{
			"ServiceNamespace": t.ServiceNamespace, "ResourceId": t.ResourceID, "ScalableDimension": t.ScalableDimension,
			"MinCapacity": t.MinCapacity, "MaxCapacity": t.MaxCapacity, "CreationTime": t.made,
			"RoleARN": c.deployment.roleARN("autoscaling"),
		})
	}
	return map[string]any{"ScalableTargets": list}, nil
}
