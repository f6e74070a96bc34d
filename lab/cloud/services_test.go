package cloud

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A service shows what its tasks run; and what a test plants there.
func TestTaskDefinition(t *testing.T) {
	c, _ := start(t, settings(t, "", "sh", "-c", "true"), Options{NoSweep: true})
	api := ecs.NewFromConfig(client(c))
	describe := func() *ecstypes.TaskDefinition {
		t.Helper()
		s, err := api.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("media"), Services: []string{"workers"}, Include: []ecstypes.ServiceField{"TAGS"}})
		if err != nil || len(s.Services) != 1 {
			t.Fatal(s, err)
		}
		d, err := api.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.Services[0].TaskDefinition})
		if err != nil {
			t.Fatal(err)
		}
		return d.TaskDefinition
	}
	d := describe()
	if *d.Cpu != "256" || *d.Memory != "512" || *d.Family != "workers" || d.Revision != 1 || len(d.ContainerDefinitions) != 1 {
		t.Errorf("%+v", d)
	}
	if w := d.ContainerDefinitions[0]; *w.Name != "workers" || *w.StopTimeout != 10 || strings.Join(w.Command, " ") != "sh -c true" || !*w.Essential {
		t.Errorf("%+v", w)
	}
	if err := c.ECS().SetContainers("media", "workers", ecstypes.ContainerDefinition{Name: aws.String("a"), EntryPoint: []string{"dumb-init"}}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.ContainerDefinitions[0].Name != "a" || d.ContainerDefinitions[0].EntryPoint[0] != "dumb-init" {
		t.Errorf("%+v", d)
	}
	if err := c.ECS().SetContainers("media", "none"); err == nil {
		t.Error("containers of a service that is not there")
	}
	if _, err := api.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("none")}); code(err) != "ClientException" {
		t.Errorf("a definition that is not there: %v", err)
	}

	arn := aws.String("arn:aws:ecs:us-east-1:000000000000:service/media/workers")
	if err := c.ECS().SetTags("media", "workers", map[string]string{"aws:cloudformation:stack-name": "shop", "b": "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.UntagResource(t.Context(), &ecs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := api.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "shop" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := c.ECS().SetTags("media", "workers", map[string]string{"aws:cloudformation:stack-name": ""}); err != nil {
		t.Fatal(err)
	}
	if tags, err := api.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: arn}); err != nil || len(tags.Tags) != 0 {
		t.Errorf("tags %v, %v", tags, err)
	}
}
