package scaler

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/internal/policy"
	"sluice/stepfunctions"
)

// one checks the only target and returns what the check says.
func (w *world) one(t *testing.T) TargetCheck {
	t.Helper()
	c, err := w.CheckOne(t.Context(), Input{Target: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(w *world)
		action  policy.Action
		reasons []policy.Reason
		active  string // "null" or the number.
		errText string
	}{
		{"nothing at all", func(*world) {}, policy.Hold, []policy.Reason{policy.ReasonSteady}, "0", ""},
		{
			"a lost event is repaired", func(w *world) { w.setBacklog("celery", 1) }, policy.ScaleOut,
			[]policy.Reason{policy.ReasonBacklog},
			"0", "",
		},
		{
			"idle workers", func(w *world) { w.run("worker", 2, "celery") }, policy.Candidate,
			[]policy.Reason{policy.ReasonIdle, policy.ReasonSettle},
			"0", "",
		},
		{"a busy worker", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes[1].Active = policy.Known(1)
		}, policy.Candidate, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}, "1", ""},
		{"held work", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Queues["celery"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(3)}
		}, policy.Candidate, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}, "0", ""},
		{"as much held work as two workers are meant to have", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Queues["celery"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(11)}
		}, policy.Hold, []policy.Reason{policy.ReasonSteady}, "0", ""},
		{"held work that cannot be told apart holds, and calls nobody: it may be due in days", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Loose = policy.Known(5000)
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "0", ""},
		{"unless nobody is left to hold it", func(w *world) {
			w.broker.look.Loose = policy.Known(5000)
		}, policy.ScaleOut, []policy.Reason{policy.ReasonBacklog}, "0", ""},
		{"a worker that listens and does not answer is busy", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes = w.broker.look.Nodes[:1]
		}, policy.Candidate, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}, "1", ""},
		{"none of two that listen answers", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes = nil
			w.Targets[0].Limits.MessagesPerWorker = 1
		}, policy.Candidate, []policy.Reason{policy.ReasonSurplus, policy.ReasonSettle}, "2", ""},
		{"a running task that nobody hears from", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"no listener at all though tasks run", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes, w.broker.look.Listeners = nil, policy.Known(0)
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"more silent listeners than missing tasks", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Listeners = policy.Known(4)
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"workers on their way out after a scale-in ask for nobody", func(w *world) {
			w.broker.look.Listeners = policy.Known(3)
		}, policy.Hold, []policy.Reason{policy.ReasonSteady}, "null", ""},
		{"listeners not countable, every task heard", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Listeners = policy.Unknown("cluster mode")
		}, policy.Candidate, []policy.Reason{policy.ReasonIdle, policy.ReasonSettle}, "0", ""},
		{"listeners not countable, one task not heard", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Unknown("cluster mode")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"equal names count each", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Nodes = w.broker.look.Nodes[:1]
			w.broker.look.Nodes[0].Answers = 2
		}, policy.Candidate, []policy.Reason{policy.ReasonIdle, policy.ReasonSettle}, "0", ""},
		{"a worker whose answer cannot be read", func(w *world) {
			w.run("worker", 1, "celery")
			w.broker.look.Nodes[0].Active = policy.Unknown("pickle")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"a drained worker that is idle is let go", func(w *world) {
			w.run("worker", 1)
		}, policy.Candidate, []policy.Reason{policy.ReasonIdle, policy.ReasonSettle}, "0", ""},
		{"a drained worker that is busy is left to finish", func(w *world) {
			w.run("worker", 1)
			w.broker.look.Nodes[0].Active = policy.Known(1)
		}, policy.Hold, []policy.Reason{policy.ReasonSteady}, "1", ""},
		{"a drained worker is no capacity", func(w *world) {
			w.run("worker", 1)
			w.setBacklog("celery", 1)
		}, policy.ScaleOut, []policy.Reason{policy.ReasonBacklog, policy.ReasonResume}, "0", ""},
		{"two drained workers whose names tell nothing cannot both be in the one running task", func(w *world) {
			w.run("worker", 1)
			w.fleet.tasks["worker-svc"][0].ID = "task"
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "other", Answers: 1, Active: policy.Known(0)})
			w.broker.look.Listeners.N++
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", ""},
		{"a foreign worker's tasks are not ours", func(w *world) {
			w.run("worker", 1, "celery")
			w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{
				Name: "celery@other", Answers: 1, Queues: []string{"theirs"}, Active: policy.Known(4),
			})
			w.broker.look.Listeners = policy.Known(2)
		}, policy.Candidate, []policy.Reason{policy.ReasonIdle, policy.ReasonSettle}, "0", ""},
		{"the broker is out of reach", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.err = broken(policy.BrokerUnavailable, "look at broker: refused")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "null", "look at broker: refused"},
		{"a queue key of a wrong type", func(w *world) {
			w.run("worker", 2, "celery")
			w.broker.look.Queues["celery"] = policy.Queue{Backlog: policy.Unknown("WRONGTYPE"), Held: policy.Known(0)}
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "0", ""},
		{"a queue that was not looked at", func(w *world) {
			w.run("worker", 2, "celery")
			delete(w.broker.look.Queues, "celery")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "0", ""},
		{"the service is gone", func(w *world) {
			w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "describe service worker-svc: missing")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "0", "describe service worker-svc: missing"},
		{"a fleet that forgets to answer", func(w *world) {
			delete(w.fleet.services, "worker-svc")
		}, policy.Hold, []policy.Reason{policy.ReasonUnknown}, "0", "describe service worker-svc: no answer"},
		{"a tag with a typing error is reported", func(w *world) {
			w.run("worker", 2, "celery")
			svc := w.fleet.services["worker-svc"]
			svc.Tags = map[string]string{"sluice:min": "one"}
			w.fleet.services["worker-svc"] = svc
		}, policy.Hold, []policy.Reason{policy.ReasonOverride}, "0", `tag sluice:min: "one" is not a whole number`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.prepare(w)
			c := w.one(t)
			if c.Decision.Action != tt.action {
				t.Errorf("action %s, want %s", c.Decision.Action, tt.action)
			}
			if diff := cmp.Diff(tt.reasons, c.Decision.Reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			active := "null"
			if c.ActiveTasks != nil {
				active = fmt.Sprint(*c.ActiveTasks)
			}
			if active != tt.active {
				t.Errorf("active_tasks %s, want %s", active, tt.active)
			}
			if c.Failed != (tt.errText != "") || c.Failed && !strings.Contains(*c.Error, tt.errText) {
				t.Errorf("failed %v, error %v, want %q", c.Failed, c.Error, tt.errText)
			}
			if w.fleet.count("set desired") != 0 {
				t.Error("a check changed the count")
			}
			if known := w.fleet.errs["worker-svc"] == nil && len(w.fleet.services) > 0; (c.DesiredCount != nil) != known || (c.RunningCount != nil) != known {
				t.Errorf("counts %v and %v, and they are known: %v", c.DesiredCount, c.RunningCount, known)
			}
		})
	}
}

