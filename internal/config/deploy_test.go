package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// withTargets is a valid file with n targets, and what else is given.
func withTargets(n int, rest string) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nbrokers: [{name: b, url_secret: redis}]\ntargets:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: t%d, cluster: c, service: s%d, queues: [q%d], max: 1}\n", i, i, i)
	}
	return []byte(b.String() + rest)
}

func TestSchedules(t *testing.T) {
	for _, test := range []struct{ targets, perSchedule, want int }{
		{1, 1000, 1},
		{1000, 1000, 1},
		{1001, 1000, 2},
		{2000, 1000, 2},
		{5, 2, 3},
		{100, 1, 100},
		{101, 1, 0}, // Refused.
		{2000, 20, 100},
		{2000, 19, 0},
	} {
		c, err := Parse(withTargets(test.targets, fmt.Sprintf("deploy: {targets_per_schedule: %d}\n", test.perSchedule)), "sluice.yaml")
		var problems Problems
		switch {
		case test.want > 0 && err != nil:
			t.Errorf("%d targets, %d a schedule: %v", test.targets, test.perSchedule, err)
		case test.want > 0 && c.Schedules() != test.want:
			t.Errorf("%d targets, %d a schedule: %d schedules, want %d", test.targets, test.perSchedule, c.Schedules(), test.want)
		case test.want == 0 && (!errors.As(err, &problems) || len(problems) != 1 || problems[0].Field != "deploy.targets_per_schedule"):
			t.Errorf("%d targets, %d a schedule: %v, want a problem of deploy.targets_per_schedule", test.targets, test.perSchedule, err)
		}
	}
}

// What may be deployed is judged by one rule wherever an ARN stands.
func TestDeployRefusesWhatIsElsewhere(t *testing.T) {
	const file = `version: 1
brokers: [{name: b, %s: %q}]
targets: [{name: t, cluster: %q, service: %q, queues: [q], max: 1}]
events: {bus: %q}
deploy: {account: "123456789012", region: %s, keys: [%q], alarms: {topic: %q}}
`
	for _, test := range []struct{ name, partition, region, account, want string }{
		{"at home", "aws", "eu-central-1", "123456789012", ""},
		{"at home in China", "aws-cn", "cn-north-1", "123456789012", ""},
		{"at home in GovCloud", "aws-us-gov", "us-gov-west-1", "123456789012", ""},
		// What its owner can share is let pass: secrets, parameters, keys and topics.
		{"other account", "aws", "eu-central-1", "210987654321", "targets[0].cluster targets[0].service events.bus"},
		{"other Region", "aws", "us-east-1", "123456789012", "brokers[0].URL targets[0].cluster targets[0].service events.bus deploy.keys[0] deploy.alarms.topic"},
		{"other partition", "aws-us-gov", "eu-central-1", "123456789012", "brokers[0].URL targets[0].cluster targets[0].service events.bus deploy.keys[0] deploy.alarms.topic"},
	} {
		for _, url := range []string{"url_secret", "url_parameter"} {
			t.Run(test.name+" "+url, func(t *testing.T) {
				arn := func(service, resource string) string {
					return strings.Join([]string{"arn", test.partition, service, test.region, test.account, resource}, ":")
				}
				home := test.region
				if test.want != "" {
					home = "eu-central-1"
				}
				where := arn("secretsmanager", "secret:redis-AbCdEf")
				if url == "url_parameter" {
					where = arn("ssm", "parameter/redis")
				}
				_, err := Parse(fmt.Appendf(nil, file, url, where, arn("ecs", "cluster/c"), arn("ecs", "service/c/s"),
					arn("events", "event-bus/e"), home, arn("kms", "key/1"), arn("sns", "topic")), "sluice.yaml")
				var problems Problems
				errors.As(err, &problems)
				var fields []string
				for _, p := range problems {
					fields = append(fields, p.Field)
				}
				if got, want := strings.Join(fields, " "), strings.ReplaceAll(test.want, "URL", url); got != want {
					t.Errorf("problems of %q, want of %q:\n%v", got, want, err)
				}
			})
		}
	}
}

func TestQueuesThatAreNoTexts(t *testing.T) {
	for _, queues := range []string{`[""]`, `["a\u0007b"]`, `["` + strings.Repeat("q", 256) + `"]`} {
		_, err := Parse([]byte("version: 1\nbrokers: [{name: b, url_env: X}]\n"+
			"targets: [{name: a, cluster: c, service: s, queues: "+queues+", max: 1}]\n"), "sluice.yaml")
		if err == nil || !strings.Contains(err.Error(), "targets[0].queues[0]:") {
			t.Errorf("queues %.20s: %v, want a problem of targets[0].queues[0]", queues, err)
		}
	}
}
