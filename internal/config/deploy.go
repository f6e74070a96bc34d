package config

import (
	"slices"
	"strings"
)

// Deploy is what the CDK app in infra/ makes on AWS. The functions ignore it.
type Deploy struct {
	// The name of the CloudFormation stack.
	Stack string `yaml:"stack" default:"sluice" pattern:"stack"`
	// The AWS account to deploy to, in quotes. Together with `region`; without both, the ones that the AWS CLI is set to.
	Account string `yaml:"account" pattern:"account"`
	// The Region to deploy to. Together with `account`.
	Region string `yaml:"region" pattern:"region"`
	// The VPC that the functions run in, such as that of ElastiCache. Without it they run outside any VPC, and reach what the internet reaches.
	VPC *DeployVPC `yaml:"vpc"`
	// The KMS keys of your own that encrypt the secrets and parameters of `url_secret` and `url_parameter`, as key ARNs. AWS's own keys need no entry.
	Keys []string `yaml:"keys" max:"20" pattern:"key ARN"`
	// How many days CloudWatch keeps the logs.
	LogRetention int `yaml:"log_retention" default:"30" enum:"1,3,5,7,14,30,60,90,120,150,180,365,400,545,731,1096,1827,2192,2557,2922,3288,3653"`
	// Who is told when something is wrong.
	Alarms DeployAlarms `yaml:"alarms"`
	// Who is told in words what Sluice does. Without it nobody is.
	Notify *DeployNotify `yaml:"notify"`
	// How many targets one schedule looks at. More targets than that are spread over several schedules, at most 100.
	TargetsPerSchedule int `yaml:"targets_per_schedule" default:"1000" min:"1" max:"2000"`
	// A whole small system to try Sluice with, around the first target, in a stack of its own.
	Example *DeployExample `yaml:"example"`
}

// DeployVPC is the existing VPC that the functions run in.
type DeployVPC struct {
	// The VPC.
	ID string `yaml:"id" required:"true" pattern:"VPC"`
	// The subnets, private ones from which the broker can be reached. A function has no public address, so a public subnet leads it nowhere.
	Subnets []string `yaml:"subnets" required:"true" min:"1" max:"16" pattern:"subnet"`
	// The security groups of the functions. Without them one is made, for the broker's to let in; its id is an output of the stack.
	SecurityGroups []string `yaml:"security_groups" max:"5" pattern:"security group"`
	// Whether to make the interface endpoints that the functions need, at about $7 a month each in each subnet's zone. Without them the subnets need a NAT.
	Endpoints bool `yaml:"endpoints" default:"false"`
}

// DeployAlarms says who is told when something is wrong.
type DeployAlarms struct {
	// An address to mail to. AWS first sends a link there to confirm it. Exclusive with `topic`.
	Email string `yaml:"email" pattern:"e-mail address"`
	// The ARN of an SNS topic of your own. Without it one is made.
	Topic string `yaml:"topic" pattern:"topic ARN"`
	// Whether to alarm on the CPU and memory of the targets' services as well, at $0.10 a month for each alarm.
	Workers bool `yaml:"workers" default:"true"`
}

// DeployNotify says who is told in words what Sluice does, and how often at most.
type DeployNotify struct {
	// The time between two messages, in whole minutes. Nothing is sent where nothing has happened.
	Every Duration `yaml:"every" default:"15m" min:"1m" max:"24h"`
	// An address to mail to. AWS first sends a link there to confirm it. Exclusive with `topic`.
	Email string `yaml:"email" pattern:"e-mail address"`
	// The ARN of an SNS topic of your own. Without it and `email`, messages go to the topic of the alarms.
	Topic string `yaml:"topic" pattern:"topic ARN"`
}

// DeployExample is a whole small system to try Sluice with: VPC, ECS cluster, workers, Redis and an API.
type DeployExample struct {
	// The image of workers and API in ECR: `repository:tag` for one of the same account and Region, else the whole URI.
	Image string `yaml:"image" required:"true" pattern:"image"`
	// The Redis to make in ElastiCache; `external` makes none: the broker's secret exists, as with Upstash.
	Redis string `yaml:"redis" default:"valkey" enum:"valkey,redis,external"`
	// Whether to run the FastAPI service, too.
	API bool `yaml:"api" default:"true"`
}

// The kinds of Redis of the example.
const (
	ExampleValkey   = "valkey"
	ExampleRedis    = "redis"
	ExampleExternal = "external"
)

// maxSchedules keeps the stack's schedules well below the 500 resources of a stack.
const maxSchedules = 100