func TestSourcesOfActivity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		source  Source
		counter policy.Count
		want    policy.Action
	}{
		// With either source the workers are not asked, so that none has to answer.
		{"counter at zero", SourceCounter, policy.Known(0), policy.Candidate},
		{"counter above zero", SourceCounter, policy.Known(2), policy.Hold},
		{"counter unreadable", SourceCounter, policy.Unknown("not a number"), policy.Hold},
		{"none", SourceNone, policy.Count{}, policy.Candidate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) { o.Targets[0].Source = tt.source })
			w.fleet.services["worker-svc"] = policy.Service{Desired: 2, Running: 2}
			w.broker.counter = tt.counter
			if c := w.one(t); c.Decision.Action != tt.want {
				t.Errorf("decision %+v, want %s", c.Decision, tt.want)
			}
		})
	}
}

// TestSilenceIsAttributed has two targets on one broker, and workers that listen and do not answer.
func TestSilenceIsAttributed(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T) *world {
		w := newWorld(t, func(o *Options) { o.Targets = []Target{target("worker", "celery"), target("video", "video")} })
		w.broker.look = emptyLook("celery", "video")
		w.run("worker", 1, "celery")
		w.run("video", 1, "video")
		return w
	}
	actions := func(w *world, t *testing.T) string {
		byName := map[string]string{"worker": "hold", "video": "hold"}
		for _, c := range w.CheckAll(t.Context(), Shard{}).Targets {
			byName[c.Target] = string(c.Decision.Action)
		}
		return byName["worker"] + " " + byName["video"]
	}

	w := setUp(t)
	if got := actions(w, t); got != "candidate candidate" {
		t.Errorf("all answer: %s", got)
	}
	w.broker.look.Nodes = w.broker.look.Nodes[:1] // The worker of video listens and does not answer.
	if got := actions(w, t); got != "candidate hold" {
		t.Errorf("video is silent: %s", got)
	}
	// Looked at alone, the same is found, since the other target of the broker is described for it.
	if c := w.one(t); !c.ShouldScaleIn {
		t.Errorf("alone, with video silent: %+v", c.Decision)
	}
	w.broker.look.Listeners = policy.Known(3) // One more is silent, and it cannot be told whose it is.
	if got := actions(w, t); got != "hold hold" {
		t.Errorf("one of nobody is silent: %s", got)
	}
	w.broker.look.Listeners = policy.Known(2)
	w.fleet.errs["video-svc"] = broken(policy.FleetUnavailable, "503") // Nor can it be told without video's running count.
	if c := w.one(t); c.ShouldScaleIn {
		t.Errorf("video cannot be described: %+v", c.Decision)
	}

	w = setUp(t)
	w.broker.look.Nodes = w.broker.look.Nodes[1:] // The worker's own is silent, unless it is video's, of which nobody knows how many run.
	w.fleet.errs["video-svc"] = broken(policy.FleetUnavailable, "503")
	if c := w.one(t); c.ActiveTasks != nil {
		t.Errorf("video cannot be described, and it executes %d", *c.ActiveTasks)
	}
	delete(w.fleet.errs, "video-svc")
	if c := w.one(t); c.ActiveTasks == nil || *c.ActiveTasks != 1 {
		t.Errorf("it is silent, and is not taken for busy: %+v", c)
	}

	// What is held and cannot be told apart holds every target, and calls nobody's workers up.
	w = setUp(t)
	w.broker.look.Loose = policy.Known(500)
	if got := actions(w, t); got != "hold hold" {
		t.Errorf("500 loose messages: %s", got)
	}
	// But when no worker is left one comes up, so that they are given back: any worker of the broker does it for all.
	w = setUp(t)
	w.broker.look = emptyLook("celery", "video")
	w.broker.look.Loose = policy.Known(500)
	w.fleet.services["worker-svc"], w.fleet.services["video-svc"] = policy.Service{}, policy.Service{}
	if got := actions(w, t); got != "scale_out hold" {
		t.Errorf("500 loose messages and no worker: %s", got)
	}
	// A drained worker that is busy, and whose name tells nothing, is neither's while each task has been heard from without it.
	w = setUp(t)
	w.broker.look.Nodes = append(w.broker.look.Nodes, policy.Node{Name: "old", Answers: 1, Active: policy.Known(1)})
	w.broker.look.Listeners = policy.Known(3)
	if got := actions(w, t); got != "candidate candidate" {
		t.Errorf("a drained worker of nobody is busy: %s", got)
	}
	// Where one task each has not been heard from, it may be either's.
	for _, service := range []string{"worker-svc", "video-svc"} {
		w.fleet.changeService(service, func(s *policy.Service) { s.Desired, s.Running = 2, 2 })
		w.fleet.tasks[service] = append(w.fleet.tasks[service], policy.Task{ID: "x", State: policy.TaskRunning, StartedAt: start.Add(-time.Hour)})
	}
	if got := actions(w, t); got != "hold hold" {
		t.Errorf("a drained worker of either is busy: %s", got)
	}
}

