package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// goodRun is a run in which every promise held; a row of the table below breaks one of them.
func goodRun() facts {
	result := json.RawMessage(`{"number": 1, "total": 2}`)
	expected := json.RawMessage(`{"total":2,"number":1}`) // The same value in other words.
	return facts{
		tasks: map[string]*taskFacts{
			"a": {Accepted: true, Started: 1, Ended: 1, Result: result},
			"b": {Accepted: true, Started: 1, Ended: 1, Result: result},
		},
		expected:    map[string]json.RawMessage{"a": expected, "b": expected},
		results:     map[string]json.RawMessage{"a": result, "b": result},
		answers:     []answer{{at: time.Second, took: 200 * time.Millisecond}},
		ready:       2 * time.Second,
		lastDone:    20 * time.Second,
		zeroAt:      30 * time.Second,
		zeroBound:   25 * time.Second,
		repairBound: 15 * time.Second,
		peak:        3,
		calls:       map[string]int{"UpdateService": 2},
		events:      1,
		sweeps:      6,
	}
}

func TestAGoodRunBreaksNothing(t *testing.T) {
	want := summary{
		Tasks: 2, Done: 2, EventToCount: []float64{0.2}, LostToCount: []float64{}, EventToWorker: 2, DoneToZero: 10,
		PeakWorkers: 3, ECSCalls: map[string]int{"UpdateService": 2}, Events: 1, Sweeps: 6, Broken: []string{},
	}
	if diff := cmp.Diff(want, judge(goodRun())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestJudgeNamesEachBrokenPromise(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*facts)
		want  []string
	}{
		{
			"a task that never started", func(f *facts) { *f.tasks["a"] = taskFacts{Accepted: true} },
			[]string{"tasks lost (accepted and never ended): 1"},
		},
		{
			"a task that the ledger does not know", func(f *facts) { delete(f.tasks, "a") },
			[]string{"tasks lost (accepted and never ended): 1"},
		},
		{
			"a task that was started and never ended", func(f *facts) { f.tasks["a"].Ended = 0 },
			[]string{"tasks killed (started and not ended): 1", "tasks lost (accepted and never ended): 1"},
		},
		{
			"a task that ran twice", func(f *facts) { f.tasks["a"].Started, f.tasks["a"].Ended = 2, 2 },
			[]string{"tasks doubled (executed more than once): 1"},
		},
		{
			"a task that was killed and run again", func(f *facts) { f.tasks["a"].Started = 2 },
			[]string{"tasks doubled (executed more than once): 1", "tasks killed (started and not ended): 1"},
		},
		{
			"a worker that was killed while idle", func(f *facts) { f.killed = []string{"task 1"} },
			[]string{"workers killed: 1 (task 1)"},
		},
		{
			"a wrong result in the ledger", func(f *facts) { f.tasks["a"].Result = json.RawMessage(`{"number": 1, "total": 3}`) },
			[]string{"wrong results: 1"},
		},
		{
			"a wrong result in the result backend", func(f *facts) { f.results["b"] = json.RawMessage(`{"number": 1}`) },
			[]string{"wrong results: 1"},
		},
		{"no result in the result backend", func(f *facts) { f.results = nil }, []string{"wrong results: 2"}},
		{
			"nobody posted anything", func(f *facts) { f.tasks, f.expected = nil, nil },
			[]string{"no task was posted, so nothing was shown"},
		},
		{
			"a slow answer to an event", func(f *facts) { f.answers[0].took = 1300 * time.Millisecond },
			[]string{"the event at 1.0 s took 1.30 s to the new count, more than 1s"},
		},
		{"no answer to an event", func(f *facts) { f.answers[0].took = -1 }, []string{"the event at 1.0 s brought no worker"}},
		{
			"no worker at all", func(f *facts) { f.answers, f.peak = nil, 0 },
			[]string{"there never was a worker"},
		},
		{"a sweep that was faster than the event", func(f *facts) { f.answers = nil }, []string{}},
		{"a lost event that was made good in time", func(f *facts) {
			f.answers, f.repairs = nil, []answer{{at: time.Second, took: 8 * time.Second}}
		}, []string{}},
		{"a lost event that was made good late", func(f *facts) {
			f.answers, f.repairs = nil, []answer{{at: time.Second, took: 16 * time.Second}}
		}, []string{"the event lost at 1.0 s was made good after 16.0 s, more than 15s"}},
		{
			"a lost event that nobody made good", func(f *facts) { f.answers, f.repairs = nil, []answer{{at: time.Second, took: -1}} },
			[]string{"no sweep made good the event lost at 1.0 s"},
		},
		{"workers that stay", func(f *facts) { f.zeroAt = -1 }, []string{"the workers are not back at zero"}},
		{
			"workers that stay too long", func(f *facts) { f.zeroAt = 46 * time.Second },
			[]string{"the workers were back at zero 26.0 s after the last task, more than 25s"},
		},
		{
			"workers that go too early", func(f *facts) { f.zeroAt = 19 * time.Second },
			[]string{"the workers were let go 1.0 s before the last task was done"},
		},
		{"a sweep that failed", func(f *facts) { f.failedSweep = 1 }, []string{"sweeps failed: 1 of 6"}},
		{
			"a run that was interrupted", func(f *facts) { f.interrupted = "Ctrl-C" },
			[]string{"the run did not come to its end: Ctrl-C"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := goodRun()
			c.spoil(&f)
			if diff := cmp.Diff(c.want, judge(f).Broken); diff != "" {
				t.Errorf("broken promises (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSummaryIsPrinted(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*facts)
		want  string
	}{
		{"a good run", func(*facts) {}, `
  tasks done                    2 of 2
  wrong results                 0
  lost                          0
  doubled                       0
  killed                        0
  event to the new count        0.20 s
  event to the first task       2.00 s
  last task to zero workers     10.00 s
  most workers                  3
  ECS calls                     1 DescribeServices, 2 UpdateService
  events                        1 sent, 0 of them lost on purpose
  sweeps                        6, 0 of them failed

  Every promise held.
`},
		{"a lost event, and workers that stay", func(f *facts) {
			f.answers, f.repairs = nil, []answer{{at: time.Second, took: 4 * time.Second}, {at: 2 * time.Second, took: -1}}
			f.dropped, f.zeroAt, f.ready = 1, -1, -time.Second
		}, `
  tasks done                    2 of 2
  wrong results                 0
  lost                          0
  doubled                       0
  killed                        0
  lost event to the new count   4.00 s, never, by the sweep
  event to the first task       never
  last task to zero workers     never
  most workers                  3
  ECS calls                     1 DescribeServices, 2 UpdateService
  events                        1 sent, 1 of them lost on purpose
  sweeps                        6, 0 of them failed

  Promises broke:
  - no sweep made good the event lost at 2.0 s
  - the workers are not back at zero
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := goodRun()
			f.calls["DescribeServices"] = 1
			c.spoil(&f)
			var out bytes.Buffer
			judge(f).print(&out)
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
