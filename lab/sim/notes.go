package sim

import (
	"fmt"
	"time"
)

// topic is what a note is about.
type topic uint8

const (
	noteSweep    topic = iota // A sweep begins or ends.
	noteEvent                 // A producer's event.
	noteSend                  // A message is sent.
	noteStart                 // A task of the application begins.
	noteDecision              // The production code has decided.
	noteSteady                // The same: that nothing is to be done.
	noteResult                // What came of it.
	noteCount                 // The desired count changes.
	noteTask                  // An ECS task comes or goes.
	noteDrain                 // Workers are drained or resumed.
	noteFault                 // A fault hits.
	noteDeath                 // A Lambda dies.
	noteStall                 // A Lambda stands still.
	noteOperator              // An operator does something.
	noteBroken                // An invariant is broken.
)

// note is one thing that happened, for the story of a broken history.
type note struct {
	at     time.Time
	topic  topic
	target int // Its index; -1 if it is of none.
	text   string
}

// String is a line of the story.
func (n note) String() string {
	at := n.at.Sub(epoch)
	return fmt.Sprintf("%02d:%02d:%06.3f  %s", int(at.Hours()), int(at.Minutes())%60, (at % time.Minute).Seconds(), n.text)
}

// trace is what happened in a history: as a number always, by which two runs of one seed are compared, and as text if somebody
// wants to read it.
type trace struct {
	hash  uint64
	keep  bool
	notes []note
}

func newTrace(keep bool) trace { return trace{hash: 14695981039346656037, keep: keep} }

func (t *trace) mix(x uint64) {
	for range 8 {
		t.hash = (t.hash ^ x&0xff) * 1099511628211
		x >>= 8
	}
}

func (t *trace) mixText(s string) {
	for i := range len(s) {
		t.hash = (t.hash ^ uint64(s[i])) * 1099511628211
	}
	t.mix(uint64(len(s)))
}

// aside is told and does not count: it is put together only where somebody reads it.
type aside string

// note notes what happened. What is to be told in words is put together only if it is kept.
func (w *world) note(about topic, target int, format string, args ...any) {
	t := &w.trace
	t.mix(uint64(w.loop.now.UnixNano()))
	t.mix(uint64(about)<<32 | uint64(uint32(target)))
	for _, a := range args {
		switch a := a.(type) {
		case int:
			t.mix(uint64(a))
		case time.Duration:
			t.mix(uint64(a))
		case string:
			t.mixText(a)
		case aside:
		default:
			t.mixText(fmt.Sprint(a))
		}
	}
	if t.keep {
		t.notes = append(t.notes, note{at: w.loop.now, topic: about, target: target, text: fmt.Sprintf(format, args...)})
	}
}
