package ecs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/awsname"
)

// describeTaskDefinition describes what the tasks of a service are made of: by default one container that runs the service's command
// on the smallest machine that Fargate has for its memory. What other definitions there were before is not kept.
func (m *Model) describeTaskDefinition(in *ecs.DescribeTaskDefinitionInput) (*ecs.DescribeTaskDefinitionOutput, error) {
	ref := aws.ToString(in.TaskDefinition)
	for _, s := range m.ordered {
		arn := m.definition(s.TaskDefinition)
		family, _ := familyAndRevision(arn)
		if s.status == inactive || ref != arn && ref != s.TaskDefinition && ref != family {
			continue
		}
		d := s.described(arn)
		return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &d}, nil
	}
	return nil, refuse("ClientException", "Unable to describe task definition.")
}

// familyAndRevision are the parts of a definition's ARN.
func familyAndRevision(arn string) (string, int32) {
	family, revision, _ := strings.Cut(awsname.Last(arn), ":")
	n, _ := strconv.ParseInt(revision, 10, 32) // 0 if it has none.
	return family, int32(n)
}

// described is the definition of the service's tasks, as ECS has it.
func (s *service) described(arn string) types.TaskDefinition {
	family, revision := familyAndRevision(arn)
	d := types.TaskDefinition{
		TaskDefinitionArn: aws.String(arn), Family: aws.String(family), Revision: revision, Status: types.TaskDefinitionStatusActive,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, Compatibilities: []types.Compatibility{types.CompatibilityFargate},
		NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String(strconv.Itoa(s.CPU)), Memory: aws.String(strconv.Itoa(s.MemoryMB)),
		RuntimePlatform: &types.RuntimePlatform{OperatingSystemFamily: types.OSFamilyLinux, CpuArchitecture: types.CPUArchitectureArm64},
	}
	if s.containers != nil {
		d.ContainerDefinitions = s.containers
		return d
	}
	worker := types.ContainerDefinition{
		Name: aws.String(s.Name), Image: aws.String(family + ":local"), Essential: aws.Bool(true), Command: s.Command,
		StopTimeout: aws.Int32(int32(s.StopTimeout / time.Second)),
	}
	for _, kv := range s.Public {
		name, value, _ := strings.Cut(kv, "=")
		worker.Environment = append(worker.Environment, types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)})
	}
	d.ContainerDefinitions = []types.ContainerDefinition{worker}
	return d
}

// SetContainers has the definition of a service's tasks show these containers in place of its own, or its own again if there are none.
// The tasks go on to run what they did: this is for those who look for mistakes in definitions.
func (m *Model) SetContainers(cluster, name string, containers ...types.ContainerDefinition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.services[serviceKey{cluster, name}]
	if s == nil {
		return fmt.Errorf("set containers: there is no service %s in cluster %s", name, cluster)
	}
	s.containers = slices.Clone(containers)
	return nil
}

// SetTags gives a service tags, also those that begin with aws:, which nobody can give it by a call; an empty value takes one away.
func (m *Model) SetTags(cluster, name string, tags map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.services[serviceKey{cluster, name}]
	if s == nil {
		return fmt.Errorf("set tags: there is no service %s in cluster %s", name, cluster)
	}
	if s.Tags == nil {
		s.Tags = map[string]string{}
	}
	for key, value := range tags {
		if s.Tags[key] = value; value == "" {
			delete(s.Tags, key)
		}
	}
	return nil
}
