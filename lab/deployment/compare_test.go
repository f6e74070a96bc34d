package deployment

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

// fixture is a template whose roles are right for testdata/sluice.yaml, made by hand.
func fixture(t *testing.T) (template string, c *config.Config) {
	t.Helper()
	data, err := os.ReadFile("testdata/template.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err = config.Load("testdata/sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data), c
}

func lines(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.String())
	}
	return out
}

// TestCompare has roles that are right, and such as are wrong in one thing, which is all that is found.
func TestCompare(t *testing.T) {
	t.Parallel()
	calls := derive(t)
	right, c := fixture(t)
	const (
		place  = `["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, `
		floors = `"ForAllValues:StringEquals": {"aws:TagKeys": "sluice:floor"}`
		via    = `"kms:ViaService": [{"Fn::Join": ["", ["secretsmanager.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]}, ` +
			`{"Fn::Join": ["", ["ssm.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]}]`
		arn = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:"
		of  = ":${AWS::Region}:${AWS::AccountId}:"
	)
	for _, row := range []struct {
		name     string
		old, new string   // In the first role in which old is found.
		want     []string // How the findings begin.
	}{
		{name: "right"},
		{
			name: "one action too many",
			old:  `"Action": ["ecs:DescribeTasks", "ecs:GetTaskProtection"]`, new: `"Action": ["ecs:DescribeTasks", "ecs:GetTaskProtection", "ecs:StopTask"]`,
			want: []string{"scaleout: ecs:StopTask: is granted, but nothing calls it"},
		},
		{
			name: "one action too few",
			old:  `"Action": ["ecs:DescribeTasks", "ecs:GetTaskProtection"]`, new: `"Action": "ecs:DescribeTasks"`,
			want: []string{"scaleout: ecs:GetTaskProtection: is missing, though needed: scaleout.main > (*scaler.Scaler).ScaleOut > "},
		},
		{
			name: "a whole statement too few",
			old:  `    {"Action": "ecs:UpdateTaskProtection", "Effect": "Allow", "Resource": {"Fn::Join": ` + place + `":task/prod/*"]]}},` + "\n",
			want: []string{"check: ecs:UpdateTaskProtection: is missing, though needed: check.main > (*scaler.Scaler).CheckAll > (*scaler.Scaler).shield > "},
		},
		{
			name: "a wildcard action", old: `"Action": "ecs:ListTasks"`, new: `"Action": ["ecs:ListTasks", "ecs:Describe*"]`,
			want: []string{"scaleout: ecs:Describe*: is granted, which is more than one action: name those that are needed"},
		},
		{
			name: "one service too few", old: `, {"Fn::Join": ` + place + `":service/prod/mail"]]}`,
			want: []string{
				"scaleout: ecs:DescribeServices: is missing on " + arn + "service/prod/mail, though needed: scaleout.main > ",
				"scaleout: ecs:UpdateService: is missing on " + arn + "service/prod/mail, though needed: scaleout.main > ",
			},
		},
		{
			name: "all services of a cluster", old: ":service/prod/mail", new: ":service/prod/*",
			want: []string{
				"scaleout: ecs:DescribeServices: is granted on " + arn + "service/prod/*, which is more than " +
					arn + "service/media/counted, " + arn + "service/prod/celery-worker, " + arn + "service/prod/mail",
				"scaleout: ecs:UpdateService: is granted on " + arn + "service/prod/*, which is more than " +
					arn + "service/media/counted, " + arn + "service/prod/celery-worker, " + arn + "service/prod/mail",
			},
		},
		{
			name: "tasks of a target that has none looked at",
			old:  `"Resource": {"Fn::Join": ` + place + `":task/prod/*"]]}`,
			new:  `"Resource": [{"Fn::Sub": "` + arn + `task/prod/*"}, {"Fn::Sub": "` + arn + `task/media/*"}]`,
			want: []string{
				"scaleout: ecs:DescribeTasks: is granted on " + arn + "task/media/*, which is more than " + arn + "task/prod/*",
				"scaleout: ecs:GetTaskProtection: is granted on " + arn + "task/media/*, which is more than " + arn + "task/prod/*",
			},
		},
		{
			name: "no condition", old: `, "Condition": {` + floors + `}`,
			want: []string{"scaleout: ecs:TagResource: is granted without a condition, but ought to be if ForAllValues:StringEquals aws:TagKeys sluice:floor"},
		},
		{
			name: "another condition", old: floors, new: strings.Replace(floors, "floor", "paused", 1),
			want: []string{"scaleout: ecs:TagResource: is granted if ForAllValues:StringEquals aws:TagKeys sluice:paused, but ought to be if "},
		},
		{
			name: "another's tag", old: `"aws:TagKeys": "sluice:floor"`, new: `"aws:TagKeys": ["sluice:floor", "sluice:shield"]`,
			want: []string{"scaleout: ecs:TagResource: is granted if ForAllValues:StringEquals aws:TagKeys sluice:floor or sluice:shield, but "},
		},
		{
			name: "another operator", old: `"Condition": {"ArnLike"`, new: `"Condition": {"StringLike"`,
			want: []string{"scaleout: ecs:ListTasks: is granted if StringLike ecs:cluster " + arn + "cluster/prod, but ought to be if ArnEquals ecs:cluster "},
		},
		{
			name: "every secret", old: ":secret:prod/redis-??????", new: ":secret:*",
			want: []string{"scaleout: secretsmanager:GetSecretValue: is granted on arn:${AWS::Partition}:secretsmanager" + of + "secret:*, which is more than "},
		},
		{
			name: "another parameter", old: ":parameter/prod/redis", new: ":parameter/prod/redis2",
			want: []string{
				"scaleout: ssm:GetParameter: is missing on arn:${AWS::Partition}:ssm" + of + "parameter/prod/redis, though needed: scaleout.main > ",
				"scaleout: ssm:GetParameter: is granted on arn:${AWS::Partition}:ssm" + of + "parameter/prod/redis2, which is more than ",
			},
		},
		{
			name: "a key for everything", old: `, "Condition": {"StringEquals": {` + via + `}}`,
			want: []string{"scaleout: kms:Decrypt: is granted without a condition, but ought to be if StringEquals kms:ViaService secretsmanager.${AWS::Region}.amazonaws.com or ssm."},
		},
		{
			name: "another function's log", old: `{"Fn::GetAtt": ["ScaleOutLogs", "Arn"]}`, new: `{"Fn::GetAtt": ["CheckLogs", "Arn"]}`,
			want: []string{
				"scaleout: logs:CreateLogStream: is missing on ${ScaleOutLogs.Arn}, though needed: its log lines",
				"scaleout: logs:CreateLogStream: is granted on ${CheckLogs.Arn}, which is more than ${ScaleOutLogs.Arn}",
				"scaleout: logs:PutLogEvents: is missing on ${ScaleOutLogs.Arn}, though needed: its log lines",
				"scaleout: logs:PutLogEvents: is granted on ${CheckLogs.Arn}, which is more than ${ScaleOutLogs.Arn}",
			},
		},
		{
			name: "outside a VPC", old: `    "VpcConfig": {"SubnetIds": ["subnet-0abc1234"]},` + "\n",
			want: []string{
				"scaleout: ec2:AssignPrivateIpAddresses: ", "scaleout: ec2:CreateNetworkInterface: ", "scaleout: ec2:DeleteNetworkInterface: ",
				"scaleout: ec2:DescribeNetworkInterfaces: ", "scaleout: ec2:DescribeSubnets: ", "scaleout: ec2:UnassignPrivateIpAddresses: is granted, but nothing calls it",
			},
		},
		{
			name: "no dead-letter queue", old: `    "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["ScaleOutDeadLetters", "Arn"]}},` + "\n",
			want: []string{"scaleout: sqs:SendMessage: is granted, but nothing calls it"},
		},
		{
			name: "a managed policy", old: `"Properties": {"Policies"`,
			new:  `"Properties": {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"], "Policies"`,
			want: []string{"scaleout: its role has the managed policy arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole, "},
		},
		{
			name: "everything but", old: `"Action": "ecs:ListTasks"`, new: `"NotAction": "iam:PassRole"`,
			want: []string{"scaleout: a statement has NotAction: ", "scaleout: ecs:ListTasks: is missing, though needed: "},
		},
		{name: "a policy of its own", old: `"ScaleOutPolicy": {"Type": "AWS::IAM::Policy"`, new: `"ScaleOutPolicy": {"Type": "AWS::IAM::ManagedPolicy"`},
		{
			name: "another way to write a text", old: `{"Fn::GetAtt": ["ScaleOutLogs", "Arn"]}`,
			new: `{"Fn::Sub": ["${Log}", {"Log": {"Fn::GetAtt": ["ScaleOutLogs", "Arn"]}}]}`,
		},
		{
			name: "one log group too few", old: `, {"Fn::GetAtt": ["ScaleInLogs", "Arn"]}]`, new: `]`,
			want: []string{"notify: logs:FilterLogEvents: is missing on ${ScaleInLogs.Arn}, though needed: notify.main > "},
		},
		{
			name: "another topic", old: `"Action": "sns:Publish", "Effect": "Allow", "Resource": {"Ref": "Topic"}`,
			new:  `"Action": "sns:Publish", "Effect": "Allow", "Resource": "*"`,
			want: []string{"notify: sns:Publish: is granted on *, which is more than ${Topic}"},
		},
		{name: "what is denied", old: `"Statement": [`, new: `"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"},`},
		{
			name: "more than fits", old: `"Statement": [`,
			new:  `"Statement": [{"Effect": "Deny", "Action": "` + strings.Repeat("x", 10_240) + `", "Resource": "*"},`,
			want: []string{"scaleout: its inline policies may have "},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(right, row.old, row.new, 1)
			if row.old != "" && changed == right {
				t.Fatal("there is no such text in the template")
			}
			findings, err := Compare([]byte(changed), calls, c)
			if err != nil {
				t.Fatal(err)
			}
			got := lines(findings)
			for i := range min(len(got), len(row.want)) {
				if strings.HasPrefix(got[i], row.want[i]) {
					got[i] = row.want[i]
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRoles has templates in which the roles cannot be found, or have nothing to be judged by.
func TestRoles(t *testing.T) {
	t.Parallel()
	right, _ := fixture(t)
	for _, row := range []struct{ name, old, new, want string }{
		{"no JSON", `{"Resources"`, `"Resources"`, "read the template: "},
		{"no such function", `"Value": "scalein"`, `"Value": "scaling"`, "no function has the tag sluice:function=scalein"},
		{"two of them", `"Value": "scalein"`, `"Value": "check"`, "two functions have the tag sluice:function=check"},
	} {
		if _, err := roles([]byte(strings.Replace(right, row.old, row.new, 1)), Functions()); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v", row.name, err)
		}
	}
	const other = "arn:aws:iam::123456789012:role/other"
	found, err := roles([]byte(strings.Replace(right, `{"Fn::GetAtt": ["CheckRole", "Arn"]}`, `"`+other+`"`, 1)), Functions())
	if err != nil || len(found[Check].grants) > 0 || len(found[Check].strange) != 1 || !strings.Contains(found[Check].strange[0], other) {
		t.Errorf("a role that is not in the template: %v, %+v", err, found[Check])
	}
}
