package sluicecdk

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
)

// parse reads a configuration as Load does, from memory.
func parse(t *testing.T, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withTargets is a configuration of n targets, spread evenly over so many clusters.
func withTargets(t *testing.T, n, clusters int) *config.Config {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nbrokers: [{name: main, url_secret: prod/redis}]\ntargets:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: worker-%d, cluster: cluster-%d, service: celery-worker-%d, queues: [q%d], max: 10}\n", i, i%clusters, i, i)
	}
	return parse(t, b.String())
}

var home = place{partition: "aws", region: "eu-central-1", account: "111122223333"}

const twoClusters = `
version: 1
brokers:
  - {name: main, url_secret: prod/redis}
  - {name: other, url_parameter: /prod/redis}
targets:
  - {name: b, broker: main, cluster: prod, service: video, queues: [b], max: 3, shield: true}
  - {name: a, broker: main, cluster: mail, service: celery, queues: [a], max: 3}
  - {name: c, broker: other, cluster: batch, service: counted, queues: [c], max: 3, activity: {source: counter, key: busy}}
deploy:
  keys: ["arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"]
`

func TestPermissions(t *testing.T) {
	const ecs = "arn:aws:ecs:eu-central-1:111122223333:"
	type conditions = map[string]map[string][]string
	services := []string{ecs + "service/batch/counted", ecs + "service/mail/celery", ecs + "service/prod/video"}
	asked := []string{ecs + "task/mail/*", ecs + "task/prod/*"} // Nobody asks the workers of batch.
	shielded := []string{ecs + "task/prod/*"}
	all := []string{ecs + "task/batch/*", ecs + "task/mail/*", ecs + "task/prod/*"}
	secrets := []statement{
		{
			"ReadSecrets",
			[]string{"secretsmanager:GetSecretValue"},
			[]string{"arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/redis-??????"},
			nil,
		},
		{"ReadParameters", []string{"ssm:GetParameter"}, []string{"arn:aws:ssm:eu-central-1:111122223333:parameter/prod/redis"}, nil},
		{
			"DecryptThroughThem",
			[]string{"kms:Decrypt"},
			[]string{"arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"},
			conditions{"StringEquals": {"kms:ViaService": {"secretsmanager.eu-central-1.amazonaws.com", "ssm.eu-central-1.amazonaws.com"}}},
		},
	}
	list := func(clusters ...string) statement {
		return statement{"ListTasks", []string{"ecs:ListTasks"}, []string{"*"}, conditions{"ArnEquals": {"ecs:cluster": clusters}}}
	}
	look := func(tasks []string) statement {
		return statement{"LookAtTasks", []string{"ecs:DescribeTasks", "ecs:GetTaskProtection"}, tasks, nil}
	}
	scale := statement{"LookAtAndScaleServices", []string{"ecs:DescribeServices", "ecs:UpdateService"}, services, nil}

	want := map[string][]statement{
		scaleOut: {
			scale,
			{"KeepFloors", []string{"ecs:TagResource"}, services, conditions{"ForAllValues:StringEquals": {"aws:TagKeys": {"sluice:floor"}}}},
			list(ecs+"cluster/mail", ecs+"cluster/prod"), look(asked),
		},
		check: {
			{"LookAtServices", []string{"ecs:DescribeServices"}, services, nil},
			list(ecs+"cluster/batch", ecs+"cluster/mail", ecs+"cluster/prod"), look(all),
			{"ShieldTasks", []string{"ecs:UpdateTaskProtection"}, shielded, nil},
			{"TagShieldedTasks", []string{"ecs:TagResource"}, shielded, conditions{"ForAllValues:StringEquals": {"aws:TagKeys": {"sluice:shield"}}}},
		},
		scaleIn: {
			scale,
			list(ecs+"cluster/batch", ecs+"cluster/mail", ecs+"cluster/prod"), look(all),
			{"ProtectTasks", []string{"ecs:UpdateTaskProtection"}, asked, nil},
		},
	}
	c := parse(t, twoClusters)
	for function, own := range want {
		got := permissions(c, function, home, exact)
		for i, s := range append(own, secrets...) {
			if i >= len(got) || !reflect.DeepEqual(got[i], s) {
				t.Errorf("%s: statement %d of %v, want %v", function, i, got, s)
				break
			}
		}
		if len(got) != len(own)+len(secrets) {
			t.Errorf("%s has %d statements, want %d", function, len(got), len(own)+len(secrets))
		}
	}
}

