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

// idle is a target with two workers and nothing at all to do, seen so a minute ago with its tasks looked at.
func idle() Signals {
	return Signals{
		Desired: 2,
		Backlog: Known(0), Active: Known(0), Held: Known(0),
		Tasks: TaskCounts{Known: true},
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
			"a demand below the count never lowers it",
			func(s *Signals, _ *Limits) { s.Demand, s.Backlog = 1, Known(1) },
			Decision{Hold, 2, 2, 1, []Reason{ReasonWork}, 0},
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
			"fewer would do, but there is work, and ECS would not ask who is busy",
			func(s *Signals, _ *Limits) { s.Active = Known(1) },
			Decision{Hold, 2, 2, 1, []Reason{ReasonWork}, 0},
		},
		{
			"held work is work",
			func(s *Signals, _ *Limits) { s.Held = Known(1) },
			Decision{Hold, 2, 2, 1, []Reason{ReasonWork}, 0},
		},
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
			"a task was taken on since, though it looks idle at both instants",
			func(s *Signals, _ *Limits) { s.Seen.Processed++ },
			Decision{Hold, 2, 2, 0, []Reason{ReasonMoved}, 0},
		},
		{
			"a worker that sent heartbeats is no longer heard",
			func(s *Signals, _ *Limits) { s.Seen.Heard = 1 },
			Decision{Hold, 2, 2, 0, []Reason{ReasonMoved}, 0},
		},
		{
			"everything at once is named in order",
			func(s *Signals, _ *Limits) {
				s.Active, s.Held, s.BadOverride, s.Deploying = Unknown("x"), Known(1), true, true
				s.Tasks.Young, s.Tasks.Protected, s.Seen.Processed = 1, 2, 9
			},
			Decision{Hold, 2, 2, 1, []Reason{
				ReasonUnknown, ReasonOverride, ReasonDeployment, ReasonGrace, ReasonWork, ReasonProtected, ReasonMoved,
			}, 0},
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
			func(s *Signals, l *Limits) { s.Desired, l.ScaleInStep = 9, 3 },
			Decision{ScaleIn, 9, 6, 0, []Reason{ReasonIdle, ReasonStep}, 0},
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
			func(s *Signals, l *Limits) { s.Desired, l.Min, l.Max = 20, 2, 4 },
			Decision{ScaleIn, 20, 2, 0, []Reason{ReasonIdle}, 0},
		},
		{
			"workers without heartbeats",
			func(s *Signals, _ *Limits) { s.Prior.Heard, s.Prior.Processed, s.Seen = 0, 0, Sighting{At: now} },
			Decision{ScaleIn, 2, 0, 0, []Reason{ReasonIdle}, 0},
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
	section, _, _ = strings.Cut(section, "\n## ")
	got := map[Reason]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.+) \\|$").FindAllStringSubmatch(section, -1) {
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
