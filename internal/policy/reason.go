package policy

// Reason is why a decision is what it is. The list is closed: the same word stands in the answer, the log, the metric and
// the README's table, and each has one fixed sentence.
type Reason string

// What asks for workers.
const (
	ReasonBacklog Reason = "backlog"
	ReasonDemand  Reason = "demand"
	ReasonFloor   Reason = "floor"
	ReasonMin     Reason = "min"
	ReasonResume  Reason = "resume"
	ReasonBlocked Reason = "blocked"
)

// What bounds the count.
const (
	ReasonMax  Reason = "max"
	ReasonStep Reason = "step"
)

// What says that nothing is to be done.
const (
	ReasonSteady    Reason = "steady"
	ReasonPaused    Reason = "paused"
	ReasonPausedIn  Reason = "paused-in"
	ReasonPausedOut Reason = "paused-out"
	ReasonCoalesced Reason = "coalesced"
	ReasonDryRun    Reason = "dry-run"
)

// What holds a scale-in back, in the order in which it is looked at.
const (
	ReasonUnknown    Reason = "unknown"
	ReasonOverride   Reason = "override"
	ReasonDeployment Reason = "deployment"
	ReasonGrace      Reason = "grace"
	ReasonWork       Reason = "work"
	ReasonProtected  Reason = "protected"
	ReasonMoved      Reason = "moved"
	ReasonUntold     Reason = "untold"
	ReasonOverlap    Reason = "overlap"
	ReasonSettle     Reason = "settle"
)

// What lets workers go.
const (
	ReasonIdle    Reason = "idle"
	ReasonSurplus Reason = "surplus"
	ReasonStuck   Reason = "stuck"
)

// sentences holds the one sentence of each reason. It is also the list of all of them.
var sentences = map[Reason]string{
	ReasonBacklog:    "there is more work than the workers are meant to have",
	ReasonDemand:     "the event asked for this many workers",
	ReasonFloor:      "an earlier event asked to keep this many workers for a while",
	ReasonMin:        "min asks for this many workers",
	ReasonResume:     "drained workers fetch again, which is quicker than starting new ones",
	ReasonBlocked:    "protected tasks keep ECS from a lower count, which would stop busy workers later",
	ReasonMax:        "max allows no more workers",
	ReasonStep:       "scale_in_step allows no larger step down",
	ReasonSteady:     "the number of workers fits",
	ReasonPaused:     "the tag sluice:paused on the service stops all scaling",
	ReasonPausedIn:   "the tag sluice:paused-in on the service keeps every worker",
	ReasonPausedOut:  "the tag sluice:paused-out on the service starts no worker",
	ReasonDryRun:     "the target is on a dry run, so nothing of this is done",
	ReasonCoalesced:  "an event asked for as many a moment ago",
	ReasonUnknown:    "not everything could be seen, and unknown is never taken for idle",
	ReasonOverride:   "a sluice: tag on the service cannot be understood, so nothing is taken away",
	ReasonDeployment: "a deployment is in progress",
	ReasonGrace:      "a task is younger than grace",
	ReasonWork:       "workers execute or hold work, or work waits",
	ReasonProtected:  "tasks are protected from scale-in",
	ReasonMoved:      "workers took on work, or were needed, since the first look",
	ReasonUntold:     "not every worker is known by its task, so they are let go only all together",
	ReasonOverlap:    "another sweep is letting workers of the target go",
	ReasonSettle:     "seen so, but not yet for the settle time",
	ReasonIdle:       "wholly and certainly idle",
	ReasonStuck:      "messages wait although workers have nothing to do: one of them has to be replaced",
	ReasonSurplus:    "there are more workers than the work at hand asks for",
}

// Sentence returns the reason in plain words.
func (r Reason) Sentence() string { return sentences[r] }
