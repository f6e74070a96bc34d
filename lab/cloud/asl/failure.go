package asl

import (
	"math"
	"slices"
	"time"
)

// The names of errors that Step Functions itself gives or matches.
const (
	All              = "States.ALL"               // In Retry and Catch: any error but Runtime and DataLimitExceeded.
	DataLimit        = "States.DataLimitExceeded" // More than 256 KiB. Nothing catches it but its own name.
	IntrinsicFailure = "States.IntrinsicFailure"
	NoChoiceMatched  = "States.NoChoiceMatched"
	Runtime          = "States.Runtime" // A path that finds nothing and the like. Never retried, and not caught by All.
	TaskFailed       = "States.TaskFailed"
	Timeout          = "States.Timeout"
)

// reserved are the names that ErrorEquals may use from the space that AWS keeps for itself.
var reserved = []string{
	All, DataLimit, IntrinsicFailure, NoChoiceMatched, Runtime, TaskFailed, Timeout,
	"States.BranchFailed", "States.ExceedToleratedFailureThreshold", "States.HeartbeatTimeout", "States.ItemReaderFailed",
	"States.ParameterPathFailure", "States.Permissions", "States.ResultPathMatchFailure", "States.ResultWriterFailed",
}

// TaskError is how an invocation fails with a name that Retry and Catch can match. Any other error of Invoke counts as
// States.TaskFailed.
type TaskError struct {
	Name  string // Such as "BrokerUnavailable" or "Lambda.TooManyRequestsException".
	Cause string
}

func (e *TaskError) Error() string { return e.Name + ": " + e.Cause }

// failure is why a state or an execution fails.
type failure struct {
	name, cause string
	// stop says that the whole execution has ended, by its own time-out or from outside: nothing catches that.
	stop Status
}

func runtimeFailure(err error) *failure { return &failure{name: Runtime, cause: err.Error()} }

// matches says whether ErrorEquals names the failure.
func (f *failure) matches(names []string) bool {
	switch {
	case f.stop != "":
		return false
	case slices.Contains(names, f.name):
		return true
	case f.name == Runtime || f.name == DataLimit:
		return false
	case slices.Contains(names, All):
		return true
	}
	return slices.Contains(names, TaskFailed) && f.name != Timeout
}

// delay is how long to wait before the retry with this number, from 1 on. Without jitter if jitter is nil.
func (r retrier) delay(attempt int, jitter func(time.Duration) time.Duration) time.Duration {
	seconds := r.interval.Seconds() * math.Pow(r.backoff, float64(attempt-1))
	delay := time.Duration(math.Min(seconds, maxSeconds) * float64(time.Second))
	if r.maxDelay != 0 {
		delay = min(delay, r.maxDelay)
	}
	if r.jitter {
		delay = jitter(delay)
	}
	return delay
}
