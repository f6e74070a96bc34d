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
