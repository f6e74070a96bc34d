package sluicecdk_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"sluice/infra/lab"
	"sluice/lab/cloud/cfn/template"
	"sluice/lab/deployment"
	"sluice/lab/testenv"
)

// calls are the operations of AWS that the functions' code can reach, by function.
var calls = sync.OnceValues(func() (map[string][]deployment.Call, error) { return deployment.Calls(testenv.Root(), nil) })

// checkPermissions holds the roles of the functions to the calls that their code makes: none too many and none too few,
// each on what sluice.yaml names, within IAM's sizes.
func checkPermissions(t lab.T, d *lab.Deployment) {
	called, err := calls()
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	found, err := deployment.Compare(d.Sluice.Text, called, d.Config)
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, f := range found {
		t.Errorf("%v", f)
	}
}

// users are the properties that give a role to a service, by the type of the resource.
var users = []struct {
	resource, service string
	path              []any
}{
	{"AWS::Lambda::Function", "lambda.amazonaws.com", []any{"Role"}},
	{"AWS::StepFunctions::StateMachine", "states.amazonaws.com", []any{"RoleArn"}},
	{"AWS::Scheduler::Schedule", "scheduler.amazonaws.com", []any{"Target", "RoleArn"}},
	{"AWS::ECS::TaskDefinition", "ecs-tasks.amazonaws.com", []any{"TaskRoleArn"}},
	{"AWS::ECS::TaskDefinition", "ecs-tasks.amazonaws.com", []any{"ExecutionRoleArn"}},
	{"AWS::EC2::FlowLog", "vpc-flow-logs.amazonaws.com", []any{"DeliverLogsPermissionArn"}},
}

