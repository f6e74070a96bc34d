package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
)

// line is one thing to tell of one target.
type line struct {
	target string
	rank   int    // What comes first.
	size   int    // Of the change: among equals the larger comes first.
	short  string // For the subject.
	text   string
	// scaledIn says that workers were let go, and saved what not having them saves today, in dollars; 0 if that is not known.
	scaledIn bool
	saved    float64
}

// The ranks, the most important first.
const (
	rankUnseen = iota
	rankStuck
	rankSeen
	rankChange
)

// lines are what is new, the most important first.
func (d *digest) lines() []line {
	var out []line
	for _, t := range d.targets {
		out = append(out, t.lines()...)
	}
	slices.SortFunc(out, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.size, a.size), cmp.Compare(a.target, b.target))
	})
	return out
}

func (t *target) lines() []line {
	var out []line
	add := func(rank int, short, text string) {
		out = append(out, line{target: t.name, rank: rank, short: t.name + " " + short, text: t.name + ": " + text})
	}
	switch lost := t.sight.lost(); {
	case lost && !t.unseen:
		add(rankUnseen, "cannot be seen", fmt.Sprintf("cannot be seen since %s: %s",
			t.sight.since.Format("15:04"), clip(t.sight.cause, maxCause)))
	case t.unseen && !lost:
		add(rankSeen, "seen again", "seen again")
	}
	if t.stuck > 0 {
		add(rankStuck, "had a stuck worker", plural(t.stuck, "worker")+" replaced, having left messages waiting")
	}
	if len(t.changes) > 0 {
		path, words := t.path(), t.why()
		add(rankChange, path, strings.Join(append([]string{path}, words...), ", "))
		l := &out[len(out)-1]
		for _, c := range t.changes {
			l.size, l.scaledIn = max(l.size, c.to-c.from, c.from-c.to), l.scaledIn || c.to < c.from
		}
	}
	return out
}

// maxPath is how many counts of one target are told.
const maxPath = 6

// path is the counts, one after the other, such as "0 -> 3 -> 0".
func (t *target) path() string {
	counts := []int{t.changes[0].from}
	for _, c := range t.changes {
		if c.from != counts[len(counts)-1] { // Somebody else has set the count in between.
			counts = append(counts, c.from)
		}
		counts = append(counts, c.to)
	}
	var words []string
	for i, n := range counts {
		switch {
		case len(counts) <= maxPath || i < maxPath/2 || i >= len(counts)-maxPath/2:
			words = append(words, fmt.Sprint(n))
		case i == maxPath/2:
			words = append(words, "...")
		}
	}
	return strings.Join(words, " -> ")
}

// why is the reason of the first change up and of the last change down.
func (t *target) why() []string {
	var words []string
	up := slices.IndexFunc(t.changes, func(c change) bool { return c.to > c.from })
	if up >= 0 {
		words = append(words, t.changes[up].up())
	}
	for _, c := range slices.Backward(t.changes) {
		if c.to < c.from {
			words = append(words, c.down())
			break
		}
	}
	return slices.DeleteFunc(words, func(s string) bool { return s == "" })
}

// up says why there are more workers now.
func (c change) up() string {
	has := func(r policy.Reason) bool { return slices.Contains(c.reasons, r) }
	switch {
	case has(policy.ReasonStuck):
		return "since messages waited beside idle workers"
	case has(policy.ReasonBacklog) && c.decision.Backlog != nil && *c.decision.Backlog > 0:
		return plural(*c.decision.Backlog, "message") + " waited"
	case has(policy.ReasonBacklog):
		return "there was more work than the workers were meant to have"
	case has(policy.ReasonDemand):
		return "as an event asked"
	case has(policy.ReasonMin) && c.decision.Window != "":
		return "as the window " + c.decision.Window + " asks"
	}
	return first(c.reasons, policy.ReasonFloor, policy.ReasonMin, policy.ReasonBlocked)
}

// down says why there are fewer workers now.
func (c change) down() string {
	if slices.Contains(c.reasons, policy.ReasonIdle) && c.idle > 0 {
		return "idle for " + length(c.idle)
	}
	return first(c.reasons, policy.ReasonIdle, policy.ReasonSurplus, policy.ReasonMax)
}

// first is the sentence of the first of the reasons that there is.
func first(reasons []policy.Reason, ordered ...policy.Reason) string {
	for _, r := range ordered {
		if slices.Contains(reasons, r) {
			return r.Sentence()
		}
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// length is a time as one says it: "40 s", "2 m", "1 h 5 m".
func length(d time.Duration) string {
	h, m := int(d.Hours()), int(d.Minutes())
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case h == 0:
		return fmt.Sprintf("%d m", m)
	case m%60 == 0:
		return fmt.Sprintf("%d h", h)
	}
	return fmt.Sprintf("%d h %d m", h, m%60)
}

// clip is the text on one line, within n bytes.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-len("...")], "") + "..."
}
