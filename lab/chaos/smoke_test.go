package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/testenv"
)

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // A certificate bundle of the machine's own must not reach the clients of the local cloud.
	os.Exit(m.Run())
}

// TestSmoke is one short round with real workers: they come, some work is done under a few faults that lose nothing, and they go.
func TestSmoke(t *testing.T) {
	t.Parallel()
	testenv.Python(t)
	if _, err := exec.LookPath("redis-server"); err != nil {
		testenv.Missing(t, "redis-server", "install it, on Debian with `apt-get install redis-server`")
	}
	lambdas := t.TempDir()
	if err := cloud.BuildFunctions(testenv.Root(), lambdas); err != nil {
		t.Fatal(err)
	}
	s := &sender{r: newRand(1, 0)}
	s.send(0.2, true, append(s.some(10, 0.05, 0.2), s.work(2, 3))...)
	s.send(2, true, s.some(5, 0.05, 0.2)...)
	p := plan{
		version: newest, pool: "prefork", concurrency: 2, max: 2, perWorker: 6, prefetch: 1, settle: time.Second, grace: time.Second,
		load: "smoke", batches: s.batches, window: 3 * time.Second,
		faults: []fault{{kind: moreSweeps, at: 2 * time.Second, number: 2}, {kind: doubleEvents, at: time.Second, number: 1}},
	}
	r, err := perform(t.Context(), p, sluice, lambdas, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	newTable(&shown).row(r)
	t.Logf("\n%s", &shown)
	if v := r.verdict; v.sent != 16 || v.done != 16 || len(v.findings) > 0 || v.full == 0 || !r.facts.settled || v.seconds == 0 {
		t.Errorf("%d sent, %d done, %d scale-ins to zero, settled: %t; findings: %v", v.sent, v.done, v.full, r.facts.settled, v.findings)
	}
	if len(r.facts.deeds) != 2 {
		t.Errorf("the chaos did %v", r.facts.deeds)
	}
}