func TestOneBrokenBrokerSpoilsNoOther(t *testing.T) {
	t.Parallel()
	bad := &fakeBroker{
		ports: &ports{}, now: time.Now, err: broken(policy.BrokerRefused, "look at broker: WRONGPASS"),
	}
	w := newWorld(t, func(o *Options) {
		other := target("video", "video")
		other.Broker = "bad"
		third := target("mail", "mail")
		o.Targets = append(o.Targets, other, third)
		o.Brokers["bad"] = bad
	})
	w.broker.look = emptyLook("celery", "mail")
	w.fleet.services["video-svc"] = policy.Service{Desired: 1, Running: 1}
	w.fleet.errs["mail-svc"] = broken(policy.ServiceMissing, "describe service mail-svc: missing")
	w.setBacklog("celery", 1)

	got := w.CheckAll(t.Context(), Shard{})
	var names []string
	for _, c := range got.Targets {
		names = append(names, fmt.Sprintf("%s out=%v failed=%v", c.Target, c.ShouldScaleOut, c.Failed))
	}
	want := []string{"worker out=true failed=false", "video out=false failed=true", "mail out=false failed=true"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if got.Checked != 3 || got.Failed != 2 || got.Held != 0 {
		t.Errorf("checked %d, failed %d, held %d", got.Checked, got.Failed, got.Held)
	}
}

// TestWhoComesFirst: who waits for workers, then who could not be seen, then who merely costs money. Only the last settle.
func TestWhoComesFirst(t *testing.T) {
	a := SweepCheck{Targets: []TargetCheck{
		{Target: "idle", ShouldScaleIn: true, SettleSeconds: 60},
		{Target: "broken", Failed: true},
		{Target: "broken, too", Failed: true},
		{Target: "in need", ShouldScaleOut: true},
	}}
	a.bound()
	var got []string
	for _, c := range a.Targets {
		got = append(got, fmt.Sprint(c.Target, " ", c.SettleSeconds))
	}
	if diff := cmp.Diff([]string{"in need 0", "broken 0", "broken, too 0", "idle 60"}, got); diff != "" {
		t.Errorf("order and settle time (-want +got):\n%s", diff)
	}
}

// TestCandidatesSettleASecondApart: forty scale-ins at once would ask more of ECS than its quota answers.
func TestCandidatesSettleASecondApart(t *testing.T) {
	var a SweepCheck
	for range 42 {
		a.Targets = append(a.Targets, TargetCheck{ShouldScaleIn: true, SettleSeconds: 61})
	}
	a.Targets = append(a.Targets, TargetCheck{ShouldScaleOut: true, SettleSeconds: 61})
	a.bound()
	var got []int
	for _, c := range a.Targets[:4] {
		got = append(got, c.SettleSeconds)
	}
	if want := []int{61, 61, 62, 63}; !slices.Equal(got, want) || !a.Targets[0].ShouldScaleOut {
		t.Errorf("the first settle %v s, want %v, and who needs workers first", got, want)
	}
	if last := a.Targets[41:]; last[0].SettleSeconds != 61 || last[1].SettleSeconds != 62 {
		t.Errorf("the next wave settles %d and %d s; it has a quota of its own", last[0].SettleSeconds, last[1].SettleSeconds)
	}
}

func TestASweepIsBounded(t *testing.T) {
	t.Parallel()
	const n = 1000
	w := newWorld(t, func(o *Options) {
		o.Targets = nil
		for i := range n {
			o.Targets = append(o.Targets, target(fmt.Sprintf("%063d", i), fmt.Sprintf("q%d", i)))
		}
	})
	w.broker.look = emptyLook()
	for i, target := range w.Targets {
		w.fleet.services[target.Ref.Service] = policy.Service{}
		w.broker.look.Queues[target.Queues[0]] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
		if i >= n-5 { // The last five of a thousand failing ones need workers: they come first.
			w.setBacklog(target.Queues[0], 1)
		} else {
			w.fleet.errs[target.Ref.Service] = broken(policy.ServiceMissing, strings.Repeat("\x00<\"", 200))
		}
	}
	got := w.CheckAll(t.Context(), Shard{})
	if len(got.Targets) != maxActs || got.Deferred != n-maxActs || !got.Targets[0].ShouldScaleOut || got.Targets[5].ShouldScaleOut {
		t.Errorf("%d targets, %d deferred, first %+v", len(got.Targets), got.Deferred, got.Targets[0])
	}
	raw, err := json.Marshal(got)
	if err != nil || len(raw) > maxAnswer {
		t.Errorf("the answer has %d bytes (%v): the state machine bears 256 KiB", len(raw), err)
	}
	if w.broker.looks != 1 || len(w.broker.asked) != n {
		t.Errorf("%d looks at one broker, %d queues in the last", w.broker.looks, len(w.broker.asked))
	}
}

// TestAnErrorIsBoundedInBytesOfJSON: in the answers of all checks, while the record has the whole text.
func TestAnErrorIsBoundedInBytesOfJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"plain", "\x00", "\x1b", "<", "\"", "\\", "é", "\U0001F600", "\xff", "\u2028", "x\x00"} {
		w := newWorld(t)
		long := strings.Repeat(text, 1000)
		w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, long)
		one := w.one(t)
		all := w.CheckAll(t.Context(), Shard{})
		if len(all.Targets) != 1 || one.Error == nil || *one.Error != *all.Targets[0].Error {
			t.Fatalf("%q: a check of one target says %+v, of all %+v", text, one, all)
		}
		raw, err := json.Marshal(one.Error)
		if n := len(raw); err != nil || n > 200 || n <= 200-len(`\u0000\u0000`) || !strings.HasSuffix(*one.Error, "...") {
			t.Errorf("%q: the error has %d bytes of JSON (%v), of 200 that it may have: %s", text, n, err, raw)
		} else if text == "plain" && n != 200 {
			t.Errorf("the error has %d bytes of JSON, and could have 200: %s", n, raw)
		}
		if text != "\xff" && !utf8.ValidString(*one.Error) {
			t.Errorf("%q: a character is cut in two: %q", text, *one.Error)
		}
	}
	for _, text := range []string{"", "short", strings.Repeat("x", 198), strings.Repeat("\x00", 33)} {
		if got := clipJSON(text, 200); got != text {
			t.Errorf("clipJSON(%q) = %q, though it fits", text, got)
		}
	}
	if got := clipJSON(strings.Repeat("\x00", 2), 8); got != "..." {
		t.Errorf("where no character fits it is %q", got)
	}
}