func TestPermissionsWithoutWhatIsNotUsed(t *testing.T) {
	c := parse(t, `
version: 1
brokers: [{name: main, url: redis://redis.internal:6379/0}]
targets: [{name: a, cluster: prod, service: celery, queues: [a], max: 3, activity: {source: none}}]
`)
	want := map[string][]string{
		scaleOut: {"LookAtAndScaleServices", "KeepFloors"},
		check:    {"LookAtServices", "ListTasks", "LookAtTasks"},
		scaleIn:  {"LookAtAndScaleServices", "ListTasks", "LookAtTasks"},
	}
	for function, sids := range want {
		var got []string
		for _, s := range permissions(c, function, home, exact) {
			got = append(got, s.sid)
		}
		if !slices.Equal(got, sids) {
			t.Errorf("%s may %v, want %v", function, got, sids)
		}
	}
}

func TestServicesByARN(t *testing.T) {
	tests := []struct{ cluster, service, wantService, wantTasks, wantCluster string }{
		{
			"prod", "celery",
			"arn:aws:ecs:eu-central-1:111122223333:service/prod/celery",
			"arn:aws:ecs:eu-central-1:111122223333:task/prod/*",
			"arn:aws:ecs:eu-central-1:111122223333:cluster/prod",
		},
		{ // An ARN's own place is kept.
			"arn:aws-cn:ecs:cn-north-1:444455556666:cluster/prod", "celery",
			"arn:aws-cn:ecs:cn-north-1:444455556666:service/prod/celery",
			"arn:aws-cn:ecs:cn-north-1:444455556666:task/prod/*",
			"arn:aws-cn:ecs:cn-north-1:444455556666:cluster/prod",
		},
		{
			"prod", "arn:aws-cn:ecs:cn-north-1:444455556666:service/prod/celery",
			"arn:aws-cn:ecs:cn-north-1:444455556666:service/prod/celery",
			"arn:aws-cn:ecs:cn-north-1:444455556666:task/prod/*",
			"arn:aws-cn:ecs:cn-north-1:444455556666:cluster/prod",
		},
		{ // The short form, from before 2018.
			"prod", "arn:aws:ecs:eu-central-1:111122223333:service/celery",
			"arn:aws:ecs:eu-central-1:111122223333:service/celery",
			"arn:aws:ecs:eu-central-1:111122223333:task/prod/*",
			"arn:aws:ecs:eu-central-1:111122223333:cluster/prod",
		},
	}
	for _, tt := range tests {
		got := arnsOf([]config.Target{{Cluster: tt.cluster, Service: tt.service}}, home, exact)
		want := fleetARNs{[]string{tt.wantService}, []string{tt.wantTasks}, []string{tt.wantCluster}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %s: %v, want %v", tt.cluster, tt.service, got, want)
		}
	}
}

