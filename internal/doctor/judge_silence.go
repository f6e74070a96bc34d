package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
)

// settled is how many tasks of the broker's targets run for longer than the grace; known is false if a service cannot be seen.
func (f *Facts) settled(broker string) (n int, known bool) {
	known = true
	for _, t := range f.Targets {
		if t.Broker == broker && t.Activity.Source == config.ActivityInspect {
			known = known && t.Workers.Err == nil
			n += t.Workers.Value.Settled
		}
	}
	return n, known
}

// asks says whether Sluice asks workers of the broker at all: targets with another source of activity do without.
func (f *Facts) asks(broker string) bool {
	return slices.ContainsFunc(f.Targets, func(t Target) bool { return t.Broker == broker && t.Activity.Source == config.ActivityInspect })
}

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
	if !f.asks(b.Name) {
		return notSilent, "", nil
	}
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
	off := fmt.Sprintf("messages of database %d are fetched by %s, and nobody listens for commands", db, count(ours, "worker"))
	if slices.Contains(b.Bindings.Value, b.KeyPrefix+binding+exchange+".pidbox") {
		return controlOff, off, nil // The others are another application's.
	}
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
	return controlOff, off, nil
}

// elsewhere looks for workers in other databases than ours.
func elsewhere(waiting map[int]int, ours int) (why silence, detail string) {
	var others []string
	for _, db := range slices.Sorted(maps.Keys(waiting)) {
		if db != ours {
			others = append(others, strconv.Itoa(db))
		}
	}
	if len(others) == 0 {
		return wholly, ""
	}
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
			if t.Broker != b.Name || t.Activity.Source != config.ActivityInspect {
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
