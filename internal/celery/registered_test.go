package celery

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// Of each node that did not answer well it is told what is wrong: what it answered, or else that workers are silent.
func TestRegistered(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newPidbox(t, func(p *pidbox, command []string, nth int) string {
		switch {
		case command[0] != "BRPOP":
			return ""
		case nth == 1:
			return popped(replyOf(p.ticket, `{"w2@b": ["a [rate_limit=1/s]"]}`))
		case nth == 2:
			return popped(replyOf(p.ticket, `{"w1@a": {"error": "x"}}`))
		case nth == 5:
			cancel() // Nobody else will answer.
		}
		return "*-1\r\n"
	})
	nodes := []policy.Node{{Name: "w3@c"}, {Name: "w2@b", Answers: 2}, {Name: "w1@a", Answers: 2}}
	info, wrong, err := newBroker(t, lookOptions(p.addr)).registered(ctx, "ask", rateLimit, nodes)
	got := map[string]string{}
	for name, err := range wrong {
		got[name] = err.Error()
	}
	want := map[string]string{
		"w1@a": "ask: node w1@a answered registered with the error x", "w2@b": "ask: node w2@b: 1 of 2 workers answered", "w3@c": "ask: node w3@c: 0 of 1 workers answered",
	}
	if diff := cmp.Diff(want, got) + cmp.Diff([]string{"a [rate_limit=1/s]"}, info["w2@b"]); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// A broker that cannot be asked is its failure, and of no node nothing is asked.
func TestRegisteredAtBrokenBroker(t *testing.T) {
	b := newBroker(t, lookOptions(testenv.RefusingAddr(t)))
	for doing, ask := range map[string]func([]policy.Node) error{
		"ask nodes for rate limits":                        func(n []policy.Node) error { _, err := b.RateLimited(t.Context(), n); return err },
		"ask nodes for tasks with a strategy of their own": func(n []policy.Node) error { _, err := b.Untracked(t.Context(), n); return err },
	} {
		err := ask([]policy.Node{node("w1@a")})
		var typed *policy.Error
		if !errors.As(err, &typed) || typed.Kind != policy.BrokerUnavailable || !strings.HasPrefix(err.Error(), doing+": ") {
			t.Errorf("%s: %v", doing, err)
		}
		if err := ask(nil); err != nil {
			t.Errorf("%s, of no node: %v", doing, err)
		}
	}
}
