package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is the app itself in the processes that the test starts.
func TestMain(m *testing.M) {
	if os.Getenv("SLUICE_INFRA_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// What cannot be deployed is told in a few lines, with no stack trace.
func TestRefusals(t *testing.T) {
	const file = `version: 1
brokers: [{name: main, url_secret: prod/redis}]
targets: [{name: worker, cluster: prod, service: celery, queues: [celery], max: 10}]
deploy: {log_retention: 30}
`
	for _, tt := range []struct{ name, file, says string }{
		{"no configuration", "", "sluice.yaml is missing: write it"},
		{"a field that is misspelt", strings.Replace(file, "log_", "logs_", 1), `did you mean "log_retention"`},
		{"a URL with a password", strings.Replace(file, "url_secret: prod/redis", `url: "redis://:x@redis.example.com"`, 1), "holds a password"},
		{"no functions", file, "check/bootstrap: no such file or directory: build it with `make lambdas`"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sluice.yaml")
			if tt.file != "" {
				if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			app := exec.Command(os.Args[0])
			app.Env = append(os.Environ(), "SLUICE_INFRA_MAIN=1", "SLUICE_CONFIG="+path, "SLUICE_LAMBDAS="+t.TempDir(), "CDK_OUTDIR="+t.TempDir())
			out, err := app.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.says) || strings.Contains(string(out), "goroutine") {
				t.Errorf("%v, and it said:\n%s", err, out)
			}
		})
	}
}
