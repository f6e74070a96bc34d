package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

func TestStatusText(t *testing.T) {
	well := decided(0, "plan", policy.Hold, 3, 3, 0, 2, policy.ReasonSteady).Decision
	well.Protected = n(2)
	broken := scaler.Record{Target: "audio", Action: policy.Hold, Reasons: []policy.Reason{policy.ReasonUnknown}, Error: "describe service audio: AccessDenied"}
	lost := decided(0, "plan", policy.Hold, 0, 0, 7, 0, policy.ReasonSteady, policy.ReasonMax).Decision
	lost.Target, lost.Unlisted = "media-production-transcoding", []string{"extra"}
	deaf := decided(0, "plan", policy.Hold, 2, 2, 1, 0, policy.ReasonUnknown, policy.ReasonGrace).Decision
	deaf.Target, deaf.Active, deaf.Cause = "deaf", nil, "1 of 2 running tasks are not heard from"
	until := at(7200)
	targets := []config.Target{
		{Name: "video", Windows: []config.Window{
			{Name: "office", Cron: "0 8 * * *", TimeZone: "UTC", For: config.Duration(10 * time.Hour), Min: n(2)},
			{Name: "night", Cron: "0 22 * * *", TimeZone: "UTC", For: config.Duration(time.Hour), Max: n(1)},
			{Name: "late", Cron: "0 23 * * *", TimeZone: "UTC", For: config.Duration(time.Hour), Max: n(0)},
		}},
		{Name: "audio"},
		{Name: "media-production-transcoding"},
		{Name: "deaf"},
	}
	plans := []scaler.TargetPlan{
		{Record: *well, Overrides: scaler.Overrides{
			Paused: true, Reason: "database upgrade", Max: n(0), Min: n(0), Floor: scaler.Floor{Count: 2, Until: until},
			Until: map[string]time.Time{scaler.TagPaused: until, scaler.TagFloor: until},
		}},
		{Record: broken},
		{Record: *lost},
		{Record: *deaf},
	}
	last := decided(-240, "scale_in", policy.ScaleIn, 5, 3, 0, 2, policy.ReasonSurplus).Decision
	old := decided(-1800, "check", policy.Candidate, 2, 1, 0, 2, policy.ReasonSurplus).Decision
	entries := map[string]decisions.Entry{"video": {Time: at(-240), Decision: last}, "deaf": {Time: at(-1800), Decision: old}}
	s := status{At: noon, close: true, Note: "A note."}
	for i, p := range plans {
		s.Targets = append(s.Targets, targetStatusOf(targets[i], p, noon, entries[targets[i].Name], 11*time.Minute))
	}
	w := plainWriter(80)
	s.text(w)
	want := `TARGET              BACKLOG  ACTIVE  HELD  DESIRED  RUNNING  PROT  LAST DECISION
video                     0       2     0        3        3     2  5 -> 3, 4m
  paused until 14:00 (sluice:paused): database upgrade
  min 0 (sluice:min)
  max 0 (sluice:max)
  floor of 2 for an event until 14:00 (sluice:floor)
  window office open until 18:00: min 2
  next window night opens 22:00: max 1
audio                     ?       ?     ?        ?        ?     ?  ?
  describe service audio: AccessDenied
  no decision in the last hour: do the sweeps run? ` + "`sluice doctor`" + ` tells
media-pro…nscoding        7       0     0        0        0     ?  ?
  its workers also fetch from extra: list it under queues, or its work is not
  seen
  7 messages wait, and nobody works: the number of workers fits; max allows no
  more workers
  no decision in the last hour: do the sweeps run? ` + "`sluice doctor`" + ` tells
deaf                      1       ?     0        2        2     ?  2 -> 1?, 30m
  not known: what executes: 1 of 2 running tasks are not heard from (a task is
  younger than grace: its worker may not have connected yet)
  no decision for 30m: do the sweeps run? ` + "`sluice doctor`" + ` tells

A note.
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where the log cannot be read that is said once, and nothing is made of what is missing.
func TestStatusWithoutALog(t *testing.T) {
	well := decided(0, "plan", policy.Hold, 3, 3, 0, 2, policy.ReasonSteady).Decision
	s := status{At: noon, LogError: "find stack sluice: there is no such stack here"}
	s.Targets = append(s.Targets, targetStatusOf(config.Target{Name: "video"}, scaler.TargetPlan{Record: *well}, noon, decisions.Entry{}, 0))
	w := plainWriter(80)
	s.text(w)
	want := `TARGET  BACKLOG  ACTIVE  HELD  DESIRED  RUNNING  LAST DECISION
video         0       2     0        3        3  ?

The last decisions are not known: find stack sluice: there is no such stack here
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlanText(t *testing.T) {
	up := decided(0, "plan", policy.ScaleOut, 1, 3, 24, 0, policy.ReasonBacklog).Decision
	down := decided(0, "plan", policy.Candidate, 3, 1, 0, 2, policy.ReasonSurplus, policy.ReasonSettle).Decision
	steady := decided(0, "plan", policy.Hold, 2, 2, 0, 12, policy.ReasonSteady).Decision
	w := plainWriter(80)
	planText(w, scaler.Plan{Targets: []scaler.TargetPlan{{Record: *up}, {Record: *down}, {Record: *steady}}}, map[string]time.Duration{"video": time.Minute})
	want := `TARGET  A SWEEP WOULD  WISH  ALLOWED  BACKLOG  ACTIVE  HELD
video   1 -> 3            3    0..10       24       0     0
  there is more work than the workers are meant to have (backlog)
video   3 -> 1?           1    0..10        0       2     0
  there are more workers than the work at hand asks for (surplus); it has to
  stay so for the settle time of 1m first (settle)
video   hold at 2         2    0..10        0      12     0

A sweep would act on 2 of 3 targets. Nothing was done.
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The work for so many workers is known only where all of the work is.
func TestWishOfWhatIsUnseen(t *testing.T) {
	n := 3
	for _, tt := range []struct {
		record scaler.Record
		want   string
	}{
		{scaler.Record{Backlog: &n, Active: &n, Held: &n}, "0"},
		{scaler.Record{Backlog: &n, Active: &n, Held: &n, Wish: 2}, "2"},
		{scaler.Record{Backlog: &n, Held: &n, Wish: 2}, ">=2"},
		{scaler.Record{Backlog: &n, Held: &n}, "?"},
		{scaler.Record{}, "?"},
	} {
		if got := wished(tt.record); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.record, got, tt.want)
		}
	}
}

func TestWhatIsUnseen(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*scaler.TargetPlan)
		want   bool
	}{
		{"all is seen", func(*scaler.TargetPlan) {}, false},
		{"a worker comes or goes", func(p *scaler.TargetPlan) { p.Record.Active = nil }, false},
		{"a decision needs it", func(p *scaler.TargetPlan) {
			p.Record.Active, p.Record.Reasons = nil, []policy.Reason{policy.ReasonUnknown}
		}, true},
		{"the broker is out of reach", func(p *scaler.TargetPlan) { p.Record.Backlog, p.Record.Error = nil, "dial: refused" }, true},
		{"ECS did not say", func(p *scaler.TargetPlan) { p.Record.Running = nil }, true},
		{"the tasks could not be described", func(p *scaler.TargetPlan) { p.Record.Error = "list tasks: AccessDenied" }, true},
		{"a tag that is wrong", func(p *scaler.TargetPlan) {
			p.Record.Error, p.Overrides.Bad = "tag sluice:max: ...", []string{"tag sluice:max: ..."}
		}, false},
	} {
		p := scaler.TargetPlan{Record: *decided(0, "plan", policy.Hold, 3, 3, 0, 2, policy.ReasonSteady).Decision}
		tt.change(&p)
		if got := unseen(p); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
