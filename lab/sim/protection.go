package sim

import (
	"time"
)

type protection struct {
	ours  bool
	at    time.Time // When it was set.
	until time.Time // Zero if it was ended.
}

// appSet notes that the application has set its own protection, or ended it.
func (j *judge) appSet(k *task, until time.Time) {
	j.protection[k.id] = protection{at: j.w.loop.now, until: until}
}

// protectedByApp says whether the application's own protection of the task is in force.
func (j *judge) protectedByApp(k *task) bool {
	p, ok := j.protection[k.id]
	return ok && !p.ours && p.until.After(j.w.loop.now)
}

// touches judges that we are about to set or end the protection of tasks. What the application has set after we looked last
// cannot be known: ECS has no compare-and-set.
func (j *judge) touches(t *target, inv *invocation, ids []string, doing string) {
	for _, id := range ids {
		p, ok := j.protection[id]
		if ok && !p.ours && p.until.After(j.w.loop.now) && p.at.Before(inv.lastTasks) {
			j.w.brokenAt(Spared, t.index, "%s %s task %s of %s, which the application protects",
				inv.function.name, doing, short(id), t.plan.Name)
		}
	}
}

func (j *judge) protects(t *target, inv *invocation, ids []string, d time.Duration) {
	j.w.tally.add("tasks protected", len(ids))
	j.w.note(noteDrain, t.index, "%d tasks of %s are to be protected for %v", len(ids), t.plan.Name, d)
	j.acts(t, inv, "protects tasks")
	j.touches(t, inv, ids, "protects")
}

func (j *judge) protected(t *target, until map[string]time.Time) {
	for id, at := range until {
		j.protection[id] = protection{ours: true, at: j.w.loop.now, until: at}
	}
}

func (j *judge) releases(t *target, inv *invocation, ids []string) {
	j.w.tally.add("tasks released", len(ids))
	j.w.note(noteDrain, t.index, "%d tasks of %s are to be released", len(ids), t.plan.Name)
	j.touches(t, inv, ids, "releases")
	for _, id := range ids {
		j.protection[id] = protection{ours: true, at: j.w.loop.now}
	}
}

// blockedBound is how long more tasks may run than the count asks for that we set: as long as our own protection lasts, and
// a sweep to see to it.
const blockedBound = 16 * time.Minute

func (j *judge) blocked(t *target) {
	t.state.blocked = j.since(t.state.blocked, t.ours > 0 && !t.inForce().paused && !t.inForce().dry) // Else nobody may mend it.
	if !t.state.blocked.IsZero() && j.w.loop.now.Sub(t.state.blocked) > blockedBound+j.w.plan.SweepEvery {
		j.w.brokenAt(Spared, t.index, "%s is blocked: %d tasks run, and we set %d", t.plan.Name, len(t.live), t.desired)
	}
}

// end judges the end of a history.
func (j *judge) end() {
	for _, t := range j.w.targets {
		for _, k := range t.live {
			p, ok := j.protection[k.id]
			if ok && p.ours && p.until.After(j.w.loop.now) && j.w.loop.now.Sub(p.at) > 3*time.Minute {
				j.w.brokenAt(Spared, t.index, "task %s of %s is still protected by us, %v after we began",
					short(k.id), t.plan.Name, j.w.loop.now.Sub(p.at))
			}
		}
	}
}
