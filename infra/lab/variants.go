package lab

import (
	"fmt"
	"os"
	"strings"

	"sluice/lab/testenv"
)

// Variant is a configuration under which nothing is to be found.
type Variant struct {
	Name string

	config  string            // The text of sluice.yaml.
	files   map[string]string // Other files beside it.
	urls    map[string]string // The environment of the deployment.
	secrets []string          // Texts of the configuration that may be nowhere in what is synthesized.
}

// The variants that faults are planted in most: the basic one, and the one with all that tells people and machines what happens.
const (
	Basic    = "1 target"
	Operated = "windows, metrics, traces, messages"
)

const version = "version: 1\n"

// oneBroker is one broker, by its secret.
const oneBroker = "brokers: [{name: main, url_secret: prod/redis}]\n"

// Variants are from the smallest file to the largest that sluice.yaml may be.
var Variants = variants()

func variants() []Variant {
	const (
		email   = "deploy: {alarms: {email: oncall@example.com}}\n"
		home    = "  account: \"123456789012\"\n  region: eu-central-1\n"
		keyARN  = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
		busARN  = "arn:aws:events:eu-central-1:123456789012:event-bus/shop"
		example = version + oneBroker + "targets: [{name: worker, cluster: shop, service: workers, queues: [orders, reports], max: 3}]\n"
		onTopic = "  alarms: {topic: \"arn:aws:sns:eu-central-1:123456789012:oncall\", workers: false}\n"
	)
	perSchedule := func(n int) string { return fmt.Sprintf("deploy: {targets_per_schedule: %d}\n", n) }
	long := func(s string, n int) string { return s + strings.Repeat("x", n-len(s)) }
	local := `local:
  services:
    - {cluster: prod, service: celery-worker, command: [celery], env: {DB_URL: "postgres://shop:only-on-a-laptop@localhost/shop"}}
`
	return []Variant{
		{Name: Basic, secrets: []string{"only-on-a-laptop"}, config: version + oneBroker + `targets:
  - name: worker
    cluster: prod
    service: celery-worker
    queues: [celery, video]
    max: 10
    shield: true
deploy:
  stack: sluice
  log_retention: 30
  alarms:
    email: oncall@example.com
` + local},
		{Name: "smallest file", config: version + oneBroker + targets(1, 1, nil)},
		{Name: "10 targets", config: version + oneBroker + targets(10, 3, nil) + email + "metrics: {level: totals}\n"},
		{Name: "100 targets", config: version + oneBroker + targets(100, 2, nil) + email + "metrics: {level: targets}\n"},
		{Name: "1,000 targets", config: version + oneBroker + targets(1000, 1, nil) + email},
		{Name: "1,000 targets, 400 clusters", config: version + oneBroker + targets(1000, 400, nil) + email},
		{Name: "1,000 targets, 250 a schedule", config: version + oneBroker + targets(1000, 10, nil) + perSchedule(250)},
		{Name: "1,000 targets, 10 a schedule", config: version + oneBroker + targets(1000, 10, nil) + perSchedule(10)},
		{Name: "2,000 targets", config: version + oneBroker + targets(2000, 20, nil) + perSchedule(2000)},
		{Name: "100 targets, long names", config: version + oneBroker + targets(100, 100, func(i int, t *target) {
			t.name, t.cluster, t.service = long(fmt.Sprint("t", i), 63), long(fmt.Sprint("c", i), 255), long(fmt.Sprint("s", i), 255)
		}) + "deploy: {stack: " + long("sluice", 100) + "}\n"},
		{Name: "kinds of targets", config: version + oneBroker + targets(6, 3, func(i int, t *target) {
			t.more = []string{"dry_run: true", "activity: {source: counter, key: busy}", "activity: {source: none}", "shield: true"}[i%4]
		})},
		{Name: Operated, config: version + oneBroker + targets(2, 1, func(_ int, t *target) {
			t.more = "windows: [{name: office hours, cron: \"0 8 * * mon-fri\", time_zone: Europe/Berlin, for: 10h, min: 2, pre_warm: 10m}]"
		}) + `metrics: {level: targets}
traces: {endpoint: "https://collector.example.com:4318"}
deploy:
  alarms: {email: oncall@example.com}
  notify: {every: 1h, email: team@example.com}
`},
		{Name: "no asking of workers", config: version + oneBroker + targets(2, 2, func(_ int, t *target) {
			t.more = "activity: {source: none}"
		})},
		{
			Name: "kinds of brokers", urls: map[string]string{"CACHE_URL": "rediss://cache.example.com:6379/0"},
			files: map[string]string{"tls/ca.pem": authority}, config: version + `brokers:
  - {name: secret, url_secret: "prod/redis#url"}
  - {name: arn, url_secret: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/other-AbCdEf"}
  - {name: parameter, url_parameter: /prod/redis}
  - {name: environment, url_env: CACHE_URL, tls: {ca_file: tls/ca.pem}}
  - {name: plain, url: "redis://plain.example.com:6379/0"}
` + targets(5, 1, func(i int, t *target) {
				t.broker = []string{"secret", "arn", "parameter", "environment", "plain"}[i]
			}) + "deploy:\n" + home + "  keys: [\"" + keyARN + "\"]\n",
		},
		{Name: "50 brokers", config: version + "brokers:\n" + lines(50, func(i int) string {
			return fmt.Sprintf("  - {name: b%d, url_secret: prod/redis-%d}\n", i, i)
		}) + targets(50, 5, func(i int, t *target) { t.broker = fmt.Sprint("b", i) })},
		{Name: "everything by ARN", config: version + oneBroker + `targets:
  - name: worker
    cluster: arn:aws:ecs:eu-central-1:123456789012:cluster/prod
    service: arn:aws:ecs:eu-central-1:123456789012:service/prod/celery-worker
    queues: [celery]
    max: 10
events: {source: com.example.shop, detail_type: "Queue full", bus: "` + busARN + `"}
sweep: {every: 1h}
deploy:
  log_retention: 365
` + home + onTopic + "  notify: {every: 24h, topic: \"arn:aws:sns:eu-central-1:123456789012:digest\"}\n"},
		{Name: "bus by name", config: version + oneBroker + targets(3, 1, nil) + "events: {bus: shop}\nsweep: {every: 7m}\n" + perSchedule(1)},
		{Name: "one sweep a day", config: version + oneBroker + targets(2, 1, nil) + "sweep: {every: 24h}\n"},
		{Name: "a sweep a minute", config: version + oneBroker + targets(2, 1, nil) + "sweep: {every: 1m}\n" + perSchedule(1)},
		{Name: "in a VPC", config: version + oneBroker + targets(2, 1, nil) + `deploy:
  notify: {}
  vpc: {id: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]}
`},
		{Name: "in a VPC without a NAT", config: version + `brokers:
  - {name: main, url_secret: prod/redis}
  - {name: other, url_parameter: prod/other}
` + targets(2, 1, func(i int, t *target) { t.broker = []string{"main", "other"}[i] }) + `deploy:
  vpc:
    id: vpc-0123456789abcdef0
    subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
    security_groups: [sg-0123456789abcdef0, sg-0123456789abcdef1]
    endpoints: true
`},
		{Name: "in China", config: version + oneBroker + targets(2, 1, nil) + "deploy: {account: \"123456789012\", region: cn-north-1}\n"},
		{Name: "example", config: example + "deploy: {example: {image: \"shop:1.0\"}}\n"},
		{Name: "the shop", config: shop()},
		{Name: "example with Redis", config: example + "deploy:\n" + home + `  example:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/shop:1.0
    redis: redis
    api: false
`},
		{Name: "example with Upstash", config: example + "deploy: {log_retention: 7, example: {image: \"shop:1.0\", redis: external}}\n"},
	}
}

