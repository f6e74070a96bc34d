package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// CloudFormation's limits: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html.
const (
	maxResources   = 500
	maxTemplate    = 1 << 20
	maxPerSection  = 200 // Of parameters, of outputs, of mappings.
	maxLogicalID   = 255
	maxDescription = 1024
)

// IAM's limits, in characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.
const (
	maxInline = 10_240 // All inline policies of a role together.
	maxTrust  = 2048
)

// lengths are the most characters that texts may have, and the form that they have to have, by type of resource and property.
var lengths = []struct {
	resource, property string
	most               int
	form               *regexp.Regexp // Nil for any.
}{
	{"AWS::Lambda::Function", "FunctionName", 64, nil},
	{"AWS::Lambda::Function", "Description", 256, nil},
	{"AWS::IAM::Role", "RoleName", 64, nil},
	{"AWS::IAM::Role", "Description", 1000, regexp.MustCompile(`^[\t\n\r\x20-\x7e\xa1-\xff]*$`)},
	{"AWS::SQS::Queue", "QueueName", 80, nil},
	{"AWS::SNS::Topic", "TopicName", 256, nil},
	{"AWS::SNS::Topic", "DisplayName", 100, nil},
	{"AWS::Events::Rule", "Name", 64, nil},
	{"AWS::Events::Rule", "Description", 512, nil},
	{"AWS::Scheduler::Schedule", "Name", 64, nil},
	{"AWS::Scheduler::Schedule", "Description", 512, nil},
	{"AWS::Scheduler::ScheduleGroup", "Name", 64, nil},
	{"AWS::StepFunctions::StateMachine", "StateMachineName", 80, nil},
	{"AWS::StepFunctions::StateMachine", "DefinitionString", 1 << 20, nil},
	{"AWS::Logs::LogGroup", "LogGroupName", 512, regexp.MustCompile(`^[.\-_/#A-Za-z0-9${}:]*$`)},
	{"AWS::Logs::MetricFilter", "FilterPattern", 1024, nil},
	{"AWS::CloudWatch::Alarm", "AlarmName", 255, nil},
	{"AWS::CloudWatch::Alarm", "AlarmDescription", 1024, nil},
	{"AWS::CloudWatch::Dashboard", "DashboardName", 255, nil},
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
	{"AWS::EC2::SecurityGroup", "GroupDescription", 255, ec2Description},
	{"AWS::EC2::SecurityGroupIngress", "Description", 255, ec2Description},
	{"AWS::EC2::SecurityGroupEgress", "Description", 255, ec2Description},
	{"AWS::ElastiCache::ReplicationGroup", "ReplicationGroupDescription", 255, nil},
	{"AWS::SecretsManager::Secret", "Name", 512, nil},
	{"AWS::SecretsManager::Secret", "Description", 2048, nil},
	{"AWS::ECS::Cluster", "ClusterName", 255, nil},
	{"AWS::ECS::Service", "ServiceName", 255, nil},
}

// ec2Description is what EC2 takes in descriptions of security groups and their rules; no apostrophe, for one.
var ec2Description = regexp.MustCompile(`^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$`)

var (
	stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	logicalID = regexp.MustCompile(`^[A-Za-z0-9]+$`)
)

func checkLimits(d *Deployment, f *findings) {
	for _, s := range d.Stacks {
		where := "the stack " + s.Name
		if !stackName.MatchString(s.Name) {
			f.addAt(where, "rename it (deploy.stack)", "has a name that CloudFormation does not take")
		}
		if n := len(s.Resources); n > maxResources {
			f.addAt(where, "make fewer, such as one alarm for all targets", "has %d resources, more than %d", n, maxResources)
		}
		if n := len(s.Raw); n > maxTemplate {
			f.addAt(where, "see what grows with the targets", "has a template of %d bytes, more than %d", n, maxTemplate)
		}
		for _, section := range []string{"Parameters", "Outputs", "Mappings"} {
			m, _ := s.Template[section].(map[string]any)
			if len(m) > maxPerSection {
				f.addAt(where, "make fewer", "has %d %s, more than %d", len(m), section, maxPerSection)
			}
			for _, id := range sortedKeys(m) {
				f.within(where+", "+section+"."+id, text(at(m[id], "Description")), maxDescription, nil)
			}
		}
		f.within(where+", Description", text(s.Template["Description"]), maxDescription, nil)
		for _, id := range sortedKeys(s.Resources) {
			f.within(where+", the logical id "+id, id, maxLogicalID, logicalID)
		}
		for _, l := range lengths {
			for _, r := range s.of(l.resource) {
				f.within(r.ID+"."+l.property, r.text(l.property), l.most, l.form)
			}
		}
		for _, r := range s.of("AWS::EC2::SecurityGroup") {
			rules := append(r.list("SecurityGroupIngress"), r.list("SecurityGroupEgress")...)
			for _, rule := range rules {
				f.within(r.ID+", a rule's Description", text(at(rule, "Description")), 255, ec2Description)
			}
		}
		for _, r := range s.of("AWS::Lambda::Function") {
			variables, _ := r.at("Environment", "Variables").(map[string]any)
			if n := len(longest(variables)); n > 4096 {
				f.add(r, "keep URLs in secrets", "has an environment of %d bytes, more than 4096", n)
			}
		}
		s.checkPolicySizes(f)
	}
}

// within notes a finding if a text is too long or not of the form.
func (f *findings) within(where, t string, most int, form *regexp.Regexp) {
	if n := utf8.RuneCountInString(t); n > most {
		f.addAt(where, "shorten it", "has %d characters, more than %d", n, most)
	}
	if form != nil && !form.MatchString(t) {
		f.addAt(where, fmt.Sprintf("use only what %s allows", form), "is %q, which AWS refuses on deployment", t)
	}
}

func (s *Stack) checkPolicySizes(f *findings) {
	sizes := map[string]int{}
	for _, r := range s.of("AWS::IAM::Role") {
		if n := len(longest(r.at("AssumeRolePolicyDocument"))); n > maxTrust {
			f.add(r, "shorten its conditions", "its trust policy may have %d characters, more than %d", n, maxTrust)
		}
		for _, p := range r.list("Policies") {
			sizes[r.ID] += len(longest(at(p, "PolicyDocument")))
		}
	}
	for _, r := range s.of("AWS::IAM::Policy") {
		for _, role := range s.refer(r.at("Roles")) {
			sizes[role.ID] += len(longest(r.at("PolicyDocument")))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(sizes)) {
		if sizes[id] > maxInline {
			f.add(s.Resources[id], "name clusters, not each service", "its policies may have %d characters, more than %d",
				sizes[id], maxInline)
		}
	}
}

// longest is a value as JSON without white space, with what is known on deployment only as long as it may become.
func longest(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // It came from JSON.
	}
	t := strings.NewReplacer("${AWS::Partition}", "aws-us-gov", "${AWS::Region}", "ap-southeast-1", "${AWS::AccountId}", "123456789012",
		"${AWS::URLSuffix}", "amazonaws.com.cn").Replace(strings.TrimSpace(b.String()))
	t = variable.ReplaceAllStringFunc(t, func(ref string) string {
		if strings.HasSuffix(ref, "Arn}") {
			return strings.Repeat("A", len("arn:aws-us-gov:secretsmanager:ap-southeast-1:123456789012:")+80)
		}
		return strings.Repeat("r", 64)
	})
	return []byte(t)
}