// TestTheAnswerIsBoundedInBytes: what does not fit waits for the next sweep, however few targets that are.
func TestTheAnswerIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		name := strings.Repeat("n", 700+n)
		if n == 0 {
			name = strings.Repeat("\x01", 1000)
		}
		a := SweepCheck{Checked: math.MaxInt32, Held: math.MaxInt32, Failed: math.MaxInt32}
		for range maxActs {
			a.Targets = append(a.Targets, TargetCheck{Target: name, Failed: true})
		}
		one, _ := json.Marshal(a.Targets[0])
		a.bound()
		raw, err := json.Marshal(a)
		// One more would not fit, had each number the most digits.
		least := maxAnswer - len(one) - len(",") - 2*len("2147483647")
		if err != nil || len(raw) > maxAnswer || len(raw) < least || len(a.Targets)+a.Deferred != maxActs {
			t.Errorf("%d targets and %d deferred, %d bytes (%v), of %d to %d", len(a.Targets), a.Deferred, len(raw), err, least, maxAnswer)
		}
	}
}

// TestWhatFitsExactlyIsNotLeft to the next sweep.
func TestWhatFitsExactlyIsNotLeft(t *testing.T) {
	t.Parallel()
	empty, _ := json.Marshal(TargetCheck{Failed: true})
	sized := func(bytes int) TargetCheck {
		return TargetCheck{Target: strings.Repeat("n", bytes-len(empty)), Failed: true}
	}
	const around, each, n = len(`{"checked":,"held":,"failed":,"deferred":,"targets":[]}`) + 4*len("2147483647"), 1249, 199
	last := maxAnswer - around - n*(each+len(",")) - len(",")
	for more, deferred := range map[int]int{0: 0, 1: 1} {
		var a SweepCheck
		for range n {
			a.Targets = append(a.Targets, sized(each))
		}
		a.Targets = append(a.Targets, sized(last+more))
		if a.bound(); a.Deferred != deferred {
			t.Errorf("%d bytes over the bound: %d deferred, want %d", more, a.Deferred, deferred)
		}
		a = SweepCheck{Targets: []TargetCheck{{ShouldScaleIn: true, SettleSeconds: int((maxSweep - maxThrottled).Seconds()) + more}}}
		if a.bound(); a.Deferred != deferred {
			t.Errorf("%d s over the machine's time: %d deferred, want %d", more, a.Deferred, deferred)
		}
	}
}

