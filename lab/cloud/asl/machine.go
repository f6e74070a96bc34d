// Package asl runs a state machine written in the Amazon States Language, as AWS Step Functions would run it.
//
// It knows just the part of the language that Sluice's own machine uses, and it refuses the rest when it parses, by the
// name and the place of the field: what is not understood must not be skipped in silence, or a machine that runs here
// would do something else on AWS. Known are the states Task (Lambda functions by their ARN), Choice, Wait, Pass, Map
// (inline), Succeed and Fail; Retry and Catch on tasks; JSONPath with the simplest of filters; three intrinsic functions.
//
// Time comes from a Clock. With RealClock the items of a Map run on goroutines of their own; in a bubble of testing/synctest
// waits take no time. The simulator has a Clock of its own, with which the same input gives the same execution, event by event.
//
// The language: https://states-language.net/spec.html. What AWS adds (limits, names of errors):
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
package asl

import (
	"encoding/json"
	"time"
)

// Machine is a parsed state machine. It does not change and may run many executions at once.
type Machine struct {
	graph   *graph
	timeout time.Duration // Of a whole execution; 0 for none.
}

// graph is a set of states and where to begin: the machine's own, or that of a Map's items.
type graph struct {
	start  string
	states map[string]*state
}

// state is one state of any type; the fields of other types are nil.
type state struct {
	name string
	kind kind
	path string // Where it stands in the definition, such as "States.Sweep.ItemProcessor.States.Decide".
	next string // Empty at the end, and in Choice.

	parameters *template // Task and Pass; nil passes the input on.
	// resultPath says where the result goes in the input: nil replaces the input.
	resultPath *path

	task   *task
	choice *choice
	wait   *wait
	result any // Pass; nil if it has none. It holds JSON null as json.RawMessage("null").
	fan    *fan
	fail   *fail
}

type kind string

const (
	kindTask    kind = "Task"
	kindChoice  kind = "Choice"
	kindWait    kind = "Wait"
	kindPass    kind = "Pass"
	kindMap     kind = "Map"
	kindSucceed kind = "Succeed"
	kindFail    kind = "Fail"
)

type task struct {
	resource string
	timeout  time.Duration // 0 for none.
	selector *template     // ResultSelector; nil for none.
	retry    []retrier
	catch    []catcher
}

type retrier struct {
	errors      []string
	interval    time.Duration
	backoff     float64
	maxAttempts int
	maxDelay    time.Duration // 0 for none.
	jitter      bool          // FULL: anything from nothing to the whole delay.
}

type catcher struct {
	errors     []string
	resultPath *path
	next       string
}

type choice struct {
	rules    []rule
	fallback string // The Default; empty for none.
}

type wait struct {
	seconds     time.Duration
	secondsPath *path // Nil if seconds says it.
}

// fan is what a Map does with its items.
type fan struct {
	items       *path
	selector    *template // ItemSelector; nil passes the item on.
	concurrency int
	graph       *graph
}

type fail struct {
	err, cause string
	causePath  *path // Nil if cause says it.
}

// Status is how an execution ended.
type Status string

// How an execution may end.
const (
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED" // The context of Run was cancelled.
)

// Execution is one finished run of a machine.
type Execution struct {
	Status Status
	Output json.RawMessage // If it succeeded.
	Error  string          // The name of the error if it did not.
	Cause  string
	// Path names the states of the machine in the order in which they were entered. A state that was retried stands
	// there once.
	Path []string
	// Items has, for each Map state that was entered, the path of each of its items, by index.
	Items map[string][][]string
}
