package cfn

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn/cfntest"
	"sluice/lab/cloud/delivery"
)

// one is the properties of the template's resource of this type; of several the one whose logical id has the word in it.
func one(t *testing.T, template object, kind, word string) object {
	t.Helper()
	for id, raw := range template["Resources"].(object) {
		if res := raw.(object); res["Type"] == kind && strings.Contains(id, word) {
			return res["Properties"].(object)
		}
	}
	t.Fatalf("there is no %s with %q in its name", kind, word)
	return nil
}

// What is not understood is refused by name, so that nobody takes for tried what was left out.
func TestReadRefusesByName(t *testing.T) {
	function := func(set func(object)) func(*testing.T, object) {
		return func(t *testing.T, template object) { set(one(t, template, "AWS::Lambda::Function", "ScaleOut")) }
	}
	rule := func(set func(rule, target object)) func(*testing.T, object) {
		return func(t *testing.T, template object) {
			p := one(t, template, "AWS::Events::Rule", "")
			set(p, p["Targets"].([]any)[0].(object))
		}
	}
	schedule := func(set func(schedule, target object)) func(*testing.T, object) {
		return func(t *testing.T, template object) {
			p := one(t, template, "AWS::Scheduler::Schedule", "")
			set(p, p["Target"].(object))
		}
	}
	machine := func(set func(object)) func(*testing.T, object) {
		return func(t *testing.T, template object) { set(one(t, template, "AWS::StepFunctions::StateMachine", "")) }
	}
	role := func(set func(object)) func(*testing.T, object) {
		return func(t *testing.T, template object) { set(one(t, template, "AWS::IAM::Role", "ScaleOut")) }
	}
	added := func(res object) func(*testing.T, object) {
		return func(_ *testing.T, template object) { template["Resources"].(object)["Extra"] = res }
	}
	for _, tt := range []struct {
		name string
		edit func(*testing.T, object)
		want string
	}{
		{"an unknown type", added(object{"Type": "AWS::DynamoDB::Table"}), "resource Extra (AWS::DynamoDB::Table): the local cloud does not know this type"},
		{"a custom resource", added(object{"Type": "Custom::LogRetention"}), "resource Extra (Custom::LogRetention): the local cloud does not know this type"},
		{"a condition", added(object{"Type": "AWS::SQS::Queue", "Condition": "Maybe"}), "resource Extra (AWS::SQS::Queue): Condition"},
		{"a second rule", added(object{"Type": "AWS::Events::Rule"}), "it has 2 resources of the type AWS::Events::Rule"},
		{"a fourth function", added(object{"Type": "AWS::Lambda::Function"}), "resource Extra (AWS::Lambda::Function): it has no tag sluice:function"},
		{"a transform", func(_ *testing.T, template object) { template["Transform"] = "AWS::Serverless-2016-10-31" }, "its Transform cannot be run here"},
		{"no resources", func(_ *testing.T, template object) { delete(template, "Resources") }, "it has no Resources"},
		{"no schedule", func(_ *testing.T, template object) {
			for id, raw := range template["Resources"].(object) {
				if raw.(object)["Type"] == "AWS::Scheduler::Schedule" {
					delete(template["Resources"].(object), id)
				}
			}
		}, "it has no AWS::Scheduler::Schedule"},

		{"a property of a function", function(func(p object) { p["SnapStart"] = object{"ApplyOn": "PublishedVersions"} }), "does not know its property SnapStart"},
		{"one within a property", function(func(p object) { p["LoggingConfig"].(object)["SystemLogLevel"] = "WARN" }), "does not know its property SystemLogLevel"},
		{"another runtime", function(func(p object) { p["Runtime"] = "python3.13" }), `runtime "python3.13" with handler "bootstrap"`},
		{"another handler", function(func(p object) { p["Handler"] = "main" }), `runtime "provided.al2023" with handler "main"`},
		{"no concurrency", function(func(p object) { p["ReservedConcurrentExecutions"] = 0 }), "it would never run"},
		{"an asset that is not there", function(func(p object) { p["Code"].(object)["S3Key"] = "abc.zip" }), "the folder asset.abc, is not beside the template: synthesize it anew"},
		{"a queue of others", function(func(p object) { p["DeadLetterConfig"] = object{"TargetArn": "arn:aws:sqs:us-east-1:1:x"} }), "its dead-letter queue: arn:aws:sqs:us-east-1:1:x is no AWS::SQS::Queue of this template"},
		{"a role of others", function(func(p object) { p["Role"] = "arn:aws:iam::1:role/x" }), "its role arn:aws:iam::1:role/x is not in the template"},
		{"the machine's role", func(t *testing.T, template object) {
			one(t, template, "AWS::Lambda::Function", "ScaleOut")["Role"] = one(t, template, "AWS::StepFunctions::StateMachine", "")["RoleArn"]
		}, "cannot be taken by lambda.amazonaws.com"},
		{"an unknown intrinsic function", function(func(p object) { p["Timeout"] = object{"Fn::ImportValue": "x"} }), "Timeout: the local cloud does not know Fn::ImportValue"},
		{"a secret in the environment", function(func(p object) {
			p["Environment"] = object{"Variables": object{"A": "{{resolve:secretsmanager:x}}"}}
		}), "Environment.Variables.A: the dynamic reference {{resolve:secretsmanager:x}}"},
		{"a reference to nothing", function(func(p object) { p["Timeout"] = object{"Ref": "Nobody"} }), "there is no Nobody in the template"},
		{"a text for a number", function(func(p object) { p["Timeout"] = "soon" }), "resource SluiceScaleOut"},

		{"two targets", rule(func(p, target object) { p["Targets"] = []any{target, target} }), "it has 2 targets"},
		{"a rule that is off", rule(func(p, _ object) { p["State"] = "DISABLED" }), "its state is DISABLED"},
		{"another input", rule(func(_, target object) { target["InputPath"] = "$.detail" }), "does not know its property InputPath"},
		{"a rule by time", rule(func(p, _ object) { p["ScheduleExpression"] = "rate(5 minutes)" }), "does not know its property ScheduleExpression"},
		{"a rule for others", rule(func(_, target object) { target["Arn"] = "arn:aws:lambda:us-east-1:1:function:x" }), "is no AWS::Lambda::Function of this template"},
		{"a pattern that is none", rule(func(p, _ object) { p["EventPattern"] = object{"source": "text"} }), "resource SluiceRule"},

		{"a schedule by the day", schedule(func(p, _ object) { p["ScheduleExpression"] = "cron(0 10 * * ? *)" }), "parse schedule"},
		{"a schedule elsewhere", schedule(func(p, _ object) { p["ScheduleExpressionTimezone"] = "Europe/Berlin" }), "ScheduleExpressionTimezone Europe/Berlin"},
		{"a window", schedule(func(p, _ object) { p["FlexibleTimeWindow"] = object{"Mode": "FLEXIBLE"} }), "FlexibleTimeWindow FLEXIBLE"},
		{"a schedule that is off", schedule(func(p, _ object) { p["State"] = "DISABLED" }), "its state is DISABLED"},
		{"an end", schedule(func(p, _ object) { p["EndDate"] = "2030-01-01T00:00:00Z" }), "does not know its property EndDate"},
		{"an input that is no JSON", schedule(func(_, target object) { target["Input"] = "{" }), `its input "{" is no JSON`},
		{"a schedule for others", schedule(func(_, target object) { target["Arn"] = "arn:aws:scheduler:::aws-sdk:sfn:startExecution" }), "is no AWS::StepFunctions::StateMachine of this template"},

		{"an express machine", machine(func(p object) { p["StateMachineType"] = "EXPRESS" }), "type EXPRESS: only STANDARD"},
		{"a definition elsewhere", machine(func(p object) { p["DefinitionS3Location"] = object{"Bucket": "b"} }), "does not know its property DefinitionS3Location"},
		{"a placeholder without a value", machine(func(p object) { delete(p["DefinitionSubstitutions"].(object), "CheckFunctionArn") }), "no value for CheckFunctionArn"},

		{"a managed policy", role(func(p object) { p["ManagedPolicyArns"] = []any{"arn:aws:iam::aws:policy/X"} }), "managed policies allow is not known here: arn:aws:iam::aws:policy/X"},
		{"a boundary", role(func(p object) { p["PermissionsBoundary"] = "x" }), "does not know its property PermissionsBoundary"},
		{"an unknown condition", role(func(p object) {
			statement := within(p, "Policies", 0, "PolicyDocument", "Statement", 0).(object)
			statement["Condition"] = object{"IpAddress": object{"aws:SourceIp": "1.2.3.4"}}
		}), "the condition operator IpAddress is not understood"},
		{"a policy for nobody", added(object{"Type": "AWS::IAM::Policy", "Properties": object{
			"PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{}}, "Roles": []any{"x"},
		}}), "there is no role x in the template"},
		{"a queue in order", func(t *testing.T, template object) {
			one(t, template, "AWS::SQS::Queue", "Rule")["FifoQueue"] = true
		}, "does not know its property FifoQueue"},
		{"a version", func(t *testing.T, template object) {
			one(t, template, "AWS::Lambda::EventInvokeConfig", "Check")["Qualifier"] = "live"
		}, `qualifier "live": only $LATEST`},
		{"a destination", func(t *testing.T, template object) {
			one(t, template, "AWS::Lambda::EventInvokeConfig", "Check")["DestinationConfig"] = object{}
		}, "does not know its property DestinationConfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			template := parse(t, cfntest.Template(t, "shop"))
			tt.edit(t, template)
			path := place(t, template)
			_, err := Read(path, load(t, "shop"), "")
			if err == nil {
				t.Fatal("it was read")
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || !strings.HasPrefix(text, "read template "+path+": ") {
				t.Errorf("error %q, want %q", text, tt.want)
			}
		})
	}
}

