package scaler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// deeds are the calls that change something.
var deeds = []string{"set desired", "cancel", "consume", "protect", "release", "set tags", "lock"}

func dryRun(o *Options) { o.Targets[0].DryRun = true }

// TestADryRunDoesNothing has everything that there is to do, and nothing of it done: by the configuration, and by the tag.
func TestADryRunDoesNothing(t *testing.T) {
	t.Parallel()
	prepare := map[string]func(w *world){
		"work for more": func(w *world) { w.setBacklog("celery", 90) },
		"too many":      func(*world) {},
		"none is to run": func(w *world) {
			w.setBacklog("celery", 90)
			w.Targets[0].Limits.Max = 0
		},
		"a count that ECS could not get down to": func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 1 })
			w.fleet.change("worker-svc", "worker0", func(t *policy.Task) { t.ProtectedUntil = start.Add(time.Hour) })
		},
		"long work to be shielded": func(w *world) {
			w.broker.change("celery@worker0", func(n *policy.Node) { n.Active, n.OldestStart = policy.Known(1), start.Add(-time.Hour) })
		},
	}
	for name, prepare := range prepare {
		for _, by := range []string{"configuration", "tag"} {
			t.Run(name+", by "+by, func(t *testing.T) {
				t.Parallel()
				w, o, _ := logged(t, func(o *Options) {
					o.Targets[0].DryRun = by == "configuration"
					o.Targets[0].Shield = 15 * time.Minute
					o.Targets[0].FloorHold = time.Hour
				}, oneByOne)
				w.run("worker", 3, "celery")
				if by == "tag" {
					w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagDryRun: "true"} })
				}
				prepare(w)
				w.CheckAll(t.Context(), Shard{})
				first := w.one(t)
				if first.ShouldScaleOut {
					t.Errorf("the state machine is sent to scale out: %+v", first.Decision)
				}
				w.now = w.now.Add(2 * time.Minute)
				confirmed, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &first.Seen})
				if err != nil || confirmed.ShouldScaleIn || confirmed.ShouldScaleOut {
					t.Errorf("the state machine is sent to act: %+v, %v", confirmed, err)
				}
				if _, err := w.scaleOut(t, event(`{"scale_to": 7, "hold_seconds": 900}`)); err != nil {
					t.Error(err)
				}
				if made := w.made(deeds...); len(made) > 0 {
					t.Errorf("it did %v", made)
				}
				// A scale-in that was under way already takes the lock, and does nothing either.
				change, err := w.ScaleIn(t.Context(), Input{Target: "worker", Previous: &first.Seen})
				if err != nil || change.Status != "held" || change.DesiredCount != change.Previous {
					t.Errorf("scale in: %+v, %v", change, err)
				}
				if made := w.made(deeds[:6]...); len(made) > 0 {
					t.Errorf("it did %v", made)
				}
				for _, r := range o.records {
					if !r.DryRun || r.Action != policy.Hold && !slices.Contains(r.Reasons, policy.ReasonDryRun) {
						t.Errorf("recorded %s %s for %v, dry run %v", r.UseCase, r.Action, r.Reasons, r.DryRun)
					}
				}
			})
		}
	}
}

// TestADryRunSaysWhatItWouldDo goes the way of the state machine: an idle target is confirmed, and what is decided then is recorded.
func TestADryRunSaysWhatItWouldDo(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t, dryRun)
	w.run("worker", 3, "celery")
	first := w.CheckAll(t.Context(), Shard{}).Targets
	if len(first) != 1 || !first[0].ShouldScaleIn {
		t.Fatalf("a candidate is not followed up: %+v", first)
	}
	w.now = w.now.Add(61 * time.Second)
	if _, err := w.CheckOne(t.Context(), Input{Target: "worker", Previous: &first[0].Seen}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.scaleOut(t, event(`{"scale_to": 5}`)); err != nil {
		t.Fatal(err)
	}
	type said struct {
		UseCase string
		Action  policy.Action
		To      int
		Reasons string
	}
	var got []said
	for _, r := range o.records {
		var reasons []string
		for _, why := range r.Reasons {
			reasons = append(reasons, string(why))
		}
		got = append(got, said{r.UseCase, r.Action, r.Desired, strings.Join(reasons, " ")})
	}
	want := []said{
		{"check", policy.Candidate, 0, "idle settle dry-run"},
		{"confirm", policy.ScaleIn, 0, "idle dry-run"},
		{"scale_out", policy.ScaleOut, 5, "demand dry-run"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	// The tag ends what the configuration says.
	w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagDryRun: "false"} })
	w.now = w.now.Add(time.Minute)
	if _, err := w.scaleOut(t, event(`{"scale_to": 5}`)); err != nil || w.desired("worker") != 5 {
		t.Errorf("with the tag false the count is %d, %v; want 5", w.desired("worker"), err)
	}
}

