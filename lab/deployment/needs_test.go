package deployment

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

func parse(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(yaml), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestResources has each form in which sluice.yaml can name a service, cluster, secret or parameter.
func TestResources(t *testing.T) {
	t.Parallel()
	c := parse(t, `
version: 1
brokers:
  - {name: a, url_secret: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/redis-Ab12Cd#url"}
  - {name: b, url_secret: "arn:aws:secretsmanager:eu-central-1:210987654321:secret:shared/redis"}
  - {name: c, url_parameter: plain}
  - {name: d, url_parameter: "arn:aws:ssm:eu-central-1:123456789012:parameter/prod/redis"}
  - {name: e, url: "redis://given"}
targets:
  - {name: a, broker: a, cluster: "arn:aws:ecs:eu-central-1:123456789012:cluster/given", service: name, queues: [q], max: 1}
  - {name: b, broker: b, cluster: given, service: "arn:aws:ecs:eu-central-1:123456789012:service/given/by-arn", queues: [q], max: 1}
  - {name: c, broker: c, cluster: old, service: "arn:aws:ecs:eu-central-1:123456789012:service/short", queues: [q], max: 1}
  - {name: d, broker: d, cluster: elsewhere, service: named, queues: [q], max: 1}
  - {name: e, broker: e, cluster: given, service: another, queues: [q], max: 1}
deploy: {account: "123456789012", region: eu-central-1}
`)
	got := map[string][]string{}
	for _, f := range []string{Check, ScaleIn} {
		needs, err := Needs(f, derive(t)[f], c)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			got[n.Action] = n.Resources
			if n.Action == "ecs:ListTasks" {
				got["ecs:cluster"] = n.Only[0].Values
			}
		}
	}
	arn := func(service string, names ...string) []string {
		for i, n := range names {
			names[i] = "arn:${AWS::Partition}:" + service + ":${AWS::Region}:${AWS::AccountId}:" + n
		}
		return names
	}
	services := arn("ecs", "service/elsewhere/named", "service/given/another", "service/given/by-arn", "service/given/name", "service/short")
	ofTasks := arn("ecs", "task/elsewhere/*", "task/given/*", "task/old/*")
	want := map[string][]string{
		"ecs:DescribeServices": services, "ecs:UpdateService": services,
		"ecs:DescribeTasks": ofTasks, "ecs:GetTaskProtection": ofTasks, "ecs:UpdateTaskProtection": ofTasks,
		"ecs:ListTasks": {"*"}, "ecs:cluster": arn("ecs", "cluster/elsewhere", "cluster/given", "cluster/old"),
		"secretsmanager:GetSecretValue": {
			"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:prod/redis-Ab12Cd",
			"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:210987654321:secret:shared/redis-??????",
		},
		"ssm:GetParameter": arn("ssm", "parameter/plain", "parameter/prod/redis"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestACertainAccount has a template for one account and Region say the same as one for any.
func TestACertainAccount(t *testing.T) {
	t.Parallel()
	text, _ := fixture(t)
	yaml := `
version: 1
brokers: [{name: main, url_secret: prod/redis}, {name: other, url_parameter: /prod/redis}]
targets:
  - {name: worker, broker: main, cluster: prod, service: celery-worker, queues: [celery], max: 10, shield: true}
  - {name: mail, broker: main, cluster: prod, service: mail, queues: [mail], max: 2}
  - {name: counted, broker: other, cluster: media, service: counted, queues: [video], max: 3, activity: {source: none}}
deploy:
  account: "123456789012"
  region: eu-central-1
  keys: ["arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-0000-4000-8000-123456789012"]
`
	text = strings.NewReplacer(
		`{"Ref": "AWS::Region"}`, `"eu-central-1"`, `{"Ref": "AWS::AccountId"}`, `"123456789012"`, `{"Ref": "AWS::Partition"}`, `"aws"`,
	).Replace(text)
	c := parse(t, yaml)
	if findings, err := Compare([]byte(text), derive(t), c); err != nil || len(findings) > 0 {
		t.Errorf("%v, %d findings, such as %q", err, len(findings), lines(findings)[:min(1, len(findings))])
	}
	wrong := strings.ReplaceAll(text, `":ecs:", "eu-central-1"`, `":ecs:", "eu-west-1"`)
	if findings, err := Compare([]byte(wrong), derive(t), c); err != nil || len(findings) == 0 {
		t.Errorf("a template for another Region: %v, no finding", err)
	}
}

// roleWith makes a template out of needs: one role for all three functions, of which the others are not looked at.
func roleWith(t *testing.T, wanted []Need) role {
	t.Helper()
	var statements []any
	for _, n := range wanted {
		condition := map[string]map[string][]string{}
		for _, o := range n.Only {
			condition[o.Operator] = map[string][]string{o.Key: o.Values}
		}
		statements = append(statements, map[string]any{"Effect": "Allow", "Action": n.Action, "Resource": n.Resources, "Condition": condition})
	}
	// As it comes out of JSON.
	data, err := json.Marshal(map[string]any{"Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	var r role
	r.add(document, true)
	return r
}

// TestWidths has services named together where, and only where, IAM has no room for each.
func TestWidths(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		services, clusters                        int
		exactFits, perClusterFair, everythingFair bool
	}{
		{services: 3, clusters: 2, exactFits: true},
		{services: 20, clusters: 2, exactFits: true},
		{services: 200, clusters: 2, perClusterFair: true},
		{services: 300, clusters: 300, everythingFair: true},
	} {
		t.Run(fmt.Sprint(row.services, " services"), func(t *testing.T) {
			t.Parallel()
			var yaml strings.Builder
			yaml.WriteString("version: 1\nbrokers: [{name: main, url: \"redis://r\"}]\ntargets:\n")
			for i := range row.services {
				fmt.Fprintf(&yaml, "  - {name: t%d, cluster: c%d, service: a-service-with-a-name-%d, queues: [q%d], max: 1}\n", i, i%row.clusters, i, i)
			}
			c := parse(t, yaml.String())
			for w, fair := range map[width]bool{exact: row.exactFits, perCluster: row.perClusterFair, everything: row.everythingFair} {
				wanted, err := needs(ScaleIn, derive(t)[ScaleIn], c, surroundings{}, w)
				if err != nil {
					t.Fatal(err)
				}
				findings, err := compare(ScaleIn, roleWith(t, wanted), derive(t)[ScaleIn], c)
				if err != nil || fair != (len(findings) == 0) {
					t.Errorf("width %d: %v, %q", w, err, lines(findings)[:min(3, len(findings))])
				}
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a*", "abc", true},
		{"*", "", true},
		{"a*c", "abc", true},
		{"a*c", "abd", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"a?", "a*", false}, // One is not any number.
		{"a*", "a?", true},
		{"service/*", "service/prod/*", true},
		{"service/prod/*", "service/*", false},
	} {
		if got := matches(row.pattern, row.s); got != row.want {
			t.Errorf("%q covers %q: %v", row.pattern, row.s, got)
		}
	}
}
