package template

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

// stackOf is a stack with these resources, written as in a template.
func stackOf(t *testing.T, resources string) *Stack {
	t.Helper()
	s := &Stack{Name: "sluice", Raw: []byte(`{"Resources": ` + resources + `}`)}
	if err := s.parse(); err != nil {
		t.Fatal(err)
	}
	return s
}

// find runs one check on a deployment of one stack, and returns the findings as resource and problem.
func find(s *Stack, run func(*Deployment, *findings)) (found []string) {
	f := &findings{}
	run(&Deployment{Assembly: &Assembly{Stacks: []*Stack{s}}, Given: Given{Config: defaults()}, Sluice: s}, f)
	for _, one := range f.found {
		found = append(found, one.Resource+" "+one.Problem)
	}
	return found
}

func TestResolve(t *testing.T) {
	for in, want := range map[string]any{
		`{"Ref": "Queue"}`:                 "${Queue}",
		`{"Fn::GetAtt": ["Queue", "Arn"]}`: "${Queue.Arn}",
		`{"Fn::GetAtt": "Queue.Arn"}`:      "${Queue.Arn}",
		`{"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecs:", 5]]}`: "arn:${AWS::Partition}:ecs:5",
		`{"Fn::Join": [",", ["a", {"Fn::GetAtt": ["B", "C.D"]}]]}`:            "a,${B.C.D}",
		`{"Fn::Sub": "bucket-${AWS::Region}"}`:                                "bucket-${AWS::Region}",
		`{"Fn::Sub": ["${a}-${B.Arn}", {"a": {"Ref": "A"}}]}`:                 "${A}-${B.Arn}",
		`{"Fn::Select": [1, {"Fn::Split": ["|", {"Ref": "Rule"}]}]}`:          `${Fn::Select [1,'${Fn::Split ['|','${Rule}']}']}`,
		`[{"Ref": "AWS::NoValue"}, "a"]`:                                      []any{"a"},
		`{"a": {"Ref": "AWS::NoValue"}, "b": {"Ref": "C"}}`:                   map[string]any{"b": "${C}"},
		`{"Ref": "a", "other": 1}`:                                            map[string]any{"Ref": "a", "other": 1.0},
		`{"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}`:  map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": "${AWS::AccountId}"}},
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, resolve(v)); diff != "" {
			t.Errorf("resolve %s (-want +got):\n%s", in, diff)
		}
	}
}

func TestReferences(t *testing.T) {
	s := stackOf(t, `{"Q": {"Type": "AWS::SQS::Queue"}, "R": {"Type": "AWS::Events::Rule"}}`)
	var ids []string
	for _, r := range s.refer(map[string]any{"a": "x${Q.Arn}y${Q}", "b": []any{"${Fn::Select [1,'${R}']}", "${Parameter}", "${AWS::Region}"}}) {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"Q", "R"}, ids); diff != "" {
		t.Errorf("refer (-want +got):\n%s", diff)
	}
	for text, want := range map[string]bool{"${Q.Arn}": true, "${Q}": true, "${R}": false, "x${Q}": false, "${Other}": false, "": false} {
		if got := s.target(text, "AWS::SQS::Queue") != nil; got != want {
			t.Errorf("%q is a queue: %t, want %t", text, got, want)
		}
	}
}

func TestAfter(t *testing.T) {
	s := stackOf(t, `{
		"Group": {"Type": "AWS::Scheduler::ScheduleGroup"},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"X": {"Fn::GetAtt": ["Group", "Arn"]}}},
		"Referring": {"Type": "AWS::Scheduler::Schedule", "Properties": {"Target": {"RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}}},
		"Depending": {"Type": "AWS::Scheduler::Schedule", "DependsOn": ["Role"]},
		"Naming": {"Type": "AWS::Scheduler::Schedule", "Properties": {"GroupName": "Group"}, "DependsOn": "Round"},
		"Round": {"Type": "AWS::SQS::Queue", "Properties": {"X": {"Ref": "Naming"}}}}`)
	for id, want := range map[string]bool{"Role": true, "Referring": true, "Depending": true, "Naming": false} {
		if got := s.after(s.Resources[id], s.Resources["Group"]); got != want {
			t.Errorf("%s is made after the group: %t, want %t", id, got, want)
		}
	}
}

