package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn/cfntest"
	"sluice/lab/testenv"
)

// TestAKilledWorkerIsSeen plays a short story on all the real parts, as the template of the shop deploys them, kills a worker that
// executes long tasks, and wants the demo to say so: a demo that cannot fail would prove nothing.
func TestAKilledWorkerIsSeen(t *testing.T) {
	testenv.Python(t)
	lambdas := t.TempDir()
	if err := cloud.BuildFunctions(testenv.Root(), lambdas); err != nil {
		t.Fatal(err)
	}
	load := wave{posts: []post{{reports: newGenerator(7).reports(2, 60, 60)}}}
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	jsonFile := filepath.Join(t.TempDir(), "summary.json")
	var errs bytes.Buffer
	template := cfntest.Shop(t)
	status := perform(t.Context(), options{
		root: testenv.Root(), template: template, lambdas: lambdas, logs: t.TempDir(), plain: true, jsonFile: jsonFile, patience: 20 * time.Second, first: &load, leeway: 5 * time.Minute,
		sabotage: func() {
			if err := syscall.Kill(supervisor(t), syscall.SIGKILL); err != nil {
				t.Errorf("kill a worker: %v", err)
			}
		},
	}, out, &errs)
	told, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.Contains(string(told), "from the template "+template) {
		t.Error("it does not say what it runs")
	}
	raw, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, told, errs.String())
	}
	var s summary
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	// The worker was executing both reports. Nothing else is to be complained of: it was replaced, and let go.
	want := []string{
		"tasks killed (started and not ended): 2", "tasks lost (accepted and never ended): 2",
		"workers killed: 1 (ip-10-0-0-11.ec2.internal)",
	}
	if diff := cmp.Diff(want, s.Broken); diff != "" {
		t.Errorf("broken promises (-want +got):\n%s", diff)
	}
	if t.Failed() {
		t.Logf("%s\n%s", told, errs.String())
	}
}

// supervisor returns the process that a worker of this process runs under: to kill it is to kill all of the worker.
func supervisor(t *testing.T) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		cmdline, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(cmdline, []byte("celery")) {
			continue // It has ended meanwhile, or is no worker.
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
		if err != nil {
			continue
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if parent, err := strconv.Atoi(string(fields[1])); err == nil && parent == os.Getpid() {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("no worker runs under this process")
	return 0
}
