package scaler

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// hand is a worker as a test sets it up.
type hand struct {
	zone    string
	active  int
	began   time.Duration // How long ago it began what it executes.
	drained bool
	shield  time.Duration // For how long its task is protected, by the application.
	silent  bool          // It listens and does not answer.
	stops   bool          // Its task is being stopped.
}

// crew is a world with these workers, worker0 and so on, of target "worker".
func crew(t *testing.T, hands []hand, change ...func(*Options)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.run("worker", len(hands), "celery")
	for i, h := range hands {
		n := &w.broker.look.Nodes[i]
		n.Active = policy.Known(h.active)
		if h.active > 0 {
			n.OldestStart = start.Add(-h.began)
		}
		if h.drained {
			n.Queues = nil
		}
		task := &w.fleet.tasks["worker-svc"][i]
		task.Zone = h.zone
		if h.shield > 0 {
			task.ProtectedUntil = start.Add(h.shield)
		}
		if h.stops {
			task.State = policy.TaskStopping
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired, s.Running = s.Desired-1, s.Running-1 })
		}
	}
	w.broker.look.Nodes = slices.DeleteFunc(w.broker.look.Nodes, func(n policy.Node) bool {
		return hands[slices.IndexFunc(w.fleet.tasks["worker-svc"], func(t policy.Task) bool { return "celery@"+t.ID == n.Name })].silent
	})
	return w
}

// keep has at least n workers stay.
func keep(n int) func(*Options) { return func(o *Options) { o.Targets[0].Limits.Min = n } }

// letGo scales the target in: it has been seen with too many workers two minutes ago.
func (w *world) letGo(t *testing.T) (Change, error) {
	t.Helper()
	return w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute)}})
}

func TestWhoIsLetGo(t *testing.T) {
	t.Parallel()
	idle := hand{}
	tests := []struct {
		name      string
		hands     []hand
		keep      int
		rebalance bool
		told      string // Who is told to fetch no more.
		stopped   string
		status    string
	}{
		{"the first of equals", []hand{idle, idle, idle}, 1, false, "worker0 worker1", "worker0 worker1", "scaled in"},
		{"idle ones before busy ones", []hand{{active: 1}, idle, idle}, 0, false, "worker1 worker2", "worker1 worker2", "scaled in"},
		{
			"of busy ones those with the youngest work, which are left to finish it",
			[]hand{{active: 1, began: 2 * time.Hour}, {active: 1, began: 3 * time.Hour}, {active: 1, began: time.Hour}},
			0, false, "worker0 worker2", "", "draining",
		},
		{
			"an idle one goes, a busy one finishes first",
			[]hand{{active: 1, began: 2 * time.Hour}, idle, {active: 1, began: time.Hour}},
			0, false, "worker1 worker2", "worker1", "scaled in",
		},
		{"who is drained already, and idle, goes first", []hand{idle, idle, {drained: true}}, 2, false, "", "worker2", "scaled in"},
		{
			"who is drained already, and busy, has been counted",
			[]hand{{active: 1}, {active: 1, drained: true}, idle},
			0, false, "worker2", "worker2", "scaled in",
		},
		{"one that does not answer is busy, and stays", []hand{{silent: true}, idle, idle}, 0, false, "worker1 worker2", "worker1 worker2", "scaled in"},
		{"a protected one stays", []hand{{shield: time.Hour}, idle, idle}, 1, false, "worker1 worker2", "worker1 worker2", "scaled in"},
		{
			"zones, where ECS does not even them out, do not matter",
			[]hand{{zone: "a"}, {zone: "a"}, {zone: "a"}, {zone: "b"}, {zone: "b"}},
			2, false, "worker0 worker1 worker2", "worker0 worker1 worker2", "scaled in",
		},
		{
			"zones, where ECS does, stay even",
			[]hand{{zone: "a"}, {zone: "a"}, {zone: "a"}, {zone: "b"}, {zone: "b"}},
			2, true, "worker0 worker1 worker3", "worker0 worker1 worker3", "scaled in",
		},
		{
			"zones stay even among those that can go now: the others are left drained",
			[]hand{{zone: "a"}, {zone: "a"}, {zone: "b", active: 1}, {zone: "b", active: 1, began: time.Hour}},
			0, true, "worker0 worker1 worker2", "worker0", "scaled in",
		},
		{
			"zones that are uneven already need not become even at once",
			[]hand{{zone: "a"}, {zone: "b"}, {zone: "b"}, {zone: "b"}, {zone: "b"}},
			4, true, "worker1", "worker1", "scaled in",
		},
		{
			"where none is to be left all are told, and those go that are done and leave the zones even",
			[]hand{{zone: "a", active: 1}, {zone: "a", active: 1}, {zone: "b"}, {zone: "c"}},
			-1, true, "worker0 worker1 worker2 worker3", "", "draining",
		},
		{
			"where none is to be left all are told, though only two may go at once",
			[]hand{{}, {}, {}, {active: 1}},
			-2, false, "worker0 worker1 worker2 worker3", "worker0 worker1", "scaled in",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, keep(tt.keep))
			if tt.keep < 0 { // None is to be left; with -2 in steps of 2.
				w.Targets[0].Limits.Min, w.Targets[0].Limits.Max = 0, 0
				w.Targets[0].Limits.ScaleInStep = -tt.keep / 2 * 2
				w.byName["worker"] = w.Targets[0]
				w.setBacklog("celery", 50)
			}
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Rebalancing = tt.rebalance })
			change, err := w.letGo(t)
			if err != nil || change.Status != tt.status {
				t.Errorf("%+v, %v; want %s", change, err, tt.status)
			}
			told := ""
			if cancels := w.made("cancel"); len(cancels) > 0 {
				told = strings.TrimPrefix(cancels[0], "cancel ")
			}
			slices.Sort(w.fleet.stopped)
			if diff := cmp.Diff([]string{tt.told, tt.stopped}, []string{told, strings.Join(w.fleet.stopped, " ")}); diff != "" {
				t.Errorf("told to fetch no more, and stopped (-want +got):\n%s", diff)
			}
		})
	}
}

