package example_test

import (
	"slices"
	"testing"

	"sluice/infra/lab"
	"sluice/lab/cloud/cfn/template"
)

func TestMain(m *testing.M) { lab.Main(m) }

// checks are what the example is held to, beside the rules of the CDK, cdk-nag and cfn-lint, and what package sluicecdk
// holds both stacks to.
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

// checkServices: the services that deploy.example asks for, private, and with counts that are Sluice's alone: a
// deployment that names the count undoes what Sluice has done since, and two scalers on one service fight.
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

var faults = slices.Concat(
	lab.By("services",
		lab.Broken("each deployment sets the count of workers to one", "DesiredCount", lab.Set(service, "DesiredCount", 1)).On("example"),
		lab.Broken("the tasks have public addresses", "NetworkConfiguration",
			lab.Set(service, "NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp", "ENABLED")).On("example"),
		lab.Broken("a deployment that does not come up is not taken back", "DeploymentConfiguration",
			lab.Cut(service, "DeploymentConfiguration.DeploymentCircuitBreaker")).On("example"),
		lab.Broken("an API that nobody asked for", "there are 2 ECS services",
			lab.Add("Extra", service, lab.Props{})).On("example with Redis"),
		lab.Broken("another scaler fights with Sluice", "ScalableTarget",
			lab.Add("Extra", "AWS::ApplicationAutoScaling::ScalableTarget", lab.Props{})),
	),
	lab.By("tasks",
		lab.Broken("workers are killed after 30 seconds", "StopTimeout of the workers is",
			lab.Cut(task, "ContainerDefinitions.0.StopTimeout")).On("example"),
		lab.Broken("a task costs more than the example says", "Memory", lab.Set(task, "Memory", "4096")).On("example"),
		lab.Broken("the workers' logs never end", "is no log group of the template",
			lab.Set(task, "ContainerDefinitions.0.LogConfiguration.Options.awslogs-group", "/ecs/worker")).On("example"),
		lab.Broken("nothing works", "a task runs celery: false", lab.Remove(task)).On("example"),
	),
	lab.By("Redis",
		lab.Broken("the password of Redis travels in plain text", "TransitEncryptionEnabled",
			lab.Set(redis, "TransitEncryptionEnabled", false)).On("example"),
		lab.Broken("Redis asks for no password", "AuthToken", lab.Cut(redis, "AuthToken")).On("example"),
		lab.Broken("another engine than the one that is asked for", "Engine", lab.Set(redis, "Engine", "valkey")).On("example with Redis"),
		lab.Broken("a Redis that is external is made", "there are 1 ElastiCache groups",
			lab.Add("Extra", redis, lab.Props{})).On("example with Upstash"),
		lab.Broken("a cache that cannot be encrypted", "CacheCluster", lab.Add("Extra", "AWS::ElastiCache::CacheCluster", lab.Props{})),
	),
)
