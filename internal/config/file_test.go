package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestHas(t *testing.T) {
	f := open(t, `version: 1
brokers: [{name: a, url_env: A}, {name: b, url_env: B, tls: {server_name: x}}]
targets: [{name: a, broker: a, cluster: c, service: a, queues: [q], max: 1}, {name: b, broker: b, cluster: c, service: b, queues: [q], max: 1}]
local: {services: []}
`)
	for _, test := range []struct {
		at   []any
		want bool
	}{
		{nil, true},
		{[]any{"version"}, true},
		{[]any{"deploy"}, false},
		{[]any{"deploy", "stack"}, false},
		{[]any{"brokers", 0, "tls"}, false},
		{[]any{"brokers", 1, "tls", "server_name"}, true},
		{[]any{"brokers", 1, "tls", "ca_file"}, false},
		{[]any{"brokers", 2}, false},
		{[]any{"targets", 0, "queues", 0}, true},
		{[]any{"targets", 0, "queues", 1}, false},
		{[]any{"local", "services"}, true},
	} {
		if got := f.Has(test.at...); got != test.want {
			t.Errorf("Has(%v) = %v", test.at, got)
		}
	}
}

func TestHints(t *testing.T) {
	for _, test := range []struct{ name, broker, deploy, want string }{
		{"not for deployment", "url: 'redis://:hunter2@localhost'", "", ""},
		{"nothing to say", "url_secret: redis", "deploy: {stack: s}", ""},
		{"no password", "url: redis://redis.internal", "deploy: {stack: s}", ""},
		{"a user alone", "url: redis://user@redis.internal", "deploy: {stack: s}", ""},
		{"a parameter", "url_parameter: /redis", "deploy: {stack: s}", ""},
		{
			"a password", "url: 'redis://:hunter2@redis.internal'", "deploy: {stack: s}",
			"sluice.yaml:2:26: brokers[0].url: holds a password",
		},
		{
			"this machine", "url: redis://localhost:6379", "deploy: {stack: s}",
			"sluice.yaml:2:26: brokers[0].url: is on this machine",
		},
		{
			"this machine by address", "url: 'rediss://[::1]:6379'", "deploy: {stack: s}",
			"sluice.yaml:2:26: brokers[0].url: is on this machine",
		},
		{
			"an environment variable", "url_env: REDIS_URL", "deploy: {stack: s}",
			"sluice.yaml:2:30: brokers[0].url_env: a deployment takes REDIS_URL from the environment",
		},
		{"an example", "url_secret: redis", "deploy: {example: {image: 'shop:1'}}", ""},
		{
			"an example without its secret", "url_parameter: redis", "deploy: {example: {image: 'shop:1'}}",
			"sluice.yaml:4:20: deploy.example: the example takes the URL of its Redis from url_secret",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, "version: 1\nbrokers: [{name: b, "+test.broker+"}]\n"+
				"targets: [{name: t, cluster: c, service: s, queues: [q], max: 1}]\n"+test.deploy+"\n")
			hints := f.Hints()
			got := hints.Error()
			if (test.want == "") != (len(hints) == 0) || len(hints) > 1 || !strings.Contains(got, test.want) {
				t.Errorf("hints %q, want %q", got, test.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the password is in %q", got)
			}
		})
	}
}
