package template

import (
	"regexp"
	"slices"
	"strings"
)

// statement is a statement of a policy, wherever it stands.
type statement struct {
	in         *Resource // The resource that holds it.
	of         string    // Its type.
	roles      []string  // The ids of the roles that it holds for; none in the policy of a resource.
	effect     string
	actions    []string
	resources  []string
	principals map[string][]string
	conditions any
	inverse    bool // Whether it says what is meant by what is not: NotAction, NotResource, NotPrincipal.
}

// policyFields are where policies stand in resources that are no roles.
var policyFields = map[string]string{
	"AWS::IAM::Policy": "PolicyDocument", "AWS::IAM::ManagedPolicy": "PolicyDocument", "AWS::SQS::QueuePolicy": "PolicyDocument",
	"AWS::SNS::TopicPolicy": "PolicyDocument", "AWS::S3::BucketPolicy": "PolicyDocument", "AWS::KMS::Key": "KeyPolicy",
	"AWS::SecretsManager::ResourcePolicy": "ResourcePolicy", "AWS::EC2::VPCEndpoint": "PolicyDocument",
	"AWS::Events::EventBusPolicy": "Statement", "AWS::ECR::Repository": "RepositoryPolicyText",
}

// statements are all statements of all policies, but for those by which roles are trusted.
func (s *Stack) statements() (all []statement) {
	add := func(r *Resource, document any, roles []string) {
		for _, v := range list(at(document, "Statement")) {
			st := statement{
				in: r, of: r.Type, roles: roles,
				effect: text(at(v, "Effect")), actions: texts(at(v, "Action")), resources: texts(at(v, "Resource")),
				conditions: at(v, "Condition"),
				inverse:    at(v, "NotAction") != nil || at(v, "NotResource") != nil || at(v, "NotPrincipal") != nil,
			}
			switch p := at(v, "Principal").(type) {
			case string:
				st.principals = map[string][]string{"*": {p}}
			case map[string]any:
				st.principals = map[string][]string{}
				for kind, who := range p {
					st.principals[kind] = texts(who)
				}
			}
			all = append(all, st)
		}
	}
	for _, id := range sortedKeys(s.Resources) {
		r := s.Resources[id]
		if r.Type == "AWS::IAM::Role" {
			for _, p := range r.list("Policies") {
				add(r, at(p, "PolicyDocument"), []string{r.ID})
			}
		} else if field, ok := policyFields[r.Type]; ok {
			var roles []string
			for _, role := range s.refer(r.at("Roles")) {
				roles = append(roles, role.ID)
			}
			add(r, r.at(field), roles)
		}
	}
	return all
}

// allows says whether a role, given by its ARN, may do exactly this to exactly this.
func (s *Stack) allows(roleARN, action, resource string) bool {
	role := s.target(roleARN, "AWS::IAM::Role")
	return role != nil && slices.ContainsFunc(s.statements(), func(st statement) bool {
		return st.effect == "Allow" && slices.Contains(st.roles, role.ID) &&
			slices.Contains(st.actions, action) && slices.Contains(st.resources, resource)
	})
}

// checkActions: a wildcard of actions grants what AWS adds tomorrow.
func checkActions(d *Deployment, f *findings) {
	for _, s := range d.Stacks {
		for _, st := range s.statements() {
			if st.effect != "Allow" {
				continue
			}
			if st.inverse {
				f.add(st.in, "name what is allowed", "allows all but what it names")
			}
			for _, a := range st.actions {
				if strings.ContainsAny(a, "*?") && !actionAllowed(st, a) {
					f.add(st.in, "name the actions", "allows %s", a)
				}
			}
		}
	}
}

// actionAllowed says whether a wildcard is one that cannot be done without: a KMS key has to let in the account that it belongs to,
// or nobody could ever change it; and GenerateDataKey* is how AWS's documentation has services let into a key.
func actionAllowed(st statement, action string) bool {
	if st.of != "AWS::KMS::Key" {
		return false
	}
	switch action {
	case "kms:*":
		return len(st.principals) == 1 && len(st.principals["AWS"]) == 1 && accountRoot.MatchString(st.principals["AWS"][0])
	case "kms:GenerateDataKey*":
		return len(st.principals) == 1 && len(st.principals["Service"]) > 0
	}
	return false
}

// accountRoot is how a policy names an account as a whole.
var accountRoot = regexp.MustCompile(`^arn:(aws[a-z-]*|\$\{AWS::Partition\}):iam::(\d{12}|\$\{AWS::AccountId\}):root$`)

// wildcard is one that a role's policy may have.
type wildcard struct {
	resource  string // A regular expression for the whole of it.
	actions   []string
	condition string // A key that has to be among the conditions; empty if there need be none.
	reason    string
}

