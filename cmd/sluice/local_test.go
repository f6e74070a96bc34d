package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sluice/lab/cloud/cfn/cfntest"
)

// watched ends something when a text has been written.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	end  string
	do   func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.text.Write(p)
	if strings.Contains(w.text.String(), w.end) {
		w.do()
	}
	return len(p), nil
}

func TestLocalRunsATemplate(t *testing.T) {
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
	errs := &watched{end: "Ctrl-C ends it", do: cancel}
	status := run(ctx, []string{"local", "--config", cfntest.Config("shop"), "--lambdas", lambdas, "--template", template}, &out, errs)
	errs.mu.Lock()
	defer errs.mu.Unlock()
	if status != exitOK {
		t.Fatalf("exit status %d\n%s", status, errs.text.String())
	}
	for _, want := range []string{"from the template " + template, "in place of each 5m", "not run here: "} {
		if !strings.Contains(errs.text.String(), want) {
			t.Errorf("%q is not in\n%s", want, errs.text.String())
		}
	}
	if !strings.Contains(out.String(), "export AWS_ENDPOINT_URL='http://127.0.0.1:") {
		t.Errorf("output %q", out.String())
	}
}

func TestLocalRefusesATemplate(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "x.json")
	status, _, errs := execute(t, "local", "--config", cfntest.Config("shop"), "--template", missing)
	if want := "sluice: read template " + missing + ": no such file or directory\n`make synth` makes it, as build/infra/cdk.out/NAME.template.json.\n"; status != exitProblem || errs != want {
		t.Errorf("exit status %d, %q; want %q", status, errs, want)
	}
}
