package ecs

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// cluster resolves a cluster's name or ARN to its name.
func (m *Model) cluster(ref *string) (string, error) {
	name := aws.ToString(ref)
	if name == "" {
		name = "default"
	}
	if i := strings.Index(name, ":cluster/"); i >= 0 && strings.HasPrefix(name, "arn:") {
		name = name[i+len(":cluster/"):]
	}
	if !m.clusters[name] {
		return "", refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return name, nil
}

// find resolves a service's name or ARN within a cluster; nil if there is none.
func (m *Model) find(cluster, ref string) *service {
	if strings.HasPrefix(ref, "arn:") {
		for _, s := range m.ordered {
			if s.arn == ref && s.Cluster == cluster {
				return s
			}
		}
		return nil
	}
	return m.services[serviceKey{cluster, ref}]
}

func (m *Model) describeServices(in *ecs.DescribeServicesInput) (*ecs.DescribeServicesOutput, error) {
	cluster, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Services) == 0 {
		return nil, refuse("InvalidParameterException", "Services cannot be empty.")
	}
	if len(in.Services) > 10 {
		return nil, refuse("InvalidParameterException", "Services cannot have more than 10 elements.")
	}
	out := &ecs.DescribeServicesOutput{Failures: []types.Failure{}, Services: []types.Service{}}
	tags := slices.Contains(in.Include, types.ServiceFieldTags)
	for _, ref := range in.Services {
		s := m.find(cluster, ref)
		if s == nil {
			arn := ref
			if !strings.HasPrefix(ref, "arn:") {
				arn = m.arn("service", cluster+"/"+ref)
			}
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
			continue
		}
		out.Services = append(out.Services, m.describe(s, tags))
	}
	return out, nil
}

func (m *Model) describe(s *service, tags bool) types.Service {
	now := m.opts.Now()
	c := m.lagging(s, now)
	out := types.Service{
		ServiceArn: aws.String(s.arn), ServiceName: aws.String(s.Name),
		ClusterArn: aws.String(m.arn("cluster", s.Cluster)), Status: aws.String(s.status),
		DesiredCount: int32(s.desired), RunningCount: int32(c.running), PendingCount: int32(c.pending),
		TaskDefinition: aws.String(m.definition(s.TaskDefinition)), CreatedAt: aws.Time(s.createdAt),
		LaunchType: types.LaunchTypeFargate, SchedulingStrategy: types.SchedulingStrategyReplica,
		AvailabilityZoneRebalancing: types.AvailabilityZoneRebalancingDisabled,
		DeploymentController:        &types.DeploymentController{Type: types.DeploymentControllerTypeEcs},
		PropagateTags:               types.PropagateTagsNone,
	}
	if s.Rebalancing {
		out.AvailabilityZoneRebalancing = types.AvailabilityZoneRebalancingEnabled
	}
	for i, d := range s.deployments {
		td := types.Deployment{
			Id: aws.String(d.id), Status: aws.String(active), TaskDefinition: aws.String(m.definition(d.taskDefinition)),
			CreatedAt: aws.Time(d.createdAt), UpdatedAt: aws.Time(d.updatedAt), LaunchType: types.LaunchTypeFargate,
			RolloutState: types.DeploymentRolloutState(d.state), FailedTasks: int32(d.failedTasks),
		}
		if i == 0 {
			td.Status, td.DesiredCount = aws.String(primary), int32(s.desired)
		}
		for _, t := range s.live(d.id) {
			if t.status == running {
				td.RunningCount++
			} else {
				td.PendingCount++
			}
		}
		out.Deployments = append(out.Deployments, td)
	}
	out.Events = slices.Clone(s.events)
	if tags {
		out.Tags = sdkTags(s.Tags)
	}
	return out
}

func (m *Model) definition(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return m.arn("task-definition", name)
}

