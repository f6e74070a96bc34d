package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// harm is what can happen to a message.
type harm string

const (
	lost        harm = "lost"        // It was sent, is nowhere any more, and its work was never done to the end.
	killed      harm = "killed"      // A run of it was cut short, whether or not it was done again later.
	doubled     harm = "doubled"     // It was done to the end more than once.
	interrupted harm = "interrupted" // Its worker was told to stop while it executed or held it, and it survived that.
	left        harm = "left"        // It was due, and no worker had taken it by the end.
)

// cause is who or what did it.
type cause string

const (
	byScaleIn    cause = "scale-in"
	byDeployment cause = "deployment"
	byKill       cause = "kill"       // Of a worker or of one of its processes, by the chaos.
	byReconnect  cause = "reconnect"  // What Celery itself loses or does again when its connections break.
	byRedis      cause = "redis"      // It forgot, in a restart, what it had not written down yet.
	byVisibility cause = "visibility" // Celery gave it to another worker after the visibility timeout.
	byClient     cause = "client"     // Its sender's library sent it twice.
	byNobody     cause = "nobody"     // No worker came for it, or nothing that was observed explains it.
)

// finding is one harm and its cause.
type finding struct {
	harm  harm
	cause cause
	task  string
	host  string
	at    time.Time
	why   string // The evidence, in words.
}

func (f finding) String() string {
	return fmt.Sprintf("%s %s by %s: %s", f.task, f.harm, f.cause, f.why)
}

// verdict is what a round came to.
type verdict struct {
	sent, done int
	findings   []finding

	full, partial    int // Scale-ins to zero, and to fewer.
	drained, resumed int
	seconds          float64       // Of workers.
	emptied          time.Duration // From the first message until the last one was done.
	waited           time.Duration // The longest that a message was due, with no fault any more, and had not begun.
}

// ours says whether a finding is the scaler's fault. What nobody can explain is, until somebody can.
func (f finding) ours() bool { return f.cause == byScaleIn || f.cause == byNobody }

// guilty returns the findings that are the scaler's fault.
func (v verdict) guilty() []finding {
	var list []finding
	for _, f := range v.findings {
		if f.ours() {
			list = append(list, f)
		}
	}
	return list
}

// number is how many messages came to that harm by that cause; any cause if it is "".
func (v verdict) number(h harm, c cause) int {
	tasks := map[string]bool{}
	for _, f := range v.findings {
		if f.harm == h && (c == "" || f.cause == c) {
			tasks[f.task] = true
		}
	}
	return len(tasks)
}

// judge finds all harm and its causes.
func judge(f *facts) verdict {
	v := verdict{drained: f.drained, resumed: f.resumed}
	var first, last time.Time
	for _, id := range sortedKeys(f.messages) {
		m := f.messages[id]
		if m.sent.IsZero() && m.last() == nil {
			continue
		}
		if !m.sent.IsZero() {
			v.sent++
			if first.IsZero() || m.sent.Before(first) {
				first = m.sent
			}
			if m.finished() {
				v.done++
			}
		}
		v.findings = append(v.findings, f.harmTo(m)...)
		for _, a := range m.attempts {
			for _, r := range a.runs {
				if r.end.After(last) {
					last = r.end
				}
			}
		}
	}
	v.findings = append(v.findings, f.interruptions()...)
	slices.SortStableFunc(v.findings, func(a, b finding) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.task, b.task)) })
	for _, c := range f.counts {
		switch {
		case c.to >= c.from:
		case c.to == 0:
			v.full++
		default:
			v.partial++
		}
	}
	for _, w := range f.workers {
		v.seconds += w.seconds(f.ended)
	}
	v.waited = f.longestWait()
	if !last.IsZero() {
		v.emptied = last.Sub(first)
	}
	return v
}

// longestWait is how long a message had to wait for a worker although it was due and the last fault was over.
func (f *facts) longestWait() time.Duration {
	var over time.Time
	for _, d := range f.deeds {
		if d.until.After(over) {
			over = d.until
		}
	}
	var longest time.Duration
	for _, m := range f.messages {
		for _, a := range m.attempts {
			from, until := over, f.ended
			for _, t := range []time.Time{a.from, a.due} {
				if t.After(from) {
					from = t
				}
			}
			if len(a.runs) > 0 {
				until = a.runs[0].start
			} else if a.left == "" {
				continue // It is lost, which is another matter.
			}
			longest = max(longest, until.Sub(from))
		}
	}
	return longest
}

// harmTo finds what happened to one message.
func (f *facts) harmTo(m *message) []finding {
	var found []finding
	add := func(h harm, c cause, host string, at time.Time, why string) {
		found = append(found, finding{harm: h, cause: c, task: m.id, host: host, at: at, why: why})
	}
	for _, a := range m.attempts {
		var whole []*run
		for _, r := range a.runs {
			switch r.outcome {
			case done, retrying:
				whole = append(whole, r)
			case cut, broke:
				if c, why := f.cutShort(r); c != "" {
					add(killed, c, r.host, r.start, why)
				}
			}
		}
		for i := 1; i < len(whole); i++ {
			c, why := f.again(m, a, whole[i-1], whole[i])
			add(doubled, c, whole[i].host, whole[i].start, why)
		}
	}
	if m.sent.IsZero() || m.finished() {
		return found
	}
	a := m.last()
	if a == nil {
		a = &attempt{from: m.sent}
	}
	switch {
	case a.left != "":
		c, why := f.leftTo(a)
		add(left, c, "", f.ended, why)
	case f.executes(a):
		r := a.runs[len(a.runs)-1]
		add(left, byNobody, r.host, f.ended, fmt.Sprintf("%s executes it since %s and has not ended it", short(r.host), clock(r.start)))
	default:
		c, host, at, why := f.lostTo(m, a)
		add(lost, c, host, at, why)
	}
	return found
}

// interruptions finds the workers that a lower count stopped although they executed or held something due. What came of
// it is another matter: a worker that holds work is never to be stopped.
func (f *facts) interruptions() []finding {
	var found []finding
	for _, host := range sortedKeys(f.workers) {
		w := f.workers[host]
		if w.by != scaleIn {
			continue
		}
		for _, id := range sortedKeys(f.messages) {
			m := f.messages[id]
			for _, a := range m.attempts {
				for _, r := range a.runs {
					if r.host == host && r.executingAt(w.stopping) && r.outcome != cut {
						found = append(found, finding{
							interrupted, byScaleIn, id, host, w.stopping,
							fmt.Sprintf("%s was told to stop at %s while it executed it", short(host), clock(w.stopping)),
						})
					}
				}
				if a.heldBy(host, w.stopping) {
					found = append(found, finding{
						interrupted, byScaleIn, id, host, w.stopping,
						fmt.Sprintf("%s was told to stop at %s while it held it, due and not begun", short(host), clock(w.stopping)),
					})
				}
			}
		}
	}
	return found
}

// executes says whether the newest run of an attempt still goes on, or stands still.
func (f *facts) executes(a *attempt) bool {
	if len(a.runs) == 0 {
		return false
	}
	r := a.runs[len(a.runs)-1]
	return r.outcome == cut && f.alive(r.host) && !f.childKilled(r)
}

// alive says whether a worker had not stopped by the end.
func (f *facts) alive(host string) bool {
	w := f.workers[host]
	return w != nil && w.stopped.IsZero()
}

// since is when the message was last seen to come back into the broker, or came into it.
func (a *attempt) since() time.Time {
	at := a.from
	for _, s := range a.listed {
		at = s.from
	}
	return at
}