func TestReadRefusesAStaleTemplate(t *testing.T) {
	path := cfntest.Shop(t)
	c := load(t, "shop")
	c.Deploy.Alarms.Email, c.Local.SweepEvery = "x@example.com", 0 // What functions do not go by may differ.
	if _, err := Read(path, c, ""); err != nil {
		t.Fatal(err)
	}
	c.Targets[0].Max++
	if _, err := Read(path, c, ""); err == nil || !strings.Contains(err.Error(), "was synthesized with another configuration") {
		t.Errorf("another configuration: %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "x.json"), c, ""); err == nil || !strings.HasSuffix(err.Error(), "x.json: no such file or directory") {
		t.Errorf("no file: %v", err)
	}
}

// What the template says of how things run is what the deployment says.
func TestWhatIsReadOfATemplate(t *testing.T) {
	template := parse(t, cfntest.Template(t, "shop"))
	f := one(t, template, "AWS::Lambda::Function", "Check")
	f["Timeout"], f["MemorySize"], f["ReservedConcurrentExecutions"] = 7, 300, 9
	f["Environment"] = object{"Variables": object{
		"PLACE":  object{"Fn::Join": []any{"/", []any{object{"Ref": "AWS::Region"}, object{"Ref": "AWS::AccountId"}, object{"Ref": "AWS::Partition"}}}},
		"QUEUE":  object{"Fn::Sub": "${!x}${AWS::StackName}/${Extra.QueueName}"},
		"GIVEN":  object{"Fn::Sub": []any{"${A}-${AWS::URLSuffix}", object{"A": object{"Ref": "Extra"}}}},
		"PART":   object{"Fn::Select": []any{json.Number("5"), object{"Fn::Split": []any{":", object{"Fn::GetAtt": []any{"Extra", "Arn"}}}}}},
		"NOT":    object{"Ref": "AWS::NoValue"},
		"LETTER": object{"Fn::GetAtt": "Extra.Arn"},
		"GIFT":   object{"Ref": "Gift"},
	}}
	delete(f, "DeadLetterConfig")
	f["LoggingConfig"] = object{}
	template["Resources"].(object)["Extra"] = object{"Type": "AWS::SQS::Queue"}
	template["Parameters"] = object{"Gift": object{"Type": "String", "Default": "yes"}}
	one(t, template, "AWS::Lambda::EventInvokeConfig", "Check")["MaximumEventAgeInSeconds"] = 60
	target := one(t, template, "AWS::Events::Rule", "")["Targets"].([]any)[0].(object)
	delete(target, "DeadLetterConfig")
	target["RetryPolicy"] = object{"MaximumRetryAttempts": 0}
	schedule := one(t, template, "AWS::Scheduler::Schedule", "")
	schedule["ScheduleExpression"] = "rate(1 hour)"
	schedule["Target"].(object)["Input"] = `{"a":1}`
	delete(schedule["Target"].(object), "RetryPolicy")

	got, err := Read(place(t, template), load(t, "shop"), "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	check := got.Deployment.Functions[1]
	check.Code = ""
	want := cloud.Function{
		Name: "check", Timeout: 7 * time.Second, MemoryMB: 300, Reserved: 9, LogFormat: "Text", LogGroup: "/aws/lambda/check", Retry: delivery.Policy{MaxAge: time.Minute},
		Env: map[string]string{
			"PLACE": "eu-west-1/000000000000/aws", "QUEUE": "${x}shop/Extra", "PART": "Extra", "GIFT": "yes",
			"GIVEN":  "https://sqs.eu-west-1.amazonaws.com/000000000000/Extra-amazonaws.com",
			"LETTER": "arn:aws:sqs:eu-west-1:000000000000:Extra",
		},
	}
	if diff := cmp.Diff(want, check); diff != "" {
		t.Error(diff)
	}
	if r := got.Deployment.Rule; r.DeadLetters != "" || r.Retry != (delivery.Policy{MaxAge: 24 * time.Hour}) {
		t.Errorf("rule %+v", r)
	}
	if s := got.Deployment.Schedules[0]; s.Timing.Every != time.Hour || s.Input != `{"a":1}` || s.Retry != delivery.Default {
		t.Errorf("schedule %+v", s)
	}
}

// Policies may be attached to a role, too, as CDK does by default.
func TestAttachedPolicies(t *testing.T) {
	template := parse(t, cfntest.Template(t, "shop"))
	var id string
	for name, raw := range template["Resources"].(object) {
		if raw.(object)["Type"] == "AWS::IAM::Role" && strings.Contains(name, "ScaleOut") {
			id = name
		}
	}
	role := one(t, template, "AWS::IAM::Role", "ScaleOut")
	for _, kind := range []string{"Policy", "ManagedPolicy"} {
		template["Resources"].(object)[kind] = object{"Type": "AWS::IAM::" + kind, "Properties": object{
			"PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{
				object{"Effect": "Allow", "Action": "test:" + kind, "Resource": "*"},
			}},
			"Roles": []any{object{"Ref": id}},
		}}
	}
	inline := len(within(role, "Policies", 0, "PolicyDocument", "Statement").([]any))
	got, err := Read(place(t, template), load(t, "shop"), "")
	if err != nil {
		t.Fatal(err)
	}
	policy := got.Deployment.Access.Roles["arn:aws:lambda:us-east-1:000000000000:function:scaleout"]
	var actions []string
	for _, s := range policy[inline:] {
		actions = append(actions, s.Actions...)
	}
	slices.Sort(actions)
	if diff := cmp.Diff([]string{"test:ManagedPolicy", "test:Policy"}, actions); diff != "" {
		t.Error(diff)
	}
}

func TestDescribe(t *testing.T) {
	got, err := Read(cfntest.Shop(t), load(t, "shop"), "")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(got.Describe(), "\n")
	for _, want := range []string{
		"from the template " + got.Path + ": 3 functions", "schedules: 1, dead-letter queues: 5", "as built for this machine, in place of the template's for arm64",
		"a sweep each 5s, as local.sweep_every has it, in place of each 5m", "AWS::CloudWatch::Alarm", "1 AWS::CloudWatch::Dashboard",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
