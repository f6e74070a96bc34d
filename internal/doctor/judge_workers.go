package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/policy"
)

// heard calls judge for each broker of which workers are to be heard, and whose answers are there.
func heard(judge func(*judgement, *Facts, Broker, policy.Look)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, b := range f.Brokers {
			if !f.asks(b.Name) {
				continue
			}
			look, ok := known(j, b.subject(), b.Look)
			if !ok {
				continue
			}
			if len(look.Nodes) == 0 && !listening(look) {
				if n, _ := f.settled(b.Name); n == 0 {
					j.unchecked(b.subject(), errNoWorker)
				} else {
					j.unchecked(b.subject(), errUnheard)
				}
				continue
			}
			judge(j, f, b, look)
		}
	}
}

// listening says whether workers heard the question, as far as the broker can tell.
func listening(look policy.Look) bool { return look.Listeners.N > 0 }

// errUnheard is why nothing is known of workers that run.
var errUnheard = errors.New("no worker is heard")

func workersSilent(j *judgement, _ *Facts, b Broker, look policy.Look) {
	if n := look.Listeners.N - look.Heard(); look.Listeners.Known && n > 0 {
		j.find(b.subject(), "of %s that listen %d did not answer within %v", count(look.Listeners.N, "worker"), n, patience)
	}
}

func answersUnreadable(j *judgement, _ *Facts, b Broker, look policy.Look) {
	for _, n := range look.Nodes {
		if !n.Active.Known {
			j.find(b.subject(), "what worker %s answers cannot be read: %s", n.Name, n.Active.Cause)
		}
	}
}

func celeryTooOld(j *judgement, f *Facts) {
	for _, b := range f.Brokers {
		// Heartbeats are listened to first: a worker that is too old must not be asked.
		beats, ok := known(j, b.subject(), b.Beats)
		if !ok {
			continue
		}
		old := false
		for _, name := range sorted(beats) {
			if v := beats[name].Version; tooOld(v) {
				old = true
				j.find(b.subject(), "worker %s is Celery %s", name, v)
			}
		}
		if old || b.Look.Err != nil {
			continue
		}
		for _, n := range b.Look.Value.Nodes {
			if _, ok := beats[n.Name]; !ok {
				j.unchecked(b.subject(), fmt.Errorf("worker %s sends no heartbeats, which tell the version", n.Name))
			}
		}
	}
}

// tooOld says whether a version is before Celery 5.2: the oldest that can be asked safely.
func tooOld(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major < 5 || major == 5 && minor < 2
}

func namesEqual(j *judgement, _ *Facts, b Broker, look policy.Look) {
	for _, n := range look.Nodes {
		if n.Answers > 1 {
			j.find(b.subject(), "%d workers bear the name %s", n.Answers, n.Name)
		}
	}
}

func nodeUnmapped(j *judgement, f *Facts) {
	for _, t := range f.Targets {
		w, ok := known(j, t.subject(), t.Workers)
		switch {
		case !ok:
		case !w.Singly && w.Settled > 0:
			j.unchecked(t.subject(), fmt.Errorf("of more than %d targets single tasks are not looked at: name some of them", singleTargets))
		case len(w.Unmapped) > 0:
			j.find(t.subject(), "in which task they run cannot be told of %s", strings.Join(w.Unmapped, ", "))
		}
	}
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
