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

// untrackedPlan is of an idle target whose workers have a task of celery-batches, as scaler.Plan gives it (TestWhatNoLookShowsIsUnknown).
func untrackedPlan() scaler.TargetPlan {
	const cause = "worker celery@ip-10-0-0-11.ec2.internal runs task shop.batch with a strategy of its own (as celery-batches does), so what it " +
		"executes cannot be seen: set activity: counter or none for this target"
	s := policy.Signals{
		Desired: 2, Backlog: policy.Known(0), Active: policy.Unknown(cause), Held: policy.Known(0),
		Tasks: policy.TaskCounts{Known: true, Live: 2, Told: true},
	}
	l := policy.Limits{Max: 10, MessagesPerWorker: 10, Settle: time.Minute}
	d := policy.Decide(s, l, noon)
	return scaler.TargetPlan{
		Record: scaler.Record{
			UseCase: "check", Target: "video", Action: d.Action, Current: d.Current, Desired: d.Desired, Wish: d.Wish, Reasons: d.Reasons,
			Backlog: n(0), Held: n(0), Later: n(0), Running: n(2), Pending: n(0), Protected: n(0), Max: 10, Cause: cause,
		},
		Tasks: []scaler.TaskPlan{
			{ID: "0123456789", State: policy.TaskRunning, AgeS: 7300, Node: "celery@ip-10-0-0-11.ec2.internal"},
			{ID: "1123456789", State: policy.TaskRunning, AgeS: 400, Node: "celery@ip-10-0-0-12.ec2.internal"},
		},
		Alternatives: policy.Alternatives(s, l, noon),
	}
}

// What no look shows is told with its whole cause and the remedy, by each command. Nor is a worker said to do nothing, and what
// would change the decision holds.
func TestUntrackedIsTold(t *testing.T) {
	p := untrackedPlan()
	tell := func(text func(*textWriter)) string {
		w := plainWriter(80)
		text(w)
		return w.b.String()
	}
	y := why{Target: "video", At: noon, Since: at(-3600), Now: &p, settle: time.Minute, per: 10}
	y.Log = []logged{{At: at(-60), Function: "check", Decision: &p.Record}}
	s := status{At: noon, close: true, Targets: []targetStatus{
		targetStatusOf(config.Target{Name: "video"}, p, noon, decisions.Entry{Time: at(-60), Decision: &p.Record}, 11*time.Minute),
	}}
	for name, got := range map[string]struct{ text, want string }{
		"why": {tell(y.text), `video: 2 workers desired, 2 running.
A sweep would leave it at 2, because
  - not everything could be seen, and unknown is never taken for idle (unknown)
Seen: 0 waiting, ? executing, 0 held. That is work for ? workers, at 10 messages
a worker; 0 to 10 are allowed.
Trouble: not known: what executes: worker celery@ip-10-0-0-11.ec2.internal runs
task shop.batch with a strategy of its own (as celery-batches does), so what it
executes cannot be seen: set activity: counter or none for this target

TASK      STATE     AGE  WORKER                            DOES
01234567  running  2h1m  celery@ip-10-0-0-11.ec2.internal  ?
11234567  running    6m  celery@ip-10-0-0-12.ec2.internal  ?

What would change that:
  - if all could be seen, and there were nothing more: 2 -> 0 after 1m
  - if 21 more messages waited: 2 -> 3
  - if an event asked for 3: 2 -> 3

Since 11:00:00 (UTC), newest first:

11:59:00  Held at 2
          not everything could be seen, and unknown is never taken for idle
          (unknown)
          0 waiting, ? executing, 0 held; work for ?, allowed 0 to 10
          not known: what executes: worker celery@ip-10-0-0-11.ec2.internal runs
          task shop.batch with a strategy of its own (as celery-batches does),
          so what it executes cannot be seen: set activity: counter or none for
          this target
`},
		"status": {tell(s.text), `TARGET  BACKLOG  ACTIVE  HELD  DESIRED  RUNNING  PROT  LAST DECISION
video         0       ?     0        2        2     0  hold, 60s
  not known: what executes: worker celery@ip-10-0-0-11.ec2.internal runs task
  shop.batch with a strategy of its own (as celery-batches does), so what it
  executes cannot be seen: set activity: counter or none for this target
`},
		"plan": {tell(func(w *textWriter) { planText(w, scaler.Plan{Targets: []scaler.TargetPlan{p}}, nil) }), `TARGET  A SWEEP WOULD  WISH  ALLOWED  BACKLOG  ACTIVE  HELD
video   hold at 2         ?    0..10        0       ?     0
  not everything could be seen, and unknown is never taken for idle (unknown)
  not known: what executes: worker celery@ip-10-0-0-11.ec2.internal runs task
  shop.batch with a strategy of its own (as celery-batches does), so what it
  executes cannot be seen: set activity: counter or none for this target

A sweep would act on 0 of 1 target. Nothing was done.
`},
	} {
		if diff := cmp.Diff(got.want, got.text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