// A drained worker that has to stay fetches again before another is drained in its place. Else the other would be resumed, as too few
// fetch, and so would each sweep's choice.
func TestDrainedWorkersThatStayFetchAgain(t *testing.T) {
	t.Parallel()
	here, gone := hand{zone: "a"}, hand{zone: "b", drained: true}
	kept := hand{zone: "b", drained: true, shield: time.Hour} // Its task is protected.
	tests := []struct {
		name      string
		hands     []hand
		keep      int
		step      int
		rebalance bool
		excess    int // How many more tasks live than are asked for.
		orders    []string
		stopped   string
	}{
		{"its zone would be left with none", []hand{here, here, gone}, 2, 0, true, 0, []string{"consume worker2", "cancel worker0"}, "worker0"},
		{"zones do not matter", []hand{here, here, gone}, 2, 0, false, 0, nil, "worker2"},
		{"its task is protected", []hand{here, here, kept}, 2, 0, false, 0, []string{"consume worker2", "cancel worker0"}, "worker0"},
		{
			"one of three is to stay",
			[]hand{here, here, here, gone, gone, kept},
			3, 0, true, 0,
			[]string{"consume worker5", "cancel worker0"},
			"worker0 worker3 worker4",
		},
		{
			"one that is being stopped is not to fetch again",
			[]hand{{drained: true, stops: true}, here, here, kept},
			2, 0, false, 0,
			[]string{"consume worker3", "cancel worker1"},
			"worker1",
		},
		{
			"one that does not answer passes for one that fetches",
			[]hand{here, here, here, kept, kept, {silent: true}},
			4, 1, false, 0,
			[]string{"consume worker3", "cancel worker0"},
			"worker0",
		},
		{"enough fetch without those that a step leaves", []hand{here, here, here, gone, gone, gone}, 3, 1, false, 0, nil, "worker3"},
		{
			"one at work is no capacity yet",
			[]hand{here, here, {drained: true, active: 1, began: time.Hour}, kept},
			2, 0, false, 0,
			[]string{"consume worker3", "cancel worker0"},
			"worker0",
		},
		{"ECS is about to stop one of them: nobody fetches there", []hand{here, here, here, gone, gone}, 3, 0, true, 1, []string{
			"cancel worker0", "consume worker0 worker3",
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, tt.hands, oneByOne, keep(tt.keep), func(o *Options) { o.Targets[0].Limits.ScaleInStep = tt.step })
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Rebalancing, s.Desired = tt.rebalance, s.Desired-tt.excess })
			if _, err := w.letGo(t); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.orders, w.made("cancel", "consume")); diff != "" {
				t.Errorf("orders (-want +got):\n%s", diff)
			}
			slices.Sort(w.fleet.stopped)
			if diff := cmp.Diff(tt.stopped, strings.Join(w.fleet.stopped, " ")); diff != "" {
				t.Errorf("who is stopped (-want +got):\n%s", diff)
			}
		})
	}
}