// wildcards is the documented list. What each function may do at all is held to its code by package permissions, which also says when
// a list of services may become a wildcard.
var wildcards = []wildcard{
	{`\*`, []string{"ecs:ListTasks"}, "ecs:cluster", "ListTasks takes no service as its resource; the condition names the clusters"},
	{`\*`, []string{"ecs:DescribeTaskDefinition"}, "", "DescribeTaskDefinition takes no resource"},
	{`.*:task/[^/*]+/\*`, seeAndProtect, "", "tasks have no names before they run"},
	{`.*:task/[^/*]+/\*`, []string{"ecs:TagResource"}, "aws:TagKeys", "tasks have no names before they run; the condition names the tag"},
	{`.*:service/([^/*]+/)?\*`, []string{"ecs:DescribeServices", "ecs:UpdateService"}, "", "too many services for IAM's sizes"},
	{`.*:service/([^/*]+/)?\*`, []string{"ecs:TagResource"}, "aws:TagKeys", "the same; the condition names the tag"},
	{`.*:task/\*`, seeAndProtect, "", "too many clusters for IAM's sizes"},
	{`.*:task/\*`, []string{"ecs:TagResource"}, "aws:TagKeys", "the same; the condition names the tag"},
	{`.*:secret:.+-\?{6}`, []string{"secretsmanager:GetSecretValue"}, "", "Secrets Manager appends six characters to a name"},
	{`.*:secret:.+-\?{6}`, []string{"secretsmanager:DescribeSecret"}, "", "the same; CDK's grant for ECS has both"},
	{`\*`, []string{
		"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
	}, "", "X-Ray knows no resources"},
	{`\*`, []string{
		"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
		"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
	}, "", "the delivery of a state machine's logs knows no resources"},
	{`\*`, []string{
		"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
		"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	}, "", "what Lambda does in a function's name to bind it to a VPC"},
	{`\*`, []string{"ecr:GetAuthorizationToken"}, "", "with which ECS pulls an image, knows no resources"},
}

var seeAndProtect = []string{"ecs:DescribeTasks", "ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}

// checkResources: every wildcard of a role has its reason in the list above.
func checkResources(d *Deployment, f *findings) {
	for _, s := range d.Stacks {
		for _, st := range s.statements() {
			if st.effect != "Allow" || len(st.roles) == 0 {
				continue
			}
			for _, r := range st.resources {
				if !strings.ContainsAny(variable.ReplaceAllString(r, ""), "*?") {
					continue
				}
				for _, a := range st.actions {
					if !slices.ContainsFunc(wildcards, func(w wildcard) bool { return w.covers(st, a, r) }) {
						f.add(st.in, "name the resource, or give the reason among the wildcards in infra/verify/template/iam.go",
							"allows %s on %s", a, r)
					}
				}
			}
		}
	}
}

func (w wildcard) covers(st statement, action, resource string) bool {
	if !slices.Contains(w.actions, action) || !regexp.MustCompile("^(?:"+w.resource+")$").MatchString(resource) {
		return false
	}
	operators, _ := st.conditions.(map[string]any)
	found := w.condition == ""
	for _, keys := range operators {
		found = found || at(keys, w.condition) != nil
	}
	return found
}

// users are the properties that give a role to a service, by the type of the resource.
var users = []struct {
	resource, service string
	path              []string
}{
	{"AWS::Lambda::Function", "lambda.amazonaws.com", []string{"Role"}},
	{"AWS::StepFunctions::StateMachine", "states.amazonaws.com", []string{"RoleArn"}},
	{"AWS::Scheduler::Schedule", "scheduler.amazonaws.com", []string{"Target", "RoleArn"}},
	{"AWS::ECS::TaskDefinition", "ecs-tasks.amazonaws.com", []string{"TaskRoleArn"}},
	{"AWS::ECS::TaskDefinition", "ecs-tasks.amazonaws.com", []string{"ExecutionRoleArn"}},
	{"AWS::EC2::FlowLog", "vpc-flow-logs.amazonaws.com", []string{"DeliverLogsPermissionArn"}},
}

func checkTrust(d *Deployment, f *findings) {
	for _, s := range d.Stacks {
		services := map[string][]string{} // By the role's id.
		functions := map[string]string{}
		for _, u := range users {
			for _, r := range s.of(u.resource) {
				role := s.target(text(r.at(u.path...)), "AWS::IAM::Role")
				if role == nil {
					if r.at(u.path...) != nil || u.resource != "AWS::ECS::TaskDefinition" {
						f.add(r, "make one here", "its role %q is none of the template", text(r.at(u.path...)))
					}
					continue
				}
				services[role.ID] = append(services[role.ID], u.service)
				if u.resource == "AWS::Lambda::Function" {
					if functions[role.ID] != "" {
						f.add(r, "give each function its own", "shares the role %s with %s", role.ID, functions[role.ID])
					}
					functions[role.ID] = r.ID
				}
			}
		}
		for _, role := range s.of("AWS::IAM::Role") {
			used := slices.Compact(slices.Sorted(slices.Values(services[role.ID])))
			if len(used) == 0 {
				f.add(role, "remove it", "is a role that nothing uses")
				continue
			}
			trusted := list(role.at("AssumeRolePolicyDocument", "Statement"))
			if len(trusted) != 1 || len(used) != 1 {
				f.add(role, "trust one service in one statement", "is trusted in %d statements and used by %s", len(trusted), quoted(used))
				continue
			}
			principal, _ := at(trusted[0], "Principal").(map[string]any)
			actions := texts(at(trusted[0], "Action"))
			if len(principal) != 1 || !slices.Equal(texts(principal["Service"]), used) || !slices.Equal(actions, []string{"sts:AssumeRole"}) {
				f.add(role, "trust "+used[0]+" with sts:AssumeRole", "trusts %v with %v", principal, at(trusted[0], "Action"))
			}
		}
	}
}

// checkManaged: AWS's managed policies allow more than is called, and change by themselves.
func checkManaged(d *Deployment, f *findings) {
	d.each(func(_ *Stack, r *Resource) {
		for _, p := range texts(r.at("ManagedPolicyArns")) {
			f.add(r, "write the statements into the role", "has the managed policy %s", p)
		}
	}, "AWS::IAM::Role")
	d.each(func(_ *Stack, r *Resource) {
		f.add(r, "write the statements into the role; if they do not fit, name the clusters and not each service", "is a managed policy")
	}, "AWS::IAM::ManagedPolicy")
	d.each(func(_ *Stack, r *Resource) {
		f.add(r, "use roles", "is an identity with credentials of its own")
	}, "AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::AccessKey")
}
