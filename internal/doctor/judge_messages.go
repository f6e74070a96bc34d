package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

func queueUnfetched(j *judgement, f *Facts, b Broker, look policy.Look) {
	fetched, drained := map[string]bool{}, false
	unsure := listening(look) && look.Listeners.N > look.Heard()
	for _, n := range look.Nodes {
		drained = drained || len(n.Queues) == 0
		unsure = unsure || !n.Active.Known
		for _, q := range n.Queues {
			fetched[q] = true
		}
	}
	for _, t := range f.Targets {
		w, ok := known(j, t.subject(), t.Workers)
		if t.Broker != b.Name || !ok {
			continue
		}
		var missing []string
		for _, q := range t.Queues {
			if !fetched[q] {
				missing = append(missing, q)
			}
		}
		switch {
		case w.Settled == 0:
			j.unchecked(t.subject(), errNoWorker)
		case len(missing) == 0:
		case unsure:
			j.unchecked(t.subject(), errors.New("not every worker tells what it fetches from"))
		case drained && len(missing) == len(t.Queues):
			j.unchecked(t.subject(), errors.New("its workers are drained: Sluice has told them to fetch nothing more"))
		default:
			j.find(t.subject(), "no worker fetches from %s", strings.Join(missing, ", "))
		}
	}
}

func queueUnlisted(j *judgement, f *Facts, b Broker, look policy.Look) {
	listed := map[string]bool{}
	for _, t := range f.Config.TargetsOf(b.Name) {
		for _, q := range t.Queues {
			listed[q] = true
		}
	}
	var more []string
	for _, n := range look.Nodes {
		for _, q := range n.Queues {
			if !listed[q] {
				more = append(more, q)
			}
		}
	}
	if len(more) > 0 {
		slices.Sort(more)
		more = scaler.Shortened(slices.Compact(more))
		j.find(b.subject(), "workers fetch from %s, which no target lists", strings.Join(more, ", "))
	}
}

// prefetched is how many messages a worker may hold for each that it executes before it is worth a word. Celery's own multiplier
// is 4, and with late acknowledgement what executes is held as well.
const prefetched = 8

func prefetchHigh(j *judgement, f *Facts, b Broker, look policy.Look) {
	for _, t := range f.Targets {
		if t.Broker != b.Name {
			continue
		}
		held, workers := 0, 0
		for _, q := range t.Queues {
			held += look.Queues[q].Held.N
		}
		for _, n := range look.Nodes {
			if slices.ContainsFunc(n.Queues, func(q string) bool { return slices.Contains(t.Queues, q) }) {
				workers += n.Answers
			}
		}
		if workers == 0 || held <= prefetched*workers {
			continue // Too few to say anything, whatever the concurrency.
		}
		switch concurrency, ok := t.concurrency(); {
		case !ok:
			j.unchecked(t.subject(), fmt.Errorf("%s that nobody has begun are held by %s, and how many one executes at a time is not known: set concurrency in sluice.yaml",
				count(held, "message"), count(workers, "worker")))
		case held > prefetched*workers*concurrency:
			j.find(t.subject(), "%s that nobody has begun are held by %s; one executes %d at a time",
				count(held, "message"), count(workers, "worker"), concurrency)
		}
	}
}

// concurrency is how many tasks a worker of the target executes at a time, as sluice.yaml or its command line say.
func (t Target) concurrency() (int, bool) {
	if t.Concurrency > 0 {
		return t.Concurrency, true
	}
	if _, l, err := t.Definition.Value.worker(); err == nil {
		return l.concurrency()
	}
	return 0, false
}

func visibilityShort(j *judgement, f *Facts, b Broker, look policy.Look) {
	timeout := b.VisibilityTimeout.Std()
	for _, n := range look.Nodes {
		if age := look.At.Sub(n.OldestStart); !n.OldestStart.IsZero() && age > timeout {
			j.find(b.subject(), "worker %s has executed a task for %v, and the visibility timeout is %v",
				n.Name, age.Round(time.Second), b.VisibilityTimeout)
		}
	}
	for _, m := range look.Fetched {
		if wait := m.Due.Sub(look.At); !m.Due.IsZero() && wait > timeout {
			j.find(b.subject(), "a worker holds a task %s that is due in %v, and the visibility timeout is %v",
				m.Task, wait.Round(time.Second), b.VisibilityTimeout)
			return
		}
	}
}

// restoreSlack is how long after the visibility timeout a message comes back at the latest: workers look each 100 s.
const restoreSlack = 3 * time.Minute

func visibilityUnlike(j *judgement, f *Facts, b Broker, look policy.Look) {
	oldest, ok := known(j, b.subject(), b.Oldest)
	if !ok || oldest.IsZero() {
		return
	}
	if age := look.At.Sub(oldest); age > b.VisibilityTimeout.Std()+restoreSlack && len(look.Nodes) > 0 {
		j.find(b.subject(), "a message has been unacknowledged for %v, and was not given back after the %v that sluice.yaml says",
			age.Round(time.Second), b.VisibilityTimeout)
	}
}