// A drain of three workers, of which one has work for long and stays. The first look is what the decision rests on; from the second
// on worker1 and worker2 are watched.
func TestADrainWaitsUntilItIsSure(t *testing.T) {
	t.Parallel()
	busy := func(n *policy.Node) { n.Active = policy.Known(1) }
	calm := func(n *policy.Node) { n.Active = policy.Known(0) }
	tests := []struct {
		name    string
		prepare func(w *world)
		look    func(w *world, n int) // Called before each look, with its number.
		stopped string
		looks   int // 0: it does not matter.
		cancels int
	}{
		{
			name:    "it looks three times, and once more at the end",
			stopped: "worker1 worker2", looks: 1 + 3 + 1, cancels: 1,
		},
		{
			name: "a flicker between two fetched messages begins it anew",
			look: func(w *world, n int) {
				switch n {
				case 2, 4:
					w.broker.change("celery@worker2", busy)
				case 3, 5:
					w.broker.change("celery@worker2", calm)
				}
			},
			stopped: "worker1 worker2", looks: 1 + 3 + 3 + 1, cancels: 1,
		},
		{
			name:    "the effect comes 2.7 s after the answer: it is told again until then",
			prepare: func(w *world) { w.broker.obeyAfter = 2700 * time.Millisecond },
			stopped: "worker1 worker2", looks: 1 + 3 + 3 + 1, cancels: 4,
		},
		{
			name:    "one never obeys, and is left as it is",
			prepare: func(w *world) { w.broker.deaf["celery@worker1"] = true },
			stopped: "worker2",
		},
		{
			name: "one has long work, and is left to finish it",
			look: func(w *world, n int) {
				if n == 2 {
					w.broker.change("celery@worker1", busy)
				}
			},
			stopped: "worker2", cancels: 1,
		},
		{
			name: "one has short work, which is waited for",
			look: func(w *world, n int) {
				switch n {
				case 2:
					w.broker.change("celery@worker1", busy)
				case 10:
					w.broker.change("celery@worker1", calm)
				}
			},
			stopped: "worker1 worker2", looks: 9 + 3 + 1, cancels: 1,
		},
		{
			name: "one is restarted and fetches again: it is told again",
			look: func(w *world, n int) {
				if n == 3 {
					w.broker.setQueues("celery@worker1", []string{"celery"})
				}
			},
			stopped: "worker1 worker2", looks: 1 + 2 + 3 + 1, cancels: 2,
		},
		{
			name: "a second worker of the same name comes",
			look: func(w *world, n int) {
				w.broker.change("celery@worker1", func(node *policy.Node) { node.Answers = 1 + min(1, n/3) })
			},
		},
		{
			name: "one no longer answers",
			look: func(w *world, n int) {
				if n == 3 {
					w.broker.look.Nodes = slices.DeleteFunc(w.broker.look.Nodes, func(n policy.Node) bool { return n.Name == "celery@worker1" })
				}
			},
			stopped: "worker2",
		},
		{
			name: "one answers what cannot be read",
			look: func(w *world, n int) {
				if n > 1 {
					w.broker.change("celery@worker1", func(n *policy.Node) { n.Active = policy.Unknown("pickle") })
				}
			},
		},
		{
			name: "one begins to work after the third look",
			look: func(w *world, n int) {
				if n == 5 {
					w.broker.change("celery@worker1", busy)
				}
			},
			looks: 5, cancels: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{active: 1}, {}, {}})
			if tt.prepare != nil {
				tt.prepare(w)
			}
			if tt.look != nil {
				w.broker.onLook = func() { tt.look(w, w.broker.looks) }
			}
			change, err := w.letGo(t)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(w.fleet.stopped)
			if got := strings.Join(w.fleet.stopped, " "); got != tt.stopped {
				t.Errorf("stopped %q, want %q: %+v", got, tt.stopped, change)
			}
			if left := 3 - len(w.fleet.stopped); w.desired("worker") != left || change.DesiredCount != left {
				t.Errorf("the count is %d, and said to be %d, want %d", w.desired("worker"), change.DesiredCount, left)
			}
			if tt.looks > 0 && w.broker.looks != tt.looks {
				t.Errorf("%d looks, want %d", w.broker.looks, tt.looks)
			}
			if n := len(w.made("cancel")); tt.cancels > 0 && n != tt.cancels {
				t.Errorf("told %d times to fetch no more, want %d", n, tt.cancels)
			}
		})
	}
}

