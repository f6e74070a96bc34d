package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture is a synth for the app in testdata.
func fixture(t *testing.T) (*synth, *bytes.Buffer) {
	t.Helper()
	root, err := projectRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata/app")
	if err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	out := filepath.Join(t.TempDir(), "cdk.out")
	return &synth{root: root, dir: dir, build: build, way: "replay", out: out, log: log.New(said, "synth: ", 0)}, said
}

var build string // One for all tests: it has the cache.

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "synth")
	if err != nil {
		panic(err)
	}
	build = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

type resource struct {
	Type       string
	Properties map[string]any
	Metadata   map[string]any
}

// What the app says in Go is what the template has.
func TestTemplate(t *testing.T) {
	s, said := fixture(t)
	// What others have left that were cut off stands in nobody's way; half-made ones of earlier versions lie at out
	// itself.
	s.out = filepath.Join(s.build, "cdk.out")
	for _, dir := range []string{s.out, s.work(), s.made(), s.refused()} {
		writeFile(t, filepath.Join(dir, "asset.0", "left"), "")
	}
	if err := s.app(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if left, err := filepath.Glob(filepath.Join(s.build, "cdk.out*", "asset.0", "left")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %s, %v", left, err)
	}
	content, err := os.ReadFile(filepath.Join(s.out, "Fixture.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Description string
		Resources   map[string]resource
		Outputs     map[string]struct{ Value any }
	}
	if err := json.Unmarshal(content, &template); err != nil {
		t.Fatal(err)
	}
	one := func(typ string) (id string, r resource) {
		for name, candidate := range template.Resources {
			if candidate.Type == typ {
				id, r = name, candidate
			}
		}
		if id == "" {
			t.Fatalf("the template has no %s", typ)
		}
		return id, r
	}
	queue, queued := one("AWS::SQS::Queue")
	function, run := one("AWS::Lambda::Function")
	_, rule := one("AWS::Events::Rule")
	_, machine := one("AWS::StepFunctions::StateMachine")
	_, service := one("AWS::ECS::Service")
	target := rule.Properties["Targets"].([]any)[0].(map[string]any)
	subnets := template.Outputs["PartSubnets0AE86E44"].Value.(map[string]any)["Fn::Join"].([]any)[1].([]any)
	ref := func(id string) any { return map[string]any{"Ref": id} }
	att := func(id, name string) any { return map[string]any{"Fn::GetAtt": []any{id, name}} }
	environment := map[string]any{"Variables": map[string]any{"NAME": "orders", "URL": ref(queue)}}
	pattern := map[string]any{"detail": map[string]any{"kind": []any{"new"}}, "source": []any{"orders"}}
	inside := map[string]any{"Fn::Join": []any{"", []any{"name=", att(queue, "QueueName"), ";region=", ref("AWS::Region")}}}
	tags := []any{map[string]any{"Key": "team", "Value": "a"}}
	for name, c := range map[string]struct{ got, want any }{
		"a field of an embedded struct":   {template.Description, "a fixture"},
		"a number, through an object":     {queued.Properties["MessageRetentionPeriod"], 1209600.0},
		"an enum":                         {queued.Properties["SqsManagedSseEnabled"], true},
		"tags":                            {queued.Properties["Tags"], tags},
		"what any takes":                  {queued.Metadata["note"], map[string]any{"a": 1.0, "b": []any{"c"}}},
		"a static property":               {run.Properties["Runtime"], "provided.al2023"},
		"an enum that is not its name":    {run.Properties["TracingConfig"], map[string]any{"Mode": "Active"}},
		"a token alone":                   {run.Properties["Environment"], environment},
		"an override after an assertion":  {run.Properties["LoggingConfig"], map[string]any{"LogFormat": "JSON"}},
		"what is not set":                 {service.Properties["DesiredCount"], nil},
		"a list of the app in a map":      {rule.Properties["EventPattern"], pattern},
		"a token in a map":                {machine.Properties["DefinitionSubstitutions"], map[string]any{"Function": att(function, "Arn")}},
		"an object as an interface":       {target["DeadLetterConfig"], map[string]any{"Arn": att(queue, "Arn")}},
		"tokens inside a string":          {template.Outputs["QueueName"].Value, inside},
		"a list of strings from a struct": {len(subnets), 2},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	asset := run.Metadata["aws:asset:path"].(string)
	if _, err := os.Stat(filepath.Join(s.out, asset, "bootstrap")); err != nil {
		t.Errorf("the function's asset: %v", err)
	}
	if strings.Contains(string(content), "Twin.") {
		t.Error("a token of the recording is left in the template")
	}
}

// A message says what is wrong and what to do.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*synth)
		want   string
	}{
		"an unknown way":              {func(s *synth) { s.way = "terraform" }, "-way terraform: it is auto, cdk or replay"},
		"nothing installed":           {func(s *synth) { s.root = t.TempDir() }, "run `npm ci --prefix infra` first"},
		"another version than go.mod": {func(s *synth) { s.dir = otherVersion(t, s.dir) }, "pin the same version in both"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := fixture(t)
			c.change(s)
			if err := s.app(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("app: %v, want %q", err, c.want)
			}
		})
	}
}

