package scaler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

func (w *world) scaleOut(t *testing.T, payload string) (Change, error) {
	t.Helper()
	d, err := w.Demand([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return w.ScaleOut(t.Context(), d)
}

func TestScaleOut(t *testing.T) {
	t.Parallel()
	const unreachable = policy.BrokerUnavailable
	tests := []struct {
		name    string
		prepare func(w *world)
		payload string
		want    Change
		kind    policy.Kind // Of the error.
		desired int         // The count afterwards.
	}{
		{
			name: "the original event wakes one worker", payload: event(`{"scale_to": 1}`), desired: 1,
			want: Change{Status: "scaled out", DesiredCount: 1, Reasons: []policy.Reason{policy.ReasonDemand}},
		},
		{
			name: "the queue asks for more than the event", payload: event(`{"scale_to": 1}`), desired: 4,
			prepare: func(w *world) { w.setBacklog("celery", 35) },
			want:    Change{Status: "scaled out", DesiredCount: 4, Reasons: []policy.Reason{policy.ReasonBacklog}},
		},
		{
			name: "without scale_to the queue alone tells", payload: event(`{}`), desired: 2,
			prepare: func(w *world) { w.setBacklog("celery", 11) },
			want:    Change{Status: "scaled out", DesiredCount: 2, Reasons: []policy.Reason{policy.ReasonBacklog}},
		},
		{
			name: "clamped to max", payload: event(`{"scale_to": 1e9}`), desired: 10,
			want: Change{
				Status: "scaled out", DesiredCount: 10, Reasons: []policy.Reason{policy.ReasonDemand, policy.ReasonMax},
			},
		},
		{
			name: "it never lowers", payload: event(`{"scale_to": 1}`), desired: 3,
			prepare: func(w *world) { w.run("worker", 3, "celery") },
			want: Change{
				Status: "unchanged", DesiredCount: 3, Previous: 3, Reasons: []policy.Reason{policy.ReasonIdle, policy.ReasonSettle},
			},
		},
		{
			name: "with the broker out of reach, scale_to is obeyed", payload: event(`{"scale_to": 2}`), desired: 2,
			prepare: func(w *world) { w.broker.err = broken(unreachable, "refused") },
			want:    Change{Status: "scaled out", DesiredCount: 2, Reasons: []policy.Reason{policy.ReasonDemand}},
		},
		{
			name: "with the broker out of reach and no scale_to, nobody knows", payload: event(`{}`), kind: unreachable,
			prepare: func(w *world) { w.broker.err = broken(unreachable, "refused") },
		},
		{
			name: "with the broker out of reach, and as many already", payload: event(`{"scale_to": 2}`), desired: 2,
			prepare: func(w *world) {
				w.run("worker", 2, "celery")
				w.broker.err = broken(unreachable, "refused")
			},
			want: Change{Status: "unchanged", DesiredCount: 2, Previous: 2, Reasons: []policy.Reason{policy.ReasonSteady}},
		},
		{
			name: "min is made good although the broker is out of reach", payload: `{"target": "worker"}`, desired: 1,
			prepare: func(w *world) {
				w.broker.err = broken(unreachable, "refused")
				w.fleet.services["worker-svc"] = policy.Service{Tags: map[string]string{"sluice:min": "1"}}
			},
			want: Change{Status: "scaled out", DesiredCount: 1, Reasons: []policy.Reason{policy.ReasonMin}},
		},
		{
			name: "paused by tag", payload: event(`{"scale_to": 1}`),
			prepare: func(w *world) {
				w.fleet.services["worker-svc"] = policy.Service{Tags: map[string]string{"sluice:paused": "true"}}
			},
			want: Change{Status: "unchanged", Reasons: []policy.Reason{policy.ReasonPaused}},
		},
		{
			name: "a tag lowers max", payload: event(`{"scale_to": 9}`), desired: 2,
			prepare: func(w *world) {
				w.fleet.services["worker-svc"] = policy.Service{Tags: map[string]string{"sluice:max": "2"}}
			},
			want: Change{
				Status: "scaled out", DesiredCount: 2, Reasons: []policy.Reason{policy.ReasonDemand, policy.ReasonMax},
			},
		},
		{
			name: "the service is gone", payload: event(`{"scale_to": 1}`), kind: policy.ServiceMissing,
			prepare: func(w *world) { w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone") },
		},
		{
			name: "an update that is refused", payload: event(`{"scale_to": 1}`), kind: policy.FleetDenied,
			prepare: func(w *world) { w.fleet.setErr = broken(policy.FleetDenied, "ecs:UpdateService") },
		},
		{
			name: "fields that mean nothing are named", payload: event(`{"scale_to": 1, "scaleto": 5}`), desired: 1,
			want: Change{
				Status: "scaled out", DesiredCount: 1, Reasons: []policy.Reason{policy.ReasonDemand}, Ignored: []string{"scaleto"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			got, err := w.scaleOut(t, tt.payload)
			if kindOf(err) != tt.kind || (err != nil) != (tt.kind != "") {
				t.Fatalf("error %v, want kind %q", err, tt.kind)
			}
			if err == nil {
				tt.want.Target, tt.want.Service = "worker", "worker-svc"
				if tt.want.Status == "scaled out" && strings.Contains(tt.payload, `"time"`) {
					tt.want.EventToCountMS = new(int64) // The clock stands still.
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("change (-want +got):\n%s", diff)
				}
			}
			if got := w.desired("worker"); got != tt.desired {
				t.Errorf("the count is %d, want %d", got, tt.desired)
			}
		})
	}
}

func TestBurstsAreCoalesced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := event(`{"scale_to": 1}`)
	for range 1000 {
		if _, err := w.scaleOut(t, one); err != nil {
			t.Fatal(err)
		}
	}
	if d, s := w.fleet.count("describe"), w.fleet.count("set desired"); d != 1 || s != 1 {
		t.Fatalf("a burst cost %d describes and %d updates, want one of each", d, s)
	}

	// A higher demand, or more work than was answered for, is never swallowed.
	change, err := w.scaleOut(t, event(`{"scale_to": 3}`))
	if err != nil || change.Status != "scaled out" || w.desired("worker") != 3 {
		t.Fatalf("a higher demand in the same moment: %+v, %v", change, err)
	}
	w.setBacklog("celery", 55)
	change, err = w.scaleOut(t, one)
	if err != nil || change.DesiredCount != 6 {
		t.Fatalf("more work in the same moment: %+v, %v", change, err)
	}

	// Nor is a demand of the state machine, which may follow a scale-in of the same moment.
	w.fleet.services["worker-svc"] = policy.Service{ARN: "arn:worker"}
	change, err = w.scaleOut(t, `{"target": "worker"}`)
	if err != nil || change.DesiredCount != 6 || change.Status != "scaled out" {
		t.Fatalf("the state machine's demand: %+v, %v", change, err)
	}

	// And the memory lasts a moment only.
	w.fleet.services["worker-svc"] = policy.Service{ARN: "arn:worker"}
	w.setBacklog("celery", 0)
	w.now = w.now.Add(time.Second)
	change, err = w.scaleOut(t, one)
	if err != nil || change.Status != "scaled out" || w.desired("worker") != 1 {
		t.Fatalf("after the moment: %+v, %v", change, err)
	}
}

// TestATagAboveTheConfiguredMaxIsNotForgotten holds that a burst that grows beyond the configured max, but not beyond a
// tag's, is not answered from memory.
func TestATagAboveTheConfiguredMaxIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fleet.services["worker-svc"] = policy.Service{Tags: map[string]string{"sluice:max": "20"}}
	for _, backlog := range []int{120, 150} {
		w.setBacklog("celery", backlog)
		if _, err := w.scaleOut(t, event(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.desired("worker"); got != 15 {
		t.Errorf("the count is %d, want 15", got)
	}
}

func TestAFailedUpdateIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fleet.setErr = broken(policy.FleetThrottled, "slow down")
	if _, err := w.scaleOut(t, event(`{"scale_to": 1}`)); kindOf(err) != policy.FleetThrottled {
		t.Fatalf("error %v", err)
	}
	w.fleet.setErr = nil
	if c, err := w.scaleOut(t, event(`{"scale_to": 1}`)); err != nil || c.Status != "scaled out" {
		t.Fatalf("the retry: %+v, %v", c, err)
	}
}

func TestAFloorIsKeptAndExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held := event(`{"scale_to": 2, "hold_seconds": 600}`)
	if _, err := w.scaleOut(t, held); err != nil {
		t.Fatal(err)
	}
	svc := w.fleet.services["worker-svc"]
	if got, want := svc.Tags["sluice:floor"], "2@2026-11-21T12:10:00Z"; got != want {
		t.Fatalf("tag sluice:floor is %q, want %q", got, want)
	}
	// A burst does not write a tag for each event, though each asks for a little longer.
	for range 100 {
		w.now = w.now.Add(200 * time.Millisecond)
		if _, err := w.scaleOut(t, held); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.fleet.count("set tags"); n != 1 {
		t.Errorf("%d tags were written, want 1", n)
	}
	if n := w.fleet.count("describe"); n > 22 {
		t.Errorf("ECS was asked %d times in the 20 s, and what was answered counts for a second", n)
	}

	w.fleet.services["worker-svc"] = svc
	w.run("worker", 2, "celery")
	w.now = start.Add(10*time.Minute - time.Second)
	if c, _ := w.CheckOne(t.Context(), Input{Target: "worker"}); c.ShouldScaleIn || !has(c.Decision, policy.ReasonFloor) {
		t.Errorf("the floor is not kept: %+v", c.Decision)
	}
	w.now = start.Add(10 * time.Minute)
	if c, _ := w.CheckOne(t.Context(), Input{Target: "worker"}); !c.ShouldScaleIn {
		t.Errorf("the floor does not expire: %+v", c.Decision)
	}
}

// TestWhoKeepsAFloor: the event says for how long, or else the configuration; and it is kept for what is asked for, be it one worker.
func TestWhoKeepsAFloor(t *testing.T) {
	t.Parallel()
	byConfig := func(w *world) { w.Targets[0].FloorHold = 20 * time.Minute; w.byName["worker"] = w.Targets[0] }
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		events  []string
		want    string // The tag in the end.
	}{
		{"nobody", nil, []string{event(`{"scale_to": 2}`)}, ""},
		{"the event", nil, []string{event(`{"scale_to": 2, "hold_seconds": 600}`)}, "2@2026-11-21T12:10:00Z"},
		{"the configuration", byConfig, []string{event(`{"scale_to": 2}`)}, "2@2026-11-21T12:20:00Z"},
		{"the event goes before it", byConfig, []string{event(`{"scale_to": 2, "hold_seconds": 60}`)}, "2@2026-11-21T12:01:00Z"},
		{"the state machine, which makes good what was lost, keeps none", func(w *world) { byConfig(w); w.setBacklog("celery", 5) }, []string{`{"target": "worker"}`}, ""},
		{"there is nothing to keep", nil, []string{event(`{"hold_seconds": 600}`)}, ""},
		{"one worker, asked for by the second event of a burst", nil, []string{event(`{"scale_to": 1}`), event(`{"scale_to": 1, "hold_seconds": 600}`)}, "1@2026-11-21T12:10:00Z"},
		{"what the queue asks for", func(w *world) { w.setBacklog("celery", 35) }, []string{event(`{"scale_to": 1, "hold_seconds": 600}`)}, "4@2026-11-21T12:10:00Z"},
		{"at most max", nil, []string{event(`{"scale_to": 99, "hold_seconds": 600}`)}, "10@2026-11-21T12:10:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _, log := logged(t)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			for _, e := range tt.events {
				if _, err := w.scaleOut(t, e); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.fleet.services["worker-svc"].Tags[TagFloor]; got != tt.want {
				t.Errorf("the floor is %q, want %q", got, tt.want)
			}
			if told := lines(t, log, "floor"); (len(told) == 1) != (tt.want != "") || len(told) > 0 && told[0]["floor"] != tt.want {
				t.Errorf("it is logged as %v", told)
			}
		})
	}
	for _, tag := range []string{TagPaused, TagDryRun} {
		w := newWorld(t)
		w.fleet.services["worker-svc"] = policy.Service{Tags: map[string]string{tag: ""}}
		for range 10 {
			if _, err := w.scaleOut(t, event(`{"scale_to": 2, "hold_seconds": 600}`)); err != nil {
				t.Fatal(err)
			}
		}
		if tags, asked := w.fleet.count("set tags"), w.fleet.count("describe"); tags != 0 || asked != 1 {
			t.Errorf("%s: %d tags, and ECS was asked %d times in a moment", tag, tags, asked)
		}
	}
}

// TestWhatIsAnsweredFromMemory holds the whole answer, and when there is none.
func TestWhatIsAnsweredFromMemory(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t, func(o *Options) { o.Targets = append(o.Targets, target("video", "video")) })
	w.setBacklog("celery", 15)
	w.broker.look.Queues["video"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0)}
	w.now = start.Add(time.Second)
	if _, err := w.scaleOut(t, event(`{"queue": "celery", "scale_to": 3}`)); err != nil {
		t.Fatal(err)
	}
	got, err := w.scaleOut(t, event(`{"queue": "celery", "scale_to": 1, "note": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Change{
		Status: "unchanged", Target: "worker", Service: "worker-svc", DesiredCount: 3, Previous: 3,
		Reasons: []policy.Reason{policy.ReasonCoalesced}, Ignored: []string{"note"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"celery"}, w.broker.asked); diff != "" {
		t.Errorf("an event is not to cost a look at all queues (-want +got):\n%s", diff)
	}
	if r := o.records[1]; r.Action != policy.Hold || r.Current != 3 || r.Desired != 3 || r.Wish != 2 || *r.EventAgeMS != 1000 {
		t.Errorf("record %+v", r)
	}
	w.broker.err = broken(policy.BrokerUnavailable, "refused")
	asked := w.fleet.count("describe")
	if got, err := w.scaleOut(t, event(`{"queue": "celery", "scale_to": 1}`)); err != nil || got.Status != "unchanged" || w.fleet.count("describe") != asked {
		t.Errorf("the broker is lost, and the event says how many: %+v, %v", got, err)
	}
	if got, err := w.scaleOut(t, event(`{"queue": "celery"}`)); kindOf(err) != policy.BrokerUnavailable {
		t.Errorf("the broker is lost, and nobody says how many: %+v, %v", got, err)
	}
	w.broker.err = nil
	if _, err := w.scaleOut(t, `{"target": "worker"}`); err != nil || !cmp.Equal(w.broker.asked, []string{"celery", "video"}) {
		t.Errorf("the state machine's look tells whose what is fetched is, by all queues: %v, %v", w.broker.asked, err)
	}
}

// TestABlockedCountIsPutBack has protected tasks keep more alive than are asked for.
func TestABlockedCountIsPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(w *world)
		status  string
		kind    policy.Kind
		locks   int
	}{
		{"nobody else is at it", nil, "scaled out", "", 1},
		{"somebody lets workers go, protects those that stay, and sees to it", func(w *world) {
			w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Hour)}}
		}, "unchanged", "", 1},
		{"nobody knows whether somebody is at it", func(w *world) { w.broker.lockErr = broken(policy.BrokerUnavailable, "READONLY") }, "scaled out", "", 1},
		{"on a dry run nothing is done, and nobody kept from it", func(w *world) {
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Tags = map[string]string{TagDryRun: ""} })
		}, "unchanged", "", 0},
		{"the service is gone when the lock is ours", func(w *world) {
			w.nth(2, "describe", func() { w.fleet.errs["worker-svc"] = broken(policy.ServiceMissing, "gone") })
		}, "", policy.ServiceMissing, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := crew(t, []hand{{shield: time.Hour}, {shield: time.Hour}, {}}, oneByOne)
			w.fleet.changeService("worker-svc", func(s *policy.Service) { s.Desired = 1 })
			if tt.prepare != nil {
				tt.prepare(w)
			}
			got, err := w.scaleOut(t, `{"target": "worker"}`)
			if got.Status != tt.status || kindOf(err) != tt.kind || len(w.made("lock")) != tt.locks {
				t.Errorf("%+v, %v, %d locks; want %q, kind %q, %d", got, err, len(w.made("lock")), tt.status, tt.kind, tt.locks)
			}
			if want := map[string]int{"scaled out": 3}[tt.status]; want > 0 && w.desired("worker") != want {
				t.Errorf("the count is %d, want %d", w.desired("worker"), want)
			}
		})
	}
}

// TestAScaleOutRecordsNoScaleIn: that fewer would do is for a sweep to see.
func TestAScaleOutRecordsNoScaleIn(t *testing.T) {
	t.Parallel()
	w, o, _ := logged(t)
	w.run("worker", 3, "celery")
	if _, err := w.scaleOut(t, event(`{"scale_to": 1}`)); err != nil {
		t.Fatal(err)
	}
	if r := o.records[0]; r.Action != policy.Hold || r.Desired != 3 {
		t.Errorf("record %+v", r)
	}
}

func TestFloorMerge(t *testing.T) {
	t.Parallel()
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	tests := []struct {
		name  string
		have  Floor
		count int
		hold  time.Duration
		want  Floor
		write bool
	}{
		{"none yet", Floor{}, 2, 10 * time.Minute, Floor{2, at(10)}, true},
		{"expired", Floor{9, at(-1)}, 2, 10 * time.Minute, Floor{2, at(10)}, true},
		{"the same", Floor{2, at(10)}, 2, 10 * time.Minute, Floor{2, at(10)}, false},
		{"lower and shorter", Floor{5, at(30)}, 2, 10 * time.Minute, Floor{5, at(30)}, false},
		{"higher", Floor{2, at(30)}, 5, 10 * time.Minute, Floor{5, at(30)}, true},
		{"a little longer", Floor{2, at(9)}, 2, 10 * time.Minute, Floor{2, at(9)}, false},
		{"longer", Floor{2, at(5)}, 2, 10 * time.Minute, Floor{2, at(10)}, true},
		{"lower and longer", Floor{5, at(5)}, 2, 10 * time.Minute, Floor{5, at(10)}, true},
	}
	for _, tt := range tests {
		got, write := tt.have.merge(tt.count, tt.hold, start)
		if got != tt.want || write != tt.write {
			t.Errorf("%s: %v, write %v; want %v, %v", tt.name, got, write, tt.want, tt.write)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		tags     map[string]string
		min, max int
		paused   bool
		bad      int
	}{
		{"none", nil, 1, 4, false, 0},
		{"other tags", map[string]string{"team": "x", "sluice:owner": "y"}, 1, 4, false, 0},
		{"paused", map[string]string{"sluice:paused": "true"}, 1, 4, true, 0},
		{"paused, empty", map[string]string{"sluice:paused": ""}, 1, 4, true, 0},
		{"not paused", map[string]string{"sluice:paused": "false"}, 1, 4, false, 0},
		{"paused, unclear", map[string]string{"sluice:paused": "please"}, 1, 4, false, 1},
		{"min and max", map[string]string{"sluice:min": "2", "sluice:max": "3"}, 2, 3, false, 0},
		{"min above the configured max", map[string]string{"sluice:min": "6"}, 6, 6, false, 0},
		{"max below the configured min", map[string]string{"sluice:max": "0"}, 0, 0, false, 0},
		{"at odds", map[string]string{"sluice:min": "6", "sluice:max": "3"}, 1, 4, false, 1},
		{"not a number", map[string]string{"sluice:min": "two"}, 1, 4, false, 1},
		{"negative", map[string]string{"sluice:max": "-1"}, 1, 4, false, 1},
		{"absurd", map[string]string{"sluice:max": "99999999999999999999"}, 1, 4, false, 1},
		{"a floor nobody wrote", map[string]string{"sluice:floor": "3"}, 1, 4, false, 1},
		{"a floor without a time", map[string]string{"sluice:floor": "3@soon"}, 1, 4, false, 1},
	}
	for _, tt := range tests {
		o := ParseTags(tt.tags, policy.Limits{Min: 1, Max: 4}, start)
		if o.Limits.Min != tt.min || o.Limits.Max != tt.max || o.Paused != tt.paused || len(o.Bad) != tt.bad {
			t.Errorf("%s: min %d max %d paused %v bad %q", tt.name, o.Limits.Min, o.Limits.Max, o.Paused, o.Bad)
		}
	}
}
