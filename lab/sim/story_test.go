package sim

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"sluice/internal/scaler"
)

// A broken history is made short: what has no part in it is left out, and what has is told in order.
func TestShrinkAndTell(t *testing.T) {
	p := plain()
	for i := range 30 {
		p.Sends = append(p.Sends, message(time.Duration(i)*time.Second, time.Second))
	}
	other := p.Targets[0]
	other.Name, other.Queues = "mail", []string{"mail"}
	other.Worker.Queues = other.Queues
	p.Targets = append(p.Targets, other)
	p.Faults = []faultPlan{
		{Kind: redisSlow, At: time.Second, For: time.Second, Length: 10 * time.Millisecond},
		{Kind: operatorCount, At: 30 * time.Second, Subject: 0, N: 3},
		{Kind: workerCut, At: 40 * time.Second, Subject: 1, N: 1},
	}
	var pool coroutines
	defer pool.close()
	// The mistake: whenever an operator has set three, a scale-in does nothing.
	pool.sabotage = instead(scaleIn, func(_ context.Context, w *world, s *scaler.Scaler) (any, error) {
		if t := w.targets[0]; t.desired == 3 {
			return scaler.Change{Status: "held", Target: t.plan.Name}, nil
		}
		return scaler.Change{Status: "held", Target: "orders"}, nil
	})
	r := pool.run(p, false)
	if r.Breach == nil {
		t.Fatal("nothing was broken")
	}
	short, b := pool.shrink(p, r.Breach, 300)
	if len(short.Sends) != 0 || len(short.Targets) != 1 || len(short.Faults) > 1 {
		t.Errorf("%d messages, %d targets and %d faults are left", len(short.Sends), len(short.Targets), len(short.Faults))
	}
	if b.Invariant != r.Breach.Invariant {
		t.Errorf("another invariant is broken: %v", b)
	}
	story := pool.tell(p, r.Breach, 300)
	last := story[len(story)-1]
	told := strings.Contains(last, "BROKEN: frugal") && strings.Contains(story[0], "seed 1: a sweep each 5m0s")
	if n := len(story); n < 5 || n > maxLines+10 || !told {
		t.Errorf("the story has %d lines:\n%s", n, strings.Join(story, "\n"))
	}
}

func TestReport(t *testing.T) {
	report := RunAll(Options{Seeds: 20, From: 1, Workers: 2, Again: 5})
	var out bytes.Buffer
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"20 histories in ", " a second, 2 at a time; ", " virtual hours", "faults injected:", "state machine: ", " transitions",
		"reasons: ", "all invariants held",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	s := report.Summary()
	if s.Histories != 20 || s.VirtualHours < 5 || len(s.Broken) != 0 || len(s.Faults) == 0 {
		t.Errorf("summary %+v", s)
	}
}

func TestReportOfBrokenSeeds(t *testing.T) {
	b := Breach{Invariant: Live, At: 61 * time.Minute, Text: "somebody waits"}
	broken := []Broken{{Seed: 5, Breach: b, Story: []string{"00:00:01  a line"}}}
	report := Report{Histories: 1, Took: time.Second, tally: newTally(), Broken: broken}
	var out bytes.Buffer
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"BROKEN seed 5 at 1h1m0s: live: somebody waits\n    00:00:01  a line\n", "1 histories broke an invariant",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	if s := report.Summary(); len(s.Broken) != 1 || s.Broken[0].Seed != 5 || s.Broken[0].AtSeconds != 3660 {
		t.Errorf("summary %+v", s)
	}
}
