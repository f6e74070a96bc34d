package cfn

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn/cfntest"
	"sluice/lab/cloud/cfn/template"
	"sluice/lab/testenv"
	"sluice/stepfunctions"
)

// The templates of package cfntest are those that infra synthesizes, in a short form: the tests here need no Node.js. With
// -synthesized, which `make test-infra` gives, the tests run on the real ones, and hold these to them.
var (
	synthesized = flag.String("synthesized", "", "the `folder` with shop/Sluice.template.json and spread/Sluice.template.json, synthesized a moment ago")
	update      = flag.Bool("update", false, "keep what is synthesized in package cfntest, in its short form")
)

func load(t *testing.T, name string) *config.Config {
	t.Helper()
	c, err := config.Load(cfntest.Config(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var within = template.Within // Templates in tests are called template, too.

// object is a JSON object.
type object = map[string]any

func parse(t *testing.T, text []byte) object {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var template object
	if err := d.Decode(&template); err != nil {
		t.Fatal(err)
	}
	return template
}

// short is a template less what changes nothing here, or changes with every build: the properties of what is not run, the hashes of
// the assets, and the definition of the state machine, which is a file of its own.
func short(t *testing.T, text []byte) []byte {
	t.Helper()
	template := parse(t, text)
	resources := object{}
	for id, raw := range template["Resources"].(object) {
		res := raw.(object)
		kind := res["Type"].(string)
		if slices.ContainsFunc(notRun, func(prefix string) bool { return strings.HasPrefix(kind, prefix) }) {
			resources[id] = object{"Type": kind}
			continue
		}
		properties, _ := res["Properties"].(object)
		switch kind {
		case "AWS::Lambda::Function":
			tag := within(properties, "Tags", 0, "Value").(string)
			properties["Code"].(object)["S3Key"] = tag + ".zip"
		case "AWS::StepFunctions::StateMachine":
			if properties["DefinitionString"] == stepfunctions.ScaleIn {
				properties["DefinitionString"] = cfntest.Definition
			}
		}
		resources[id] = object{"Type": kind, "Properties": properties}
	}
	out, err := json.MarshalIndent(object{"Parameters": template["Parameters"], "Resources": resources, "Outputs": template["Outputs"]}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// place writes a template in the short form, with its assets, and returns its path.
func place(t *testing.T, template object) string {
	t.Helper()
	text, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	return cfntest.Place(t, text, cfntest.Config("shop"))
}

// theTemplate is the path of the synthesized template, or of the one in package cfntest.
func theTemplate(t *testing.T, name string) string {
	t.Helper()
	if *synthesized != "" {
		return filepath.Join(*synthesized, name, "Sluice.template.json")
	}
	return cfntest.Place(t, cfntest.Template(t, name), cfntest.Config(name))
}

// The built-in deployment must not drift from what deploys.
func TestTheBuiltInDeploymentIsWhatDeploys(t *testing.T) {
	for _, name := range cfntest.Names {
		t.Run(name, func(t *testing.T) {
			c := load(t, name)
			deployed, err := Read(theTemplate(t, name), c, "us-west-2")
			if err != nil {
				t.Fatal(err)
			}
			builtIn, err := cloud.BuiltIn(c, "us-west-2")
			if err != nil {
				t.Fatal(err)
			}
			// Only a template has code and permissions.
			if diff := cmp.Diff(builtIn, deployed.Deployment, cmpopts.IgnoreFields(cloud.Deployment{}, "Access", "Template"),
				cmpopts.IgnoreFields(cloud.Function{}, "Code"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("built in (-), and deployed (+): bring lab/cloud/deployment.go and infra/sluicecdk in line\n%s", diff)
			}
			for _, f := range deployed.Deployment.Functions {
				if got, err := config.Load(filepath.Join(f.Code, "sluice.yaml")); err != nil || len(got.Targets) != len(c.Targets) {
					t.Errorf("code of %s: %v", f.Name, err)
				}
			}
			d := deployed.Deployment
			if n := len(d.Access.Roles); n != len(d.Functions)+len(d.Schedules)+1 {
				t.Errorf("%d roles", n)
			}
		})
	}
}

func TestTheKeptTemplatesAreCurrent(t *testing.T) {
	for _, name := range cfntest.Names {
		want := cfntest.Template(t, name)
		if *synthesized != "" {
			text, err := os.ReadFile(theTemplate(t, name))
			if err != nil {
				t.Fatal(err)
			}
			want = short(t, text)
		}
		if *update && *synthesized != "" {
			if err := os.WriteFile(filepath.Join(testenv.Root(), cfntest.Dir, name+".template.json"), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(want), string(short(t, cfntest.Template(t, name)))); diff != "" && !*update {
			t.Errorf("%s.template.json is not what is synthesized: go test ./lab/cloud/cfn -synthesized DIR -update\n%s", name, diff)
		}
	}
}