// TestCandidatesFitTheMachine has more candidates than can settle in the time that the state machine has.
func TestCandidatesFitTheMachine(t *testing.T) {
	t.Parallel()
	for settle, want := range map[time.Duration]int{time.Minute: maxActs, 15 * time.Minute: 4 * mapWidth, time.Hour: mapWidth} {
		w := newWorld(t, func(o *Options) {
			o.Targets = nil
			for i := range 300 {
				target := target(fmt.Sprintf("t%d", i), fmt.Sprintf("q%d", i))
				target.Limits.Settle = settle
				o.Targets = append(o.Targets, target)
			}
		})
		w.broker.look = emptyLook()
		for _, target := range w.Targets {
			w.fleet.services[target.Ref.Service] = policy.Service{Desired: 1}
			w.setBacklog(target.Queues[0], 0)
		}
		got := w.CheckAll(t.Context(), Shard{})
		if len(got.Targets) != want || got.Deferred != 300-want {
			t.Errorf("settle %v: %d candidates and %d deferred, want %d", settle, len(got.Targets), got.Deferred, want)
		}
	}
}

// TestThrottlingIsReckonedWith: maxThrottled is for how long the state machine tries a call that Lambda throttles.
func TestThrottlingIsReckonedWith(t *testing.T) {
	t.Parallel()
	var machine struct {
		TimeoutSeconds int
		States         struct {
			Check struct {
				Retry []struct {
					ErrorEquals                                                []string
					IntervalSeconds, BackoffRate, MaxAttempts, MaxDelaySeconds int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stepfunctions.ScaleIn), &machine); err != nil {
		t.Fatal(err)
	}
	throttled := machine.States.Check.Retry[0]
	if !slices.Equal(throttled.ErrorEquals, []string{"Lambda.TooManyRequestsException"}) {
		t.Fatalf("the first retrier is %+v", throttled)
	}
	sum, delay := 0, throttled.IntervalSeconds
	for range throttled.MaxAttempts {
		sum += min(delay, throttled.MaxDelaySeconds)
		delay *= throttled.BackoffRate
	}
	if got := time.Duration(sum) * time.Second; got != maxThrottled {
		t.Errorf("a throttled call is tried for %v, and %v are reckoned with", got, maxThrottled)
	}
	if timeout := time.Duration(machine.TimeoutSeconds) * time.Second; maxSweep+maxThrottled >= timeout {
		t.Errorf("a sweep may take %v, and the machine gives up after %v", maxSweep+maxThrottled, timeout)
	}
}

func TestTheAnswerOfTheOriginalCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("worker", 2, "celery")
	raw, err := json.Marshal(w.one(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"target":"worker","should_scale_in":true,"should_scale_out":false,"queue_len":0,"active_tasks":0,"held":0,` +
		`"desired_count":2,"running_count":2,"error":null,"failed":false,"settle_seconds":61,` +
		`"seen":{"at":"2026-11-21T12:00:00Z","processed":10,"heard":2,"workers":0},` +
		`"decision":{"action":"candidate","current":2,"desired":0,"wish":0,"reasons":["idle","settle"]}}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestCheckInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for payload, wantErr := range map[string]bool{
		`{}`: false, `null`: false, `{"source":"aws.scheduler"}`: false, `{"target":"x"}`: false,
		`{"target":"x","previous":{"at":"2026-11-21T12:00:00Z"}}`: false, `{"sweep":{"shard":0,"shards":4}}`: false,
		`[]`: true, `{"target":1}`: true, `{"previous":{"at":"2026-11-21T12:00:00Z"}}`: true, `{"target":"x","previous":{"at":1}}`: true,
		`{"sweep":{}}`: false, `{"sweep":null}`: false, `{"sweep":{"Comment":"by hand"}}`: false, `{"sweep":{"shard":3,"shards":4}}`: false,
		`{"sweep":{"shard":4,"shards":4}}`: true, `{"sweep":{"shard":-1,"shards":4}}`: true, `{"sweep":{"shard":1}}`: true,
		`{"sweep":[]}`: true,
	} {
		if _, err := CheckInput([]byte(payload)); (err != nil) != wantErr || err != nil && kindOf(err) != policy.InvalidEvent {
			t.Errorf("%s: error %v, want one: %v", payload, err, wantErr)
		}
	}
	if _, err := w.CheckOne(t.Context(), Input{Target: "gone"}); kindOf(err) != policy.UnknownTarget {
		t.Errorf("unknown target: %v", err)
	}
}

// TestShardsCoverEachTargetOnce also holds that targets of one broker are parted only where the sizes ask for it.
func TestShardsCoverEachTargetOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		brokers := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 40).Draw(t, "brokers")
		shards := rapid.IntRange(1, 10).Draw(t, "shards")
		var targets []Target
		for i, b := range brokers {
			targets = append(targets, Target{Name: fmt.Sprint(i), Broker: b})
		}
		seen, looks := map[string]int{}, 0
		for i := range shards {
			part := Shard{Shard: i, Shards: shards}.of(targets)
			if least := len(targets) / shards; len(part) < least || len(part) > least+1 {
				t.Errorf("shard %d has %d of %d targets", i, len(part), len(targets))
			}
			asked := map[string]bool{}
			for _, target := range part {
				seen[target.Name]++
				asked[target.Broker] = true
			}
			looks += len(asked)
		}
		for _, target := range targets {
			if seen[target.Name] != 1 {
				t.Errorf("target %s is in %d shards", target.Name, seen[target.Name])
			}
		}
		if distinct := len(slices.Compact(slices.Sorted(slices.Values(brokers)))); looks > distinct+shards-1 {
			t.Errorf("%d looks at %d brokers in %d shards", looks, distinct, shards)
		}
	})
}

