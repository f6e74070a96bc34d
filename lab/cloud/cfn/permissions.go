package cfn

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/awsname"
	"sluice/lab/cloud/iam"
)

// role is a role with the policies that are part of it. It is kept by its own ARN until it is known what has it.
func (r *reader) role(res resource) error {
	var p struct {
		AssumeRolePolicyDocument json.RawMessage
		Policies                 []struct {
			PolicyName     string
			PolicyDocument json.RawMessage
		}
		ManagedPolicyArns []string
		Description, Tags ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if len(p.ManagedPolicyArns) > 0 {
		return res.errorf("what its managed policies allow is not known here: %s", strings.Join(p.ManagedPolicyArns, ", "))
	}
	var all iam.Policy
	for _, inline := range p.Policies {
		policy, err := iam.Parse(inline.PolicyDocument)
		if err != nil {
			return res.errorf("policy %s: %w", inline.PolicyName, err)
		}
		all = append(all, policy...)
	}
	trust, err := iam.Parse(p.AssumeRolePolicyDocument)
	if err != nil {
		return res.errorf("AssumeRolePolicyDocument: %w", err)
	}
	r.roles[r.roleARN(res)] = &heldRole{policy: all, trust: trust}
	return nil
}

// heldRole is a role: what it allows, and who may take it.
type heldRole struct{ policy, trust iam.Policy }

func (r *reader) roleARN(res resource) string {
	return "arn:aws:iam::" + r.deployment.Account + ":role/" + r.names[res.ID]
}

// policy is a policy that is attached to roles.
func (r *reader) policy(res resource) error {
	var p struct {
		PolicyDocument                      json.RawMessage
		Roles                               []string
		PolicyName, Description, Path, Tags ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	policy, err := iam.Parse(p.PolicyDocument)
	if err != nil {
		return res.errorf("%w", err)
	}
	for _, name := range p.Roles {
		role := r.roles["arn:aws:iam::"+r.deployment.Account+":role/"+name]
		if role == nil {
			return res.errorf("there is no role %s in the template", name)
		}
		role.policy = append(role.policy, policy...)
	}
	return nil
}

// take gives the role to what has it, for a service of AWS to act in.
func (r *reader) take(arn, owner, service string) error {
	role := r.roles[arn]
	if role == nil {
		return fmt.Errorf("its role %s is not in the template", arn)
	}
	// The conditions of a trust policy are about who asks for it, which is no question here.
	if !slices.ContainsFunc(role.trust, func(s iam.Statement) bool {
		return !s.Deny && slices.Contains(s.Principals, service) && slices.Contains(s.Actions, "sts:AssumeRole")
	}) {
		return fmt.Errorf("its role %s cannot be taken by %s", arn, service)
	}
	if r.deployment.Access.Roles == nil {
		r.deployment.Access.Roles = map[string]iam.Policy{}
	}
	r.deployment.Access.Roles[owner] = role.policy
	return nil
}

// allow adds to the policy of a resource.
func (r *reader) allow(arn string, policy ...iam.Statement) {
	if r.deployment.Access.Resources == nil {
		r.deployment.Access.Resources = map[string]iam.Policy{}
	}
	r.deployment.Access.Resources[arn] = append(r.deployment.Access.Resources[arn], policy...)
}

// permission lets a service of AWS call a function.
func (r *reader) permission(res resource) error {
	var p struct{ Action, FunctionName, Principal, SourceArn, SourceAccount string }
	if err := r.decode(res, &p); err != nil {
		return err
	}
	f, err := r.functionNamed(p.FunctionName)
	if err != nil {
		return res.errorf("%w", err)
	}
	arn := r.deployment.ARN("lambda", "function:"+f.Name)
	s := iam.Statement{Principals: []string{p.Principal}, Actions: []string{p.Action}, Resources: []string{arn}}
	if p.SourceArn != "" {
		s.Conditions = append(s.Conditions, iam.Condition{Operator: "ArnLike", Key: "aws:SourceArn", Values: []string{p.SourceArn}})
	}
	if p.SourceAccount != "" {
		s.Conditions = append(s.Conditions, iam.Condition{Operator: "StringEquals", Key: "aws:SourceAccount", Values: []string{p.SourceAccount}})
	}
	r.allow(arn, s)
	return nil
}

func (r *reader) queuePolicy(res resource) error {
	var p struct {
		PolicyDocument json.RawMessage
		Queues         []string
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	policy, err := iam.Parse(p.PolicyDocument)
	if err != nil {
		return res.errorf("%w", err)
	}
	for _, url := range p.Queues {
		r.allow(r.deployment.ARN("sqs", awsname.Last(url)), policy...)
	}
	return nil
}
