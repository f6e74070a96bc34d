package deployment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/config"
)

// Need is one action that IAM has to allow, and on what.
type Need struct {
	Action    string
	Resources []string // ARNs with the pseudo parameters of CloudFormation, or "*"; sorted.
	Only      []Only   // The conditions of the statement.
	Why       string   // By which way it is called, or for what.
}

// Only is one condition of a statement.
type Only struct {
	Operator, Key string
	Values        []string // Sorted.
}

// width is how much of ECS a statement covers. IAM allows a role 10,240 characters of inline policies, some 80 ARNs, so that with
// more services than that they have to be named together.
type width int

const (
	exact      width = iota // Each service by itself.
	perCluster              // All services of each cluster.
	everything              // All services of all clusters.
)

// Needs returns what the function has to be allowed under the configuration, one for each action, sorted. calls are those that its code
// can reach. It errs if it does not know what one of them asks of IAM.
func Needs(function string, calls []Call, c *config.Config) ([]Need, error) {
	return needs(function, calls, c, surroundings{[]string{"the log groups"}, "the topic"}, exact)
}

// surroundings are what a function finds by its environment: the template alone knows what it is called.
type surroundings struct {
	logGroups []string // ARNs.
	topic     string
}

func needs(function string, calls []Call, c *config.Config, near surroundings, w width) ([]Need, error) {
	var out []Need
	var via []string
	for _, call := range calls {
		a, ok := actions[call.Operation]
		if !ok {
			return nil, fmt.Errorf("%s calls %s by way of %s: add to actions.go what that asks of IAM", function, call.Operation, way(call))
		}
		targets, only := c.Targets, []Only(nil)
		for _, special := range conditions {
			if special.function != function || special.operation != call.Operation {
				continue
			}
			a.on = special.on
			if special.of != nil {
				targets = slices.DeleteFunc(slices.Clone(targets), func(t config.Target) bool { return !special.of(t) })
			}
			if special.tag != "" {
				// Whoever may set any tag may give itself whatever other policies grant by tags.
				only = []Only{{"ForAllValues:StringEquals", "aws:TagKeys", []string{special.tag}}}
			}
		}
		var resources []string
		switch a.on {
		case services:
			resources = arns(targets, w, serviceARN)
		case tasks:
			resources = arns(targets, w, taskARN)
		case clusters:
			if len(targets) > 0 {
				resources, only = []string{"*"}, []Only{{"ArnEquals", "ecs:cluster", arns(targets, w, clusterARN)}}
			}
		case secrets:
			resources = brokerARNs(c, secretARN)
		case parameters:
			resources = brokerARNs(c, parameterARN)
		case logGroups:
			resources = near.logGroups
		case topic:
			resources = []string{near.topic}
		case anything:
			resources = []string{"*"}
		}
		if len(resources) == 0 {
			continue // Nothing in this configuration has it called.
		}
		out = append(out, Need{a.name, resources, only, way(call)})
		if a.on == secrets || a.on == parameters {
			service, _, _ := strings.Cut(a.name, ":")
			via = append(via, service+"."+region+".amazonaws.com")
		}
	}
	if len(via) > 0 && len(c.Deploy.Keys) > 0 {
		out = append(out, Need{
			decrypt, set(slices.Clone(c.Deploy.Keys)), []Only{{"StringEquals", "kms:ViaService", set(via)}}, "deploy.keys encrypt what it reads",
		})
	}
	for i := range out {
		out[i].Resources = canonicalAll(out[i].Resources, c)
		for j := range out[i].Only {
			out[i].Only[j].Values = canonicalAll(out[i].Only[j].Values, c)
		}
	}
	slices.SortFunc(out, func(a, b Need) int { return cmp.Compare(a.Action, b.Action) })
	return out, nil
}

func way(c Call) string { return strings.Join(c.Path, " > ") }

// What CloudFormation puts in when it deploys.
const (
	partition = "${AWS::Partition}"
	region    = "${AWS::Region}"
	account   = "${AWS::AccountId}"
)

// arns names the targets, each once.
func arns(targets []config.Target, w width, name func(config.Target, width) string) []string {
	var out []string
	for _, t := range targets {
		out = append(out, name(t, w))
	}
	return set(out)
}

