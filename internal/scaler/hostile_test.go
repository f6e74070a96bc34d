package scaler

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestManyNames has workers that fetch from as many queues as a look tells of, some of them of every target. Who makes up names must not
// cost the sweep of all: it takes a second or two. When each name was compared with each other it took hours, and this test its time-out.
func TestManyNames(t *testing.T) {
	t.Parallel()
	const targets, workers, each = 50, 1000, 100
	w, _, log := logged(t, func(o *Options) {
		o.Targets = nil
		for i := range targets {
			o.Targets = append(o.Targets, target(fmt.Sprintf("t%d", i), fmt.Sprintf("q%d", i)))
		}
	})
	w.broker.look = emptyLook()
	for i := range targets {
		w.broker.look.Queues[fmt.Sprintf("q%d", i)] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
		name := fmt.Sprintf("t%d-svc", i)
		w.fleet.services[name] = policy.Service{ARN: "arn:" + name, Desired: 100, Running: 100}
	}
	for i := range workers {
		n := policy.Node{Name: fmt.Sprintf("w%d@a", i), Answers: 1, Active: policy.Known(0)}
		for j := range each {
			n.Queues = append(n.Queues, fmt.Sprintf("made-up-%d-%d", i, j))
		}
		if i < 20 {
			n.Queues[0] = strings.Repeat("\x01", 1000+i)
		}
		for j := range targets {
			n.Queues = append(n.Queues, fmt.Sprintf("q%d", j))
		}
		w.broker.look.Nodes = append(w.broker.look.Nodes, n)
	}
	w.broker.look.Listeners = policy.Known(workers)
	got := w.CheckAll(t.Context(), Shard{})
	if got.Checked != targets || got.Failed != 0 {
		t.Errorf("%d checked, %d failed", got.Checked, got.Failed)
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 64<<10 {
			t.Errorf("a line of the log has %d bytes: CloudWatch takes 256 KiB", len(line))
		}
	}
	records := lines(t, log, "decision")
	if len(records) != targets {
		t.Fatalf("%d decisions are recorded", len(records))
	}
	if unlisted := records[0]["unlisted"].([]any); len(unlisted) != maxNames+1 || unlisted[maxNames] != fmt.Sprintf("and %d more", workers*each-maxNames) {
		t.Errorf("unlisted: %d names, at last %.40q", len(unlisted), unlisted[len(unlisted)-1])
	}
}

func TestShortened(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("q", maxNamed)
	for name, c := range map[string]struct {
		names []string
		last  string
	}{
		"none":           {nil, ""},
		"one":            {[]string{"q"}, "q"},
		"as many as fit": {many(maxNames), "q19"},
		"one more":       {many(maxNames + 1), "and 1 more"},
		"many":           {many(12345), "and 12325 more"},
		"as long as fit": {[]string{long}, long},
		"longer":         {[]string{long + "q"}, long + "..."},
	} {
		got := Shortened(c.names)
		if len(got) > maxNames+1 || len(got) > 0 && got[len(got)-1] != c.last || Named(got) != len(c.names) {
			t.Errorf("%s: %q stands for %d names, want %d", name, got, Named(got), len(c.names))
		}
	}
	queue := append(many(maxNames), "and more") // A queue may be called anything.
	if n := Named(queue); n != maxNames+1 {
		t.Errorf("%q stands for %d names", queue, n)
	}
}

func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("q%d", i))
	}
	return names
}

// What is recorded stays small whatever a broker says in an error, and a plan, which nobody logs, names every task.
func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	w, o, log := logged(t)
	w.broker.err = &policy.Error{Kind: policy.BrokerUnavailable, Err: errors.New(strings.Repeat("\x02", 100_000))}
	w.CheckAll(t.Context(), Shard{})
	w.run("worker", 1, "celery")
	w.CheckAll(t.Context(), Shard{})
	if r := o.records[1]; len(r.Error) > maxText+3 || len(r.Cause) > maxText+3 || r.Error == "" || r.Cause == "" {
		t.Errorf("an error of %d bytes, a cause of %d", len(r.Error), len(r.Cause))
	}
	if log.Len() > 64<<10 {
		t.Errorf("the log has %d bytes", log.Len())
	}
	var unheard []string
	for i := range 100 {
		unheard = append(unheard, fmt.Sprint(i))
	}
	w.decided(t.Context(), Record{Unheard: unheard})
	want := append(unheard[:maxNames:maxNames], "and 80 more")
	if diff := cmp.Diff(want, o.records[len(o.records)-1].Unheard); diff != "" {
		t.Errorf("unheard (-want +got):\n%s", diff)
	}
}
