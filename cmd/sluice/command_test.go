package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const valid = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], max: 3}
events: {source: my.app, detail_type: work, bus: jobs}
`

const invalid = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], max: 3, color: red}
  - {name: video, cluster: media, service: others, queues: [decode], max: 0}
`

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // Or the AWS client would read it, for a server without TLS.
	time.Local = time.UTC            // As people's times are shown.
	os.Exit(m.Run())
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs a command line in this process.
func execute(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestCommandLines(t *testing.T) {
	good, bad, hinted := write(t, valid), write(t, invalid), write(t, valid+"deploy: {}\n")
	t.Chdir(t.TempDir()) // Where there is no sluice.yaml.
	for _, tt := range []struct {
		name   string
		args   string
		status int
		out    []string // What standard output contains.
		err    []string // What standard error contains.
	}{
		{"help", "--help", 0, []string{"validate", "config", "trigger", "schema", "version", "Exit status"}, nil},
		{"nothing", "", 0, []string{"Usage:"}, nil},
		{"version", "version", 0, []string{"sluice ", "go1."}, nil},
		{"schema", "schema", 0, []string{`"targets"`, `"$schema"`}, nil},
		{"a format of a command that has one only", "schema -o yaml", 2, nil, []string{"sluice schema prints JSON only"}},
		{"flags that exclude each other", "pause video --in --out --config " + good, 2, nil, []string{"--in, --out exclude each other: give one of them"}},
		{"none of the flags that one is needed of", "set video --config " + good, 2, nil, []string{"give at least one of --min, --max, --clear"}},
		{"a file and --config", "validate x.yaml --config " + good, 2, nil, []string{"both given"}},
		{"validate as JSON", "validate -o json " + bad, 1, []string{`"valid": false`, `"field": "targets[1].max"`, `"remedy": `}, nil},
		{"version as YAML", "version -o yaml", 0, []string{"go: go1."}, nil},
		{"no target", "why --config " + good, 2, nil, []string{"name one target: video"}},
		{"unknown command", "destroy", 2, nil, []string{`unknown command "destroy"`, "Run 'sluice --help'"}},
		{"unknown flag", "validate --fast", 2, nil, []string{"unknown flag: --fast", "Run 'sluice validate --help'"}},
		{"too many arguments", "validate a b", 2, nil, []string{"accepts at most 1 arg"}},
		{"wrong type of flag", "trigger --scale-to many", 2, nil, []string{"invalid argument"}},
		{"valid", "validate " + good, 0, []string{"is valid: 1 broker, 1 target\n"}, nil},
		{"invalid", "validate " + bad, 1, []string{"sluice.yaml:4:", "color", "sluice.yaml:5:", "targets[1].max", "targets[1].name"}, nil},
		{"valid with hints", "validate " + hinted, 0, []string{"is valid: 1 broker, 1 target\nhint: ", "sluice.yaml:2:34: brokers[0].url_env: "}, nil},
		{"config", "config " + good, 0, []string{"detail_type: work\n", "settle: 1m # default\n"}, nil},
		{"config as JSON", "config --output json " + good, 0, []string{`"detail_type": "work",`}, nil},
		{"config in another format", "config -o xml " + good, 2, nil, []string{"use text, json or yaml", "Run 'sluice config --help'"}},
		{"config of an invalid file", "config " + bad, 1, nil, []string{"color", "targets[1].max", "targets[1].name"}},
		{"config of a missing file", "config", 1, nil, []string{"read config", "sluice.yaml", "name another with --config"}},
		{"missing file", "validate nowhere.yaml", 1, nil, []string{"read config", "nowhere.yaml"}},
		{"missing default file", "validate", 1, nil, []string{"sluice.yaml"}},
		{"exporter at no address", "exporter --listen foo --config " + good, 2, nil, []string{"--listen \"foo\": write HOST:PORT"}},
		{"completion of a shell that there is not", "completion tcsh", 2, nil, []string{`unknown command "tcsh"`}},
		{"trigger with a config that is missing", "trigger --config nowhere.yaml", 1, nil, []string{"nowhere.yaml"}},
		{"trigger of an unknown target", "trigger audio --config " + good, 1, nil, []string{`target "audio" is not in`, "video"}},
		{"trigger of an unknown queue", "trigger --queue play --config " + good, 1, nil, []string{`queue "play"`, "encode"}},
		{"trigger that makes no sense", "trigger --scale-to 0 --config " + good, 2, nil, []string{"--scale-to: use 1 or more"}},
		{"hold of nothing", "trigger --hold 5m --config " + good, 2, nil, []string{"--hold needs --scale-to"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_REGION", "us-east-1")
			status, out, errs := execute(t, strings.Fields(tt.args)...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			for _, want := range tt.out {
				if !strings.Contains(out, want) {
					t.Errorf("standard output lacks %q:\n%s", want, out)
				}
			}
			for _, want := range tt.err {
				if !strings.Contains(errs, want) {
					t.Errorf("standard error lacks %q:\n%s", want, errs)
				}
			}
			if tt.err == nil && errs != "" {
				t.Errorf("standard error: %s", errs)
			}
			if tt.status != 0 && len(tt.out) == 0 && out != "" {
				t.Errorf("standard output: %s", out)
			}
		})
	}
}

// client sets the environment of an AWS client for the endpoint.
func client(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

func TestSchemaIsJSON(t *testing.T) {
	_, out, _ := execute(t, "schema")
	if !json.Valid([]byte(out)) {
		t.Error("it is not JSON")
	}
}
