package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/lab/cloud/cfn/cfntest"
	"sluice/lab/testenv"
)

func TestRunsATemplate(t *testing.T) {
	lambdas := t.TempDir()
	for _, name := range []string{"scaleout", "check", "scalein"} {
		if err := os.MkdirAll(filepath.Join(lambdas, name), 0o700); err != nil {
			t.Fatal(err)
		}
		// The functions have nothing to do here.
		if err := os.WriteFile(filepath.Join(lambdas, name, "bootstrap"), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	template := cfntest.Shop(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &testenv.Output{Until: "Ctrl-C ends it", Then: cancel}
	status := run(ctx, []string{"--config", cfntest.Config("shop"), "--lambdas", lambdas, "--template", template}, &out, errs)
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, errs.String())
	}
	for _, want := range []string{"from the template " + template, "in place of each 5m", "not run here: "} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in\n%s", want, errs.String())
		}
	}
	if !strings.Contains(out.String(), "export AWS_ENDPOINT_URL='http://127.0.0.1:") {
		t.Errorf("output %q", out.String())
	}
}

func TestRefusals(t *testing.T) {
	good, bad := write(t, valid), write(t, strings.Replace(valid, "max: 3", "max: 0", 1))
	t.Chdir(t.TempDir()) // Where there is no sluice.yaml.
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"--help", 0, "Usage: sluice-local"},
		{"--fast", 2, "flag provided but not defined: -fast"},
		{"shop.yaml", 2, `"shop.yaml": it takes flags only`},
		{"--addr foo --config " + good, 2, `--addr "foo": write HOST:PORT`},
		{"", 1, "read config: open sluice.yaml: no such file or directory: go to where it is, or name another with --config"},
		{"--config " + bad, 1, "targets[0].max"},
		{"--config " + good + " --lambdas nowhere", 1, "run `make build`"},
		{"--config " + good + " --template none.json", 1, "read template none.json: no such file or directory: `make synth` makes it"},
		{"--config " + good, 1, "find the functions: there is no folder `local` beside this program"}, // Neither is this test in a checkout.
	} {
		t.Run(tt.args, func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := run(t.Context(), strings.Fields(tt.args), &out, &errs); status != tt.status || !strings.Contains(errs.String(), tt.says) {
				t.Errorf("exit status %d, want %d; %q, want %q", status, tt.status, errs.String(), tt.says)
			}
			if out.Len() > 0 {
				t.Errorf("standard output: %s", out.String())
			}
		})
	}
}

const valid = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], max: 3}
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The functions are those beside the program; without them they are built from the checkout that holds it or the working directory.
func TestCheckout(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ file, module, want string }{
		{root, "sluice", root},
		{filepath.Join(root, "a"), "sluice/infra", root}, // A module within.
		{filepath.Join(root, "a"), "sluice", filepath.Join(root, "a")},
	} {
		if err := os.WriteFile(filepath.Join(tt.file, "go.mod"), []byte("module "+tt.module+"\n\ngo 1.26.0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := checkout(deep); got != tt.want {
			t.Errorf("checkout of %s is %q, want %q", deep, got, tt.want)
		}
	}
	if got := checkout(t.TempDir()); got != "" {
		t.Errorf("checkout of no checkout is %q", got)
	}
}