// Schedules is how many schedules share the targets.
func (c *Config) Schedules() int {
	return (len(c.Targets) + c.Deploy.TargetsPerSchedule - 1) / c.Deploy.TargetsPerSchedule
}

func (d *decoder) validateDeploy(c *Config) {
	p := at("deploy")
	deploy := &c.Deploy
	if !d.faulty("deploy", "account", "region") {
		switch {
		case deploy.Account != "" && deploy.Region == "":
			d.problemAt(p.field("region"), "add it, or remove account", "is missing, and account is given")
		case deploy.Account == "" && deploy.Region != "":
			d.problemAt(p.field("account"), "add it, or remove region", "is missing, and region is given")
		}
	}
	if deploy.Alarms.Email != "" && deploy.Alarms.Topic != "" {
		d.problemAt(p.field("alarms").field("topic"), "keep one of them; an address can subscribe to the topic by itself", "email and topic are given together")
	}
	if n := deploy.Notify; n != nil {
		if n.Email != "" && n.Topic != "" {
			d.problemAt(p.field("notify").field("topic"), "keep one of them; an address can subscribe to the topic by itself", "email and topic are given together")
		}
		d.wholeMinutes(p.field("notify").field("every"), n.Every, "15m")
	}
	if deploy.VPC != nil && deploy.Example != nil && deploy.Example.Redis != ExampleExternal && !d.faulty("deploy.example", "redis") {
		d.problemAt(p.field("vpc"), "remove it, or use redis: external", "is given, but the example makes a VPC, in which its Redis is")
	}
	if n := c.Schedules(); n > maxSchedules && !d.faulty("targets") {
		d.problemAt(p.field("targets_per_schedule"), "raise it", "gives %d schedules, more than %d", n, maxSchedules)
	}
	d.distinct(p.field("keys"), deploy.Keys)
	if deploy.VPC != nil {
		d.distinct(p.field("vpc").field("subnets"), deploy.VPC.Subnets)
		d.distinct(p.field("vpc").field("security_groups"), deploy.VPC.SecurityGroups)
	}
	if deploy.Region != "" && deploy.Account != "" && !d.faulty("deploy", "account", "region") {
		d.validateHome(c)
	}
}

// distinct refuses a text that is listed twice.
func (d *decoder) distinct(p *path, texts []string) {
	for i, s := range texts {
		if first := slices.Index(texts, s); s != "" && first < i {
			d.problemAt(p.entry(i), "remove one of them", "%s is listed twice", quote(s))
		}
	}
}

// validateHome refuses ARNs of what the functions could not use from the account and Region that they are deployed to.
func (d *decoder) validateHome(c *Config) {
	for i := range c.Targets {
		d.atHome(targetPath(i).field("cluster"), c.Targets[i].Cluster, c, true)
		d.atHome(targetPath(i).field("service"), c.Targets[i].Service, c, true)
	}
	// The owner of a secret, parameter, key or topic may share it with another account, in the same Region.
	for i := range c.Brokers {
		d.atHome(brokerPath(i).field("url_secret"), c.Brokers[i].URLSecret, c, false)
		d.atHome(brokerPath(i).field("url_parameter"), c.Brokers[i].URLParameter, c, false)
	}
	d.atHome(at("events", "bus"), c.Events.Bus, c, true)
	for i, key := range c.Deploy.Keys {
		d.atHome(at("deploy", "keys").entry(i), key, c, false)
	}
	d.atHome(at("deploy", "alarms", "topic"), c.Deploy.Alarms.Topic, c, false)
	if n := c.Deploy.Notify; n != nil {
		d.atHome(at("deploy", "notify", "topic"), n.Topic, c, false)
	}
}

// atHome refuses an ARN of another Region or, where that matters, of another account than the deployment's. Names are fine.
func (d *decoder) atHome(p *path, arn string, c *Config, sameAccount bool) {
	if !strings.HasPrefix(arn, "arn:") {
		return
	}
	parts := strings.SplitN(arn, ":", 6) // arn:partition:service:region:account:resource
	partition, region, account := parts[1], parts[3], parts[4]
	switch {
	case region != c.Deploy.Region:
		d.problemAt(p, "use one of the same Region, or correct deploy.region", "is in Region %s, but deploy.region is %s", region, c.Deploy.Region)
	case sameAccount && account != c.Deploy.Account:
		d.problemAt(p, "use one of the same account, or correct deploy.account", "is in account %s, but deploy.account is %s", account, c.Deploy.Account)
	case partition != partitionOf(region):
		d.problemAt(p, "begin it with arn:"+partitionOf(region)+":", "is in partition %s, but Region %s is in partition %s", partition, region, partitionOf(region))
	}
}

// partitionOf returns the partition of a Region: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
