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

	"sluice/internal/config"
)

// targetsAtOnce is how many targets are looked at at a time: few enough for ECS's quotas.
const targetsAtOnce = 4

// services looks at the services of the targets, and at all that they are made of.
func (g *gatherer) services(ctx context.Context) {
	g.facts.Targets = make([]Target, len(g.opts.Targets))
	var group errgroup.Group
	group.SetLimit(targetsAtOnce)
	for i, t := range g.opts.Targets {
		group.Go(func() error {
			g.facts.Targets[i] = g.target(ctx, t)
			return nil
		})
	}
	_ = group.Wait()
}

func (g *gatherer) target(ctx context.Context, t config.Target) Target {
	out := Target{Target: t, Service: g.service(ctx, t)}
	s := out.Service
	if err := s.Err; err != nil || !s.Value.Exists {
		if err == nil {
			err = errors.New("the service is not there")
		}
		out.Definition, out.Scalers, out.Template = Unknown[Definition](err), Unknown[[]string](err), Unknown[Template](err)
		return out
	}
	out.Definition = g.definition(ctx, s.Value.Definition)
	out.Scalers = g.scalers(ctx, t)
	out.Template = g.template(ctx, s.Value)
	return out
}

func (g *gatherer) service(ctx context.Context, t config.Target) Fact[Service] {
	out, err := g.env.Services.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: &t.Cluster, Services: []string{t.Service}, Include: []ecstypes.ServiceField{ecstypes.ServiceFieldTags},
	})
	switch {
	case code(err) == "ClusterNotFoundException":
		return Known(Service{Missing: "there is no such cluster"})
	case err != nil:
		return Unknown[Service](g.failed("ecs:DescribeServices", err))
	case len(out.Services) == 0:
		missing := "there is no such service"
		if len(out.Failures) > 0 && aws.ToString(out.Failures[0].Reason) != "MISSING" {
			missing = aws.ToString(out.Failures[0].Reason)
		}
		return Known(Service{Missing: missing})
	}
	s := out.Services[0]
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
	return Known(found)
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

// scalers asks Application Auto Scaling whether it scales the service as well.
func (g *gatherer) scalers(ctx context.Context, t config.Target) Fact[[]string] {
	out, err := g.env.Scalers.DescribeScalableTargets(ctx, &applicationautoscaling.DescribeScalableTargetsInput{
		ServiceNamespace: scalertypes.ServiceNamespaceEcs, ResourceIds: []string{"service/" + name(t.Cluster) + "/" + name(t.Service)},
	})
	if err != nil {
		return Unknown[[]string](g.failed("application-autoscaling:DescribeScalableTargets", err))
	}
	found := []string{}
	for _, s := range out.ScalableTargets {
		if s.ScalableDimension == scalertypes.ScalableDimensionECSServiceDesiredCount {
			found = append(found, fmt.Sprintf("Application Auto Scaling keeps service %s between %d and %d as well",
				name(t.Service), aws.ToInt32(s.MinCapacity), aws.ToInt32(s.MaxCapacity)))
		}
	}
	return Known(found)
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
