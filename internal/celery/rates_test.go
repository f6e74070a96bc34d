package celery

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

func TestAddLimited(t *testing.T) {
	long := strings.Repeat("a", maxName)
	for name, c := range map[string]struct {
		answer string
		want   map[string]bool
		err    string
	}{
		"no task":                    {answer: `[]`, want: map[string]bool{}},
		"no limit":                   {answer: `["tasks.quick", "tasks.slow"]`, want: map[string]bool{}},
		"limits":                     {answer: `["tasks.quick", "tasks.slow [rate_limit=10/m]", "tasks.a [rate_limit=0.5]"]`, want: map[string]bool{"tasks.slow": true, "tasks.a": true}},
		"no limit, written out":      {answer: `["tasks.slow [rate_limit=None]"]`, want: map[string]bool{}},
		"a limit that looks odd":     {answer: `["tasks.slow [rate_limit=<object at 0x7f>\n]"]`, want: map[string]bool{"tasks.slow": true}},
		"an empty limit":             {answer: `["tasks.slow [rate_limit=]"]`, want: map[string]bool{"tasks.slow": true}},
		"a name with brackets":       {answer: `["tasks [v2]", "tasks [v3] [rate_limit=1/s]"]`, want: map[string]bool{"tasks [v3]": true}},
		"a name with the mark in it": {answer: `["a [rate_limit=b [rate_limit=1/s]"]`, want: map[string]bool{"a": true, "a [rate_limit=b": true}},
		"a name as long as may be":   {answer: `["` + long + ` [rate_limit=1/s]"]`, want: map[string]bool{long: true}},
		"a name that is longer":      {answer: `["a` + long + ` [rate_limit=1/s]"]`, want: map[string]bool{}},
		"a name that is not ASCII":   {answer: `["t\u00e4sk [rate_limit=1/s]"]`, want: map[string]bool{"täsk": true}},
		"no list":                    {answer: `{"tasks.slow": "10/m"}`, err: "answered registered with what is no list of tasks"},
		"null":                       {answer: `null`, err: "answered registered with what is no list of tasks"},
		"a limit that does not end":  {answer: `["tasks.slow [rate_limit=10/m"]`, want: map[string]bool{}},
		"a number":                   {answer: `["tasks.slow", 7]`, err: "answered registered with what is no list of tasks"},
		"a task that is null":        {answer: `[null]`, err: "answered registered with a task without a name"},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			info, err := taskInfo(json.RawMessage(c.answer))
			addLimited(got, info)
			if message(err) != c.err {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if err == nil && !cmp.Equal(got, c.want) {
				t.Errorf("limited %v, want %v", got, c.want)
			}
		})
	}
}

// Whatever a task is called and its limit looks like, it is found in what Celery writes of it; without one nothing is.
func FuzzAddLimited(f *testing.F) {
	f.Add("tasks.slow", "10/m", []byte(`["a [rate_limit=1]"]`))
	f.Add("a [rate_limit=None]", "]", []byte(`[null]`))
	f.Add("", " [rate_limit=", []byte(`{"error": "x"}`))
	f.Fuzz(func(t *testing.T, name, limit string, answer []byte) {
		if info, err := taskInfo(answer); err == nil {
			addLimited(map[string]bool{}, info) // It does not panic.
		}
		if limit == "None" || !utf8.ValidString(name) || !utf8.ValidString(limit) {
			return
		}
		text, err := json.Marshal([]string{name + " [rate_limit=" + limit + "]"})
		if err != nil {
			t.Fatal(err)
		}
		limited := map[string]bool{}
		info, err := taskInfo(text)
		if addLimited(limited, info); err != nil || limited[name] != (len(name) <= maxName) {
			t.Errorf("of %.200s, limited are %d, %v; want %.200q", text, len(limited), err, name)
		}
	})
}

