package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn"
	"sluice/lab/cloud/cfn/cfntest"
	"sluice/lab/cloud/iam"
	"sluice/lab/testenv"
)

// TestNeedsAreWhatIsDeployed holds the rights that are asked for to those that a deployment gives: all are allowed by the roles of the
// synthesized templates, and each action on ECS and on secrets that a role has is asked for.
func TestNeedsAreWhatIsDeployed(t *testing.T) {
	t.Parallel()
	for _, template := range cfntest.Names {
		path := cfntest.Config(template)
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		deployed, err := cfn.Read(cfntest.Place(t, cfntest.Template(t, template), path), c, "eu-central-1")
		if err != nil {
			t.Fatal(err)
		}
		d := deployed.Deployment
		p := place{"aws", d.Region, d.Account}
		titles := map[string]string{scaleOut: cloud.ScaleOut, checker: cloud.Check, scaleIn: cloud.ScaleIn}
		if c.Deploy.Notify != nil {
			titles[notifier] = cloud.Notify
		}
		for title, name := range titles {
			policy := d.Access.Roles[d.ARN("lambda", "function:"+name)]
			asked := map[string]bool{}
			for _, n := range needs(c, title, p) {
				asked[n.action] = true
				context := map[string][]string{}
				for key, value := range n.context {
					context[key] = []string{value}
				}
				for _, resource := range n.resources {
					if !iam.Allowed(iam.Request{Action: n.action, Resource: resource, Context: context}, policy) {
						t.Errorf("%s: %s: the role does not allow %s on %s, which is asked for", template, title, n.action, resource)
					}
				}
			}
			for _, s := range policy {
				for _, action := range s.Actions {
					service, _, _ := strings.Cut(action, ":")
					if slices.Contains([]string{"ecs", "secretsmanager", "ssm", "kms"}, service) && !asked[action] {
						t.Errorf("%s: %s: the role allows %s, which is not asked for", template, title, action)
					}
				}
			}
		}
	}
}

// TestNeedsAreTheReadme holds them to the README's table as well.
func TestNeedsAreTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(testenv.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(cfntest.Config("spread"))
	if err != nil {
		t.Fatal(err)
	}
	c.Deploy.Keys = []string{"arn:aws:kms:eu-central-1:123456789012:key/1"}
	asked := map[string]bool{}
	for _, f := range []string{scaleOut, checker, scaleIn} {
		for _, n := range needs(c, f, place{}) {
			asked[n.action] = true
		}
	}
	_, table, _ := strings.Cut(string(readme), "| role | IAM actions | on |")
	table, _, _ = strings.Cut(table, "\n\n")
	listed := map[string]bool{}
	for line := range strings.Lines(table) {
		if !strings.Contains(line, "all three") && !strings.Contains(line, "ScaleOut") && !strings.Contains(line, "ScaleIn") && !strings.Contains(line, "Check") {
			continue
		}
		for _, m := range regexp.MustCompile("`((?:ecs|secretsmanager|ssm|kms):[A-Z][A-Za-z]+)`").FindAllStringSubmatch(line, -1) {
			listed[m[1]] = true
		}
	}
	for action := range asked {
		if !listed[action] {
			t.Errorf("the README's table does not have %s", action)
		}
	}
	for action := range listed {
		if !asked[action] {
			t.Errorf("%s stands in the README's table, and is not asked for", action)
		}
	}
}
