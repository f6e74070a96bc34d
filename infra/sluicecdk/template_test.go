package sluicecdk_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"sluice/infra/lab"
	"sluice/infra/sluicecdk"
	"sluice/lab/testenv"
)

func TestMain(m *testing.M) { lab.Main(m) }

// checks are what each template is held to, beside the rules of the CDK, cdk-nag and cfn-lint.
var checks = []lab.Check{
	{Name: "functions", Run: checkFunctions},
	{Name: "assets", Run: checkAssets},
	{Name: "environment", Run: checkEnvironment},
	{Name: "time-outs", Run: checkTimeouts},
	{Name: "retries", Run: checkRetries},
	{Name: "dead letters", Run: checkDeadLetters},
	{Name: "logs", Run: checkLogs},
	{Name: "topics", Run: checkTopics},
	{Name: "permissions", Run: checkPermissions},
	{Name: "roles", Run: checkRoles},
	{Name: "rule", Run: checkRule},
	{Name: "schedules", Run: checkSchedules},
	{Name: "machine", Run: checkMachine},
	{Name: "alarms", Run: checkAlarms},
	{Name: "worker alarms", Run: checkWorkerAlarms},
	{Name: "dashboard", Run: checkDashboard},
	{Name: "queries", Run: checkQueries},
	{Name: "notify", Run: checkNotify},
	{Name: "outputs", Run: checkOutputs},
	{Name: "price", Run: checkPrice},
	{Name: "network", Run: checkNetwork},
	{Name: "secrets", Run: checkSecrets},
}

// TestTemplates synthesizes every variant, as `cdk synth --strict` does, and holds it to all checks. The CDK, its
// validation rules and cdk-nag find nothing either.
func TestTemplates(t *testing.T) {
	go func() { _, _ = calls() }() // Takes as long as all syntheses, and tells its error below.
	for _, v := range lab.Variants {
		t.Run(v.Name, func(t *testing.T) {
			d, err := lab.Synth(v.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range d.Messages {
				t.Error(m)
			}
			for _, c := range checks {
				t.Run(c.Name, func(t *testing.T) { c.Run(t, d) })
			}
		})
	}
}

// TestLint holds the templates of all variants to cfn-lint, half of them at a time.
func TestLint(t *testing.T) {
	if _, err := os.Stat(linter); err != nil {
		testenv.Missing(t, linter, "run `make build/venv-infra`")
	}
	var halves [2][]*lab.Deployment
	for i, v := range lab.Variants {
		d, err := lab.Synth(v.Name)
		if err != nil {
			t.Fatal(err)
		}
		halves[i%2] = append(halves[i%2], d)
	}
	var wait sync.WaitGroup
	for _, half := range halves {
		wait.Go(func() { lint(t, half...) })
	}
	wait.Wait()
}

// TestPlantedFaults shows that the checks find faults.
func TestPlantedFaults(t *testing.T) {
	all := checks
	if _, err := os.Stat(linter); err == nil { // Else TestLint says so.
		all = append(slices.Clone(checks), lab.Check{Name: "cfn-lint", Run: func(t lab.T, d *lab.Deployment) { lint(t, d) }})
	}
	lab.Planted(t, all, faults)
}

// TestWhatTheToolsFind shows that what the CDK, its validation rules and cdk-nag find fault with is found here.
func TestWhatTheToolsFind(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(awscdk.App, sluicecdk.Sluice)
		says   string
	}{
		"cdk-nag, and an acknowledgement at another construct": {func(_ awscdk.App, s sluicecdk.Sluice) {
			awssqs.NewQueue(s.Construct(), jsii.String("Extra"), &awssqs.QueueProps{EnforceSSL: jsii.Bool(true)})
		}, "AwsSolutions-SQS3"},
		"a queue for plain HTTP": {func(_ awscdk.App, s sluicecdk.Sluice) {
			awssqs.NewQueue(s.Construct(), jsii.String("Extra"), nil)
		}, "AwsSolutions-SQS4"},
		"a warning": {func(_ awscdk.App, s sluicecdk.Sluice) {
			awscdk.Annotations_Of(s.Construct()).AddWarningV2(jsii.String("sluice:test"), jsii.String("look at this"), nil)
		}, "look at this"},
		"CloudFormation's rules: Lambda gives no function 64 MB": {func(_ awscdk.App, s sluicecdk.Sluice) {
			s.Check().Node().DefaultChild().(awslambda.CfnFunction).SetMemorySize(jsii.Number(64))
		}, "Validation failed"},
		"CloudFormation's limit of 500 resources": {func(_ awscdk.App, s sluicecdk.Sluice) {
			for i := range 450 {
				awscdk.NewCfnResource(s.Construct(), jsii.Sprintf("Extra%d", i), &awscdk.CfnResourceProps{Type: jsii.String("AWS::SNS::Topic")})
			}
		}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := lab.Variants[0].Synth(tt.change)
			found := ""
			if err != nil {
				found = err.Error()
			} else {
				found = strings.Join(d.Messages, "\n")
			}
			if !strings.Contains(found, tt.says) {
				t.Errorf("found was %q, want %q", found, tt.says)
			}
		})
	}
}

// TestTheSameGivesTheSame: every difference would be a deployment that replaces something.
func TestTheSameGivesTheSame(t *testing.T) {
	for _, v := range lab.Variants {
		switch v.Name {
		case lab.Basic, lab.Operated, "1,000 targets", "everything by ARN", "example":
		default:
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			first, err := lab.Synth(v.Name)
			if err != nil {
				t.Fatal(err)
			}
			again, err := v.Synth(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range first.Stacks {
				if diff := cmp.Diff(string(s.Text), string(again.Stacks[i].Text)); diff != "" {
					t.Errorf("template of %s (-first +again):\n%s", s.Name, diff)
				}
			}
		})
	}
}

// ignored are the rules of cfn-lint that do not hold here: the CDK writes DependsOn also where a reference says it
// already (W3005), which does no harm.
const ignored = "W3005"

var linter = filepath.Join(testenv.Root(), "build", "venv-infra", "bin", "cfn-lint")

// lint holds the templates to cfn-lint.
func lint(t lab.T, all ...*lab.Deployment) {
	dir, err := os.MkdirTemp("", "lint-")
	args := []string{"--format", "json", "--ignore-checks", ignored, "--non-zero-exit-code", "none", "--template"}
	for _, d := range all {
		for _, s := range d.Stacks {
			path := filepath.Join(dir, strings.ReplaceAll(d.Variant+": "+s.File, "/", "_"))
			err = errors.Join(err, os.WriteFile(path, s.Text, 0o600))
			args = append(args, path)
		}
	}
	var out []byte
	if err == nil {
		out, err = exec.Command(linter, args...).Output()
	}
	var found []struct {
		Filename string
		Rule     struct{ ID string }
		Message  string
		Location struct{ Path []any }
	}
	if err = errors.Join(err, json.Unmarshal(out, &found)); err != nil {
		t.Errorf("run cfn-lint: %v", err)
	}
	for _, f := range found {
		t.Errorf("%s: %v: %s %s", filepath.Base(f.Filename), f.Location.Path, f.Rule.ID, f.Message)
	}
}
