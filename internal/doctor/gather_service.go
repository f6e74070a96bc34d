package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalertypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/goccy/go-yaml"
	"golang.org/x/sync/errgroup"

	"sluice/internal/awsname"
)

// How much is looked at at a time, and in one call, so that ECS's quotas last for Sluice as well.
const (
	targetsAtOnce  = 4
	servicesInCall = 10 // DescribeServices takes no more.
	scalersInCall  = 50 // So does DescribeScalableTargets.
)

// services looks at the services of the targets, and at all that they are made of.
func (g *gatherer) services(ctx context.Context) {
	list := make([]Target, len(g.opts.Targets))
	for i, t := range g.opts.Targets {
		list[i] = Target{Target: t}
	}
	byCluster := map[string][]*Target{}
	var present []*Target
	for i := range list {
		byCluster[list[i].Cluster] = append(byCluster[list[i].Cluster], &list[i])
	}
	for _, cluster := range sorted(byCluster) {
		for some := range slices.Chunk(byCluster[cluster], servicesInCall) {
			g.describe(ctx, cluster, some)
		}
	}
	for i := range list {
		t := &list[i]
		err := t.Service.Err
		if err == nil && !t.Service.Value.Exists {
			err = errors.New("the service is not there")
		}
		if err != nil {
			t.Definition, t.Scalers, t.Template = Unknown[Definition](err), Unknown[[]string](err), Unknown[Template](err)
			continue
		}
		present = append(present, t)
	}
	var group errgroup.Group
	group.SetLimit(targetsAtOnce)
	for some := range slices.Chunk(present, scalersInCall) {
		group.Go(func() error {
			g.scalers(ctx, some)
			return nil
		})
	}
	for _, t := range present {
		group.Go(func() error {
			t.Definition, t.Template = g.definition(ctx, t.Service.Value.Definition), g.template(ctx, t.Service.Value)
			return nil
		})
	}
	_ = group.Wait()
	g.facts.Targets = list
}

// describe looks at the services of targets of one cluster.
func (g *gatherer) describe(ctx context.Context, cluster string, targets []*Target) {
	in := &ecs.DescribeServicesInput{Cluster: &cluster, Include: []ecstypes.ServiceField{ecstypes.ServiceFieldTags}}
	for _, t := range targets {
		in.Services = append(in.Services, t.Target.Service)
	}
	out, err := g.env.Services.DescribeServices(ctx, in)
	for _, t := range targets {
		switch {
		case code(err) == "ClusterNotFoundException":
			t.Service = Known(Service{Missing: "there is no such cluster"})
		case err != nil:
			t.Service = Unknown[Service](g.failed("ecs:DescribeServices", err))
		default:
			t.Service = Known(described(out, t.Target.Service))
		}
	}
}

// described takes one service, which is given by name or ARN, out of an answer.
func described(out *ecs.DescribeServicesOutput, ref string) Service {
	is := func(arn *string) bool {
		return aws.ToString(arn) == ref || awsname.Last(aws.ToString(arn)) == awsname.Last(ref)
	}
	for _, s := range out.Services {
		if is(s.ServiceArn) {
			return service(s)
		}
	}
	missing := "there is no such service"
	for _, f := range out.Failures {
		if reason := aws.ToString(f.Reason); is(f.Arn) && reason != "MISSING" {
			missing = reason
		}
	}
	return Service{Missing: missing}
}

func service(s ecstypes.Service) Service {
	found := Service{
		Exists: true, ARN: aws.ToString(s.ServiceArn), Status: aws.ToString(s.Status), Desired: int(s.DesiredCount), Running: int(s.RunningCount),
		Definition: aws.ToString(s.TaskDefinition), Tags: map[string]string{},
	}
	for _, tag := range s.Tags {
		found.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for _, d := range s.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			found.Rollout = Rollout{State: string(d.RolloutState), Reason: aws.ToString(d.RolloutStateReason), Failed: int(d.FailedTasks)}
		}
	}
	if i := slices.IndexFunc(s.Events, func(e ecstypes.ServiceEvent) bool { return troubled(aws.ToString(e.Message)) }); i >= 0 {
		found.Rollout.Event = aws.ToString(s.Events[i].Message)
	}
	return found
}

