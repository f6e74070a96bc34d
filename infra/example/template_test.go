package example_test

import (
	"slices"
	"testing"

	"sluice/infra/lab"
	"sluice/lab/cloud/cfn/template"
)

func TestMain(m *testing.M) { lab.Main(m) }

// checks are what the example is held to, beside the rules of the CDK, cdk-nag and cfn-lint, and what package sluicecdk holds both
// stacks to.
var checks = []lab.Check{
	{Name: "services", Run: checkServices},
	{Name: "tasks", Run: checkTasks},
	{Name: "Redis", Run: checkRedis},
}

func TestTemplates(t *testing.T) {
	for _, v := range []string{"example", "example with Redis", "example with Upstash", "the shop", lab.Basic} {
		d, err := lab.Synth(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			t.Run(v+"/"+c.Name, func(t *testing.T) { c.Run(t, d) })
		}
	}
}

func TestPlantedFaults(t *testing.T) { lab.Planted(t, checks, faults) }

// count is how many resources of a type there are in all stacks.
func count(d *lab.Deployment, kind string) (n int) {
	d.Each(func(*lab.Stack, *template.Resource) { n++ }, kind)
	return n
}

// checkServices: the services that deploy.example asks for, private, and with counts that are Sluice's alone: a deployment that names the
// count undoes what Sluice has done since, and two scalers on one service fight.
func checkServices(t lab.T, d *lab.Deployment) {
	want := 0
	if given := d.Config.Deploy.Example; given != nil {
		if want = 1; given.API {
			want = 2
		}
	}
	if n := count(d, "AWS::ECS::Service"); n != want {
		t.Errorf("there are %d ECS services, and deploy.example asks for %d", n, want)
	}
	for _, s := range d.Stacks {
		s.Counts(t, 0, "AWS::ApplicationAutoScaling::ScalableTarget")
		s.Every(t, "AWS::ECS::Service", lab.Props{
			"DesiredCount":            lab.None(),
			"NetworkConfiguration":    lab.Props{"AwsvpcConfiguration": lab.Props{"AssignPublicIp": "DISABLED"}},
			"DeploymentConfiguration": lab.Props{"DeploymentCircuitBreaker": lab.Props{"Enable": true}},
		})
	}
}

// checkTasks: they are small, log into groups that end, and their workers have all the time to stop that Fargate gives.
func checkTasks(t lab.T, d *lab.Deployment) {
	worker := false
	d.Each(func(s *lab.Stack, r *template.Resource) {
		lab.Want(t, r, "256", "Cpu")
		lab.Want(t, r, "512", "Memory")
		for _, c := range template.List(r.At("ContainerDefinitions")) {
			if slices.Contains(template.Texts(template.Within(c, "Command")), "celery") {
				worker = true
				if seconds := template.Text(template.Within(c, "StopTimeout")); seconds != "120" {
					t.Errorf("StopTimeout of the workers is %q, and Fargate gives 120", seconds)
				}
			}
			logs := template.Within(c, "LogConfiguration")
			group := template.Text(template.Within(logs, "Options", "awslogs-group"))
			if template.Within(logs, "LogDriver") != "awslogs" || s.Target(group, "AWS::Logs::LogGroup") == nil {
				t.Errorf("%s: its container logs to %q, which is no log group of the template", r.ID, group)
			}
		}
	}, "AWS::ECS::TaskDefinition")
	if worker != (d.Config.Deploy.Example != nil) {
		t.Errorf("a task runs celery: %t", worker)
	}
}

// checkRedis: it is encrypted, has two zones and a password.
func checkRedis(t lab.T, d *lab.Deployment) {
	given := d.Config.Deploy.Example
	want := 0
	if given != nil && given.Redis != "external" {
		want = 1
	}
	if n := count(d, "AWS::ElastiCache::ReplicationGroup"); n != want {
		t.Errorf("there are %d ElastiCache groups, and deploy.example asks for %d", n, want)
	}
	for _, s := range d.Stacks {
		s.Counts(t, 0, "AWS::ElastiCache::CacheCluster") // Which cannot be encrypted.
		if want == 1 {
			s.Every(t, "AWS::ElastiCache::ReplicationGroup", lab.Props{
				"TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true, "MultiAZEnabled": true, "AutomaticFailoverEnabled": true,
				"AuthToken": lab.Some(), "Engine": string(given.Redis),
			})
		}
	}
}

const (
	service = "AWS::ECS::Service"
	task    = "AWS::ECS::TaskDefinition/Worker"
	redis   = "AWS::ElastiCache::ReplicationGroup"
)

var faults = []lab.Fault{
	{Breaks: "each deployment sets the count of workers to one", By: "services", Says: "DesiredCount", In: "example", Plant: lab.Set(service, "DesiredCount", 1)},
	{Breaks: "the tasks have public addresses", By: "services", Says: "NetworkConfiguration", In: "example", Plant: lab.Set(service, "NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp", "ENABLED")},
	{Breaks: "a deployment that does not come up is not taken back", By: "services", Says: "DeploymentConfiguration", In: "example", Plant: lab.Cut(service, "DeploymentConfiguration.DeploymentCircuitBreaker")},
	{Breaks: "an API that nobody asked for", By: "services", Says: "there are 2 ECS services", In: "example with Redis", Plant: lab.Add("Extra", service, lab.Props{})},
	{Breaks: "another scaler fights with Sluice", By: "services", Says: "ScalableTarget", Plant: lab.Add("Extra", "AWS::ApplicationAutoScaling::ScalableTarget", lab.Props{})},

	{Breaks: "workers are killed after 30 seconds", By: "tasks", Says: "StopTimeout of the workers is", In: "example", Plant: lab.Cut(task, "ContainerDefinitions.0.StopTimeout")},
	{Breaks: "a task costs more than the example says", By: "tasks", Says: "Memory", In: "example", Plant: lab.Set(task, "Memory", "4096")},
	{Breaks: "the workers' logs never end", By: "tasks", Says: "is no log group of the template", In: "example", Plant: lab.Set(task, "ContainerDefinitions.0.LogConfiguration.Options.awslogs-group", "/ecs/worker")},
	{Breaks: "nothing works", By: "tasks", Says: "a task runs celery: false", In: "example", Plant: lab.Remove(task)},

	{Breaks: "the password of Redis travels in plain text", By: "Redis", Says: "TransitEncryptionEnabled", In: "example", Plant: lab.Set(redis, "TransitEncryptionEnabled", false)},
	{Breaks: "Redis asks for no password", By: "Redis", Says: "AuthToken", In: "example", Plant: lab.Cut(redis, "AuthToken")},
	{Breaks: "another engine than the one that is asked for", By: "Redis", Says: "Engine", In: "example with Redis", Plant: lab.Set(redis, "Engine", "valkey")},
	{Breaks: "a Redis that is external is made", By: "Redis", Says: "there are 1 ElastiCache groups", In: "example with Upstash", Plant: lab.Add("Extra", redis, lab.Props{})},
	{Breaks: "a cache that cannot be encrypted", By: "Redis", Says: "CacheCluster", Plant: lab.Add("Extra", "AWS::ElastiCache::CacheCluster", lab.Props{})},
}