// TestWhoMayHoldAMessageStays has one message that somebody has fetched and not begun. Nobody says who.
func TestWhoMayHoldAMessageStays(t *testing.T) {
	t.Parallel()
	soon, later := start.Add(time.Minute), start.Add(2*time.Hour)
	tests := []struct {
		name    string
		fetched policy.Fetched
		unread  bool // There are more that cannot be read.
		from    int  // From which look on it is seen.
		to      int  // Up to which; 0 is for ever.
		limited string
		asks    bool // The workers are asked for their rate limits.
		status  string
	}{
		{"with an ETA that is near: it waits in an idle worker", policy.Fetched{Task: "mail", Due: soon}, false, 1, 0, "", true, "draining"},
		{"with an ETA that has just passed: a worker's timer may be a second late", policy.Fetched{Task: "mail", Due: start.Add(8500 * time.Millisecond)}, false, 1, 0, "", true, "draining"},
		{"with an ETA beyond the horizon: it goes back into the list", policy.Fetched{Task: "mail", Due: later, Later: true}, false, 1, 0, "", false, "scaled in"},
		{"with an ETA that has passed for longer, and no rate is limited", policy.Fetched{Task: "mail", Due: start.Add(-time.Second)}, false, 1, 0, "", true, "scaled in"},
		{"due, and no rate is limited: an idle worker would have begun it", policy.Fetched{Task: "mail"}, false, 1, 0, "", true, "scaled in"},
		{"due, and another task's rate is limited", policy.Fetched{Task: "mail"}, false, 1, 0, "report", true, "scaled in"},
		{"due, and its task's rate is limited", policy.Fetched{Task: "mail"}, false, 1, 0, "mail", true, "draining"},
		{"of which the task cannot be read", policy.Fetched{}, false, 1, 0, "", true, "draining"},
		{
			"fetched during the look that first saw them drained, which asks for messages first",
			policy.Fetched{Task: "mail", Due: soon},
			false, 3, 0, "", true, "draining",
		},
		{"fetched when they were drained already: it is another's", policy.Fetched{Task: "mail", Due: soon}, false, 4, 0, "", false, "scaled in"},
		{"acknowledged while they are watched", policy.Fetched{Task: "mail", Due: soon}, false, 1, 3, "", false, "scaled in"},
		{"beside others that cannot be read", policy.Fetched{Task: "mail", Due: later, Later: true}, true, 1, 0, "", true, "draining"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{active: 1}, {}, {}})
			tt.fetched.Tag, tt.fetched.Queue = "tag", "celery"
			w.broker.limited = map[string]bool{tt.limited: tt.limited != ""}
			w.broker.onLook = func() {
				w.broker.look.Fetched, w.broker.look.FetchedKnown = nil, !tt.unread
				w.setHeld("celery", 0)
				if n := w.broker.looks; n >= tt.from && (tt.to == 0 || n <= tt.to) {
					w.broker.look.Fetched = []policy.Fetched{tt.fetched}
					if !tt.fetched.Later {
						w.setHeld("celery", 1)
					}
				}
			}
			change, err := w.letGo(t)
			if err != nil || change.Status != tt.status {
				t.Errorf("%+v, %v; want %s", change, err, tt.status)
			}
			if asked := len(w.made("rate limited worker1 worker2")) == 1; asked != tt.asks {
				t.Errorf("asked for rate limits: %v, want %v", asked, tt.asks)
			}
			if want := map[string]int{"draining": 3, "scaled in": 1}[tt.status]; w.desired("worker") != want {
				t.Errorf("the count is %d, want %d", w.desired("worker"), want)
			}
		})
	}
}

