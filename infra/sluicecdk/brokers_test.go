package sluicecdk

import (
	"maps"
	"strings"
	"testing"
)

func TestBrokerEnvironment(t *testing.T) {
	const rest = "\ntargets: [{name: a, cluster: prod, service: celery, queues: [a], max: 3}]\n"
	const token = "${Token[Redis.PrimaryEndPoint.123]}"
	tests := []struct {
		name, broker string
		given        map[string]string
		want         map[string]string
		problem      string // Part of the error; empty for none.
	}{
		{"secret", "url_secret: prod/redis", nil, nil, ""},
		{"plain URL", "url: redis://redis.internal:6379/0", nil, nil, ""},
		{"plain URL with a user", "url: redis://sluice@redis.internal:6379/0", nil, nil, ""},
		{"plain URL with a password", "url: redis://:hunter2@redis.internal:6379/0", nil, nil, "brokers[0].url: holds a password"},
		{
			"environment", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "redis://redis.internal:6379/0"},
			map[string]string{"REDIS_URL": "redis://redis.internal:6379/0"},
			"",
		},
		{"environment without the value", "url_env: REDIS_URL", nil, nil, "brokers[0].url_env: the deployment has no value for REDIS_URL"},
		{
			"environment with a password", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "rediss://user:hunter2@redis.internal:6379/0"},
			nil, "brokers[0].url_env: REDIS_URL holds a password",
		},
		{
			"environment with what cannot be read", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "amqp://rabbit"},
			nil, "only Celery on Redis is supported",
		},
		{
			"a password in what cannot be read", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "amqp://:hunter2@rabbit"},
			nil, "REDIS_URL holds a password",
		},
		{
			"known on deployment only", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "rediss://" + token + ":6379/0"},
			map[string]string{"REDIS_URL": "rediss://" + token + ":6379/0"},
			"",
		},
		{
			"a password known on deployment only", "url_env: REDIS_URL",
			map[string]string{"REDIS_URL": "rediss://:" + token + "@redis.internal:6379/0"},
			nil, "REDIS_URL holds a password",
		},
		{
			"a variable of nobody", "url_secret: prod/redis",
			map[string]string{"REDIS_UR": "redis://redis.internal:6379/0"},
			nil, "no broker takes its URL from REDIS_UR",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, "version: 1\nbrokers: [{name: main, "+strings.Replace(tt.broker, ": ", ": '", 1)+"'}]"+rest)
			got, err := brokerEnvironment(c, tt.given)
			if tt.problem == "" {
				if err != nil || !maps.Equal(got, tt.want) {
					t.Errorf("%v, %v, want %v", got, err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Fatalf("got the error %v, want one with %q", err, tt.problem)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestAllProblemsOfBrokersAtOnce(t *testing.T) {
	c := parse(t, `
version: 1
brokers:
  - {name: a, url: "redis://:x@a"}
  - {name: b, url_env: B_URL}
targets:
  - {name: a, broker: a, cluster: prod, service: a, queues: [a], max: 3}
  - {name: b, broker: b, cluster: prod, service: b, queues: [b], max: 3}
`)
	_, err := brokerEnvironment(c, nil)
	if err == nil || !strings.Contains(err.Error(), "brokers[0].url:") || !strings.Contains(err.Error(), "brokers[1].url_env:") {
		t.Errorf("got %v, want both problems", err)
	}
}
