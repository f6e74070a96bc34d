package cloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	policies "sluice/lab/cloud/iam"
)

func TestSimulatePrincipalPolicy(t *testing.T) {
	path := settings(t, "", "true")
	c, _ := start(t, path, Options{NoSweep: true})
	api := iam.NewFromConfig(client(c))
	const service = "arn:aws:ecs:us-east-1:000000000000:service/media/workers"
	simulate := func(principal, action string, context ...iamtypes.ContextEntry) string {
		t.Helper()
		out, err := api.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: aws.String("arn:aws:iam::000000000000:" + principal), ActionNames: []string{action}, ResourceArns: []string{service},
			ContextEntries: context,
		})
		if err != nil || len(out.EvaluationResults) != 1 || *out.EvaluationResults[0].EvalActionName != action || *out.EvaluationResults[0].EvalResourceName != service {
			t.Fatal(out, err)
		}
		return string(out.EvaluationResults[0].EvalDecision)
	}
	if got := simulate("role/scaleout", "ecs:UpdateService"); got != "allowed" {
		t.Errorf("without policies: %s", got)
	}
	_, err := c.Change(func(d *Deployment) {
		d.Access = everything(d)
		d.Access.Roles[d.functionARN(ScaleOut)] = policies.Policy{
			{Actions: []string{"ecs:Describe*"}, Resources: []string{"*"}},
			{Actions: []string{"ecs:UpdateService"}, Resources: []string{service}, Conditions: []policies.Condition{{Operator: "ArnEquals", Key: "ecs:cluster", Values: []string{"arn:c"}}}},
			{Deny: true, Actions: []string{"ecs:DescribeTasks"}, Resources: []string{"*"}},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster := iamtypes.ContextEntry{ContextKeyName: aws.String("ecs:cluster"), ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: []string{"arn:c"}}
	for _, tt := range []struct {
		principal, action string
		context           []iamtypes.ContextEntry
		want              string
	}{
		{"role/scaleout", "ecs:DescribeServices", nil, "allowed"},
		{"role/scaleout", "ecs:DescribeTasks", nil, "explicitDeny"},
		{"role/scaleout", "ecs:TagResource", nil, "implicitDeny"},
		{"role/scaleout", "ecs:UpdateService", nil, "implicitDeny"},
		{"role/scaleout", "ecs:UpdateService", []iamtypes.ContextEntry{cluster}, "allowed"},
		{"role/check", "ecs:TagResource", nil, "allowed"},
		{"role/sweep", "ecs:TagResource", nil, "allowed"},
		{"user/local", "ecs:TagResource", nil, "allowed"},
	} {
		if got := simulate(tt.principal, tt.action, tt.context...); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", tt.principal, tt.action, got, tt.want)
		}
	}
	_, err = api.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::000000000000:role/none"), ActionNames: []string{"a:b"},
	})
	if code(err) != "NoSuchEntity" {
		t.Errorf("a role that is not there: %v", err)
	}
	who, err := sts.NewFromConfig(client(c)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:iam::000000000000:user/local" || *who.Account != Account {
		t.Errorf("caller %+v, %v", who, err)
	}
}