// TestAnAnswerInPartProvesNoDrain has workers answer the second look without their queues, which reads as if they had none. What is
// fetched before the next look, or by the one after it, may be theirs.
func TestAnAnswerInPartProvesNoDrain(t *testing.T) {
	t.Parallel()
	for from := 3; from <= 4; from++ {
		w := crew(t, []hand{{active: 1}, {}, {}})
		w.broker.onLook = func() {
			active := policy.Known(0)
			switch n := w.broker.looks; {
			case n == 2:
				active = policy.AtLeast(0, "did not answer active_queues in time")
			case n >= from:
				w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Due: start.Add(time.Minute)}}
				w.setHeld("celery", 1)
			}
			for _, name := range []string{"celery@worker1", "celery@worker2"} {
				w.broker.change(name, func(n *policy.Node) { n.Active = active })
			}
		}
		if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 3 {
			t.Errorf("from look %d: %+v, %v, count %d; want them to stay", from, change, err, w.desired("worker"))
		}
	}
}

// TestAllWorkersOfATaskAreLookedAt has two workers in each of two tasks, of which the first of one task is at work.
func TestAllWorkersOfATaskAreLookedAt(t *testing.T) {
	t.Parallel()
	for i, busy := range []string{"celery@worker0", "second@worker0"} {
		w := crew(t, []hand{{}, {}})
		for _, task := range []string{"worker0", "worker1"} {
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@" + task, Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0)})
			w.broker.look.Listeners.N++
		}
		w.broker.onLook = func() {
			if w.broker.looks == 2 { // When it is to go already.
				w.broker.change(busy, func(n *policy.Node) { n.Active = policy.Known(1) })
			}
		}
		if change, err := w.letGo(t); err != nil || change.Status != "resumed" && change.Status != "draining" || w.desired("worker") != 2 {
			t.Errorf("%d: %+v, %v, count %d", i, change, err, w.desired("worker"))
		}
	}
}

// TestABusyTaskIsLeftToFinish has two tasks with two workers each, one of them at work, of which one task is too many.
func TestABusyTaskIsLeftToFinish(t *testing.T) {
	t.Parallel()
	for _, busy := range []string{"celery@", "second@"} {
		w := crew(t, []hand{{}, {}})
		for _, task := range []string{"worker0", "worker1"} {
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@" + task, Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0)})
			w.broker.look.Listeners.N++
			w.broker.change(busy+task, func(n *policy.Node) { n.Active, n.OldestStart = policy.Known(1), start.Add(-time.Hour) })
		}
		if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 2 {
			t.Errorf("%s: %+v, %v, count %d", busy, change, err, w.desired("worker"))
		}
	}
}

// TestOneOfATasksWorkersAnswersInPart has the first of two workers of a task answer three looks in part: it is watched from the fourth on.
func TestOneOfATasksWorkersAnswersInPart(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}})
	w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "second@worker0", Answers: 1, Queues: []string{"celery"}, Active: policy.Known(0)})
	w.broker.look.Listeners.N++
	w.broker.onLook = func() {
		active := policy.Known(0)
		if n := w.broker.looks; n >= 2 && n <= 4 {
			active = policy.AtLeast(0, "did not answer active_queues in time")
		}
		w.broker.change("celery@worker0", func(n *policy.Node) { n.Active = active })
	}
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.broker.looks != 1+3+3+1 {
		t.Errorf("%+v, %v after %d looks", change, err, w.broker.looks)
	}
}