// TestASweepIsLogged has a target that is stranded, one that cannot be seen, and one in the other shard.
func TestASweepIsLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := newWorld(t, func(o *Options) {
		o.Targets = append(o.Targets, target("video", "video"), target("zoo", "zoo"), target("a", "a"), target("b", "b"), target("c", "c"))
		o.Log = slog.New(slog.NewJSONHandler(&log, nil))
	})
	w.broker.look = emptyLook("celery", "video")
	w.setBacklog("celery", 3)
	w.fleet.services["video-svc"] = policy.Service{Desired: 1, Running: 1} // And nobody answers.
	w.fleet.errs["zoo-svc"] = broken(policy.ServiceMissing, "describe service zoo-svc: missing")
	if got := w.CheckAll(t.Context(), Shard{Shard: 0, Shards: 2}); got.Checked != 3 {
		t.Errorf("%d checked", got.Checked)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "sweep", "shard": 0.0, "shards": 2.0, "checked": 3.0, "held": 1.0, "failed": 1.0, "deferred": 0.0,
		"unknown": 2.0, "stranded": 1.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the last line (-want +got):\n%s", diff)
	}
}

// TestAShardMayBeEmpty: the state machine takes an answer without a list for the answer of another version.
func TestAShardMayBeEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, err := json.Marshal(w.CheckAll(t.Context(), Shard{Shard: 0, Shards: 5}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"checked":0,"held":0,"failed":0,"deferred":0,"targets":[]}`; string(raw) != want || w.broker.looks != 0 {
		t.Errorf("answer %s after %d looks at the broker, want %s and none", raw, w.broker.looks, want)
	}
}

// TestStranded is the alarm's: no workers though there is work, unless somebody wants it so.
func TestStranded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service policy.Service
		backlog int
		want    bool
	}{
		"work and no task":    {policy.Service{}, 3, true},
		"work and a new task": {policy.Service{Desired: 1, Pending: 1}, 3, true},
		"work and a worker":   {policy.Service{Desired: 1, Running: 1}, 3, false},
		"no work and no task": {policy.Service{}, 0, false},
		"work, paused":        {policy.Service{Tags: map[string]string{"sluice:paused": "true"}}, 3, false},
		"work, not paused":    {policy.Service{Tags: map[string]string{"sluice:paused": "false"}}, 3, true},
		"one message":         {policy.Service{}, 1, true},
		"work, all that are allowed are asked for, and none comes up": {policy.Service{Desired: 2, Tags: map[string]string{"sluice:max": "2"}}, 90, true},
		"work, none are allowed": {policy.Service{Tags: map[string]string{"sluice:max": "0"}}, 3, false},
	} {
		w := newWorld(t)
		w.broker.look = emptyLook("celery")
		w.fleet.services["worker-svc"] = c.service
		w.setBacklog("celery", c.backlog)
		if got := w.one(t).stranded(); got != c.want {
			t.Errorf("%s: stranded is %t", name, got)
		}
	}
}

// TestWhoIsNotSeenIsNotStranded: nobody knows whether a task runs.
func TestWhoIsNotSeenIsNotStranded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setBacklog("celery", 3)
	w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone")
	if c := w.one(t); c.stranded() {
		t.Errorf("%+v", c)
	}
}

// TestABrokenBrokerIsCountedWhereNothingRuns: there it holds nothing, and hides that work has come.
func TestABrokenBrokerIsCountedWhereNothingRuns(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t)
	w.broker.err = broken(policy.BrokerUnavailable, "refused")
	if got := w.CheckAll(t.Context(), Shard{}); !has(got.Targets[0].Decision, policy.ReasonSteady) || o.sweeps[0].Unknown != 1 {
		t.Errorf("%+v, sweep %+v", got.Targets[0].Decision, o.sweeps[0])
	}
}

// TestWhoseHeartbeatsAreHeard: those of candidates, whose first look remembers them. It takes two seconds, so nobody else's are.
func TestWhoseHeartbeatsAreHeard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(w *world)
		heard   int
	}{
		"a candidate of one worker":            {func(w *world) { w.run("worker", 1, "celery") }, 1},
		"a candidate of two":                   {func(w *world) { w.run("worker", 2, "celery") }, 2},
		"one whose workers all are drained":    {func(w *world) { w.run("worker", 1) }, 0},
		"one that fits":                        {func(w *world) { w.run("worker", 1, "celery"); w.setHeld("celery", 1) }, 0},
		"one that needs more":                  {func(w *world) { w.setBacklog("celery", 1) }, 0},
		"one of which nothing is known but no": {func(w *world) { w.run("worker", 1, "celery"); w.broker.look.Nodes = nil }, 0},
	} {
		w := newWorld(t)
		c.prepare(w)
		var seen policy.Sighting
		for _, target := range w.CheckAll(t.Context(), Shard{}).Targets {
			seen = target.Seen
		}
		if asked := len(w.made("beats")) > 0; seen.Heard != c.heard || seen.Processed != int64(5*c.heard) || asked != (c.heard > 0) {
			t.Errorf("%s: heard %+v, and asked: %v", name, seen, asked)
		}
	}
}

// TestWhoStartsAWorkerBesideAStuckOne: the scale-in, which alone is given what was seen before.
func TestWhoStartsAWorkerBesideAStuckOne(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.setBacklog("celery", 3)
	w.broker.look.Nodes, w.broker.look.Listeners = w.broker.look.Nodes[:1], policy.Known(1)
	c, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}})
	if err != nil || c.Decision.Action != policy.ScaleOut || !c.ShouldScaleIn || c.ShouldScaleOut {
		t.Errorf("%+v, %v", c, err)
	}
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Deploying = true })
	c, err = w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}})
	if err != nil || !has(c.Decision, policy.ReasonStuck) || c.ShouldScaleIn || c.ShouldScaleOut {
		t.Errorf("in a deployment: %+v, %v", c, err)
	}
	w.setBacklog("celery", 30) // More than they are: anybody may start one.
	c, err = w.CheckOne(t.Context(), Input{Target: "worker", Previous: &policy.Sighting{At: start.Add(-2 * time.Minute), Stuck: true}})
	if err != nil || c.Decision.Action != policy.ScaleOut || c.ShouldScaleIn || !c.ShouldScaleOut {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestADryRunScalesOutOnlyToResume holds also that one drained worker is enough for it.
func TestADryRunScalesOutOnlyToResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Targets[0].DryRun = true })
	w.setBacklog("celery", 3)
	if c := w.one(t); c.ShouldScaleOut || c.Decision.Action != policy.ScaleOut {
		t.Errorf("%+v", c)
	}
	w.run("worker", 1)
	if c := w.one(t); !c.ShouldScaleOut || c.Decision.Resume != 1 {
		t.Errorf("%+v", c)
	}
}

// TestTheRecordComesBeforeTheEffect reads the log at the moment of the effect.
func TestTheRecordComesBeforeTheEffect(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := newWorld(t, func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	w.fleet.setErr = broken(policy.FleetUnavailable, "the effect")
	w.setBacklog("celery", 3)
	_, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true})
	if err == nil || !strings.Contains(log.String(), `"action":"scale_out","current":0,"desired":1`) {
		t.Errorf("error %v, log %s", err, log.String())
	}
	if !strings.Contains(log.String(), `"reasons":["backlog"]`) || !strings.Contains(log.String(), `"backlog":3`) {
		t.Errorf("the record lacks the numbers: %s", log.String())
	}
	if strings.Contains(log.String(), `"msg":"result"`) {
		t.Errorf("a result was logged of what failed: %s", log.String())
	}
	w.fleet.setErr = nil
	_, err = w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true})
	if err != nil || !strings.Contains(log.String(), `"msg":"result","status":"scaled out","target":"worker","service":"worker-svc","desired_count":1`) {
		t.Errorf("error %v, and the result is not logged: %s", err, log.String())
	}
}

func TestNewRefusesAnUnknownBroker(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Targets: []Target{target("worker", "celery")}})
	if kindOf(err) != policy.InvalidConfig || !strings.Contains(err.Error(), `no broker named "main"`) {
		t.Errorf("error %v", err)
	}
}
