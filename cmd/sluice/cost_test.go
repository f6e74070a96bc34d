package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/price"
)

const priced = `version: 1
brokers: [{name: redis, url_secret: redis}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], max: 10}
  - {name: mail, cluster: media, service: mail, queues: [mail], max: 3}
deploy: {account: "123456789012", region: eu-central-1}
`

func TestCost(t *testing.T) {
	client(t, "http://127.0.0.1:1") // Nobody is asked.
	file := write(t, priced)
	status, out, errs := execute(t, "cost", "--config", file)
	if status != 0 || errs != "" {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	fits(t, out)
	for _, want := range []string{
		"A month of Sluice with 2 targets in eu-central-1, in US dollars, by public price\ntables as of " + price.AsOf + "; AWS's pages",
		"\nsweeps             8,640 sweeps of 3 state transitions         0.65\n",
		"Assumed (--events and --runs say otherwise): 600 events and 120 runs", "https://aws.amazon.com/lambda/pricing/",
		"The list does not have all prices of eu-central-1: the others are those of\nus-east-1.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}

	var k costs
	decode := func(args ...string) {
		t.Helper()
		k = costs{}
		status, out, errs := execute(t, append(args, "--config", file, "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &k); err != nil || status != 0 {
			t.Fatalf("exit status %d: %v %s", status, err, errs)
		}
	}
	decode("cost")
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(price.Monthly(c, price.Use{Events: 600, Runs: 120}), k.Bill); diff != "" {
		t.Errorf("the bill (-model +said):\n%s", diff)
	}
	idle := k.Bill.Controller
	decode("cost", "--events", "0", "--runs", "0")
	if k.Bill.Use != (price.Use{}) || k.Bill.Controller >= idle {
		t.Errorf("idle: %+v, $%f", k.Bill.Use, k.Bill.Controller)
	}
	for _, n := range []string{"-1", "NaN", "Inf"} {
		if status, _, errs := execute(t, "cost", "--runs", n, "--config", file); status != 2 || !strings.Contains(errs, "--runs: use a number of a month") {
			t.Errorf("--runs %s: exit status %d: %s", n, status, errs)
		}
	}
}

// What was saved is unknown where the log cannot be read; the price of the month is not.
func TestCostWithoutALog(t *testing.T) {
	client(t, "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	status, out, errs := execute(t, "cost", "--since", "7d", "--config", write(t, priced))
	if status != 1 || !strings.Contains(out, "controller") || !strings.Contains(errs, "what was saved is unknown: load AWS settings: there are no credentials") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
}

// Workers are counted from one look to the next, where there was a next one soon.
func TestTally(t *testing.T) {
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	n := func(i int) *int { return &i }
	type look struct {
		minute  int
		running *int
	}
	for _, test := range []struct {
		name             string
		looks            []look
		seen, ran, saved float64 // In minutes.
		peak             int
	}{
		{"no look", nil, 0, 0, 0, 0},
		{"one look tells nothing of a time", []look{{0, n(4)}}, 0, 0, 0, 4},
		{"always the same", []look{{0, n(2)}, {5, n(2)}, {10, n(2)}}, 10, 20, 0, 2},
		{"up and down", []look{{0, n(0)}, {5, n(3)}, {10, n(1)}, {15, n(0)}}, 15, 20, 25, 3},
		{"late sweeps", []look{{0, n(1)}, {15, n(1)}}, 15, 15, 0, 1},
		{"nobody looked for an hour", []look{{0, n(1)}, {5, n(1)}, {65, n(1)}, {70, n(0)}}, 10, 10, 0, 1},
		{"unknown is not counted", []look{{0, n(1)}, {5, nil}, {10, n(2)}, {15, n(0)}}, 10, 15, 5, 2},
	} {
		w := tally{gap: 15 * time.Minute}
		for _, l := range test.looks {
			w.look(start.Add(time.Duration(l.minute)*time.Minute), l.running)
		}
		s := w.saving("t")
		if math.Abs(s.Seen*60-test.seen) > 1e-9 || math.Abs(s.Ran*60-test.ran) > 1e-9 || math.Abs(s.Saved*60-test.saved) > 1e-9 || s.Peak != test.peak {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}

func TestAmounts(t *testing.T) {
	for usd, want := range map[float64]string{
		0: "0.00", 0.0001: "<0.01", 0.005: "0.01", 0.996: "1.00", 12.345678: "12.35", 1234567.8: "1,234,567.80", -3.456: "-3.46", -0.001: "0.00",
	} {
		if got := dollars(usd); got != want {
			t.Errorf("dollars(%v) = %s, want %s", usd, got, want)
		}
	}
}