func shop() string {
	text, err := os.ReadFile(testenv.Root() + "/examples/shop/sluice.yaml")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// target is what differs between the targets of a variant.
type target struct{ name, cluster, service, broker, more string }

// targets makes so many on so many clusters. change may change the i-th.
func targets(n, clusters int, change func(i int, t *target)) string {
	return "targets:\n" + lines(n, func(i int) string {
		t := target{
			name: fmt.Sprint("target-", i), cluster: fmt.Sprint("cluster-", i%clusters), service: fmt.Sprint("service-", i), broker: "main",
		}
		if change != nil {
			change(i, &t)
		}
		line := fmt.Sprintf("  - {name: %s, cluster: %s, service: %s, broker: %s, queues: [queue-%d], max: 5",
			t.name, t.cluster, t.service, t.broker, i)
		if t.more != "" {
			line += ", " + t.more
		}
		return line + "}\n"
	})
}

func lines(n int, line func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
	}
	return b.String()
}

// authority is a certificate authority, of nobody.
const authority = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUYejoSvlvK+2Odlg+Mn3n9+ZbMa4wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc2x1aWNlIHRlc3QgQ0EwIBcNMjYxMTIxMjI0MzA4WhgPMjEy
NjEwMjgyMjQzMDhaMBkxFzAVBgNVBAMMDnNsdWljZSB0ZXN0IENBMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEIbe9NXMplalu/rFjwI16DjwNic6WTljqXokcTH1Q
f2zhHTzUPMro/ft/NfIjloAsFA8dJ88idDow0DDQbpMGPqNTMFEwHQYDVR0OBBYE
FKiID6nuruecok3cfBFXQExa3tQkMB8GA1UdIwQYMBaAFKiID6nuruecok3cfBFX
QExa3tQkMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAI+tWZRe
F6ayJl5pfBEpxj22vlLOxMsJN1Tpd4p1UGXiAiB57PSUgmIOd/9J+6Yiafzz5Lsy
GA6jvP+WuwjdSRuP7g==
-----END CERTIFICATE-----
`