func TestRateLimited(t *testing.T) {
	limits := func(tasks ...any) says { return says{methodRegistered: append([]any{}, tasks...)} }
	for name, c := range map[string]struct {
		workers map[string]says
		twins   bool
		nodes   []policy.Node
		want    map[string]bool
		err     string
	}{
		"no node": {workers: map[string]says{"w1@a": limits("a [rate_limit=1/s]")}, want: map[string]bool{}},
		"each limits another": {
			workers: map[string]says{"w1@a": limits("a [rate_limit=1/s]", "b", "c"), "w2@b": limits("a", "b [rate_limit=2]", "c")},
			nodes:   []policy.Node{{Name: "w1@a", Answers: 1}, {Name: "w2@b", Answers: 1}},
			want:    map[string]bool{"a": true, "b": true},
		},
		"only those that are asked": {
			workers: map[string]says{"w1@a": limits("a [rate_limit=1/s]"), "w2@b": limits("b [rate_limit=2]")},
			nodes:   []policy.Node{{Name: "w2@b", Answers: 1}},
			want:    map[string]bool{"b": true},
		},
		"equal names": {
			workers: map[string]says{"w1@a": limits("a [rate_limit=1/s]")},
			twins:   true,
			nodes:   []policy.Node{{Name: "w1@a", Answers: 2}},
			want:    map[string]bool{"a": true},
		},
		"silent": {
			workers: map[string]says{"w1@a": limits(), "w2@b": {}},
			nodes:   []policy.Node{{Name: "w1@a", Answers: 1}, {Name: "w2@b", Answers: 1}},
			err:     "ask nodes for rate limits: node w2@b: 0 of 1 workers answered",
		},
		"one of a name silent": {
			workers: map[string]says{"w1@a": limits("a")},
			nodes:   []policy.Node{{Name: "w1@a", Answers: 2}},
			err:     "ask nodes for rate limits: node w1@a: 1 of 2 workers answered",
		},
		"gone": {nodes: []policy.Node{{Name: "w1@a", Answers: 1}}, err: "ask nodes for rate limits: node w1@a: 0 of 1 workers answered"},
		"an error": {
			workers: map[string]says{"w1@a": {methodRegistered: map[string]any{"error": "AttributeError('rate_limit')"}}},
			nodes:   []policy.Node{{Name: "w1@a", Answers: 1}},
			err:     "ask nodes for rate limits: node w1@a answered registered with the error AttributeError('rate_limit')",
		},
		"rubbish": {
			workers: map[string]says{"w1@a": {methodRegistered: "yes"}},
			nodes:   []policy.Node{{Name: "w1@a", Answers: 1}},
			err:     "ask nodes for rate limits: node w1@a answered registered with what is no list of tasks",
		},
		"no name":      {nodes: []policy.Node{{}}, err: "ask nodes for rate limits: node 1 of 1 has no name"},
		"listed twice": {nodes: []policy.Node{{Name: "w1@a"}, {Name: "w1@a"}}, err: "ask nodes for rate limits: node w1@a is listed twice: " + errEqualNames.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := miniredis.RunT(t)
			for name, say := range c.workers {
				startFake(t, m.Addr(), name, say)
				if c.twins {
					startFake(t, m.Addr(), name, say)
				}
			}
			broker := newBroker(t, lookOptions(m.Addr()))
			if strings.HasSuffix(c.err, " workers answered") {
				broker.waits.control = controlPatience // Nobody else will.
			}
			got, err := broker.RateLimited(t.Context(), c.nodes)
			if message(err) != c.err || !cmp.Equal(got, c.want) {
				t.Errorf("limited %v, %v; want %v, %q", got, err, c.want, c.err)
			}
		})
	}
}

// A reply that is larger than all bounds is not read: its worker has not answered.
func TestRateLimitedIsBounded(t *testing.T) {
	_, addr := realRedis(t)
	broker, received := countedBroker(t, lookOptions(addr))
	startFake(t, addr, "w1@a", says{methodRegistered: []any{strings.Repeat("a", 3*maxAnswer)}})
	_, err := broker.RateLimited(t.Context(), []policy.Node{{Name: "w1@a", Answers: 1}})
	if err == nil || !strings.Contains(err.Error(), "0 of 1 workers answered") {
		t.Errorf("error %v", err)
	}
	if got := received.Load(); got > maxAnswer+maxAnswer/2 {
		t.Errorf("%d bytes were received", got)
	}
}