func serviceARN(t config.Target, w width) string {
	switch {
	case w == everything:
		return place(t) + "service/*"
	case w == perCluster:
		return place(t) + "service/" + last(t.Cluster) + "/*"
	case strings.HasPrefix(t.Service, "arn:"):
		return t.Service // In accounts of before 2018 without the cluster.
	}
	return place(t) + "service/" + last(t.Cluster) + "/" + t.Service
}

func taskARN(t config.Target, w width) string {
	if w == everything {
		return place(t) + "task/*"
	}
	return place(t) + "task/" + last(t.Cluster) + "/*"
}

func clusterARN(t config.Target, w width) string {
	if w == everything {
		return place(t) + "cluster/*"
	}
	return place(t) + "cluster/" + last(t.Cluster)
}

// place is what the ARNs of a target begin with. Its service or cluster says where it is, if it is given by ARN.
func place(t config.Target) string {
	for _, given := range []string{t.Service, t.Cluster} {
		if strings.HasPrefix(given, "arn:") {
			return given[:strings.LastIndexByte(given, ':')+1]
		}
	}
	return home("ecs")
}

func home(service string) string {
	return "arn:" + partition + ":" + service + ":" + region + ":" + account + ":"
}

func last(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func brokerARNs(c *config.Config, name func(config.Broker) string) []string {
	var out []string
	for _, b := range c.Brokers {
		if arn := name(b); arn != "" {
			out = append(out, arn)
		}
	}
	return set(out)
}

// whole matches a secret's complete ARN, which ends in six characters that Secrets Manager has added to its name.
var whole = regexp.MustCompile(`^arn:.*-[A-Za-z0-9]{6}$`)

func secretARN(b config.Broker) string {
	id, _, _ := strings.Cut(b.URLSecret, "#")
	switch {
	case id == "" || whole.MatchString(id):
		return id
	case strings.HasPrefix(id, "arn:"):
		return id + "-??????"
	}
	return home("secretsmanager") + "secret:" + id + "-??????"
}

func parameterARN(b config.Broker) string {
	if b.URLParameter == "" || strings.HasPrefix(b.URLParameter, "arn:") {
		return b.URLParameter
	}
	return home("ssm") + "parameter/" + strings.TrimPrefix(b.URLParameter, "/")
}

// canonicalAll is canonical of each, sorted.
func canonicalAll(texts []string, c *config.Config) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = canonical(s, c)
	}
	return set(out)
}

var fixedPartition = regexp.MustCompile(`^arn:aws(-[a-z]+)*:`)

// canonical writes a text as it would be in a template for any account and Region, though it may be from one for a certain one.
func canonical(s string, c *config.Config) string {
	s = fixedPartition.ReplaceAllString(s, "arn:"+partition+":")
	if c.Deploy.Account == "" {
		return s
	}
	// One after the other, since the two stand side by side.
	s = strings.ReplaceAll(s, ":"+c.Deploy.Account+":", ":"+account+":")
	s = strings.ReplaceAll(s, ":"+c.Deploy.Region+":", ":"+region+":")
	return strings.ReplaceAll(s, "."+c.Deploy.Region+".", "."+region+".")
}

// set sorts, and leaves each once.
func set(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// longest has the pseudo parameters as long as they can be.
var longest = strings.NewReplacer(partition, "aws-us-gov", region, "ap-southeast-1", account, "123456789012")

// length is how many characters IAM counts for a policy with these needs, with one statement for all that are on the same.
func length(needs []Need) (n int) {
	type statement struct {
		Effect    string
		Action    []string
		Resource  []string
		Condition []Only `json:",omitempty"`
	}
	grouped := map[string]*statement{}
	for _, need := range needs {
		key := fmt.Sprint(need.Resources, need.Only)
		if grouped[key] == nil {
			grouped[key] = &statement{Effect: "Allow", Resource: need.Resources, Condition: need.Only}
		}
		grouped[key].Action = append(grouped[key].Action, need.Action)
	}
	for _, s := range grouped {
		text, _ := json.Marshal(s) // Texts in lists always have a JSON form.
		n += len(longest.Replace(string(text))) + 1
	}
	return n
}