func TestWildcards(t *testing.T) {
	tests := []struct {
		action, resource, conditions string
		want                         bool
	}{
		{"ecs:ListTasks", "*", `{"ArnEquals": {"ecs:cluster": "c"}}`, true},
		{"ecs:ListTasks", "*", `{}`, false},
		{"ecs:UpdateService", "*", `{"ArnEquals": {"ecs:cluster": "c"}}`, false},
		{"ecs:UpdateService", "arn:aws:ecs:r:1:service/prod/*", `{}`, true},
		{"ecs:UpdateService", "arn:aws:ecs:r:1:service/*", `{}`, true},
		{"ecs:UpdateService", "arn:aws:ecs:r:1:*", `{}`, false},
		{"ecs:StopTask", "arn:aws:ecs:r:1:task/prod/*", `{}`, false},
		{"ecs:TagResource", "arn:aws:ecs:r:1:task/prod/*", `{}`, false},
		{"ecs:TagResource", "arn:aws:ecs:r:1:task/prod/*", `{"ForAllValues:StringEquals": {"aws:TagKeys": "sluice:shield"}}`, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:r:1:secret:prod/redis-??????", `{}`, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:r:1:secret:prod/*", `{}`, false},
		{"secretsmanager:GetSecretValue", "*", `{}`, false},
		{"xray:PutTraceSegments", "*", `{}`, true},
		{"sqs:SendMessage", "${Q.Arn}", `{}`, true},
	}
	for _, tt := range tests {
		s := stackOf(t, `{"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement":
			{"Effect": "Allow", "Action": "`+tt.action+`", "Resource": "`+tt.resource+`", "Condition": `+tt.conditions+`}}}]}}}`)
		if found := find(s, checkResources); (len(found) == 0) != tt.want {
			t.Errorf("%s on %s if %s: %q, want it to pass: %t", tt.action, tt.resource, tt.conditions, found, tt.want)
		}
	}
}

func TestActions(t *testing.T) {
	tests := []struct {
		statement, resource string
		want                bool
	}{
		{`{"Effect": "Allow", "Action": ["ecs:UpdateService"]}`, "AWS::IAM::Policy", true},
		{`{"Effect": "Allow", "Action": ["ecs:UpdateService", "ecs:List*"]}`, "AWS::IAM::Policy", false},
		{`{"Effect": "Allow", "NotAction": ["ecs:UpdateService"]}`, "AWS::IAM::Policy", false},
		{`{"Effect": "Deny", "Action": "sqs:*"}`, "AWS::IAM::Policy", true},
		{`{"Effect": "Allow", "Action": "kms:*", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}`, "AWS::IAM::Policy", false},
	}
	for _, tt := range tests {
		s := stackOf(t, `{"P": {"Type": "`+tt.resource+`", "Properties": {"PolicyDocument": {"Statement": [`+tt.statement+`]}}}}`)
		if found := find(s, checkActions); (len(found) == 0) != tt.want {
			t.Errorf("%s: %q, want it to pass: %t", tt.statement, found, tt.want)
		}
	}
	for principal, want := range map[string]bool{
		`{"AWS": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::", {"Ref": "AWS::AccountId"}, ":root"]]}}`: true,
		`{"AWS": "*"}`: false,
		`{"AWS": "arn:aws:iam::123456789012:role/x"}`: false,
	} {
		s := stackOf(t, `{"K": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": {"Effect": "Allow", "Action": "kms:*", "Principal": `+principal+`}}}}}`)
		if found := find(s, checkActions); (len(found) == 0) != want {
			t.Errorf("key for %s: %q, want it to pass: %t", principal, found, want)
		}
	}
}

