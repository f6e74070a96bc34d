package celery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestNodes holds what the answers of workers add up to, by the name that they came under.
func TestNodes(t *testing.T) {
	at := func(seconds float64) *float64 { return &seconds }
	queues := func(node string, names ...string) reply {
		return reply{method: methodQueues, node: node, queues: names}
	}
	active := func(node string, tasks ...activeTask) reply {
		return reply{method: methodActive, node: node, tasks: tasks}
	}
	broken := func(r reply, err string) reply {
		r.err = fmt.Errorf("answered with %s", err)
		return r
	}
	for name, c := range map[string]struct {
		replies []reply
		want    []policy.Node
		started map[string]int
		old     []string
	}{
		"by name, each queue once": {
			replies: []reply{queues("w2@b", "b"), active("w1@a"), queues("w1@a", "b", "a", "b"), active("w2@b"), queues("w1@a", "a", "c"), active("w1@a")},
			want: []policy.Node{
				{Name: "w1@a", Answers: 2, Queues: []string{"a", "b", "c"}, Active: policy.Known(0)},
				{Name: "w2@b", Answers: 1, Queues: []string{"b"}, Active: policy.Known(0)},
			},
		},
		"the oldest start, of those that have one": {
			replies: []reply{queues("w1@a"), active("w1@a", activeTask{}, activeTask{TimeStart: at(9.25)}, activeTask{TimeStart: at(7.5)},
				activeTask{TimeStart: at(8)}, activeTask{TimeStart: at(0)}, activeTask{TimeStart: at(-1)}, activeTask{TimeStart: at(maxCount + 1)})},
			want: []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Known(7), OldestStart: time.Unix(7, 5e8).UTC()}},
		},
		"the latest start there can be": {
			replies: []reply{queues("w1@a"), active("w1@a", activeTask{TimeStart: at(maxCount)})},
			want:    []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Known(1), OldestStart: time.Unix(maxCount, 0).UTC()}},
		},
		"a start later than that": {
			replies: []reply{queues("w1@a"), active("w1@a", activeTask{TimeStart: at(maxCount + 1)})},
			want:    []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Known(1)}},
		},
		"the first thing that is wrong": {
			replies: []reply{broken(queues("w1@a"), "a"), active("w1@a", activeTask{}), broken(active("w1@a"), "b")},
			want:    []policy.Node{{Name: "w1@a", Answers: 2, Active: policy.AtLeast(1, "w1@a answered with a")}},
		},
		"one of two that is wrong": {
			replies: []reply{queues("w1@a"), queues("w1@a"), broken(active("w1@a"), "b"), active("w1@a")},
			want:    []policy.Node{{Name: "w1@a", Answers: 2, Active: policy.AtLeast(0, "w1@a answered with b")}},
		},
		"what has not come": {
			replies: []reply{queues("w1@a"), active("w2@b", activeTask{}), active("w2@b"), queues("w2@b")},
			want: []policy.Node{
				{Name: "w1@a", Answers: 1, Active: policy.AtLeast(0, "w1@a did not answer active in time")},
				{Name: "w2@b", Answers: 2, Active: policy.AtLeast(1, "w2@b did not answer active_queues in time")},
			},
		},
		"tasks whose messages are unacknowledged": {
			replies: []reply{
				queues("w1@a"), queues("w2@b"), active("w1@a", activeTask{ID: "a"}, activeTask{ID: "b", Acknowledged: true}, activeTask{}), active("w2@b", activeTask{ID: "a"}),
			},
			want: []policy.Node{
				{Name: "w1@a", Answers: 1, Active: policy.Known(3)}, {Name: "w2@b", Answers: 1, Active: policy.Known(1)},
			},
			started: map[string]int{"a": 1},
		},
		"those that are too old, each once": {
			replies: []reply{
				queues("w1@a"), queues("w2@b"), active("w2@b", activeTask{Args: '[', Kwargs: '{'}, activeTask{Args: '[', Kwargs: '{'}),
				active("w1@a", activeTask{Args: '"', Kwargs: '{'}, activeTask{Args: '[', Kwargs: '{'}, activeTask{Args: '[', Kwargs: '"'}),
			},
			want: []policy.Node{
				{Name: "w1@a", Answers: 1, Active: policy.Known(3)}, {Name: "w2@b", Answers: 1, Active: policy.Known(2)},
			},
			old: []string{"w1@a", "w2@b"},
		},
		"a task that a foreign producer has sent": {
			replies: []reply{queues("w1@a"), active("w1@a", activeTask{Args: '"', Kwargs: '{'}, activeTask{Args: '[', Kwargs: '"'})},
			want:    []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Known(2)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, started, old := nodes(c.replies)
			if c.started == nil {
				c.started = map[string]int{}
			}
			if diff := cmp.Diff(c.want, got) + cmp.Diff(c.started, started) + cmp.Diff(c.old, old); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A worker's queues are taken whole or not at all, and a task is active whatever its id is.
func TestAnswersOfOneWorker(t *testing.T) {
	long := strings.Repeat("a", maxName)
	list := func(key string, names ...string) json.RawMessage {
		var all []map[string]string
		for _, name := range names {
			all = append(all, map[string]string{key: name})
		}
		text, _ := json.Marshal(all)
		return text
	}
	if got, err := queuesIn(list("name", "video", long)); err != nil || !cmp.Equal(got, []string{"video", long}) {
		t.Errorf("queues %.50q, %v", got, err)
	}
	if got, err := queuesIn(list("name", repeat(maxQueues, "q")...)); err != nil || len(got) != maxQueues {
		t.Errorf("%d queues, %v", len(got), err)
	}
	for want, answer := range map[string]json.RawMessage{
		"answered active_queues with what is no list of queues":                            json.RawMessage(`[{"name": "a"}, {"name": 7}]`),
		"answered active_queues with 1001 queues: Sluice takes 1000 of one worker":         list("name", repeat(maxQueues+1, "q")...),
		"answered active_queues with a queue whose name has 1025 bytes: Sluice takes 1024": list("name", "video", long+"a"),
	} {
		if got, err := queuesIn(answer); got != nil || message(err) != want {
			t.Errorf("queues %.50q, %v; want %q", got, err, want)
		}
	}
	want := []activeTask{{ID: "a"}, {ID: long}, {}}
	if got, err := tasksIn(list("id", "a", long, long+"a")); err != nil || !cmp.Equal(got, want) {
		t.Errorf("tasks %.50v, %v", got, err)
	}
	for _, answer := range []string{`null`, `[{"id": "a"}, 7]`} {
		if got, err := tasksIn(json.RawMessage(answer)); got != nil || message(err) != "answered active with what is no list of tasks" {
			t.Errorf("tasks in %s: %v, %v", answer, got, err)
		}
	}
}