// TestNobodyIsLeftDrained has workers that an earlier scale-in had drained when scaling was halted: they fetch again, with the next
// sweep.
func TestNobodyIsLeftDrained(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{TagPaused, TagPausedIn, TagDryRun} {
		for _, waiting := range []int{0, 90} {
			t.Run(tag, func(t *testing.T) {
				t.Parallel()
				w := crew(t, []hand{{drained: true}, {drained: true, active: 1}, {}}, oneByOne)
				w.setBacklog("celery", waiting)
				w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{tag: "true"} })
				targets := w.CheckAll(t.Context(), Shard{}).Targets
				if len(targets) != 1 || !targets[0].ShouldScaleOut || targets[0].Decision.Resume != 2 {
					t.Fatalf("the sweep finds %+v", targets)
				}
				change, err := w.ScaleOut(t.Context(), Demand{Target: w.Targets[0], Direct: true})
				want := "resumed"
				if tag == TagPausedIn && waiting > 0 {
					want = "scaled out"
				}
				if err != nil || change.Status != want {
					t.Errorf("%+v, %v; want %s", change, err, want)
				}
				if diff := cmp.Diff([]string{"consume worker0 worker1"}, w.made("consume")); diff != "" {
					t.Errorf("who fetches again (-want +got):\n%s", diff)
				}
				if n := w.desired("worker"); tag != TagPausedIn && n != 3 || tag == TagPausedIn && waiting > 0 && n != 10 {
					t.Errorf("the count is %d", n)
				}
			})
		}
	}
}

// TestHaltedDuringAScaleIn sets a tag before each call of a scale-in: workers that it has drained fetch again, or are let go if it was
// too late for that; nobody is left drained, and nobody who stays is left protected for good.
func TestHaltedDuringAScaleIn(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{TagPaused, TagPausedIn, TagDryRun} {
		for at, last := 1, false; !last; at++ {
			l := newLiving(t, 4, false)
			l.come(2 * time.Hour)
			l.onCall[at] = func() { l.tag(tag, "true") }
			l.scaleIn(t, l.settled(0))
			last = len(l.calls) < at
			where := "none"
			if !last {
				where = l.calls[at-1]
			}
			l.tag(tag, "true")
			for range 3 {
				l.pass(4 * time.Minute)
				l.sweep(t)
			}
			l.checkNothingLost(t)
			for _, n := range l.broker.look.Nodes {
				if len(n.Queues) == 0 {
					t.Errorf("%s is left drained", n.Name)
				}
			}
			if n, tasks := l.desired("worker"), len(l.fleet.tasks["worker-svc"]); n != tasks {
				t.Errorf("%d are asked for, and %d run", n, tasks)
			}
			if t.Failed() {
				t.Fatalf("%s was set before call %d (%s): %s", tag, at, where, l)
			}
		}
	}
}

// TestPausedOutStartsNobody lets a sweep go its way while messages wait.
func TestPausedOutStartsNobody(t *testing.T) {
	t.Parallel()
	l := newLiving(t, 2, false)
	l.come(9*time.Hour, 9*time.Hour, 9*time.Hour, 9*time.Hour)
	l.tag(TagPausedOut, TagValue("true", start.Add(time.Hour)))
	l.sweep(t)
	if change, err := l.event(t); err != nil || change.Status != "unchanged" || l.desired("worker") != 2 {
		t.Errorf("an event: %+v, %v, and the count is %d", change, err, l.desired("worker"))
	}
	l.pass(time.Hour)
	l.sweep(t)
	if n := l.desired("worker"); n != 4 {
		t.Errorf("when the time is over the count is %d, want 4", n)
	}
}

// event has an event ask for five.
func (l *living) event(t *testing.T) (Change, error) {
	t.Helper()
	return l.world.scaleOut(t, event(`{"scale_to": 5}`))
}

// TestWhoIsStranded counts targets with work and no worker, but for those that somebody wants so.
func TestWhoIsStranded(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int{
		"none": 1, TagPaused: 0, TagPausedOut: 0, TagDryRun: 0, TagPausedIn: 1,
	} {
		w, o, _ := logged(t)
		w.setBacklog("celery", 5)
		w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{tag: "true"} })
		w.CheckAll(t.Context(), Shard{})
		if got := o.sweeps[0].Stranded; got != want {
			t.Errorf("%s: %d stranded, want %d", tag, got, want)
		}
	}
}
