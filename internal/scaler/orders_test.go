package scaler

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestConsume has workers made to fetch again, and each way in which that may not come about.
func TestConsume(t *testing.T) {
	t.Parallel()
	two := []string{"celery", "mail"}
	node := func(name string, queues ...string) policy.Node {
		return policy.Node{Name: "celery@" + name, Queues: queues}
	}
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		nodes   []policy.Node
		orders  []string
		took    time.Duration
		warned  string // Who is said not to fetch again.
		kind    policy.Kind
	}{
		{
			"at once, each from what it fetched before, or else from all", nil,
			[]policy.Node{node("worker0"), node("worker1", "mail")},
			[]string{"consume worker0 worker1"},
			0, "", "",
		},
		{
			"two seconds late, as on gevent: they are told again", func(w *world) { w.broker.obeyAfter = 2 * time.Second },
			[]policy.Node{node("worker0")},
			[]string{"consume worker0", "consume worker0", "consume worker0"},
			2 * time.Second, "", "",
		},
		{
			"one of two never: the other is told once", func(w *world) { w.broker.deaf["celery@worker1"] = true },
			[]policy.Node{node("worker0"), node("worker1")},
			[]string{"consume worker0 worker1", "consume worker1", "consume worker1", "consume worker1", "consume worker1", "consume worker1"},
			5 * time.Second, "celery@worker1", "",
		},
		{
			"a worker answers with an error, and fetches", func(w *world) { w.broker.controlErr = errors.New("KeyError") },
			[]policy.Node{node("worker0")},
			[]string{"consume worker0"},
			0, "", "",
		},
		{
			"the broker cannot be told", func(w *world) { w.broker.err = broken(policy.BrokerUnavailable, "gone") },
			[]policy.Node{node("worker0")},
			[]string{"consume worker0"},
			0, "", policy.BrokerUnavailable,
		},
		{
			"the broker is lost before the look", func(w *world) {
				w.broker.onLook = func() { w.broker.err = broken(policy.BrokerUnavailable, "gone") }
			},
			[]policy.Node{node("worker0")},
			[]string{"consume worker0"},
			0, "", policy.BrokerUnavailable,
		},
		{
			"the function ends meanwhile", func(w *world) {
				w.broker.deaf["celery@worker0"] = true
				w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
			},
			[]policy.Node{node("worker0")},
			[]string{"consume worker0"},
			0, "", policy.BrokerUnavailable,
		},
		{"nobody", nil, nil, nil, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _, log := logged(t, func(o *Options) { o.Targets = []Target{target("worker", two...)} })
			w.broker.look = emptyLook(two...)
			w.run("worker", 2)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			err := w.consume(t.Context(), w.Targets[0], tt.nodes)
			if kindOf(err) != tt.kind || (err == nil) != (tt.kind == "") {
				t.Errorf("got %v, want %q", err, tt.kind)
			}
			if diff := cmp.Diff(tt.orders, w.made("consume")); diff != "" {
				t.Errorf("orders (-want +got):\n%s", diff)
			}
			if took := w.now.Sub(start); took != tt.took {
				t.Errorf("it took %v, want %v", took, tt.took)
			}
			var warned []string
			for _, line := range lines(t, log, "worker does not fetch again") {
				warned = append(warned, line["node"].(string))
			}
			if got := strings.Join(warned, " "); got != tt.warned {
				t.Errorf("warned of %q, want %q", got, tt.warned)
			}
			for i, n := range tt.nodes {
				want := n.Queues
				if len(want) == 0 {
					want = two
				}
				if got := w.broker.look.Nodes[i].Queues; tt.kind == "" && tt.warned == "" && !cmp.Equal(got, want) {
					t.Errorf("%s fetches from %v, want %v", n.Name, got, want)
				}
				if len(tt.nodes[i].Queues) != len(n.Queues) {
					t.Error("the caller's nodes have been changed")
				}
			}
		})
	}
}
