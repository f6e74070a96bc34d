package config

import (
	"regexp"
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	const file = `version: 1
brokers: [{name: b, url: "redis://user:hunter2@h:6379/1"}]
targets: [{name: t, cluster: c, service: s, queues: [q], max: 3}]
`
	of := func(text string) string {
		c, err := Parse([]byte(text), "sluice.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return c.Fingerprint()
	}
	first := of(file)
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(first) {
		t.Errorf("fingerprint %q", first)
	}
	for _, test := range []struct {
		name, old, with string
		same            bool
	}{
		{"as it is", "", "", true},
		{"a default written out", "max: 3", "max: 3, min: 0, settle: 60s", true},
		{"another order", "queues: [q], max: 3", "max: 3, queues: [q]", true},
		{"what only a laptop reads", "version: 1", "version: 1\nlocal: {sweep_every: 5s}", true},
		{"what only a deployment reads", "version: 1", "version: 1\ndeploy: {stack: other}", true},
		{"another password", "hunter2", "hunter3", true},
		{"another host", "@h:", "@i:", false},
		{"another database", "/1", "/2", false},
		{"another max", "max: 3", "max: 4", false},
		{"a window", "max: 3", "max: 3, windows: [{name: w, cron: 0 8 * * *, for: 1h, min: 1}]", false},
		{"another sweep", "version: 1", "version: 1\nsweep: {every: 6m}", false},
		{"metrics", "version: 1", "version: 1\nmetrics: {level: totals}", false},
	} {
		if got := of(strings.Replace(file, test.old, test.with, 1)); (got == first) != test.same {
			t.Errorf("%s: %s, first %s", test.name, got, first)
		}
	}
}
