package cloud

import (
	"strings"

	"sluice/lab/cloud/iam"
	"sluice/lab/cloud/wire"
)

// getCallerIdentity answers sts:GetCallerIdentity. Everybody is the same user.
func (c *Cloud) getCallerIdentity(struct{}) (map[string]any, error) {
	d := c.deployed()
	return map[string]any{"Account": d.Account, "Arn": "arn:aws:iam::" + d.Account + ":user/local", "UserId": "AIDALOCAL"}, nil
}

// simulateInput is the input of SimulatePrincipalPolicy.
type simulateInput struct {
	PolicySourceArn string
	ActionNames     []string
	ResourceArns    []string // All of them together, "*", if there is none.
	ContextEntries  []struct {
		ContextKeyName   string
		ContextKeyType   string
		ContextKeyValues []string
	}
	MaxItems int // All results are in one answer, which has to be large enough.
}

// simulatePrincipalPolicy answers iam:SimulatePrincipalPolicy: what the policies of a role allow. Only the roles of the deployment have
// policies here; everybody else may do everything, and so may they where the deployment says nothing of access.
func (c *Cloud) simulatePrincipalPolicy(in simulateInput) (map[string]any, error) {
	if in.PolicySourceArn == "" || len(in.ActionNames) == 0 {
		return nil, wire.Errorf("InvalidInput", "PolicySourceArn and ActionNames are required")
	}
	policy, err := c.deployed().policyOf(in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	context := map[string][]string{}
	for _, e := range in.ContextEntries {
		context[e.ContextKeyName] = e.ContextKeyValues
	}
	resources := in.ResourceArns
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	results := []any{}
	for _, action := range in.ActionNames {
		for _, resource := range resources {
			decision := iam.Decide(iam.Request{Action: action, Resource: resource, Context: context}, policy)
			results = append(results, map[string]any{
				"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": string(decision),
			})
		}
	}
	if in.MaxItems > 0 && len(results) > in.MaxItems {
		return nil, wire.Errorf("InvalidInput", "the local cloud has %d results, and does not page them: leave MaxItems out", len(results))
	}
	return map[string]any{"EvaluationResults": results, "IsTruncated": false}, nil
}

// policyOf is what a user or a role of this account is allowed.
func (d Deployment) policyOf(arn string) (iam.Policy, error) {
	name, isRole := strings.CutPrefix(arn, "arn:aws:iam::"+d.Account+":role/")
	everything := iam.Policy{{Actions: []string{"*"}, Resources: []string{"*"}}}
	if !isRole {
		return everything, nil
	}
	owners := map[string]string{d.Machine.Name: d.machineARN()}
	for _, f := range d.Functions {
		owners[f.Name] = d.functionARN(f.Name)
	}
	for _, s := range d.Schedules {
		owners[s.Name] = d.scheduleARN(s)
	}
	owner, ok := owners[name]
	switch {
	case !ok:
		return nil, &wire.Error{Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.", Status: 404}
	case d.Access == nil:
		return everything, nil
	}
	return d.Access.Roles[owner], nil
}