// troubled says whether an event of a service tells that tasks do not start, or do not stay.
func troubled(message string) bool {
	return strings.Contains(message, "unable to") || strings.Contains(message, "unhealthy") || strings.Contains(message, "failed")
}

func (g *gatherer) definition(ctx context.Context, arn string) Fact[Definition] {
	out, err := g.env.Services.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
	if err != nil {
		return Unknown[Definition](g.failed("ecs:DescribeTaskDefinition", err))
	}
	d := Definition{ARN: arn}
	for _, c := range out.TaskDefinition.ContainerDefinitions {
		found := Container{Name: aws.ToString(c.Name), EntryPoint: c.EntryPoint, Command: c.Command, Env: map[string]string{}}
		if c.StopTimeout != nil {
			found.StopTimeout = aws.Int(int(*c.StopTimeout))
		}
		for _, e := range c.Environment {
			found.Env[aws.ToString(e.Name)] = aws.ToString(e.Value)
		}
		d.Containers = append(d.Containers, found)
	}
	return Known(d)
}

// scalers asks Application Auto Scaling whether it scales the services as well.
func (g *gatherer) scalers(ctx context.Context, targets []*Target) {
	in := &applicationautoscaling.DescribeScalableTargetsInput{ServiceNamespace: scalertypes.ServiceNamespaceEcs}
	resource := func(t *Target) string {
		return "service/" + awsname.Last(t.Cluster) + "/" + awsname.Last(t.Target.Service)
	}
	for _, t := range targets {
		in.ResourceIds = append(in.ResourceIds, resource(t))
		t.Scalers = Known([]string{})
	}
	pages := applicationautoscaling.NewDescribeScalableTargetsPaginator(g.env.Scalers, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		for _, t := range targets {
			if err != nil {
				t.Scalers = Unknown[[]string](g.failed("application-autoscaling:DescribeScalableTargets", err))
				continue
			}
			for _, s := range page.ScalableTargets {
				if aws.ToString(s.ResourceId) == resource(t) && s.ScalableDimension == scalertypes.ScalableDimensionECSServiceDesiredCount {
					t.Scalers.Value = append(t.Scalers.Value, fmt.Sprintf("Application Auto Scaling keeps service %s between %d and %d as well",
						awsname.Last(t.Target.Service), aws.ToInt32(s.MinCapacity), aws.ToInt32(s.MaxCapacity)))
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// The tags that CloudFormation gives to what it makes.
const (
	stackTag   = "aws:cloudformation:stack-name"
	logicalTag = "aws:cloudformation:logical-id"
)

// template looks at the template that the service was made of.
func (g *gatherer) template(ctx context.Context, s Service) Fact[Template] {
	stack, id := s.Tags[stackTag], s.Tags[logicalTag]
	if stack == "" {
		return Known(Template{}) // It comes from elsewhere: nobody says where.
	}
	out, err := g.env.Stacks.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &stack, TemplateStage: types.TemplateStageProcessed})
	if err != nil {
		return Unknown[Template](g.failed("cloudformation:GetTemplate", err))
	}
	desired, err := desiredCount(aws.ToString(out.TemplateBody), id)
	if err != nil {
		return Unknown[Template](fmt.Errorf("read the template of stack %s: %w", stack, err))
	}
	return Known(Template{Stack: stack, Resource: id, DesiredCount: desired})
}

// desiredCount is the DesiredCount of a service in a template, which is JSON or YAML; empty if it has none.
func desiredCount(template, id string) (string, error) {
	var t struct {
		Resources map[string]struct {
			Type       string         `yaml:"Type"`
			Properties map[string]any `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(template), &t); err != nil {
		return "", err
	}
	switch n := t.Resources[id].Properties["DesiredCount"].(type) {
	case nil:
		return "", nil
	case map[string]any:
		if n["Ref"] == "AWS::NoValue" {
			return "", nil
		}
		return "an expression", nil
	default:
		return fmt.Sprint(n), nil
	}
}