func TestSecretAndParameterARNs(t *testing.T) {
	const secret, parameter = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:", "arn:aws:ssm:eu-central-1:111122223333:parameter/"
	for ref, want := range map[string]string{
		"prod/redis":                  secret + "prod/redis-??????",
		"prod/redis#url":              secret + "prod/redis-??????",
		secret + "prod/redis-a1B2c3":  secret + "prod/redis-a1B2c3",
		secret + "redis-a1B2c3#field": secret + "redis-a1B2c3",
		secret + "prod/redis":         secret + "prod/redis-??????",
	} {
		if got := secretARN(ref, home); got != want {
			t.Errorf("secret %s: %s, want %s", ref, got, want)
		}
	}
	for ref, want := range map[string]string{
		"/prod/redis":            parameter + "prod/redis",
		"redis":                  parameter + "redis",
		parameter + "prod/redis": parameter + "prod/redis",
	} {
		if got := parameterARN(ref, home); got != want {
			t.Errorf("parameter %s: %s, want %s", ref, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	tests := []struct {
		targets, clusters int
		scaleOut, check   width // ScaleOut lists its services twice.
	}{
		{1, 1, exact, exact},
		{30, 1, exact, exact},
		{50, 1, perCluster, exact},
		{100, 1, perCluster, perCluster},
		{1000, 1, perCluster, perCluster},
		{2000, 20, perCluster, perCluster},
		{100, 100, everything, everything},
		{2000, 2000, everything, everything},
	}
	for _, tt := range tests {
		c := withTargets(t, tt.targets, tt.clusters)
		for function, want := range map[string]width{scaleOut: tt.scaleOut, check: tt.check} {
			got, err := widthFor(c, function)
			if err != nil || got != want {
				t.Errorf("%s of %d targets in %d clusters: width %d, %v, want %d", function, tt.targets, tt.clusters, got, err, want)
			}
			if n := policyLength(permissions(c, function, longest, got)); n > maxPolicy {
				t.Errorf("%s of %d targets in %d clusters: %d characters, want at most %d", function, tt.targets, tt.clusters, n, maxPolicy)
			}
			if want > exact && policyLength(permissions(c, function, longest, got-1)) <= maxPolicy {
				t.Errorf("%s of %d targets in %d clusters is wider than it has to be", function, tt.targets, tt.clusters)
			}
		}
	}
}

func TestCollapsedPermissions(t *testing.T) {
	const ecs = "arn:aws:ecs:eu-central-1:111122223333:"
	c := withTargets(t, 4, 2)
	for w, want := range map[width][3][]string{
		perCluster: {
			{ecs + "service/cluster-0/*", ecs + "service/cluster-1/*"},
			{ecs + "cluster/cluster-0", ecs + "cluster/cluster-1"},
			{ecs + "task/cluster-0/*", ecs + "task/cluster-1/*"},
		},
		everything: {{ecs + "service/*"}, {ecs + "cluster/*"}, {ecs + "task/*"}},
	} {
		s := permissions(c, scaleIn, home, w)
		operator := map[width]string{perCluster: "ArnEquals", everything: "ArnLike"}[w]
		got := [3][]string{s[0].resources, s[1].conditions[operator]["ecs:cluster"], s[2].resources}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("width %d: %v, want %v", w, got, want)
		}
	}
}

func TestPermissionsDoNotDependOnTheOrderOfTargets(t *testing.T) {
	c := parse(t, twoClusters)
	want := permissions(c, scaleIn, home, exact)
	slices.Reverse(c.Targets)
	if got := permissions(c, scaleIn, home, exact); !reflect.DeepEqual(got, want) {
		t.Errorf("reversed: %v, want %v", got, want)
	}
}

func TestTooManySecrets(t *testing.T) {
	var brokers, targets strings.Builder
	for i := range 120 {
		fmt.Fprintf(&brokers, "  - {name: b%d, url_secret: production/redis-%d}\n", i, i)
		fmt.Fprintf(&targets, "  - {name: t%d, broker: b%d, cluster: prod, service: s%d, queues: [q], max: 1}\n", i, i, i)
	}
	yaml := "version: 1\nbrokers:\n" + brokers.String() + "targets:\n" + targets.String()
	_, err := widthFor(parse(t, yaml), check)
	if err == nil || !strings.Contains(err.Error(), "NAME#key") {
		t.Errorf("got %v, want an error that tells of secrets with several URLs", err)
	}
	// That remedy works.
	one := strings.NewReplacer("production/redis-", "production/redis#r").Replace(yaml)
	if _, err := widthFor(parse(t, one), check); err != nil {
		t.Error(err)
	}
}

func TestWildcards(t *testing.T) {
	got := wildcards(permissions(parse(t, twoClusters), check, place{"P", "R", "A"}, exact))
	want := []string{
		"Resource::*", "Resource::arn:P:ecs:R:A:task/batch/*", "Resource::arn:P:ecs:R:A:task/mail/*", "Resource::arn:P:ecs:R:A:task/prod/*",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