// checkRoles: each role is trusted by the one service that uses it, each function has its own, and each wildcard has
// its reason. There are no managed policies, which allow more than is called and change by themselves, and nobody with
// credentials of their own.
func checkRoles(t lab.T, d *lab.Deployment) {
	for _, s := range d.Stacks {
		s.Counts(t, 0, "AWS::IAM::ManagedPolicy", "AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::AccessKey")
		s.Every(t, "AWS::IAM::Role", lab.Props{"ManagedPolicyArns": lab.None()})
		services, functions := map[string]string{}, map[string]string{} // By the role's id.
		for _, u := range users {
			for _, r := range s.Of(u.resource) {
				role := s.Target(r.Text(u.path...), "AWS::IAM::Role")
				switch {
				case role == nil:
					if r.At(u.path...) != nil || u.resource != "AWS::ECS::TaskDefinition" {
						t.Errorf("%s: its role %q is none of the template", r.ID, r.Text(u.path...))
					}
					continue
				case services[role.ID] != "" && services[role.ID] != u.service:
					t.Errorf("%s is used by %s and %s", role.ID, services[role.ID], u.service)
				case u.resource == "AWS::Lambda::Function" && functions[role.ID] != "":
					t.Errorf("%s shares its role with %s", r.ID, functions[role.ID])
				}
				services[role.ID] = u.service
				if u.resource == "AWS::Lambda::Function" {
					functions[role.ID] = r.ID
				}
			}
		}
		for _, role := range s.Of("AWS::IAM::Role") {
			trust := template.List(role.At("AssumeRolePolicyDocument", "Statement"))
			principal, _ := template.Within(trust, 0, "Principal").(map[string]any)
			if services[role.ID] == "" {
				t.Errorf("%s is a role that nothing uses", role.ID)
			} else if len(trust) != 1 || len(principal) != 1 || principal["Service"] != services[role.ID] ||
				template.Within(trust, 0, "Action") != "sts:AssumeRole" {
				t.Errorf("%s trusts %v and not %s alone", role.ID, trust, services[role.ID])
			}
		}
		for _, st := range statements(s) {
			if st.deny || functions[st.role] != "" { // The check permissions has those of the functions.
				continue
			}
			if st.inverse {
				t.Errorf("%s allows all but what it names", st.in.ID)
			}
			for _, a := range st.actions {
				if strings.ContainsAny(a, "*?") {
					t.Errorf("%s allows %s", st.in.ID, a)
				}
				for _, r := range st.resources {
					if st.role != "" && strings.ContainsAny(placeholder.ReplaceAllString(r, ""), "*?") &&
						!slices.ContainsFunc(wildcards, func(w wildcard) bool { return w.covers(a, r) }) {
						t.Errorf("%s allows %s on %s", st.in.ID, a, r)
					}
				}
			}
		}
	}
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// wildcard is one that a role's policy may have, beside the functions'.
type wildcard struct {
	resource *regexp.Regexp
	actions  []string
}

var (
	everything = regexp.MustCompile(`^\*$`)
	wildcards  = []wildcard{
		// X-Ray knows no resources, nor does the delivery of a state machine's logs.
		{everything, []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"}},
		{everything, []string{
			"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
			"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
		}},
		// With which ECS pulls an image.
		{everything, []string{"ecr:GetAuthorizationToken"}},
		// Secrets Manager appends six characters to a name. The CDK's grant for ECS has both.
		{regexp.MustCompile(`^.*:secret:.+-\?{6}$`), []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}},
	}
)

func (w wildcard) covers(action, resource string) bool {
	return slices.Contains(w.actions, action) && w.resource.MatchString(resource)
}

// statement is a statement of a policy, wherever it stands.
type statement struct {
	in                 *template.Resource // That holds it.
	role               string             // The id of the role that it holds for; empty in the policy of a resource.
	deny, inverse      bool               // inverse: NotAction, NotResource, NotPrincipal.
	actions, resources []string
	services           []string // The principals.
	conditions         any
}

// statements are all statements of all policies, but for those by which roles are trusted.
func statements(s *lab.Stack) (all []statement) {
	add := func(in *template.Resource, role string, document any) {
		for _, v := range template.List(template.Within(document, "Statement")) {
			at := func(path ...any) any { return template.Within(v, path...) }
			all = append(all, statement{
				in: in, role: role, deny: at("Effect") != "Allow",
				inverse: at("NotAction") != nil || at("NotResource") != nil || at("NotPrincipal") != nil,
				actions: template.Texts(at("Action")), resources: template.Texts(at("Resource")),
				services: template.Texts(at("Principal", "Service")), conditions: at("Condition"),
			})
		}
	}
	for _, r := range s.Resources {
		for _, p := range template.List(r.At("Policies")) {
			add(r, r.ID, template.Within(p, "PolicyDocument"))
		}
		attached := s.References(r.At("Roles"))
		for _, role := range attached {
			add(r, role.ID, r.At("PolicyDocument"))
		}
		if len(attached) == 0 {
			add(r, "", r.At("PolicyDocument"))
			add(r, "", r.At("KeyPolicy"))
		}
	}
	return all
}

// allows reports whether a role, given by its ARN, may do exactly this to exactly this.
func allows(s *lab.Stack, roleARN, action, resource string) bool {
	role := s.Target(roleARN, "AWS::IAM::Role")
	return role != nil && slices.ContainsFunc(statements(s), func(st statement) bool {
		return !st.deny && st.role == role.ID && slices.Contains(st.actions, action) && slices.Contains(st.resources, resource)
	})
}

// fourteenDays is the longest that SQS keeps a message. Its default is four, a long weekend.
const fourteenDays = 14 * 24 * 3600

// checkDeadLetters: what fails for good has to end where somebody can look at it, with nobody else's messages among it.
func checkDeadLetters(t lab.T, d *lab.Deployment) {
	d.Sluice.Every(t, "AWS::SQS::Queue", lab.Props{"MessageRetentionPeriod": fourteenDays, "SqsManagedSseEnabled": true})
	owner := map[string]string{} // By the queue's id.
	deadLetters := func(whose, arn string) *template.Resource {
		q := d.Sluice.Target(arn, "AWS::SQS::Queue")
		switch {
		case q == nil:
			t.Errorf("%s has no dead-letter queue of the template (%q)", whose, arn)
			return nil
		case owner[q.ID] != "" && owner[q.ID] != whose:
			t.Errorf("%s shares its dead-letter queue with %s", whose, owner[q.ID])
		}
		owner[q.ID] = whose
		return q
	}
	for _, name := range functionNames(d) { // That they may write to it is seen to by the check permissions.
		deadLetters(name, d.Function(name).Text("DeadLetterConfig", "TargetArn"))
	}
	for _, r := range d.Sluice.Of("AWS::Events::Rule") {
		q := deadLetters("the rule", r.Text("Targets", 0, "DeadLetterConfig", "Arn"))
		if q != nil && !slices.ContainsFunc(statements(d.Sluice), func(st statement) bool {
			return !st.deny && slices.Contains(st.actions, "sqs:SendMessage") && slices.Contains(st.resources, q.ARN()) &&
				slices.Contains(st.services, "events.amazonaws.com") && slices.Contains(d.Sluice.References(st.conditions), r)
		}) {
			t.Errorf("the rule may not write to its dead-letter queue")
		}
	}
	for _, r := range d.Sluice.Of("AWS::Scheduler::Schedule") {
		q := deadLetters("the schedules", r.Text("Target", "DeadLetterConfig", "Arn"))
		if q != nil && !allows(d.Sluice, r.Text("Target", "RoleArn"), "sqs:SendMessage", q.ARN()) {
			t.Errorf("%s may not write to its dead-letter queue", r.ID)
		}
	}
}

// checkTopics: CloudWatch has to get at the topic of the alarms, or they fail in silence. So the topic has no key:
// AWS's own for SNS does not let it in, and what alarms say goes out by plain mail anyhow.
func checkTopics(t lab.T, d *lab.Deployment) {
	for _, topic := range d.Sluice.Of("AWS::SNS::Topic") {
		if !alarmed(d.Sluice, topic) {
			continue
		}
		lab.Want(t, topic, nil, "KmsMasterKeyId")
		if !slices.ContainsFunc(statements(d.Sluice), func(st statement) bool {
			return st.in.Type == "AWS::SNS::TopicPolicy" && !st.deny && slices.Contains(st.actions, "sns:Publish") &&
				slices.Contains(st.resources, topic.Ref()) && slices.Contains(st.services, "cloudwatch.amazonaws.com")
		}) {
			t.Errorf("CloudWatch may not publish to %s", topic.ID)
		}
	}
}

// alarmed reports whether an alarm speaks to the topic.
func alarmed(s *lab.Stack, topic *template.Resource) bool {
	return slices.ContainsFunc(s.Of("AWS::CloudWatch::Alarm"), func(a *template.Resource) bool {
		return slices.Contains(s.References(a.At("AlarmActions")), topic)
	})
}
