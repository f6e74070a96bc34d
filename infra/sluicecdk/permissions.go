package sluicecdk

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/awsname"
	"sluice/internal/config"
)

// What a function may do on ECS and with secrets, as plain data: the README's table "On AWS" is the same in words. It is a pure
// function of sluice.yaml, and written out as a policy by role.go.

// statement is one statement of an IAM policy. All of them allow.
type statement struct {
	sid        string
	actions    []string
	resources  []string
	conditions map[string]map[string][]string // Operator, key, values.
}

// place is where a resource is: what its ARN has beside its name.
type place struct{ partition, region, account string }

func (p place) arn(service, resource string) string {
	return "arn:" + p.partition + ":" + service + ":" + p.region + ":" + p.account + ":" + resource
}

// placeOf is the place that an ARN names, and home for a bare name.
func placeOf(nameOrARN string, home place) place {
	if parts := strings.SplitN(nameOrARN, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return place{partition: parts[1], region: parts[3], account: parts[4]}
	}
	return home
}

// width is how much a statement on services covers. A role has room for 10,240 characters of policies, which is some 90 ARNs.
type width int

const (
	exact      width = iota // Each service by itself.
	perCluster              // service/CLUSTER/* for each cluster of sluice.yaml.
	everything              // service/*: what is left with dozens of clusters.
)

// fleetARNs are the ARNs that statements on ECS need.
type fleetARNs struct{ services, tasks, clusters []string }

// arnsOf returns the ARNs of the targets' services, tasks and clusters. A task's own name is not known before it runs, so that tasks
// are always named by their cluster.
func arnsOf(targets []config.Target, home place, w width) (a fleetARNs) {
	for _, t := range targets {
		cluster := awsname.Last(t.Cluster)
		// Either may be an ARN, and the validation of sluice.yaml has them agree.
		p := placeOf(t.Service, placeOf(t.Cluster, home))
		service, within := p.arn("ecs", "service/"+cluster+"/"+awsname.Last(t.Service)), cluster+"/*"
		if strings.HasPrefix(t.Service, "arn:") {
			service = t.Service // As it is: those from before 2018 have no cluster in them.
		}
		switch w {
		case perCluster:
			service = p.arn("ecs", "service/"+within)
		case everything:
			cluster, within = "*", "*"
			service = p.arn("ecs", "service/*")
		}
		a.services = append(a.services, service)
		a.tasks = append(a.tasks, p.arn("ecs", "task/"+within))
		a.clusters = append(a.clusters, p.arn("ecs", "cluster/"+cluster))
	}
	return fleetARNs{set(a.services), set(a.tasks), set(a.clusters)}
}