func otherVersion(t *testing.T, dir string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	changed := strings.Replace(string(content), "awscdk/v2 v2.", "awscdk/v2 v2.1", 1)
	if err := os.WriteFile(filepath.Join(other, "go.mod"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return other
}

// A folder that has other files is not emptied for the template.
func TestOutOfOthers(t *testing.T) {
	s, _ := fixture(t)
	s.out = t.TempDir()
	precious := filepath.Join(s.out, "thesis.txt")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.app(); err == nil || !strings.Contains(err.Error(), "name a new or empty folder") {
		t.Errorf("app: %v, want an error that asks for another folder", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

// Whoever finds a fault in the app has to name its line. What is refused is not at out, and is shown where there is
// anything to see.
func TestFaultsNameTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		edits   map[string]string // what is in the place of what
		want    []string          // in the log or the error; LINE is that of the edit
		refused bool              // whether there is a template that was refused
	}{
		"in the compiler": {
			edits: map[string]string{"EnforceSSL: ": "EnforceTLS: "},
			want:  []string{"part.go:LINE:", "unknown field EnforceTLS", "compile the app"},
		},
		"as the app runs": {
			edits: map[string]string{"Runtime:      awslambda.Runtime_PROVIDED_AL2023(),": ""},
			want:  []string{"part/part.go:", "props.Runtime: required, but not set", "run the app"},
		},
		"in a call": {
			edits: map[string]string{"Duration_Days(jsii.Number(14))": "Duration_Days(jsii.Number(-14))"},
			want:  []string{"part/part.go:LINE: aws-cdk-lib.Duration.days: Duration amounts cannot be negative", "cdk synth"},
		},
		"in an assertion": {
			edits: map[string]string{"DefaultChild().(awslambda.CfnFunction)": "DefaultChild().(awslambda.CfnAlias)"},
			want:  []string{"part/part.go:LINE: defaultChild: the app asserts a aws-cdk-lib.aws_lambda.CfnAlias, and it is a CfnFunction", "cdk synth"},
		},
		"by CloudFormation's rules, cdk-nag and a warning of the CDK": {
			edits: map[string]string{
				`{"NAME": props.Name,`:                                `{"A": props.Name,`,
				`acknowledge(vpc, "AwsSolutions-VPC7", "a fixture")`:  "",
				"CircuitBreaker: &awsecs.DeploymentCircuitBreaker{},": "",
			},
			want: []string{
				"part/part.go:", "Environment.Variables.A: Additional properties are not allowed", "AwsSolutions-VPC7",
				"shouldUseCircuitBreaker", "--strict", "cdk synth",
			},
			refused: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, output := fixture(t)
			file := filepath.Join(s.dir, "part", "part.go")
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, line := string(content), ""
			for old, edit := range c.edits {
				before, after, found := strings.Cut(text, old)
				if !found {
					t.Fatalf("the app has no %s", old)
				}
				text, line = before+edit+after, strconv.Itoa(1+strings.Count(before, "\n"))
			}
			s.overlay = overlay(t, file, text)
			err = s.app()
			if err == nil {
				t.Fatalf("no error:\n%s", output)
			}
			_, absent := os.Stat(s.out)
			if _, err := os.Stat(s.work()); !errors.Is(absent, os.ErrNotExist) || !errors.Is(err, os.ErrNotExist) {
				t.Errorf("out: %v, its work: %v; want neither to be there", absent, err)
			}
			if _, err := os.Stat(filepath.Join(s.refused(), "Fixture.template.json")); (err == nil) != c.refused {
				t.Errorf("the template that was refused: %v, want it to be there: %t", err, c.refused)
			}
			said := output.String() + err.Error()
			for _, want := range c.want {
				if want = strings.ReplaceAll(want, "LINE", line); !strings.Contains(said, want) {
					t.Errorf("not a word of %q in:\n%s", want, said)
				}
			}
		})
	}
}

// cdk-nag looks on whichever way is taken: where the CDK's Go modules can be had the app is replayed first.
func TestNagLooksOn(t *testing.T) {
	s, output := fixture(t)
	file := filepath.Join(s.dir, "part", "part.go")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.way = "cdk"
	s.overlay = overlay(t, file, strings.Replace(string(content), `acknowledge(vpc, "AwsSolutions-VPC7", "a fixture")`, "", 1))
	if err := s.app(); err == nil || !strings.Contains(output.String(), "AwsSolutions-VPC7") {
		t.Errorf("app: %v, want an error with AwsSolutions-VPC7 of cdk-nag in:\n%s", err, output)
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func overlay(t *testing.T, file, content string) string {
	t.Helper()
	dir := t.TempDir()
	by := filepath.Join(dir, "part.go")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: by}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, by, content)
	writeFile(t, filepath.Join(dir, "overlay.json"), string(replace))
	return filepath.Join(dir, "overlay.json")
}
