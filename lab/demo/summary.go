package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the demo holds Sluice to.
const (
	// promptBound is the first promise: from the event to the new desired count.
	promptBound = time.Second
	// look is what a close look at the workers takes: they send a heartbeat every two seconds.
	look = 2500 * time.Millisecond
	// drain is what it takes to see that workers that fetch no more hold nothing, and ECS to stop them.
	drain = 8 * time.Second
	// slack is what a loaded machine may add to the times that the sweep, the waits and the looks make up.
	slack = 10 * time.Second
)

// facts is all that was observed in one run, by those who took part in it: the shop's ledger, its result backend, and the
// local cloud. Nothing in it is Sluice's own word.
type facts struct {
	tasks    map[string]*taskFacts      // From the ledger.
	expected map[string]json.RawMessage // By task: what it has to come to, computed here.
	results  map[string]json.RawMessage // By task: what the shop's API answered in the end.

	answers []answer      // The events that found no worker wanted, and what came of them.
	repairs []answer      // The same for events that were lost on purpose.
	killed  []string      // The workers that ended by SIGKILL.
	ready   time.Duration // From the first event until the first worker took a task; negative if none did.

	lastDone    time.Duration // Since the start.
	zeroAt      time.Duration // Since the start; negative if the workers never were back at zero.
	zeroBound   time.Duration // Within this much of lastDone zero is due.
	leeway      time.Duration // How much longer than promptBound an event may take; the others have it in them.
	repairBound time.Duration // Within this much of a lost event the sweep has to have made it good.
	peak        int           // The highest desired count.

	calls       map[string]int // ECS calls by operation.
	events      int            // Entries that PutEvents took.
	dropped     int            // How many of these were lost on purpose.
	sweeps      int            // Executions of the state machine that have ended.
	failedSweep int            // How many of them failed.
	denied      []string       // The calls of functions that their roles do not allow.
	interrupted string         // Why the run ended before its time; empty if it did not.
}

// answer is an event, and how long it took until the desired count was raised.
type answer struct {
	at   time.Duration // Since the start.
	took time.Duration // Negative if it never happened.
}

// summary is the judgement.
type summary struct {
	Tasks   int `json:"tasks"`
	Done    int `json:"done"`
	Wrong   int `json:"wrong_results"`
	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	Killed  int `json:"killed"`

	EventToCount  []float64 `json:"event_to_count_seconds"`
	LostToCount   []float64 `json:"lost_event_to_count_seconds"`
	EventToWorker float64   `json:"event_to_first_worker_seconds"`
	DoneToZero    float64   `json:"last_task_to_zero_seconds"`
	PeakWorkers   int       `json:"peak_workers"`

	ECSCalls     map[string]int `json:"ecs_calls"`
	Events       int            `json:"events"`
	Dropped      int            `json:"events_dropped"`
	Sweeps       int            `json:"sweeps"`
	FailedSweeps int            `json:"sweeps_failed"`

	// Template is what was run: the path of a CloudFormation template, or empty for the built-in deployment, which has no permissions.
	Template string `json:"template"`
	Denied   int    `json:"calls_denied"` // By the roles of the template.

	// Broken says which promises broke, in words. A run is good if it is empty.
	Broken []string `json:"broken"`
}

// judge counts the facts and says which promises broke.
func judge(f facts) summary {
	s := summary{
		EventToCount: []float64{}, LostToCount: []float64{}, Broken: []string{},
		EventToWorker: f.ready.Seconds(), DoneToZero: -1, PeakWorkers: f.peak,
		ECSCalls: f.calls, Events: f.events, Dropped: f.dropped, Sweeps: f.sweeps, FailedSweeps: f.failedSweep,
	}
	broken := func(format string, args ...any) { s.Broken = append(s.Broken, fmt.Sprintf(format, args...)) }
	if f.interrupted != "" {
		broken("the run did not come to its end: %s", f.interrupted)
	}

	// A task that the API accepted and that the ledger does not know at all is lost like any other.
	ids := map[string]bool{}
	for id := range f.expected {
		ids[id] = true
	}
	for id := range f.tasks {
		ids[id] = true
	}
	s.Tasks = len(ids)
	halfway := 0
	for id := range ids {
		t := f.tasks[id]
		if t == nil {
			t = &taskFacts{}
		}
		if t.Started > t.Ended {
			halfway++
		}
		if t.Started > 1 || t.Ended > 1 {
			s.Doubled++
		}
		if t.Ended == 0 {
			s.Lost++
			continue
		}
		s.Done++
		want := canonical(f.expected[id])
		if canonical(t.Result) != want || canonical(f.results[id]) != want {
			s.Wrong++
		}
	}
	// A worker may be killed while it does nothing, and a task may be left halfway by a worker whose end nobody saw. The
	// promise is about both; one and the same kill is not counted twice.
	s.Killed = max(len(f.killed), halfway)
	if s.Tasks == 0 {
		broken("no task was posted, so nothing was shown")
	}
	if s.Lost > 0 {
		broken("tasks lost (accepted and never ended): %d", s.Lost)
	}
	if s.Doubled > 0 {
		broken("tasks doubled (executed more than once): %d", s.Doubled)
	}
	if len(f.killed) > 0 {
		broken("workers killed: %d (%s)", len(f.killed), strings.Join(f.killed, ", "))
	}
	if halfway > 0 {
		broken("tasks killed (started and not ended): %d", halfway)
	}
	if s.Wrong > 0 {
		broken("wrong results: %d", s.Wrong)
	}

	if f.peak == 0 {
		broken("there never was a worker")
	}
	for _, a := range f.answers {
		s.EventToCount = append(s.EventToCount, a.took.Seconds())
		if a.took < 0 {
			broken("the event at %.1f s brought no worker", a.at.Seconds())
		} else if a.took > promptBound+f.leeway {
			broken("the event at %.1f s took %.2f s to the new count, more than %v", a.at.Seconds(), a.took.Seconds(), promptBound)
		}
	}
	for _, a := range f.repairs {
		s.LostToCount = append(s.LostToCount, a.took.Seconds())
		if a.took < 0 {
			broken("no sweep made good the event lost at %.1f s", a.at.Seconds())
		} else if a.took > f.repairBound {
			broken("the event lost at %.1f s was made good after %.1f s, more than %v", a.at.Seconds(), a.took.Seconds(), f.repairBound)
		}
	}
	if f.zeroAt < 0 {
		broken("the workers are not back at zero")
	} else {
		took := f.zeroAt - f.lastDone
		s.DoneToZero = took.Seconds()
		if took < 0 {
			broken("the workers were let go %.1f s before the last task was done", -took.Seconds())
		} else if took > f.zeroBound {
			broken("the workers were back at zero %.1f s after the last task, more than %v", took.Seconds(), f.zeroBound)
		}
	}
	if f.failedSweep > 0 {
		broken("sweeps failed: %d of %d", f.failedSweep, f.sweeps)
	}
	s.Denied = len(f.denied)
	if s.Denied > 0 {
		broken("calls that the roles of the template do not allow: %d (%s)", s.Denied, strings.Join(slices.Compact(slices.Sorted(slices.Values(f.denied))), ", "))
	}
	slices.Sort(s.Broken)
	return s
}

// canonical is the JSON with sorted keys and no spaces, so that equal values have equal texts.
func canonical(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "not JSON: " + string(raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "not JSON: " + string(raw)
	}
	return string(text)
}
