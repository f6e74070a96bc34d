package policy

import "time"

// Action is what a decision comes to.
type Action string

// The actions.
const (
	Hold     Action = "hold"      // Leave the count as it is.
	ScaleOut Action = "scale_out" // Raise it now.
	// Candidate means that the target looks idle and the count could be lowered, if it still looks so when it is looked
	// at again after the settle time. Nothing is done yet.
	Candidate Action = "candidate"
	ScaleIn   Action = "scale_in" // Lower it now.
)

// Limits are what the configuration, and the windows and tags that override it, allow. They have been validated:
// 0 <= Min <= Max, 1 <= MessagesPerWorker.
type Limits struct {
	Min int
	// Max is 0 only while somebody wants no worker at all: each is then let go when its own work is done, whatever waits.
	Max               int
	MessagesPerWorker int           // How much work, waiting and in hand, one worker is meant to have.
	Grace             time.Duration // A task younger than this is still on its way up, and not let go.
	Settle            time.Duration // How long a target has to be seen idle before it is scaled in.
	ScaleInStep       int           // At most so many tasks fewer at once; 0 is no limit.
}

// Signals are what was seen of a target at one time.
type Signals struct {
	Desired     int
	Deploying   bool
	Paused      bool
	PausedIn    bool // Nothing is let go.
	PausedOut   bool // Nothing is started.
	DryRun      bool // Nothing of what is decided is done, but that drained workers fetch again.
	BadOverride bool // A tag meant for us that cannot be understood.

	Demand int // What the event at hand asks for; 0 if none does.
	Floor  int // What an earlier event asked to keep; 0 if none, or it has expired.

	Backlog Count // Due messages that wait.
	Active  Count // Tasks that execute; a worker that listens and does not answer counts as executing.
	Held    Count // Due messages that workers have fetched and not started or not acknowledged.

	Drained Drained
	// Overlap says that another is about to resume the drained workers, or to let them go: only new ones are certain.
	Overlap bool
	// Stuck says that messages wait although no worker has anything to do (they fetch nothing without having been drained), or
	// although some were not heard from long after their start.
	Stuck   bool
	Unheard int // Running tasks that were not heard from.
	// Blind says that the workers cannot be asked, so that they cannot be let go one by one either.
	Blind bool

	Tasks TaskCounts
	Seen  Sighting
	Prior *Sighting // What was seen when the target was first found idle; nil if this is the first look.
}

// Drained are the running tasks whose workers fetch nothing any more: they are no capacity.
type Drained struct {
	Tasks     int // All of them.
	Idle      int // Those of them that execute nothing. They can fetch again at once, and they can be let go.
	Executing int // What the others execute, in their own time: part of Active, and nothing that asks for a worker.
}

// TaskCounts is what a look at the single tasks of a service gives. A first look does without it: it costs two calls for
// each service, which the quota does not bear for a thousand of them. So without it there is at most a candidate.
type TaskCounts struct {
	Known     bool
	Young     int // Tasks on their way up, and running ones that are younger than grace.
	Live      int // Tasks that run or are on their way up.
	Protected int // Tasks that are protected from scale-in at this time.
	// Told says that each worker is known to run in a certain task. Without it nobody can be chosen: it is all or none.
	Told bool
}

// Sighting is what has to be remembered of one look in order to tell, at the next one, whether anything happened in
// between. It travels in the state machine's data.
type Sighting struct {
	At        time.Time `json:"at"`
	Processed int64     `json:"processed"` // Tasks that the workers have accepted since they started, all together.
	Heard     int       `json:"heard"`     // How many workers that sum is of; 0 where workers send no heartbeats.
	Workers   int       `json:"workers"`   // How many workers were wanted then: see Want.
	Stuck     bool      `json:"stuck,omitempty"`
}

// Decision is what to do about one target, and why.
type Decision struct {
	Action  Action `json:"action"`
	Current int    `json:"current"`
	// Desired is what the count is to be: that of Current unless Action is ScaleOut, Candidate or ScaleIn. A ScaleOut may
	// leave it, and only have drained workers fetch again.
	Desired int      `json:"desired"`
	Wish    int      `json:"wish"` // What the work alone asks for, before any bound.
	Reasons []Reason `json:"reasons"`
	Resume  int      `json:"resume,omitempty"` // With ScaleOut: how many drained workers are to fetch again.
}