// set sorts, and leaves each value once: the same configuration gives the same template.
func set(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// permissions are what the function of that name calls on ECS, Secrets Manager, Systems Manager and KMS, and nothing else.
func permissions(c *config.Config, function string, home place, w width) []statement {
	// Only the workers of some targets are asked, and only these are drained and shielded.
	asked := slices.DeleteFunc(slices.Clone(c.Targets), func(t config.Target) bool { return t.Activity.Source != config.ActivityInspect })
	shielded := slices.DeleteFunc(slices.Clone(asked), func(t config.Target) bool { return !t.Shield })

	services := arnsOf(c.Targets, home, w).services
	look := statement{sid: "LookAtServices", actions: []string{"ecs:DescribeServices"}, resources: services}
	scale := statement{sid: "LookAtAndScaleServices", actions: []string{"ecs:DescribeServices", "ecs:UpdateService"}, resources: services}
	var out []statement
	switch function {
	case scaleOut:
		// An event may ask for a floor by itself (hold_seconds), so that no target does without the tag.
		out = append(out, scale, tag("KeepFloors", services, "sluice:floor"))
		out = append(out, lookAtTasks(asked, home, w)...)
	case check:
		out = append(out, look)
		out = append(out, lookAtTasks(c.Targets, home, w)...)
		if tasks := arnsOf(shielded, home, w).tasks; len(tasks) > 0 {
			out = append(out, protect("ShieldTasks", tasks), tag("TagShieldedTasks", tasks, "sluice:shield"))
		}
	case notify: // It reads no broker's URL.
		return []statement{look, {
			sid: "LookAtTaskDefinitions", actions: []string{"ecs:DescribeTaskDefinition"}, resources: []string{"*"}, // ECS takes no other.
		}}
	case scaleIn:
		out = append(out, scale)
		out = append(out, lookAtTasks(c.Targets, home, w)...)
		if tasks := arnsOf(asked, home, w).tasks; len(tasks) > 0 {
			out = append(out, protect("ProtectTasks", tasks))
		}
	}
	return append(out, secretStatements(c, home)...)
}

// lookAtTasks allows to see the tasks of the targets, if there are any.
func lookAtTasks(targets []config.Target, home place, w width) []statement {
	if len(targets) == 0 {
		return nil
	}
	a := arnsOf(targets, home, w)
	operator := "ArnEquals"
	if w == everything {
		operator = "ArnLike"
	}
	return []statement{
		{ // ECS takes no resource here: the cluster is what narrows it.
			sid: "ListTasks", actions: []string{"ecs:ListTasks"}, resources: []string{"*"},
			conditions: map[string]map[string][]string{operator: {"ecs:cluster": a.clusters}},
		},
		{sid: "LookAtTasks", actions: []string{"ecs:DescribeTasks", "ecs:GetTaskProtection"}, resources: a.tasks},
	}
}

func protect(sid string, tasks []string) statement {
	return statement{sid: sid, actions: []string{"ecs:UpdateTaskProtection"}, resources: tasks}
}

// tag allows to set this one tag: others may grant rights, or be people's own switches.
func tag(sid string, resources []string, key string) statement {
	return statement{
		sid: sid, actions: []string{"ecs:TagResource"}, resources: resources,
		conditions: map[string]map[string][]string{"ForAllValues:StringEquals": {"aws:TagKeys": {key}}},
	}
}

func secretStatements(c *config.Config, home place) (out []statement) {
	var secrets, parameters, via []string
	for _, b := range c.Brokers {
		switch {
		case b.URLSecret != "":
			secrets = append(secrets, secretARN(b.URLSecret, home))
		case b.URLParameter != "":
			parameters = append(parameters, parameterARN(b.URLParameter, home))
		}
	}
	if len(secrets) > 0 {
		out = append(out, statement{sid: "ReadSecrets", actions: []string{"secretsmanager:GetSecretValue"}, resources: set(secrets)})
		via = append(via, "secretsmanager."+home.region+".amazonaws.com")
	}
	if len(parameters) > 0 {
		out = append(out, statement{sid: "ReadParameters", actions: []string{"ssm:GetParameter"}, resources: set(parameters)})
		via = append(via, "ssm."+home.region+".amazonaws.com")
	}
	if len(c.Deploy.Keys) > 0 && len(via) > 0 {
		// The services decrypt in the function's name. It can do so only through them.
		out = append(out, statement{
			sid: "DecryptThroughThem", actions: []string{"kms:Decrypt"}, resources: set(slices.Clone(c.Deploy.Keys)),
			conditions: map[string]map[string][]string{"StringEquals": {"kms:ViaService": via}},
		})
	}
	return out
}

// fullSecretARN ends in the six characters that Secrets Manager appends to a name.
var fullSecretARN = regexp.MustCompile(`^arn:.*-[A-Za-z0-9]{6}$`)

// secretARN is the ARN of a url_secret, which may be a name, a full ARN or one without its last six characters, and may pick
// a field. Six question marks stand for these characters and match nothing shorter or longer, unlike a *.
func secretARN(ref string, home place) string {
	id, _, _ := strings.Cut(ref, "#")
	switch {
	case fullSecretARN.MatchString(id):
		return id
	case strings.HasPrefix(id, "arn:"):
		return id + "-??????"
	}
	return home.arn("secretsmanager", "secret:"+id+"-??????")
}

// parameterARN is the ARN of a url_parameter. The / that a name begins with is the one after `parameter`.
func parameterARN(ref string, home place) string {
	if strings.HasPrefix(ref, "arn:") {
		return ref
	}
	return home.arn("ssm", "parameter/"+strings.TrimPrefix(ref, "/"))
}

// maxPolicy is how long these statements may be: IAM allows 10,240 characters without white space for all inline policies of a
// role, and 2,000 are kept for what every function may do besides: see role.go.
const maxPolicy = 10_240 - 2_000

// longest is a place as long as any that AWS has today, so that what fits here fits everywhere.
var longest = place{partition: "aws-us-gov", region: "ap-southeast-1", account: "123456789012"}

// widthFor is the narrowest one with which the function's permissions fit into its role.
func widthFor(c *config.Config, function string) (width, error) {
	for w := exact; w <= everything; w++ {
		if policyLength(permissions(c, function, longest, w)) <= maxPolicy {
			return w, nil
		}
	}
	return 0, fmt.Errorf("brokers: the permissions for %d of them do not fit into IAM's 10,240 characters: "+
		"keep several URLs in one JSON secret, and pick each by url_secret: NAME#key", len(c.Brokers))
}

// policyLength is how many characters the statements have as IAM counts them. CDK writes a list of one as a text, which is shorter.
func policyLength(statements []statement) (n int) {
	for _, s := range statements {
		data, err := json.Marshal(map[string]any{
			"Action": s.actions, "Condition": s.conditions, "Effect": "Allow", "Resource": s.resources, "Sid": s.sid,
		})
		if err != nil {
			panic(err) // Texts in maps and lists always have a JSON form.
		}
		n += len(data) + 1
	}
	return n
}

// wildcards are what cdk-nag finds in the statements and calls by these names.
func wildcards(statements []statement) (out []string) {
	for _, s := range statements {
		for _, r := range s.resources {
			if strings.Contains(r, "*") {
				out = append(out, "Resource::"+r)
			}
		}
	}
	return set(out)
}