// TestASilentWorkerMayHoldWhatIsDue: the message that waits in somebody's hands need not be in those of an idle one.
// Nor in anybody's, once its visibility timeout is over: the worker that had it has died.
func TestASilentWorkerMayHoldWhatIsDue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		silent, expired bool
		limited         string
		status          string
	}{
		{"nobody else is at work", false, false, "", "draining"},
		{"somebody is silent", true, false, "", "scaled in"},
		{"its visibility timeout is over", false, true, "", "scaled in"},
		{"its visibility timeout is over, and its task's rate is limited", false, true, "mail", "draining"},
	} {
		w := crew(t, []hand{{silent: tt.silent}, {}, {}})
		w.broker.limited = map[string]bool{tt.limited: true}
		w.broker.onLook = func() {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Expired: tt.expired}}
			if tt.expired {
				w.setBacklog("celery", 1)
			} else {
				w.setHeld("celery", 1)
			}
		}
		if change, err := w.letGo(t); err != nil || change.Status != tt.status {
			t.Errorf("%s: %+v, %v; want %s", tt.name, change, err, tt.status)
		}
	}
}

// TestWhatVictimsFetchedFromIsLookedAt: a worker may hold messages of queues that its target does not have.
func TestWhatVictimsFetchedFromIsLookedAt(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{active: 1}, {}})
	w.broker.setQueues("celery@worker1", []string{"celery", "theirs"})
	w.broker.look.Queues["theirs"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	var asked [][]string
	w.broker.onLook = func() { asked = append(asked, w.broker.asked) }
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
		t.Errorf("%+v, %v", change, err)
	}
	own, all := []string{"celery"}, []string{"celery", "theirs"}
	if diff := cmp.Diff([][]string{own, all, all, all, own}, asked); diff != "" {
		t.Errorf("queues (-want +got):\n%s", diff)
	}
}

func TestRateLimitsThatCannotBeAskedHold(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{active: 1}, {}, {}})
	w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Task: "mail"}}
	w.setHeld("celery", 1)
	var log bytes.Buffer
	w.Log = slog.New(slog.NewJSONHandler(&log, nil))
	w.broker.limitedErr = broken(policy.BrokerUnavailable, "1 of 2 answered")
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 3 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
	if told := lines(t, &log, "rate limits not known, so workers stay"); len(told) != 1 || told[0]["error"] != "1 of 2 answered" {
		t.Errorf("the log says %v", told)
	}
}

// TestWorkComesWhileTheyDrain has messages come before a look of a drain of two workers, with one that stays.
func TestWorkComesWhileTheyDrain(t *testing.T) {
	t.Parallel()
	const perWorker = 10
	for look := 2; look <= 5; look++ {
		for workers, want := range map[int]struct {
			status  string
			count   int
			consume []string
		}{
			1: {"scaled in", 1, nil},
			2: {"scaled in", 2, []string{"consume worker1"}},
			3: {"resumed", 3, []string{"consume worker0 worker1"}},
			4: {"resumed", 3, []string{"consume worker0 worker1"}}, // The Verify that follows raises the count.
		} {
			if look == 5 && workers == 2 {
				want.status, want.count, want.consume = "resumed", 3, []string{"consume worker0 worker1"} // Too late to tell them apart.
			}
			t.Run(fmt.Sprintf("for %d workers before look %d", workers, look), func(t *testing.T) {
				t.Parallel()
				w := crew(t, []hand{{}, {}, {}}, keep(1))
				w.broker.onLook = func() {
					if w.broker.looks == look {
						w.setHeld("celery", perWorker*workers)
					}
				}
				change, err := w.letGo(t)
				if err != nil || change.Status != want.status || w.desired("worker") != want.count {
					t.Errorf("%+v, %v, count %d; want %+v", change, err, w.desired("worker"), want)
				}
				if diff := cmp.Diff(want.consume, w.made("consume")); diff != "" {
					t.Errorf("who fetches again (-want +got):\n%s", diff)
				}
				for _, task := range w.fleet.tasks["worker-svc"] {
					if !task.ProtectedUntil.IsZero() {
						t.Errorf("task %s is left protected", task.ID)
					}
				}
			})
		}
	}
}

