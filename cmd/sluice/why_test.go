package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func n(i int) *int { return &i }

// at is so many seconds after noon.
func at(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }

// decided is a decision in the log of a target with 0..10 workers.
func decided(second int, useCase string, action policy.Action, current, desired, backlog, active int, reasons ...policy.Reason) logged {
	function := map[string]string{"scale_out": "scaleout", "check": "check", "confirm": "check", "scale_in": "scalein"}[useCase]
	return logged{At: at(second), Function: function, Decision: &scaler.Record{
		V: 1, UseCase: useCase, Target: "video", Action: action, Current: current, Desired: desired, Wish: (backlog + active + 9) / 10, Reasons: reasons,
		Backlog: &backlog, Active: &active, Held: n(0), Later: n(0), Running: &current, Pending: n(0), Max: 10,
	}}
}

// came is what came of a decision.
func came(second int, function, status string, previous, desired int, reasons ...policy.Reason) logged {
	return logged{At: at(second), Function: function, Result: &scaler.Change{Status: status, Target: "video", Previous: previous, DesiredCount: desired, Reasons: reasons}}
}

func TestWhyTellsTheLog(t *testing.T) {
	unknown := decided(0, "check", policy.Hold, 3, 3, 0, 0, policy.ReasonUnknown)
	unknown.Decision.Active, unknown.Decision.Cause, unknown.Decision.Unheard = nil, "1 of 3 running tasks are not heard from", []string{"0123456789abcdef"}
	half := decided(300, "check", policy.Hold, 3, 3, 0, 0, policy.ReasonSteady)
	half.Decision.Active = nil
	dry := decided(0, "check", policy.Candidate, 3, 1, 0, 2, policy.ReasonSurplus, policy.ReasonSettle, policy.ReasonDryRun)
	dry.Decision.DryRun = true
	event := came(1, "scaleout", "scaled out", 0, 3)
	ms := int64(420)
	event.Result.EventToCountMS = &ms
	for _, tt := range []struct {
		name string
		log  []logged
		want string
	}{
		{"held, many times", []logged{
			decided(0, "check", policy.Hold, 3, 3, 20, 6, policy.ReasonSteady),
			decided(300, "check", policy.Hold, 3, 3, 0, 4, policy.ReasonSteady),
			decided(600, "check", policy.Hold, 3, 3, 7, 6, policy.ReasonSteady),
		}, `
12:10:00  Held at 3, 3 times since 12:00:00
          the number of workers fits (steady)
          0 to 20 waiting, 4 to 6 executing, 0 held; work for 1 to 3, allowed 0
          to 10
`},
		{"an event", []logged{decided(0, "scale_out", policy.ScaleOut, 0, 3, 24, 0, policy.ReasonBacklog), event}, `
12:00:00  An event started workers: 0 -> 3
          there is more work than the workers are meant to have (backlog)
          24 waiting, 0 executing, 0 held; work for 3, allowed 0 to 10
          12:00:01 scaled out: 0 -> 3, 420ms after the event
`},
		{"a lost event", []logged{
			decided(0, "check", policy.ScaleOut, 0, 1, 4, 0, policy.ReasonBacklog),
			decided(1, "scale_out", policy.ScaleOut, 0, 1, 4, 0, policy.ReasonBacklog), came(1, "scaleout", "scaled out", 0, 1),
		}, `
12:00:00  A sweep started workers: 0 -> 1
          there is more work than the workers are meant to have (backlog)
          4 waiting, 0 executing, 0 held; work for 1, allowed 0 to 10
          12:00:01 scaled out: 0 -> 1
`},
		{"a scale-in, and the sweep after it", []logged{
			decided(0, "check", policy.Candidate, 3, 1, 0, 2, policy.ReasonSurplus, policy.ReasonSettle),
			decided(61, "confirm", policy.ScaleIn, 3, 1, 0, 2, policy.ReasonSurplus),
			decided(62, "scale_in", policy.ScaleIn, 3, 1, 0, 2, policy.ReasonSurplus),
			came(65, "scalein", "draining", 3, 3),
			decided(300, "check", policy.Hold, 3, 3, 0, 2, policy.ReasonWork),
		}, `
12:05:00  Held at 3
          workers execute or hold work, or work waits (work)
          0 waiting, 2 executing, 0 held; work for 1, allowed 0 to 10
12:00:00  A sweep told workers to fetch nothing more (for 3 -> 1)
          there are more workers than the work at hand asks for (surplus)
          0 waiting, 2 executing, 0 held; work for 1, allowed 0 to 10
          12:01:01 looked again: still so
          12:01:05 draining: workers fetch nothing more, and are let go once
          they are empty
`},
		{"dropped when looked at again, twice", []logged{
			decided(0, "check", policy.Candidate, 2, 0, 0, 0, policy.ReasonIdle, policy.ReasonSettle),
			decided(61, "confirm", policy.Hold, 2, 2, 3, 0, policy.ReasonMoved),
			decided(300, "check", policy.Candidate, 2, 0, 0, 0, policy.ReasonIdle, policy.ReasonSettle),
			decided(361, "confirm", policy.Hold, 2, 2, 5, 0, policy.ReasonMoved),
		}, `
12:05:00  A sweep wanted 2 -> 0, looked again, and held, 2 times since 12:00:00
          wholly and certainly idle (idle)
          0 waiting, 0 executing, 0 held; work for 0, allowed 0 to 10
          12:06:01 looked again and held: workers took on work, or were needed,
          since the first look (moved)
`},
		{"sweeps that overlap", []logged{
			decided(0, "check", policy.Candidate, 3, 1, 0, 2, policy.ReasonSurplus, policy.ReasonSettle),
			decided(40, "check", policy.Candidate, 3, 0, 0, 0, policy.ReasonIdle, policy.ReasonSettle),
			decided(61, "confirm", policy.ScaleIn, 3, 1, 0, 0, policy.ReasonSurplus),
			came(62, "scalein", "scaled in", 3, 1),
			decided(101, "confirm", policy.ScaleIn, 1, 0, 0, 0, policy.ReasonIdle),
			decided(102, "scale_in", policy.ScaleIn, 1, 0, 0, 0, policy.ReasonIdle),
			came(103, "scalein", "scaled in", 1, 0),
		}, `
12:00:40  A sweep let workers go: 1 -> 0
          wholly and certainly idle (idle)
          0 waiting, 0 executing, 0 held; work for 0, allowed 0 to 10
          12:01:41 looked again: still so
          12:01:43 scaled in: 1 -> 0
12:00:00  A sweep let workers go: 3 -> 1
          there are more workers than the work at hand asks for (surplus)
          0 waiting, 2 executing, 0 held; work for 1, allowed 0 to 10
          12:01:01 looked again: still so
          12:01:02 scaled in: 3 -> 1
`},
		{"unknown", []logged{unknown}, `
12:00:00  Held at 3
          not everything could be seen, and unknown is never taken for idle
          (unknown)
          0 waiting, ? executing, 0 held; work for ?, allowed 0 to 10
          not known: what executes: 1 of 3 running tasks are not heard from
`},
		{"unknown at times", []logged{
			decided(0, "check", policy.Hold, 3, 3, 0, 4, policy.ReasonSteady), half, decided(600, "check", policy.Hold, 3, 3, 0, 6, policy.ReasonSteady),
		}, `
12:10:00  Held at 3, 3 times since 12:00:00
          the number of workers fits (steady)
          0 waiting, 4 to 6 or ? executing, 0 held; work for 1 or ?, allowed 0
          to 10
`},
		{"a dry run", []logged{dry}, `
12:00:00  A sweep wanted 3 -> 1, if it stayed so (dry run: nothing was done)
          there are more workers than the work at hand asks for (surplus); the
          target is on a dry run, so nothing of this is done (dry-run)
          0 waiting, 2 executing, 0 held; work for 1, allowed 0 to 10
`},
		{"what cannot be read", []logged{{At: noon, Unreadable: `{"message":"decision","v":"x"}`}}, `
12:00:00  A line that cannot be read
          {"message":"decision","v":"x"}
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			y := why{Target: "video", At: at(900), Since: at(-60), Log: tt.log, settle: time.Minute, Now: &scaler.TargetPlan{Record: scaler.Record{Running: n(0)}}}
			w := plainWriter(80)
			y.text(w)
			_, got, ok := strings.Cut(w.b.String(), "newest first:\n")
			if !ok {
				t.Fatal(w.b.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhyTellsNow(t *testing.T) {
	work := decided(0, "plan", policy.Candidate, 3, 1, 0, 2, policy.ReasonSurplus, policy.ReasonSettle).Decision
	work.Window = "office hours"
	until := at(3600)
	p := scaler.TargetPlan{
		Record: *work,
		Overrides: scaler.Overrides{
			Max: n(5), PausedOut: true, Until: map[string]time.Time{scaler.TagMax: until},
		},
		Tasks: []scaler.TaskPlan{
			{ID: "0123456789", State: policy.TaskRunning, AgeS: 7300, Node: "celery@a", Active: n(2), ProtectedUntil: &until},
			{ID: "1123456789", State: policy.TaskRunning, AgeS: 400, Node: "celery@b", Active: n(0), Drained: true},
			{ID: "2123456789", State: policy.TaskRunning, AgeS: 60},
			{ID: "3123456789", State: policy.TaskRunning, AgeS: 60, Node: "celery@c"},
			{ID: "4123456789", State: policy.TaskPending, AgeS: 6},
			{ID: "5123456789", State: policy.TaskStopping, AgeS: 6},
		},
		Alternatives: []policy.Alternative{
			{If: "the 2 executing tasks ended", Decision: policy.Decision{Action: policy.Candidate, Current: 3, Desired: 0}},
			{If: "it still were so in 1m0s (settle)", Decision: policy.Decision{Action: policy.ScaleIn, Current: 3, Desired: 1}},
			{If: "19 more messages waited", Decision: policy.Decision{Action: policy.Hold, Current: 3, Desired: 3}},
			{If: "39 more messages waited", Decision: policy.Decision{Action: policy.ScaleOut, Current: 3, Desired: 4}},
		},
	}
	y := why{Target: "video", At: noon, Since: at(-3600), Now: &p, settle: time.Minute, per: 10, LogError: "no right", Note: "The Check function is deployed."}
	w := plainWriter(80)
	y.text(w)
	want := `video: 3 workers desired, 3 running.
A sweep would let 2 workers go (3 -> 1), if it stays so for 1m, because
  - there are more workers than the work at hand asks for (surplus)
Seen: 0 waiting, 2 executing, 0 held. That is work for 1 worker, at 10 messages
a worker; 0 to 10 are allowed.
In effect by a tag: scale-out paused (sluice:paused-out).
In effect by a tag: max 5 until 13:00 (sluice:max).
In effect by a window: office hours.

TASK      STATE      AGE  WORKER    DOES
01234567  running   2h1m  celery@a  executes 2, protected until 13:00
11234567  running     6m  celery@b  nothing, drained
21234567  running    60s            ? (no worker known by it)
31234567  running    60s  celery@c  ?
41234567  pending     6s            starts
51234567  stopping    6s            is on its way out

What would change that:
  - if the 2 executing tasks ended: 3 -> 0 after 1m
  - if 19 more messages waited: stay at 3
  - if 39 more messages waited: 3 -> 4
The Check function is deployed.

The log of decisions could not be read: no right
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhyWithoutALook(t *testing.T) {
	y := why{Target: "video", At: noon, Since: at(-3600), LookError: "ask function check: Unhandled: out of memory"}
	w := plainWriter(80)
	y.text(w)
	want := `video: could not be looked at: ask function check: Unhandled: out of memory

Since 11:00:00 (UTC) there was no decision: do the sweeps run? ` + "`sluice doctor`" + `
tells.
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration // 0: refused.
	}{
		{"90m", 90 * time.Minute},
		{"2d", 48 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"30s", 30 * time.Second},
		{"0s", 0},
		{"0d", 0},
		{"-1h", 0},
		{"-1d", 0},
		{"d", 0},
		{"1", 0},
		{"1dd", 0},
		{"", 0},
		{"1.5d", 0},
		{"99999d", 0},
	} {
		var s span
		if err := s.Set(tt.in); (err == nil) != (tt.want > 0) || time.Duration(s) != tt.want {
			t.Errorf("%q: %v, %v", tt.in, time.Duration(s), err)
		}
	}
}

func TestAgo(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "119s": 119 * time.Second, "2m": 2 * time.Minute, "59m": 3599 * time.Second, "1h": time.Hour, "3h20m": 200 * time.Minute,
		"47h": 47*time.Hour + 59*time.Minute, "2d": 48 * time.Hour,
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
