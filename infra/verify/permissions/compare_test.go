package permissions

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
		scaleOutTag = `"ForAllValues:StringEquals": {"aws:TagKeys": "sluice:floor"}`
		unprotect   = `    {"Action": "ecs:UpdateTaskProtection", "Effect": "Allow", "Resource": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":task/prod/*"]]}},`
		mail        = `, {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":service/prod/mail"]]}`
		arn         = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:"
	)
	for _, row := range []struct {
		name     string
		old, new string // In the first role in which old is found.
		want     []string
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
			name: "a whole statement too few", old: unprotect + "\n", new: "",
			want: []string{"check: ecs:UpdateTaskProtection: is missing, though needed: check.main > (*scaler.Scaler).CheckAll > (*scaler.Scaler).shield > "},
		},
		{
			name: "a wildcard action", old: `"Action": "ecs:ListTasks"`, new: `"Action": ["ecs:ListTasks", "ecs:Describe*"]`,
			want: []string{"scaleout: ecs:Describe*: is granted, which is more than one action: name those that are needed"},
		},
		{
			name: "one service too few", old: mail, new: "",
			want: []string{
				"scaleout: ecs:DescribeServices: is missing on " + arn + "service/prod/mail, though needed: scaleout.main > (*scaler.Scaler).ScaleOut > " +
					"(*scaler.Scaler).observe > (*scaler.Scaler).describe > (*fleet.Fleet).Describe > (*fleet.Fleet).describe > (*ecs.Client).DescribeServices",
				"scaleout: ecs:UpdateService: is missing on " + arn + "service/prod/mail, though needed: scaleout.main > (*scaler.Scaler).ScaleOut > " +
					"(*fleet.Fleet).SetDesired > (*ecs.Client).UpdateService",
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
			old:  `"Resource": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":task/prod/*"]]}`,
			new:  `"Resource": [{"Fn::Sub": "` + arn + `task/prod/*"}, {"Fn::Sub": "` + arn + `task/media/*"}]`,
			want: []string{
				"scaleout: ecs:DescribeTasks: is granted on " + arn + "task/media/*, which is more than " + arn + "task/prod/*",
				"scaleout: ecs:GetTaskProtection: is granted on " + arn + "task/media/*, which is more than " + arn + "task/prod/*",
			},
		},
		{
			name: "no condition", old: `, "Condition": {` + scaleOutTag + `}`, new: "",
			want: []string{"scaleout: ecs:TagResource: is granted without a condition, but ought to be if ForAllValues:StringEquals aws:TagKeys sluice:floor"},
		},
		{
			name: "another condition", old: scaleOutTag, new: strings.Replace(scaleOutTag, "floor", "paused", 1),
			want: []string{"scaleout: ecs:TagResource: is granted if ForAllValues:StringEquals aws:TagKeys sluice:paused, but ought to be if ForAllValues:StringEquals aws:TagKeys sluice:floor"},
		},
		{
			name: "another's tag", old: `"aws:TagKeys": "sluice:floor"`, new: `"aws:TagKeys": ["sluice:floor", "sluice:shield"]`,
			want: []string{"scaleout: ecs:TagResource: is granted if ForAllValues:StringEquals aws:TagKeys sluice:floor or sluice:shield, but ought to be if ForAllValues:StringEquals aws:TagKeys sluice:floor"},
		},
		{
			name: "tasks of every cluster", old: `{"Action": "ecs:ListTasks", "Effect": "Allow", "Resource": "*", "Condition": {"ArnLike"`,
			new:  `{"Action": "ecs:ListTasks", "Effect": "Allow", "Resource": "*", "Condition": {"StringLike"`,
			want: []string{"scaleout: ecs:ListTasks: is granted if StringLike ecs:cluster " + arn + "cluster/prod, but ought to be if ArnEquals ecs:cluster " + arn + "cluster/prod"},
		},
		{
			name: "every secret", old: ":secret:prod/redis-??????", new: ":secret:*",
			want: []string{"scaleout: secretsmanager:GetSecretValue: is granted on arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*, " +
				"which is more than arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:prod/redis-??????"},
		},
		{
			name: "another parameter", old: ":parameter/prod/redis", new: ":parameter/prod/redis2",
			want: []string{
				"scaleout: ssm:GetParameter: is missing on arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/prod/redis, though needed: " +
					"scaleout.main > function.Start > function.load > function.New > function.openBroker > function.brokerURL > function.parameter > (*ssm.Client).GetParameter",
				"scaleout: ssm:GetParameter: is granted on arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/prod/redis2, " +
					"which is more than arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/prod/redis",
			},
		},
		{
			name: "a key for everything", old: `, "Condition": {"StringEquals": {"kms:ViaService": [{"Fn::Join": ["", ["secretsmanager.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]}, {"Fn::Join": ["", ["ssm.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]}]}}`,
			want: []string{"scaleout: kms:Decrypt: is granted without a condition, but ought to be if StringEquals kms:ViaService secretsmanager.${AWS::Region}.amazonaws.com or ssm.${AWS::Region}.amazonaws.com"},
		},
		{
			name: "another function's log", old: `"Resource": {"Fn::GetAtt": ["ScaleOutLogs", "Arn"]}`, new: `"Resource": {"Fn::GetAtt": ["CheckLogs", "Arn"]}`,
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
				"scaleout: ec2:AssignPrivateIpAddresses: is granted, but nothing calls it", "scaleout: ec2:CreateNetworkInterface: is granted, but nothing calls it",
				"scaleout: ec2:DeleteNetworkInterface: is granted, but nothing calls it", "scaleout: ec2:DescribeNetworkInterfaces: is granted, but nothing calls it",
				"scaleout: ec2:DescribeSubnets: is granted, but nothing calls it", "scaleout: ec2:UnassignPrivateIpAddresses: is granted, but nothing calls it",
			},
		},
		{
			name: "no dead-letter queue", old: `    "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["ScaleOutDeadLetters", "Arn"]}},` + "\n",
			want: []string{"scaleout: sqs:SendMessage: is granted, but nothing calls it"},
		},
		{
			name: "a managed policy", old: `"Properties": {"Policies"`,
			new:  `"Properties": {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"], "Policies"`,
			want: []string{"scaleout: its role has the managed policy arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole, which grants more than is needed"},
		},
		{
			name: "everything but", old: `"Action": "ecs:ListTasks"`, new: `"NotAction": "iam:PassRole"`,
			want: []string{"scaleout: a statement has NotAction: say what is allowed instead", "scaleout: ecs:ListTasks: is missing, though needed: "},
		},
		{name: "what is denied", old: `"Statement": [`, new: `"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"},`},
		{
			name: "more than fits", old: `"PolicyName": "code"`, new: `"PolicyName": "code", "PolicyDocument": {"Statement": {"Effect": "Deny", "Action": "` + strings.Repeat("x", 10_240) + `"}}}, {"PolicyName": "rest"`,
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
			// Long ones are told by how they begin.
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