// TestAMessageThatComesWhileTheyDrainIsSomebodys: all three were idle, and one is to stay. Which of them has fetched it nothing says.
func TestAMessageThatComesWhileTheyDrainIsSomebodys(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, keep(1))
	w.broker.onLook = func() {
		if w.broker.looks == 2 {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Due: start.Add(time.Minute)}}
			w.setHeld("celery", 1)
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 3 {
		t.Errorf("%+v, %v, count %d; want them to stay", change, err, w.desired("worker"))
	}
}

// TestAMessageThatComesBackIsSuspectedStill: it was fetched when they were drained, went back, and is fetched again. It has kept its tag.
func TestAMessageThatComesBackIsSuspectedStill(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{active: 1}, {}, {}})
	w.broker.onLook = func() {
		w.broker.look.Fetched = nil
		w.setHeld("celery", 0)
		if w.broker.looks != 3 {
			w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail", Due: start.Add(time.Minute)}}
			w.setHeld("celery", 1)
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "draining" {
		t.Errorf("%+v, %v; want them to stay", change, err)
	}
}

// TestASuspectIsWatchedForLong: a pool whose process is being replaced has nothing active until the new one has booted.
func TestASuspectIsWatchedForLong(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{active: 1}, {}, {}})
	w.broker.limited = map[string]bool{} // No rate is limited.
	w.broker.onLook = func() {
		w.broker.look.Fetched = []policy.Fetched{{Tag: "tag", Queue: "celery", Task: "mail"}}
		w.setHeld("celery", 1)
	}
	const looks = 1 + int(suspectTime/drainPause) + 1 + 1 // To decide; while they drain, from none to all of the time; the last.
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.broker.looks != looks {
		t.Errorf("%+v, %v after %d looks; want %d", change, err, w.broker.looks, looks)
	}
}

// TestATwinIsNotTheOneThatWasDrained: at the second of three looks at a drained worker two answer by its name. It is looked at anew.
func TestATwinIsNotTheOneThatWasDrained(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}}, func(o *Options) { o.Targets[0].Limits.Max = 0 }) // Or it would be needed again at once.
	w.setBacklog("celery", 50)
	w.broker.onLook = func() {
		w.broker.change("celery@worker0", func(n *policy.Node) { n.Answers = 1 })
		if w.broker.looks == 3 {
			w.broker.change("celery@worker0", func(n *policy.Node) { n.Answers = 2 })
		}
	}
	const looks = 1 + 2 + emptyLooks + 1 // To decide; the two that are in vain; from the first; the last.
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.broker.looks != looks {
		t.Errorf("%+v, %v after %d looks; want %d", change, err, w.broker.looks, looks)
	}
}

// TestTheBrokerIsLostWhileTheyDrain has each look fail.
func TestTheBrokerIsLostWhileTheyDrain(t *testing.T) {
	t.Parallel()
	for look := 1; look <= 5; look++ {
		t.Run(fmt.Sprintf("at look %d", look), func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{}, {}, {}}, keep(1))
			w.broker.onLook = func() {
				if w.broker.looks == look {
					w.broker.err = broken(policy.BrokerUnavailable, "connection lost")
				}
			}
			change, err := w.letGo(t)
			if kindOf(err) != policy.BrokerUnavailable || w.desired("worker") != 3 {
				t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
			}
			w.broker.err = nil
			if len(w.made("cancel")) > 0 != (look > 1) {
				t.Errorf("told: %v", w.made("cancel"))
			}
			// Whoever comes next can go on: nobody holds the lock, and nothing is protected.
			if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || w.desired("worker") != 1 {
				t.Errorf("then %+v, %v, count %d", change, err, w.desired("worker"))
			}
		})
	}
}
