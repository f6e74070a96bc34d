package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// settled is how many tasks of the broker's targets run for longer than the grace; known is false if a service cannot be seen.
func (f *Facts) settled(broker string) (n int, known bool) {
	known = true
	for _, t := range f.Targets {
		if t.Broker == broker && t.Activity.Source == "inspect" {
			known = known && t.Workers.Err == nil
			n += t.Workers.Value.Settled
		}
	}
	return n, known
}

// heard calls judge for each broker of which workers are to be heard, and whose answers are there.
func heard(judge func(*judgement, *Facts, Broker, policy.Look)) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, b := range f.Brokers {
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

// silence is why no worker is heard on a broker although tasks run.
type silence string

// The causes of silence.
const (
	notSilent     silence = ""
	otherDatabase silence = "database"
	otherPrefix   silence = "prefix"
	otherExchange silence = "exchange"
	controlOff    silence = "control"
	wholly        silence = "wholly"
)

// silenceOf finds out why no worker is heard on a broker. detail is what was seen in place of them.
func (f *Facts) silenceOf(b Broker) (why silence, detail string, err error) {
	if b.Look.Err != nil {
		return "", "", b.Look.Err
	}
	if len(b.Look.Value.Nodes) > 0 || listening(b.Look.Value) {
		return notSilent, "", nil
	}
	tasks, ok := f.settled(b.Name)
	switch {
	case tasks == 0 && !ok:
		return "", "", errors.New("how many tasks run is not known")
	case tasks == 0:
		return "", "", errNoWorker
	}
	db, ours := b.Endpoint.Value.DB, len(b.Beats.Value)
	if b.Waiting.Err == nil {
		ours = max(ours, b.Waiting.Value[db])
	}
	if ours == 0 {
		why, detail = elsewhere(b.Waiting.Value, db)
		return why, detail, nil
	}
	// Somebody is there and hears no commands of ours: other ones, or none.
	exchange := cmp.Or(b.ControlExchange, "celery")
	for _, key := range b.Bindings.Value {
		prefix, other, _ := strings.Cut(key, binding)
		switch other = strings.TrimSuffix(other, ".pidbox"); {
		case strings.HasPrefix(other, "reply."): // Of those who ask.
		case prefix != b.KeyPrefix:
			return otherPrefix, fmt.Sprintf("workers of database %d use the key prefix %q, and not %q", db, prefix, b.KeyPrefix), nil
		case other != exchange:
			return otherExchange, fmt.Sprintf("workers listen on the control exchange %q, and not on %q", other, exchange), nil
		}
	}
	return controlOff, fmt.Sprintf("messages of database %d are fetched by %s, and nobody listens for commands", db, count(ours, "worker")), nil
}

// elsewhere looks for workers in other databases than ours.
func elsewhere(waiting map[int]int, ours int) (why silence, detail string) {
	var others []string
	for db := range waiting {
		if db != ours {
			others = append(others, strconv.Itoa(db))
		}
	}
	if len(others) == 0 {
		return wholly, ""
	}
	slices.Sort(others)
	return otherDatabase, fmt.Sprintf("no worker fetches messages from database %d of this Redis, and some do from %s", ours, strings.Join(others, ", "))
}

// silent makes the check that tells of one cause of silence.
func silent(which silence) func(*judgement, *Facts) {
	return func(j *judgement, f *Facts) {
		for _, b := range f.Brokers {
			switch why, detail, err := f.silenceOf(b); {
			case err != nil:
				j.unchecked(b.subject(), err)
			case why == which:
				j.find(b.subject(), "%s", detail)
			}
		}
	}
}

// workersUnheard tells of running tasks that are not heard from, where no other check knows why.
func workersUnheard(j *judgement, f *Facts) {
	for _, b := range f.Brokers {
		why, _, err := f.silenceOf(b)
		if err != nil {
			j.unchecked(b.subject(), err)
			continue
		}
		for _, t := range f.Targets {
			if t.Broker != b.Name || t.Activity.Source != "inspect" {
				continue
			}
			w, ok := known(j, t.subject(), t.Workers)
			switch {
			case !ok || w.Settled == 0:
			case why == wholly:
				j.find(t.subject(), "nothing is heard of any worker on broker %s, with %s running", b.Name, count(w.Settled, "task"))
			case why == notSilent && len(w.Unheard) > 0:
				j.find(t.subject(), "no worker answers for the running tasks %s", strings.Join(w.Unheard, ", "))
			}
		}
	}
}

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
			if !listed[q] && !slices.Contains(more, q) {
				more = append(more, q)
			}
		}
	}
	if len(more) > 0 {
		slices.Sort(more)
		j.find(b.subject(), "workers fetch from %s, which no target lists", strings.Join(more, ", "))
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

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
