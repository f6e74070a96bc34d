package celery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/policy"
)

// Of many workers that answer with an error, or that share a name, some are named, in order, and each once.
func TestJudgeIsBounded(t *testing.T) {
	for _, c := range []struct{ errors, twins, namedErrors, more, namedTwins int }{
		{0, 0, 0, 0, 0}, {5, 0, 5, 0, 0}, {6, 0, 5, 1, 0}, {20, 20, 5, 1, 5}, {0, 20, 0, 0, 11}, {0, 11, 0, 0, 11},
	} {
		var nodes []policy.Node
		var replies []reply
		for i := range 20 {
			name := fmt.Sprintf("w%02d@a", 19-i)
			nodes = append(nodes, node(name, "video"))
			r := reply{node: name, ticket: "1"}
			if i < c.errors {
				r.err = workerError{methodCancel, "x"}
			}
			replies = append(replies, r, reply{node: name, ticket: "2"})
			if i < c.twins {
				replies = append(replies, r)
			}
		}
		var lines []string
		if text := message(judge(replies, nodes, map[string]string{"1": "video", "2": "mail"})); text != "" {
			lines = strings.Split(text, "\n")
		}
		want := make([]string, 0, len(lines))
		for i := range c.namedErrors {
			want = append(want, fmt.Sprintf("node w%02d@a, queue video: it answered cancel_consumer with the error x", 20-c.errors+i))
		}
		for range c.more {
			want = append(want, "and more")
		}
		for i := range c.namedTwins {
			want = append(want, fmt.Sprintf("node w%02d@a: 2 workers answered under this name, 1 known: %v", 19-i, errEqualNames))
		}
		if diff := cmp.Diff(want, lines, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v: (-want +got):\n%s", c, diff)
		}
	}
}

// Commands are in the order of their queues, each to the nodes that have it.
func TestPerQueue(t *testing.T) {
	twice := node("w2@b", "b", "a", "b")
	twice.Answers = 2
	commands, queues := perQueue(methodCancel, []policy.Node{node("w1@a", "c", "d", "a", "e"), twice})
	got := ""
	for _, c := range commands {
		got += fmt.Sprintf("%s %v %v %d\n", queues[c.ticket], c.arguments["queue"], c.nodes, c.answers)
	}
	if want := "a a [w1@a w2@b] 3\nb b [w2@b] 2\nc c [w1@a] 1\nd d [w1@a] 1\ne e [w1@a] 1\n"; got != want {
		t.Errorf("commands:\n%s want:\n%s", got, want)
	}
}
