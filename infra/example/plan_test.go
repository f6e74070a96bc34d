package example

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
)

// parse reads a sluice.yaml with one target and the example; each edit replaces a text in it that is there once.
func parse(t *testing.T, edits ...string) *config.Config {
	t.Helper()
	file := `
version: 1
brokers:
  - name: main
    url_secret: shop/redis
targets:
  - name: worker
    cluster: shop
    service: workers
    queues: [orders, reports]
    max: 3
deploy:
  log_retention: 7
  example:
    image: shop:1.0
`
	for i := 0; i < len(edits); i += 2 {
		if strings.Count(file, edits[i]) != 1 {
			t.Fatalf("%q is not in the file once", edits[i])
		}
		file = strings.Replace(file, edits[i], edits[i+1], 1)
	}
	c, err := config.Parse([]byte(file), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPlan(t *testing.T) {
	worker := []string{
		"celery", "--app", "tasks", "worker", "--hostname", "celery@%h", "--concurrency", "2",
		"--queues", "orders,reports", "--loglevel", "INFO",
	}
	with := func(edit func(*plan)) *plan {
		p := &plan{
			cluster: "shop", service: "workers", worker: slices.Clone(worker),
			image: image{repository: "shop", reference: "1.0"}, redis: "valkey", secret: "shop/redis", api: true,
			bus: "default", source: "custom.celery.monitor", detailType: "celery.task.queue_full", logRetention: 7,
		}
		edit(p)
		return p
	}
	const (
		arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:upstash-AbCdEf"
		key = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
	)
	for _, test := range []struct {
		name  string
		edits []string
		want  *plan
	}{
		{"defaults", nil, with(func(*plan) {})},
		{"redis without API", []string{"shop:1.0\n", "shop:1.0\n    redis: redis\n    api: false\n"}, with(func(p *plan) {
			p.redis, p.api = "redis", false
		})},
		{"field of a JSON secret", []string{"shop/redis", "shop/redis#url"}, with(func(p *plan) { p.field = "url" })},
		{"external, by ARN", []string{"shop:1.0\n", "shop:1.0\n    redis: external\n", "shop/redis", `"` + arn + `#url"`}, with(func(p *plan) {
			p.redis, p.secret, p.field = "external", arn, "url"
		})},
		{"external, encrypted with a key of one's own", []string{
			"shop:1.0\n", "shop:1.0\n    redis: external\n", "  log_retention: 7\n", "  log_retention: 7\n  keys: [\"" + key + "\"]\n",
		}, with(func(p *plan) { p.redis, p.keys = "external", []string{key} })},
		{"a key that a secret of the example's own has no use for", []string{
			"  log_retention: 7\n", "  log_retention: 7\n  keys: [\"" + key + "\"]\n",
		}, with(func(*plan) {})},
		{"events of one's own", []string{
			"deploy:", "events: {source: my.shop, detail_type: work, bus: orders}\ndeploy:",
		}, with(func(p *plan) { p.source, p.detailType, p.bus = "my.shop", "work", "orders" })},
		{"concurrency of the target", []string{
			"    max: 3\n", "    max: 3\n    max_wait: 30s\n    task_seconds: 1\n    concurrency: 4\n",
		}, with(func(p *plan) { p.worker[7] = "4" })},
	} {
		got, err := newPlan(parse(t, test.edits...))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:x-AbCdEf"
	for _, test := range []struct {
		name  string
		edits []string
		want  string // What the error says of the field, and the remedy.
	}{
		{
			"a URL from the environment",
			[]string{"url_secret: shop/redis", "url_env: REDIS_URL"},
			"broker main: url_secret: is missing: name the secret",
		},
		{
			"the ARN of a secret that is to be made",
			[]string{"shop/redis", `"` + arn + `"`},
			"broker main: url_secret: is an ARN: give a name",
		},
		{
			"cluster mode",
			[]string{"url_secret: shop/redis", "url_secret: shop/redis\n    cluster_mode: true\n    key_prefix: \"{celery}:\""},
			"broker main: cluster_mode: the Redis that the example makes is not in cluster mode: remove it",
		},
		{
			"the ARN of a cluster",
			[]string{"cluster: shop", `cluster: "arn:aws:ecs:eu-central-1:111122223333:cluster/shop"`},
			"target worker: cluster: is an ARN: give a name",
		},
		{
			"the ARN of a service",
			[]string{"service: workers", `service: "arn:aws:ecs:eu-central-1:111122223333:service/shop/workers"`},
			"target worker: service: is an ARN: give a name",
		},
		{
			"a comma in a queue",
			[]string{"[orders, reports]", `["orders,reports"]`},
			`target worker: queues: "orders,reports" has a comma`,
		},
	} {
		_, err := newPlan(parse(t, test.edits...))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestPlanNamesAllThatIsWrong(t *testing.T) {
	_, err := newPlan(parse(t, "url_secret: shop/redis", "url_env: REDIS_URL", "[orders, reports]", `["orders,reports"]`))
	if err == nil || !strings.Contains(err.Error(), "url_secret") || !strings.Contains(err.Error(), "queues") {
		t.Errorf("got %v, want both fields", err)
	}
}

func TestImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for in, want := range map[string]image{
		"shop:latest":         {repository: "shop", reference: "latest"},
		"team/shop-api:1.0_2": {repository: "team/shop-api", reference: "1.0_2"},
		"shop@" + digest:      {repository: "shop", reference: digest},
		"111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/shop:1.0": {
			repositoryARN: "arn:aws:ecr:eu-central-1:111122223333:repository/team/shop", repository: "team/shop", reference: "1.0",
		},
		"111122223333.dkr.ecr.us-gov-west-1.amazonaws.com/shop@" + digest: {
			repositoryARN: "arn:aws-us-gov:ecr:us-gov-west-1:111122223333:repository/shop", repository: "shop", reference: digest,
		},
		"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/shop:1.0": {
			repositoryARN: "arn:aws-cn:ecr:cn-north-1:111122223333:repository/shop", repository: "shop", reference: "1.0",
		},
	} {
		got, err := parseImage(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "shop", "shop:", ":latest", "Shop:latest", "shop:la test", "shop@sha256:0a", "team//shop:1.0",
		"ghcr.io/team/shop:1.0", "localhost:5000/shop:1.0", "111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop",
		"111122223333.dkr.ecr.eu-central-1.amazonaws.com.example.org/shop:1.0",
	} {
		if got, err := parseImage(in); err == nil {
			t.Errorf("%q: got %+v, want an error", in, got)
		}
	}
}

func TestCompleteARN(t *testing.T) {
	const prefix = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
	for name, want := range map[string]bool{
		"upstash/shop-AbCd12": true, "upstash/shop": false, "upstash/shop-AbC12": false, "upstash/shop_AbCd12": false,
	} {
		if got := completeARN.MatchString(prefix + name); got != want {
			t.Errorf("%s: got %t, want %t", name, got, want)
		}
	}
}

// The lock file pins what requirements.txt asks for, and is what the image is made from.
func TestLockFileIsOfTheRequirements(t *testing.T) {
	read := func(name string) string {
		content, err := os.ReadFile("../../examples/shop/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	lock := read("requirements.lock")
	for _, requirement := range strings.Fields(read("requirements.txt")) {
		// Extras, as in celery[redis]==5.7.0, are resolved in the lock file.
		pinned := regexp.MustCompile(`\[.*\]`).ReplaceAllString(requirement, "")
		if !strings.Contains("\n"+lock, "\n"+pinned+"\n") {
			t.Errorf("examples/shop/requirements.lock does not pin %s: make it anew, as its first lines say", pinned)
		}
	}
}