func (m *Model) updateService(in *ecs.UpdateServiceInput) (*ecs.UpdateServiceOutput, error) {
	s, err := m.existing(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.status != active {
		return nil, refuse("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	if in.DesiredCount != nil && *in.DesiredCount < 0 {
		return nil, refuse("InvalidParameterException", "desiredCount cannot be negative.")
	}
	if in.DesiredCount != nil {
		m.setDesired(s, int(*in.DesiredCount))
	}
	if in.AvailabilityZoneRebalancing != "" {
		m.touch()
		s.Rebalancing = in.AvailabilityZoneRebalancing == types.AvailabilityZoneRebalancingEnabled
	}
	if td := aws.ToString(in.TaskDefinition); in.ForceNewDeployment || td != "" && m.definition(td) != m.definition(s.TaskDefinition) {
		if td != "" {
			s.TaskDefinition = td
		}
		m.deploy(s, m.opts.Now())
	}
	m.tick()
	described := m.describe(s, false)
	return &ecs.UpdateServiceOutput{Service: &described}, nil
}

func (m *Model) existing(cluster, ref *string) (*service, error) {
	name, err := m.cluster(cluster)
	if err != nil {
		return nil, err
	}
	s := m.find(name, aws.ToString(ref))
	if s == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	return s, nil
}

// createService creates a service whose tasks run what those of another service with the same task definition run: the
// model has no registry of task definitions.
func (m *Model) createService(in *ecs.CreateServiceInput) (*ecs.CreateServiceOutput, error) {
	name, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	for _, s := range m.ordered {
		if m.definition(s.TaskDefinition) != m.definition(aws.ToString(in.TaskDefinition)) {
			continue
		}
		c := s.ServiceConfig
		c.Cluster, c.Name, c.Desired = name, aws.ToString(in.ServiceName), int(aws.ToInt32(in.DesiredCount))
		c.Rebalancing = in.AvailabilityZoneRebalancing == types.AvailabilityZoneRebalancingEnabled
		c.Tags = map[string]string{}
		for _, tag := range in.Tags {
			c.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		made, err := m.create(c)
		if err != nil {
			return nil, refuse("InvalidParameterException", "%v", err)
		}
		described := m.describe(made, true)
		return &ecs.CreateServiceOutput{Service: &described}, nil
	}
	return nil, refuse("ClientException", "TaskDefinition not found.")
}

func (m *Model) deleteService(in *ecs.DeleteServiceInput) (*ecs.DeleteServiceOutput, error) {
	s, err := m.existing(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.status == inactive {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	if s.desired > 0 && !aws.ToBool(in.Force) {
		return nil, refuse("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	}
	s.status = draining
	m.touch()
	m.setDesired(s, 0)
	// Deletion spares nobody.
	for _, t := range s.live("") {
		t.protectedUntil = time.Time{}
	}
	m.reduce(s, m.opts.Now())
	described := m.describe(s, false)
	return &ecs.DeleteServiceOutput{Service: &described}, nil
}

func (m *Model) listServices(in *ecs.ListServicesInput) (*ecs.ListServicesOutput, error) {
	name, err := m.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, s := range m.ordered {
		if s.Cluster == name && s.status != inactive {
			arns = append(arns, s.arn)
		}
	}
	limit := int32(10)
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	part, next, err := page(arns, in.NextToken, &limit)
	return &ecs.ListServicesOutput{ServiceArns: part, NextToken: next}, err
}

func (m *Model) listClusters(in *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	var arns []string
	for name := range m.clusters {
		arns = append(arns, m.arn("cluster", name))
	}
	slices.Sort(arns)
	part, next, err := page(arns, in.NextToken, in.MaxResults)
	return &ecs.ListClustersOutput{ClusterArns: part, NextToken: next}, err
}

func (m *Model) describeClusters(in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	for _, ref := range in.Clusters {
		name, err := m.cluster(&ref)
		if err != nil {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(ref), Reason: aws.String("MISSING")})
			continue
		}
		c := types.Cluster{
			ClusterArn: aws.String(m.arn("cluster", name)), ClusterName: aws.String(name), Status: aws.String(active),
		}
		for _, s := range m.ordered {
			if s.Cluster == name && s.status != inactive {
				now := m.lagging(s, m.opts.Now())
				c.ActiveServicesCount++
				c.RunningTasksCount += int32(now.running)
				c.PendingTasksCount += int32(now.pending)
			}
		}
		out.Clusters = append(out.Clusters, c)
	}
	return out, nil
}