func TestTrust(t *testing.T) {
	const function = `"F": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}}}`
	role := func(statements string) string {
		return `"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": ` + statements + `}}}`
	}
	const lambda = `[{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]`
	tests := []struct{ name, resources, want string }{
		{"as it has to be", function + "," + role(lambda), ""},
		{"nobody uses it", role(lambda), "Role is a role that nothing uses"},
		{"another service", function + "," + role(strings.Replace(lambda, "lambda.", "ecs-tasks.", 1)), "Role trusts"},
		{"two services", function + "," + role(strings.Replace(lambda, `"lambda.amazonaws.com"`, `["lambda.amazonaws.com", "ecs.amazonaws.com"]`, 1)), "Role trusts"},
		{"an account, too", function + "," + role(strings.Replace(lambda, `}}]`, `, "AWS": "123456789012"}}]`, 1)), "Role trusts"},
		{"no role of the template", function, "F its role"},
		{"a shared role", function + "," + strings.Replace(function, `"F"`, `"G"`, 1) + "," + role(lambda), "G shares the role"},
	}
	for _, tt := range tests {
		found := find(stackOf(t, "{"+tt.resources+"}"), checkTrust)
		if got := strings.Join(found, "; "); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStartsEvery(t *testing.T) {
	for _, tt := range []struct {
		expression string
		every      time.Duration
		want       bool
	}{
		{"rate(5 minutes)", 5 * time.Minute, true},
		{"rate(1 minute)", time.Minute, true},
		{"rate(1 hour)", time.Hour, true},
		{"rate(60 minutes)", time.Hour, true},
		{"rate(1 day)", 24 * time.Hour, true},
		{"rate(5 hours)", 5 * time.Minute, false},
		{"rate(6 minutes)", 5 * time.Minute, false},
		{"cron(0/5 * * * ? *)", 5 * time.Minute, true},
		{"cron(3/5 * * * ? *)", 5 * time.Minute, true},
		{"cron(5/5 * * * ? *)", 5 * time.Minute, false}, // Leaves one out each hour.
		{"cron(0/7 * * * ? *)", 7 * time.Minute, false}, // 56 and 0 are four minutes apart.
		{"cron(30 * * * ? *)", time.Hour, true},
		{"cron(30 * * * ? *)", 30 * time.Minute, false},
		{"cron(0/0 * * * ? *)", time.Hour, false},
		{"cron(0 12 * * ? *)", 24 * time.Hour, false}, // Not a form that is used.
		{"at(2026-11-22T00:00:00)", time.Hour, false},
	} {
		if got := startsEvery(tt.expression, tt.every); got != tt.want {
			t.Errorf("%s starts every %v: %t, want %t", tt.expression, tt.every, got, tt.want)
		}
	}
}

func TestShards(t *testing.T) {
	for _, tt := range []struct {
		inputs []string
		want   string // A part of the findings; empty for none.
	}{
		{[]string{`{}`}, ""},
		{[]string{`{"shard":0,"shards":1}`}, "though there is one schedule"},
		{[]string{`{"shard":1,"shards":2}`, `{"shard":0,"shards":2}`}, ""},
		{[]string{`{"shard":0,"shards":2}`, `{"shard":0,"shards":2}`}, "as s0 does"},
		{[]string{`{"shard":0,"shards":3}`, `{"shard":1,"shards":3}`}, "there are 2 schedules"},
		{[]string{`{"shard":1,"shards":2}`, `{"shard":2,"shards":2}`}, "there are 2 schedules"},
		{[]string{`{"shards":2}`, `{"shard":1,"shards":2}`}, "there are 2 schedules"},
		{[]string{`{}`, `{}`}, "there are 2 schedules"},
		{[]string{`{"target":"worker"}`}, "unknown field"},
		{[]string{``}, "EOF"},
	} {
		f, covered := &findings{}, map[int]*Resource{}
		for i, in := range tt.inputs {
			r := &Resource{ID: "s" + string(rune('0'+i)), Properties: map[string]any{"Target": map[string]any{"Input": in}}}
			(&Deployment{}).cover(f, r, len(tt.inputs), covered)
		}
		var got []string
		for _, one := range f.found {
			got = append(got, one.Problem)
		}
		if all := strings.Join(got, "; "); tt.want == "" && all != "" || !strings.Contains(all, tt.want) {
			t.Errorf("%q: %q, want %q", tt.inputs, all, tt.want)
		}
	}
}

func TestSecretIn(t *testing.T) {
	for text, want := range map[string]string{
		"redis://:correct-horse@host:6379/0":                             "a URL with a password",
		"say rediss://user:pass@host":                                    "a URL with a password",
		`"amqp://shop:pw@rabbit"`:                                        "a URL with a password",
		"redis://host:6379/0":                                            "",
		"redis://user@host:6379/0":                                       "",
		"https://docs.aws.amazon.com/a:b/c@d":                            "",
		"rediss://:{{resolve:secretsmanager:${P}:SecretString:::}}@host": "",
		"rediss://:${Password}@host":                                     "",
		"AKIAIOSFODNN7EXAMPLE":                                           "an access key",
		"XAKIAIOSFODNN7EXAMPLE":                                          "",
		"-----BEGIN RSA PRIVATE KEY-----":                                "a private key",
		"-----BEGIN CERTIFICATE-----":                                    "",
	} {
		if got := secretIn(text); got != want {
			t.Errorf("secret in %q: %q, want %q", text, got, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("only-on-a-laptop"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := stackOf(t, `{
		"Redis": {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": {"AuthToken": "correct-horse"}},
		"Sound": {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": {"AuthToken": {"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "S"}, "}}"]]}}},
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Environment": [
			{"Name": "DB_PASSWORD", "Value": "correct-horse"}, {"Name": "REGION", "Value": "eu-central-1"}]}]}},
		"F": {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": {"API_KEY": "correct-horse", "URL": "redis://host"}}}},
		"Url": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "redis://host"}}}`)
	f := &findings{}
	checkSecrets(&Deployment{Assembly: &Assembly{Dir: dir, Stacks: []*Stack{s}}, Given: Given{Secrets: []string{"only-on-a-laptop"}}}, f)
	var got []string
	for _, one := range f.found {
		got = append(got, one.Resource+": "+one.Problem)
		if strings.Contains(one.String(), "correct-horse") {
			t.Errorf("the secret is repeated: %v", one)
		}
	}
	want := []string{
		"F: Environment.Variables.API_KEY is a plain text", "Redis: AuthToken is a plain text", "Task: the variable DB_PASSWORD is a plain text",
		"Url: SecretString is a plain text", "file: holds a secret of sluice.yaml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestWorkersQuery(t *testing.T) {
	target := config.Target{Cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/prod", Service: "worker"}
	const query = `SELECT AVG(CPUUtilization) FROM SCHEMA("AWS/ECS", ClusterName, ServiceName)`
	for e, want := range map[string]bool{
		query + " GROUP BY ClusterName, ServiceName":                                                 true,
		query + " WHERE ClusterName = 'prod' GROUP BY ClusterName, ServiceName":                      true,
		query + " WHERE ClusterName = 'a' OR ClusterName = 'prod' GROUP BY ClusterName, ServiceName": true,
		query + " WHERE ClusterName = 'product' GROUP BY ClusterName, ServiceName":                   false,
		query: false, // The average of all services is never high.
		strings.Replace(query, "CPU", "Memory", 1) + " GROUP BY ClusterName, ServiceName": false,
	} {
		if got := queries(e, "CPUUtilization", target); got != want {
			t.Errorf("%s covers it: %t, want %t", e, got, want)
		}
	}
}

func TestMissingMetrics(t *testing.T) {
	s := stackOf(t, `{
		"Q": {"Type": "AWS::SQS::Queue"}, "Logs": {"Type": "AWS::Logs::LogGroup"},
		"Filter": {"Type": "AWS::Logs::MetricFilter", "Properties": {"LogGroupName": {"Ref": "Logs"},
			"MetricTransformations": [{"MetricName": "Unknown", "MetricNamespace": "Sluice", "MetricValue": "$.unknown"}]}},
		"Lost": {"Type": "AWS::Logs::MetricFilter", "Properties": {"LogGroupName": "/aws/lambda/x",
			"MetricTransformations": [{"MetricName": "Lost", "MetricNamespace": "Sluice", "MetricValue": "$.lost"}]}}}`)
	d := &Deployment{Given: Given{Config: defaults()}, Sluice: s}
	queue := func(name string) map[string]string { return map[string]string{"QueueName": name} }
	for _, tt := range []struct {
		m    metric
		want string
	}{
		{metric{namespace: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", dimensions: queue("${Q.QueueName}")}, ""},
		{metric{namespace: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", dimensions: queue("q")}, "is no resource"},
		{metric{namespace: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", dimensions: queue("${Logs}")}, "is no resource"},
		{metric{namespace: "AWS/SQS", name: "NumberOfMessages", dimensions: queue("${Q.QueueName}")}, "no such metric"},
		{metric{namespace: "Sluice", name: "Unknown"}, ""},
		{metric{namespace: "Sluice", name: "Unknown", dimensions: map[string]string{"Target": "t"}}, "no dimensions"},
		{metric{namespace: "Sluice", name: "Other"}, "no metric filter"},
		{metric{namespace: "Sluice", name: "Lost"}, "not in the template"},
		{metric{namespace: "AWS/ECS", name: "CPUUtilization", dimensions: map[string]string{"ClusterName": "c", "ServiceName": "s"}}, ""},
		{metric{namespace: "AWS/ECS", name: "CPUUtilization", dimensions: map[string]string{"ClusterName": "c", "ServiceName": "t"}}, "is no target's service"},
		{metric{namespace: "AWS/ECS", name: "RunningTaskCount", dimensions: map[string]string{"ClusterName": "c", "ServiceName": "s"}}, "no such metric"},
	} {
		if got := d.missing(s, tt.m); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.m, got, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	many := func(n int, one string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(one, "#", string(rune('A'+i/26%26))+string(rune('A'+i%26))+string(rune('A'+i/676))))
		}
		return strings.Join(all, ",")
	}
	const queue = `"#": {"Type": "AWS::SQS::Queue"}`
	statement := func(n int) string {
		return `"R": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": {"Resource": "` + strings.Repeat("x", n) + `"}}}]}}`
	}
	group := func(description string) string {
		return `"G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "` + description + `"}}`
	}
	for _, tt := range []struct{ name, resources, want string }{
		{"500 resources", many(500, queue), ""},
		{"501 resources", many(501, queue), "has 501 resources"},
		{"a megabyte", `"Q": {"Type": "AWS::SQS::Queue", "Properties": {"X": "` + strings.Repeat("x", 1<<20) + `"}}`, "has a template of"},
		{"a policy that fits", statement(10_240 - len(`{"Statement":{"Resource":""}}`)), ""},
		{"a policy that does not", statement(10_241 - len(`{"Statement":{"Resource":""}}`)), "its policies may have 10241 characters"},
		{"a policy that may not, on deployment", statement(10_200) + ", " + `"P": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "R"}], "PolicyDocument": {"Ref": "AWS::Region"}}}`, "its policies may have"},
		{"a long description", `"F": {"Type": "AWS::Lambda::Function", "Properties": {"Description": "` + strings.Repeat("x", 257) + `"}}`, "has 257 characters"},
		{"a plain description", group("Functions. Let this group in: 443/tcp"), ""},
		{"an apostrophe", group("Sluice's functions"), "which AWS refuses"},
	} {
		got := strings.Join(find(stackOf(t, "{"+tt.resources+"}"), checkLimits), "; ")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %.300q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDefinitions(t *testing.T) {
	const placeholders = `{"CheckFunctionArn": {"Fn::GetAtt": ["Check", "Arn"]}}`
	withMachine := func(definition, substitutions string) *Stack {
		text, err := json.Marshal(definition)
		if err != nil {
			t.Fatal(err)
		}
		return stackOf(t, `{"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": `+string(text)+
			`, "DefinitionSubstitutions": `+substitutions+`}}}`)
	}
	d := &Deployment{Sluice: withMachine(`{"States": {"A": {"Type": "Map", "ItemProcessor": {"States": {
		"B": {"Type": "Task", "Resource": "${CheckFunctionArn}", "TimeoutSeconds": 5}}}}}, "TimeoutSeconds": 9}`, placeholders)}
	got, err := d.machine(d.Sluice.Resources["M"])
	want := &machine{9, []task{{"B", "${Check.Arn}", 5}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(machine{}, task{})); err != nil || diff != "" {
		t.Errorf("machine: %v, (-want +got):\n%s", err, diff)
	}
	all, err := d.Definitions()
	if err != nil || len(all) != 1 || !strings.Contains(all[0], `"arn:aws:lambda:eu-central-1:123456789012:function:Check"`) {
		t.Errorf("definitions: %q, %v", all, err)
	}
	d.Sluice = withMachine(`{"States": {"B": {"Resource": "${OtherArn}"}}}`, placeholders)
	if _, err := d.Definitions(); err == nil || !strings.Contains(err.Error(), "OtherArn") {
		t.Errorf("unbound placeholder: %v", err)
	}
}

// Every wildcard has a reason, and every check says what holds.
func TestTables(t *testing.T) {
	for _, w := range wildcards {
		if w.reason == "" || len(w.actions) == 0 {
			t.Errorf("the wildcard %s has no reason or no actions", w.resource)
		}
	}
	names := map[string]bool{}
	for _, c := range Checks {
		if c.Says == "" || names[c.Name] {
			t.Errorf("the check %q says nothing, or is there twice", c.Name)
		}
		names[c.Name] = true
	}
}
