package celery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

func TestUntracked(t *testing.T) {
	one := []policy.Node{{Name: "w1@a", Answers: 1}}
	two := []policy.Node{{Name: "w1@a", Answers: 1}, {Name: "w2@b", Answers: 1}}
	batch := "shop.batch [Strategy=<bound method Batches.Strategy of <@task: shop.batch of shop at 0x7f35>>]"
	answers := func(tasks ...any) says { return says{methodRegistered: append([]any{}, tasks...)} }
	for name, c := range map[string]struct {
		workers map[string]says
		nodes   []policy.Node
		want    map[string][]string
		err     string
		silent  bool // Not all answer.
	}{
		"nobody":              {want: map[string][]string{}},
		"Celery's strategy":   {workers: map[string]says{"w1@a": answers("a"+ordinaryTask, "b [v2]"+ordinaryTask)}, nodes: one, want: map[string][]string{}},
		"no tasks":            {workers: map[string]says{"w1@a": answers()}, nodes: one, want: map[string][]string{}},
		"celery-batches":      {workers: map[string]says{"w1@a": answers("a"+ordinaryTask, batch)}, nodes: one, want: map[string][]string{"w1@a": {"shop.batch"}}},
		"one by another name": {workers: map[string]says{"w1@a": answers("a [Strategy=shop.own:strategy]")}, nodes: one, want: map[string][]string{"w1@a": {"a"}}},
		"one that says nothing of it": {
			workers: map[string]says{"w1@a": answers("a")}, nodes: one, want: map[string][]string{"w1@a": {"a"}},
		},
		"one of two workers": {
			workers: map[string]says{"w1@a": answers("a" + ordinaryTask), "w2@b": answers(batch)}, nodes: two,
			want: map[string][]string{"w2@b": {"shop.batch"}},
		},
		"one does not answer": {
			workers: map[string]says{"w1@a": answers("a" + ordinaryTask), "w2@b": {}}, nodes: two,
			want: map[string][]string{"w2@b": {}}, silent: true,
		},
		"two of a name, of which one answers": {
			workers: map[string]says{"w1@a": answers(batch)}, nodes: []policy.Node{{Name: "w1@a", Answers: 2}},
			want: map[string][]string{"w1@a": {"shop.batch"}}, silent: true,
		},
		"a name is missing": {nodes: []policy.Node{{}}, err: "ask nodes for tasks with a strategy of their own: node 1 of 1 has no name"},
		"rubbish": {
			workers: map[string]says{"w1@a": {methodRegistered: []any{nil}}}, nodes: one,
			want: map[string][]string{"w1@a": {}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := miniredis.RunT(t)
			for name, say := range c.workers {
				startFake(t, m.Addr(), name, say)
			}
			b := newBroker(t, lookOptions(m.Addr()))
			if c.silent {
				b.waits.control = 5 * time.Second
			}
			got, err := b.Untracked(t.Context(), c.nodes)
			if message(err) != c.err || !cmp.Equal(got, c.want) {
				t.Errorf("%v, %v; want %v, %q", got, err, c.want, c.err)
			}
		})
	}
}

// The oldest and the newest Celery that celery-batches supports. A batch that executes is in no answer, which is why it is asked for.
func TestUntrackedIsCeleryBatches(t *testing.T) {
	for _, series := range []string{"5.2", "5.6"} {
		t.Run(series, func(t *testing.T) {
			t.Parallel()
			addr := testenv.RedisServer(t)
			l := newLab(t, testenv.PythonWithCelery(t, series), addr, map[string]any{"batches": true})
			l.start(contractWorker, "-P", "threads", "-c", "1", "-Q", "video")
			b := newBroker(t, Options{Addrs: []string{addr}})
			nodes := []policy.Node{{Name: contractWorker, Answers: 1}}
			l.send(order{Task: "batch", Args: []string{"batch"}, Count: 2, Options: map[string]any{"queue": "video"}})
			l.until("the batch executes", func() error {
				if n, _ := l.redis.Get(t.Context(), "started:batch").Int(); n != 1 {
					return fmt.Errorf("%d have begun", n)
				}
				return nil
			})
			look, err := b.Look(t.Context(), []string{"video"}, testPatience)
			if err != nil || len(look.Nodes) != 1 || look.Nodes[0].Active != policy.Known(0) {
				t.Errorf("a look shows %+v, %v", look, err)
			}
			got, err := b.Untracked(t.Context(), nodes)
			if want := map[string][]string{contractWorker: {"batch"}}; err != nil || !cmp.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			l.open("batch", 1)
		})
	}
}

// Whatever a task is called, it is ordinary if and only if its strategy is Celery's.
func FuzzTaskInfo(f *testing.F) {
	f.Add("shop.batch", "<bound method Batches.Strategy>", []byte(`["a [Strategy=x]"]`))
	f.Add("a [Strategy=b]", "celery.worker.strategy:default", []byte(`[null]`))
	f.Fuzz(func(t *testing.T, name, strategy string, answer []byte) {
		_, _ = taskInfo(answer) // It does not panic.
		entry := name + " [Strategy=" + strategy + "]"
		text, err := json.Marshal([]string{entry})
		if err != nil {
			t.Fatal(err)
		}
		info, err := taskInfo(text)
		if own := !strings.HasSuffix(entry, ordinaryTask); err != nil || (len(info) == 1) != own {
			t.Errorf("of %s: %v, %v", text, info, err)
		}
	})
}
