package policy

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// limits are those of most rows: 0 to 10 workers, 10 messages each.
var limits = Limits{Min: 0, Max: 10, MessagesPerWorker: 10, Grace: 90 * time.Second, Settle: time.Minute}

// idle is a target with two workers and nothing at all to do, seen so a minute ago with its tasks looked at. Each worker's name
// tells its task.
func idle() Signals {
	return Signals{
		Desired: 2,
		Backlog: Known(0), Active: Known(0), Held: Known(0),
		Tasks: TaskCounts{Known: true, Live: 2, Told: true},
		Seen:  Sighting{At: now, Processed: 7, Heard: 2},
		Prior: &Sighting{At: now.Add(-time.Minute), Processed: 7, Heard: 2},
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(s *Signals, l *Limits)
		want   Decision
	}{
		// What asks for workers.
		{
			"one message wakes one worker",
			func(s *Signals, _ *Limits) { s.Desired, s.Backlog = 0, Known(1) },
			Decision{ScaleOut, 0, 1, 1, []Reason{ReasonBacklog}, 0},
		},
		{
			"a full worker's worth asks for one, one message more for two",
			func(s *Signals, _ *Limits) { s.Desired, s.Backlog = 1, Known(11) },
			Decision{ScaleOut, 1, 2, 2, []Reason{ReasonBacklog}, 0},
		},
		{
			"what waits, executes and is held counts alike",
			func(s *Signals, _ *Limits) { s.Backlog, s.Active, s.Held = Known(10), Known(10), Known(11) },
			Decision{ScaleOut, 2, 4, 4, []Reason{ReasonBacklog}, 0},
		},
		{
			"max bounds the wish",
			func(s *Signals, _ *Limits) { s.Backlog = Known(1_000_000) },
			Decision{ScaleOut, 2, 10, 100_000, []Reason{ReasonBacklog, ReasonMax}, 0},
		},
		{
			"an event's demand is obeyed though nothing is seen yet",
			func(s *Signals, _ *Limits) { s.Desired, s.Demand = 0, 3 },
			Decision{ScaleOut, 0, 3, 0, []Reason{ReasonDemand}, 0},
		},
		{
			"an event's demand is clamped",
			func(s *Signals, _ *Limits) { s.Desired, s.Demand = 0, 99 },
			Decision{ScaleOut, 0, 10, 0, []Reason{ReasonDemand, ReasonMax}, 0},
		},
		{
			"a demand below the wish changes nothing",
			func(s *Signals, _ *Limits) { s.Desired, s.Demand, s.Backlog = 0, 1, Known(35) },
			Decision{ScaleOut, 0, 4, 4, []Reason{ReasonBacklog}, 0},
		},
		{
			"a demand and a min of just what the work asks for: it is the work that asks",
			func(s *Signals, l *Limits) { s.Desired, s.Demand, s.Backlog, l.Min = 0, 4, Known(35), 4 },
			Decision{ScaleOut, 0, 4, 4, []Reason{ReasonBacklog}, 0},
		},
		{
			"a demand below the count keeps as many, and lets go who is too many",
			func(s *Signals, _ *Limits) { s.Demand, s.Desired, s.Tasks.Live = 2, 3, 3 },
			Decision{ScaleIn, 3, 2, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"a floor is kept",
			func(s *Signals, _ *Limits) { s.Floor = 2 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonSteady, ReasonFloor}, 0},
		},
		{
			"a floor that was lost is made good",
			func(s *Signals, _ *Limits) { s.Desired, s.Floor = 0, 2 },
			Decision{ScaleOut, 0, 2, 0, []Reason{ReasonFloor}, 0},
		},
		{
			"min is kept without work",
			func(s *Signals, l *Limits) { s.Desired, l.Min = 0, 1 },
			Decision{ScaleOut, 0, 1, 0, []Reason{ReasonMin}, 0},
		},
		{
			"unknown never blocks a scale-out",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Backlog, s.Active, s.Held = 0, Known(5), Unknown("no answer"), Unknown("no answer")
			},
			Decision{ScaleOut, 0, 1, 1, []Reason{ReasonBacklog}, 0},
		},
		{
			"a demand is obeyed without any broker",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Demand, s.Backlog, s.Active, s.Held = 0, 1, Unknown("x"), Unknown("x"), Unknown("x")
			},
			Decision{ScaleOut, 0, 1, 0, []Reason{ReasonDemand}, 0},
		},
		{
			"a lower bound counts",
			func(s *Signals, _ *Limits) { s.Active = AtLeast(25, "one of four silent") },
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog}, 0},
		},
		{
			"neither a deployment nor a young task nor a bad tag blocks a scale-out",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Deploying, s.BadOverride, s.Tasks.Young = Known(30), true, true, 2
			},
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog}, 0},
		},

		// What says that nothing is to be done.
		{
			"the number fits",
			func(s *Signals, _ *Limits) { s.Backlog = Known(20) },
			Decision{Hold, 2, 2, 2, []Reason{ReasonSteady}, 0},
		},
		{
			"the number is all that max allows",
			func(s *Signals, l *Limits) { s.Backlog, l.Max = Known(90), 2 },
			Decision{Hold, 2, 2, 9, []Reason{ReasonSteady, ReasonMax}, 0},
		},
		{
			"nothing runs and nothing is to be done",
			func(s *Signals, _ *Limits) { s.Desired = 0 },
			Decision{Hold, 0, 0, 0, []Reason{ReasonSteady}, 0},
		},
		{
			"paused wins over work",
			func(s *Signals, _ *Limits) { s.Paused, s.Backlog = true, Known(99) },
			Decision{Hold, 2, 2, 10, []Reason{ReasonPaused}, 0},
		},
		{
			"paused wins over a demand",
			func(s *Signals, _ *Limits) { s.Paused, s.Demand, s.Desired = true, 3, 0 },
			Decision{Hold, 0, 0, 0, []Reason{ReasonPaused}, 0},
		},
		{
			"paused wins over idleness",
			func(s *Signals, _ *Limits) { s.Paused = true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonPaused}, 0},
		},

		// What holds a scale-in back.
		{
			"unknown backlog",
			func(s *Signals, _ *Limits) { s.Backlog = Unknown("WRONGTYPE") },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"unknown activity",
			func(s *Signals, _ *Limits) { s.Active = Unknown("1 of 2 tasks heard from") },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"a count that nobody filled in is unknown",
			func(s *Signals, _ *Limits) { s.Held = Count{} },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"a deployment",
			func(s *Signals, _ *Limits) { s.Deploying = true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonDeployment}, 0},
		},
		{
			"a task that has just come up",
			func(s *Signals, _ *Limits) { s.Tasks.Young = 1 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonGrace}, 0},
		},
		{
			"a tag with a typing error",
			func(s *Signals, _ *Limits) { s.BadOverride = true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonOverride}, 0},
		},
		{
			"all tasks protected",
			func(s *Signals, _ *Limits) { s.Tasks.Protected = 2 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonProtected}, 0},
		},
		{
			"one was needed at the first look, though two are too many for the work at hand",
			func(s *Signals, _ *Limits) { s.Prior.Workers = 2 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonMoved}, 0},
		},
		{
			"a worker whose name does not tell its task, and work for one of two",
			func(s *Signals, _ *Limits) { s.Active, s.Tasks.Told = Known(1), false },
			Decision{Hold, 2, 2, 1, []Reason{ReasonUntold}, 0},
		},
		{
			"workers that cannot be asked, and work for one of two",
			func(s *Signals, _ *Limits) { s.Backlog, s.Blind, s.Tasks.Told = Known(1), true, false },
			Decision{Hold, 2, 2, 1, []Reason{ReasonWork}, 0},
		},
		{
			"workers that cannot be asked, and a task taken on since",
			func(s *Signals, _ *Limits) { s.Seen.Processed, s.Blind = 9, true },
			Decision{Hold, 2, 2, 0, []Reason{ReasonMoved}, 0},
		},
		{
			"everything at once is named in order",
			func(s *Signals, _ *Limits) {
				s.Active, s.Held, s.BadOverride, s.Deploying = Unknown("x"), Known(1), true, true
				s.Tasks.Young, s.Tasks.Protected, s.Tasks.Told = 1, 2, false
			},
			Decision{Hold, 2, 2, 1, []Reason{
				ReasonUnknown, ReasonOverride, ReasonDeployment, ReasonGrace, ReasonProtected, ReasonUntold,
			}, 0},
		},
		{
			"unknown, and a task was taken on since: one worker stays for what is unknown",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Tasks.Live, s.Active, s.Seen.Processed = 1, 1, Unknown("x"), 9
			},
			Decision{Hold, 1, 1, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"workers that cannot be asked, a task taken on since, and two needed at the first look: it is said once",
			func(s *Signals, _ *Limits) { s.Seen.Processed, s.Blind, s.Prior.Workers = 9, true, 2 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonMoved}, 0},
		},

		// What lets workers go.
		{
			"the first sight of idleness makes a candidate, without a look at the tasks",
			func(s *Signals, _ *Limits) { s.Prior, s.Tasks = nil, TaskCounts{} },
			Decision{Candidate, 2, 0, 0, []Reason{ReasonIdle, ReasonSettle}, 0},
		},
		{
			"the settle time has not passed",
			func(s *Signals, _ *Limits) { s.Prior.At = now.Add(-59 * time.Second) },
			Decision{Candidate, 2, 0, 0, []Reason{ReasonIdle, ReasonSettle}, 0},
		},
		{
			"a first sighting from the future proves nothing",
			func(s *Signals, _ *Limits) { s.Prior.At = now.Add(time.Hour) },
			Decision{Candidate, 2, 0, 0, []Reason{ReasonIdle, ReasonSettle}, 0},
		},
		{
			"settled, but nobody looked at the tasks",
			func(s *Signals, _ *Limits) { s.Tasks = TaskCounts{} },
			Decision{Hold, 2, 2, 0, []Reason{ReasonUnknown}, 0},
		},
		{
			"idle for the settle time",
			func(*Signals, *Limits) {},
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle, down to min",
			func(_ *Signals, l *Limits) { l.Min = 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle, by steps",
			func(s *Signals, l *Limits) { s.Desired, s.Tasks.Live, l.ScaleInStep = 9, 9, 3 },
			Decision{ScaleIn, 9, 6, 0, []Reason{ReasonIdle, ReasonStep}, 0},
		},
		{
			"idle, and a step allows more than are to go",
			func(s *Signals, l *Limits) { s.Desired, s.Tasks.Live, l.Min, l.ScaleInStep = 4, 4, 2, 3 },
			Decision{ScaleIn, 4, 2, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle, and a step allows just as many as are to go",
			func(_ *Signals, l *Limits) { l.ScaleInStep = 2 },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle, down to what is protected",
			func(s *Signals, _ *Limits) { s.Tasks.Protected = 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle, ReasonProtected}, 0},
		},
		{
			"idle, down to the floor",
			func(s *Signals, _ *Limits) { s.Floor = 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle and above a max that was lowered",
			func(s *Signals, l *Limits) { s.Desired, s.Tasks.Live, l.Min, l.Max = 20, 20, 2, 4 },
			Decision{ScaleIn, 20, 2, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"idle, by steps, and their names tell nothing: all or none",
			func(s *Signals, l *Limits) { s.Tasks.Told, l.ScaleInStep = false, 1 },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"a drained worker executes in a task whose other worker fetches: never to none",
			func(s *Signals, l *Limits) { s.Active, s.Drained, l.Max = Known(1), Drained{Executing: 1}, 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonSurplus, ReasonWork}, 0},
		},
		{
			"idle, and their names tell nothing: all or none",
			func(s *Signals, _ *Limits) { s.Tasks.Told = false },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"a task was taken on since: idle at both instants, but one stays for the next",
			func(s *Signals, l *Limits) { s.Seen.Processed, l.Max = 8, 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle, ReasonMoved}, 0},
		},
		{
			"a worker that sent heartbeats is no longer heard: it may have worked",
			func(s *Signals, _ *Limits) { s.Seen.Heard = 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle, ReasonMoved}, 0},
		},
		{
			"a task was taken on since, by the only worker",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Tasks.Live, s.Seen.Processed, s.Seen.Heard, s.Prior.Heard = 1, 1, 9, 1, 1
			},
			Decision{Hold, 1, 1, 0, []Reason{ReasonMoved}, 0},
		},
		{
			"one executes, and the other is too many",
			func(s *Signals, _ *Limits) { s.Active = Known(1) },
			Decision{ScaleIn, 2, 1, 1, []Reason{ReasonSurplus}, 0},
		},
		{
			"one holds a message, and the other is too many",
			func(s *Signals, _ *Limits) { s.Held = Known(1) },
			Decision{ScaleIn, 2, 1, 1, []Reason{ReasonSurplus}, 0},
		},
		{
			"one too many at the first sight",
			func(s *Signals, _ *Limits) { s.Backlog, s.Prior, s.Tasks = Known(10), nil, TaskCounts{} },
			Decision{Candidate, 2, 1, 1, []Reason{ReasonSurplus, ReasonSettle}, 0},
		},
		{
			"to what was needed at the first look, though less will do now",
			func(s *Signals, _ *Limits) { s.Desired, s.Tasks.Live, s.Prior.Workers = 5, 5, 3 },
			Decision{ScaleIn, 5, 3, 0, []Reason{ReasonIdle, ReasonMoved}, 0},
		},
		{
			"workers that cannot be asked, idle, to min",
			func(s *Signals, l *Limits) { s.Blind, s.Tasks.Told, l.Min = true, false, 1 },
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"workers without heartbeats",
			func(s *Signals, _ *Limits) { s.Prior.Heard, s.Prior.Processed, s.Seen = 0, 0, Sighting{At: now} },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"heartbeats that are heard only now: there is nothing to compare them with",
			func(s *Signals, _ *Limits) { s.Prior.Heard, s.Prior.Processed = 0, 0 },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
		},

		// Workers that fetch nothing any more.
		{
			"drained and idle workers are no capacity: they fetch again for work that comes",
			func(s *Signals, _ *Limits) { s.Backlog, s.Drained = Known(1), Drained{Tasks: 2, Idle: 2} },
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"they come first, and then new ones",
			func(s *Signals, _ *Limits) { s.Backlog, s.Drained = Known(35), Drained{Tasks: 1, Idle: 1} },
			Decision{ScaleOut, 2, 4, 4, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"a drained worker that is still busy is replaced by a new one",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Active, s.Drained = Known(11), Known(1), Drained{Tasks: 1, Executing: 1}
			},
			Decision{ScaleOut, 2, 3, 2, []Reason{ReasonBacklog}, 0},
		},
		{
			"where max allows no new one, the busy one has to fetch again",
			func(s *Signals, l *Limits) {
				s.Backlog, s.Active, s.Drained, l.Max = Known(11), Known(1), Drained{Tasks: 1, Executing: 1}, 2
			},
			Decision{ScaleOut, 2, 2, 2, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"what a drained worker executes asks for nobody",
			func(s *Signals, _ *Limits) { s.Active, s.Drained = Known(40), Drained{Tasks: 2, Executing: 40} },
			Decision{Hold, 2, 2, 0, []Reason{ReasonSteady}, 0},
		},
		{
			"one drained worker is busy and stays until it is done, the other goes",
			func(s *Signals, _ *Limits) {
				s.Active, s.Drained = Known(1), Drained{Tasks: 2, Idle: 1, Executing: 1}
			},
			Decision{ScaleIn, 2, 1, 0, []Reason{ReasonSurplus}, 0},
		},
		{
			"a drained and idle worker goes, though the others are just enough",
			func(s *Signals, _ *Limits) { s.Active, s.Drained = Known(3), Drained{Tasks: 1, Idle: 1} },
			Decision{ScaleIn, 2, 1, 1, []Reason{ReasonSurplus}, 0},
		},
		{
			"a drained worker that is busy stays beside the one that was needed at the first look",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Tasks.Live, s.Prior.Workers = 3, 3, 1
				s.Active, s.Drained = Known(1), Drained{Tasks: 1, Executing: 1}
			},
			Decision{ScaleIn, 3, 2, 0, []Reason{ReasonSurplus, ReasonMoved}, 0},
		},
		{
			"as many are drained and busy as are to run, and one more is drained and idle",
			func(s *Signals, _ *Limits) {
				s.Active, s.Drained, s.Tasks = Known(2), Drained{Tasks: 3, Idle: 1, Executing: 2}, TaskCounts{}
			},
			Decision{Hold, 2, 2, 0, []Reason{ReasonWork}, 0},
		},
		{
			"min asks for workers that fetch",
			func(s *Signals, l *Limits) { s.Drained, l.Min = Drained{Tasks: 2, Idle: 2}, 1 },
			Decision{ScaleOut, 2, 2, 0, []Reason{ReasonMin, ReasonResume}, 1},
		},
		{
			"all drained workers are busy, and max is reached: they have to do",
			func(s *Signals, l *Limits) {
				s.Backlog, s.Active, s.Drained, l.Max = Known(90), Known(2), Drained{Tasks: 2, Executing: 2}, 2
			},
			Decision{ScaleOut, 2, 2, 9, []Reason{ReasonBacklog, ReasonMax, ReasonResume}, 2},
		},
		{
			"paused: whoever pauses the scaling wants the workers that run to work",
			func(s *Signals, _ *Limits) {
				s.Paused, s.Active, s.Drained = true, Known(1), Drained{Tasks: 2, Idle: 1, Executing: 1}
			},
			Decision{ScaleOut, 2, 2, 0, []Reason{ReasonPaused, ReasonResume}, 2},
		},
		{
			"drained workers of a service of which none is to run are on their way out: new ones come",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Backlog, s.Drained, s.Tasks.Live = 0, Known(1), Drained{Tasks: 2, Idle: 2}, 0
			},
			Decision{ScaleOut, 0, 1, 1, []Reason{ReasonBacklog}, 0},
		},
		{
			"an idle drained worker more than are to run is on its way out: the others are enough",
			func(s *Signals, _ *Limits) {
				s.Active, s.Drained, s.Tasks.Live = Known(11), Drained{Tasks: 1, Idle: 1}, 3
			},
			Decision{Hold, 2, 2, 2, []Reason{ReasonSteady}, 0},
		},
		{
			"so it is, and the others are not enough: it is better than a new one",
			func(s *Signals, _ *Limits) {
				s.Active, s.Drained, s.Tasks.Live = Known(21), Drained{Tasks: 1, Idle: 1}, 3
			},
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"so it is, and of the others one is busy: they are not enough, and it is better than a second new one",
			func(s *Signals, _ *Limits) {
				s.Active, s.Drained, s.Tasks.Live = Known(12), Drained{Tasks: 2, Idle: 1, Executing: 1}, 3
			},
			Decision{ScaleOut, 2, 3, 2, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"another is about to resume the drained ones, or to let them go: new ones come",
			func(s *Signals, _ *Limits) {
				s.Overlap, s.Backlog, s.Drained = true, Known(11), Drained{Tasks: 2, Idle: 1, Executing: 1}
			},
			Decision{ScaleOut, 2, 4, 2, []Reason{ReasonBacklog}, 0},
		},
		{
			"so it is, and max allows no new ones",
			func(s *Signals, l *Limits) {
				s.Overlap, s.Backlog, s.Drained, l.Max = true, Known(11), Drained{Tasks: 2, Idle: 2}, 2
			},
			Decision{Hold, 2, 2, 2, []Reason{ReasonBacklog, ReasonOverlap}, 0},
		},
		{
			"so it is, in a pause",
			func(s *Signals, _ *Limits) { s.Overlap, s.Paused, s.Drained = true, true, Drained{Tasks: 2, Idle: 2} },
			Decision{Hold, 2, 2, 0, []Reason{ReasonPaused}, 0},
		},

		// Workers that have nothing to do while messages wait.
		{
			"messages wait beside a worker with nothing to do: it is told to fetch again, or replaced, once that has been seen for long",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Backlog, s.Stuck, s.Prior, s.Tasks = 1, Known(3), true, nil, TaskCounts{}
			},
			Decision{Candidate, 1, 1, 1, []Reason{ReasonStuck, ReasonSettle}, 0},
		},
		{
			"that was seen for the settle time",
			func(s *Signals, l *Limits) {
				s.Desired, s.Backlog, s.Stuck, s.Prior.Stuck, l.Max = 1, Known(3), true, true, 1
			},
			Decision{ScaleIn, 1, 0, 1, []Reason{ReasonStuck}, 0},
		},
		{
			"that was seen for less",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Backlog, s.Stuck, s.Prior.Stuck, s.Prior.At = 1, Known(3), true, true, now.Add(-59*time.Second)
			},
			Decision{Candidate, 1, 1, 1, []Reason{ReasonStuck, ReasonSettle}, 0},
		},
		{
			"that was seen for the settle time, but nobody looked at the tasks",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Stuck, s.Prior.Stuck, s.Tasks = Known(3), true, true, TaskCounts{}
			},
			Decision{Hold, 2, 2, 1, []Reason{ReasonStuck, ReasonUnknown, ReasonUntold}, 0},
		},
		{
			"now, but not at the first look",
			func(s *Signals, _ *Limits) { s.Desired, s.Backlog, s.Stuck = 1, Known(3), true },
			Decision{Candidate, 1, 1, 1, []Reason{ReasonStuck, ReasonSettle}, 0},
		},
		{
			"one of two is not heard from: it may be at work, so another is started beside it",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = Known(3), Unknown("1 of 2"), 1, true, true
			},
			Decision{ScaleOut, 2, 3, 1, []Reason{ReasonStuck}, 0},
		},
		{
			"and max allows none",
			func(s *Signals, l *Limits) {
				s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = Known(3), Unknown("1 of 2"), 1, true, true
				l.Max = 2
			},
			Decision{Hold, 2, 2, 1, []Reason{ReasonStuck, ReasonMax}, 0},
		},
		{
			"it is started whatever is known of the others: none is let go",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Active, s.Unheard, s.Stuck, s.Prior.Stuck = Known(3), Unknown("1 of 2"), 1, true, true
				s.Seen.Heard, s.Tasks.Told, s.Tasks.Protected = 1, false, 2
			},
			Decision{ScaleOut, 2, 3, 1, []Reason{ReasonStuck}, 0},
		},
		{
			"they are drained: they fetch again at once",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Stuck, s.Prior.Stuck, s.Drained = Known(3), true, true, Drained{Tasks: 2, Idle: 2}
			},
			Decision{ScaleOut, 2, 2, 1, []Reason{ReasonBacklog, ReasonResume}, 1},
		},
		{
			"one of them is drained: it goes as any other would, and whether the one that stays is stuck is looked at then",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Stuck, s.Prior.Stuck, s.Drained = Known(3), true, true, Drained{Tasks: 1, Idle: 1}
			},
			Decision{ScaleIn, 2, 1, 1, []Reason{ReasonSurplus}, 0},
		},
		{
			"more is wanted than they are: new ones may do better",
			func(s *Signals, _ *Limits) { s.Backlog, s.Stuck, s.Prior.Stuck = Known(30), true, true },
			Decision{ScaleOut, 2, 3, 3, []Reason{ReasonBacklog}, 0},
		},
		{
			"everything that keeps it from being replaced is named in order",
			func(s *Signals, _ *Limits) {
				s.Backlog, s.Stuck, s.Prior.Stuck, s.BadOverride, s.Deploying = Known(3), true, true, true, true
				s.Tasks = TaskCounts{Known: true, Young: 1, Protected: 2, Live: 2}
				s.Seen.Processed++
			},
			Decision{Hold, 2, 2, 1, []Reason{
				ReasonStuck, ReasonOverride, ReasonDeployment, ReasonGrace, ReasonMoved, ReasonUntold, ReasonProtected,
			}, 0},
		},

		// A count that protected tasks keep from being reached.
		{
			"protected tasks keep more alive than are asked for: the count is put back",
			func(s *Signals, _ *Limits) { s.Desired, s.Tasks.Live, s.Tasks.Protected = 1, 3, 2 },
			Decision{ScaleOut, 1, 3, 0, []Reason{ReasonBlocked}, 0},
		},
		{
			"not during a deployment: it has more alive by itself",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Tasks.Live, s.Tasks.Protected, s.Deploying, s.Active = 1, 3, 2, true, Known(1)
			},
			Decision{Hold, 1, 1, 1, []Reason{ReasonSteady}, 0},
		},
		{
			"not beyond max",
			func(s *Signals, l *Limits) { s.Desired, s.Tasks.Live, s.Tasks.Protected, l.Max = 1, 5, 4, 3 },
			Decision{ScaleOut, 1, 3, 0, []Reason{ReasonBlocked}, 0},
		},
		{
			"what is asked for is more than the blocked count",
			func(s *Signals, _ *Limits) { s.Desired, s.Demand, s.Tasks.Live, s.Tasks.Protected = 1, 5, 2, 1 },
			Decision{ScaleOut, 1, 5, 0, []Reason{ReasonDemand}, 0},
		},
		{
			"work asks for more, and the blocked count is more still",
			func(s *Signals, _ *Limits) {
				s.Desired, s.Backlog, s.Tasks.Live, s.Tasks.Protected = 1, Known(11), 4, 3
			},
			Decision{ScaleOut, 1, 4, 2, []Reason{ReasonBacklog, ReasonBlocked}, 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, l := idle(), limits
			tt.change(&s, &l)
			if diff := cmp.Diff(tt.want, Decide(s, l, now)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheReadmeListsEveryReason holds the README's table against the code, both ways.
func TestTheReadmeListsEveryReason(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## The reasons\n")
	section, _, _ = strings.Cut(section, "\n**The decision record**") // Whose table of fields package scaler holds.
	got := map[Reason]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.+) \\|$").FindAllStringSubmatch(section, -1) {
		got[Reason(row[1])] = row[2]
	}
	if diff := cmp.Diff(sentences, got); diff != "" {
		t.Errorf("the README's reasons (-code +README):\n%s", diff)
	}
}

func TestCountAdd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		a, b, want Count
	}{
		{"known", Known(1), Known(2), Known(3)},
		{"unknown left", AtLeast(1, "left"), Known(2), AtLeast(3, "left")},
		{"unknown right", Known(1), AtLeast(2, "right"), AtLeast(3, "right")},
		{"unknown both: the first cause", Unknown("left"), Unknown("right"), Unknown("left")},
		{"huge does not wrap", Known(math.MaxInt), Known(2), Known(math.MaxInt)},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.a.Add(tt.b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestTaskAge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		created, started time.Duration // Before now; 0 is not at all.
		want             time.Duration
	}{
		{"up", 90 * time.Second, time.Minute, time.Minute},
		{"on its way up", 90 * time.Second, 0, 90 * time.Second},
		{"by a clock that is ahead of ours", -time.Second, 0, 0},
	}
	for _, tt := range tests {
		task := Task{CreatedAt: now.Add(-tt.created)}
		if tt.started != 0 {
			task.StartedAt = now.Add(-tt.started)
		}
		if got := task.Age(now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s := idle()
	b.Run("scale in", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Decide(s, limits, now)
		}
	})
	s.Backlog = Known(1000)
	b.Run("scale out", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Decide(s, limits, now)
		}
	})
}
