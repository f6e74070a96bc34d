package main

import (
	"fmt"
	"strings"
	"time"
)

// slack is how far apart cause and effect may be seen: the witness looks four times a second, a busy machine delays everybody.
const slack = 2 * time.Second

// recovery is how long after a break Celery may still be at what it lost: it waits 2 s before it connects again, then 4 s.
const recovery = 10 * time.Second

// cutShort says why a run did not come to its end. The cause is "" if it has not been cut short: its worker still lives.
func (f *facts) cutShort(r *run) (cause, string) {
	for _, d := range f.deeds {
		if d.host == r.host && (d.kind == killWorker || d.kind == killChild) && !d.from.Before(r.start.Add(-slack)) {
			return byKill, fmt.Sprintf("the chaos did %s to %s at %s", d.kind, short(r.host), clock(d.from))
		}
	}
	if r.outcome == broke {
		if d, ok := f.during(r.start.Add(-recovery), r.end.Add(slack), brokerFaults...); ok {
			return byReconnect, fmt.Sprintf("it failed (%s) at %s, at the time of the %s", r.err, clock(r.end), d.kind)
		}
		return byNobody, fmt.Sprintf("it failed at %s: %s", clock(r.end), r.err)
	}
	w := f.workers[r.host]
	switch {
	case w == nil:
		return byNobody, "its worker is unknown"
	case w.stopped.IsZero():
		return "", ""
	case w.by == scaleIn:
		return byScaleIn, fmt.Sprintf("%s executed it since %s, was told to stop at %s and was gone at %s%s",
			short(w.host), clock(r.start), clock(w.stopping), clock(w.stopped), ending(w))
	case w.by == deployment:
		return byDeployment, fmt.Sprintf("a deployment replaced %s at %s%s", short(w.host), clock(w.stopping), ending(w))
	}
	return byNobody, fmt.Sprintf("%s ended by itself at %s with status %d", short(w.host), clock(w.stopping), w.code)
}

func ending(w *worker) string {
	if w.sigkilled {
		return ", by SIGKILL after the stop timeout"
	}
	return ""
}

// again says why a message was done a second time, by the run after the first.
func (f *facts) again(m *message, a *attempt, first, second *run) (cause, string) {
	one, two := a.receiptOf(first), a.receiptOf(second)
	if one == two { // Its worker had both before it began with either: the first run is of the first.
		one = a.receiptBefore(two)
	}
	if one == nil || two == nil {
		return byNobody, "two runs of it, and fewer messages"
	}
	w := f.workers[one.host]
	if w != nil && w.by == scaleIn && w.stopping.Before(two.at) && first.end.Add(slack).After(w.stopping) {
		return byScaleIn, fmt.Sprintf("%s was told to stop at %s, while it executed it or just after, and it was given to %s at %s",
			short(one.host), clock(w.stopping), short(two.host), clock(two.at))
	}
	if !two.redelivered {
		if one.tag == two.tag {
			return byClient, "the same message was in the list twice"
		}
		return byNobody, "it was delivered twice, and not as a redelivery"
	}
	if w != nil && w.by == deployment && w.stopping.Before(two.at) && first.end.Add(slack).After(w.stopping) {
		return byDeployment, fmt.Sprintf("a deployment replaced %s at %s", short(one.host), clock(w.stopping))
	}
	for _, d := range f.deeds {
		if d.host == one.host && (d.kind == killWorker || d.kind == killChild) && within(d, one.at, two.at) {
			return byKill, fmt.Sprintf("the chaos did %s to %s at %s, before it had acknowledged it", d.kind, short(one.host), clock(d.from))
		}
	}
	if d, ok := f.during(one.at.Add(-recovery), two.at, brokerFaults...); ok {
		return byReconnect, fmt.Sprintf("the acknowledgement was lost in the %s at %s", d.kind, clock(d.from))
	}
	if two.at.Sub(one.at) > f.visibility-slack {
		return byVisibility, fmt.Sprintf("%s had it for %.0f s", short(one.host), two.at.Sub(one.at).Seconds())
	}
	if d, ok := f.during(one.at.Add(-slack), two.at, stopWorker); ok && d.host == one.host {
		return byReconnect, fmt.Sprintf("%s stood still from %s", short(one.host), clock(d.from))
	}
	return byNobody, fmt.Sprintf("it was given to %s at %s, and to %s at %s", short(one.host), clock(one.at), short(two.host), clock(two.at))
}

// leftTo says why a due message is still in the broker. Workers with the pool gevent give back what a dead one held when they
// connect, and never later: their loop would have to hear nothing for two seconds, and the answer to its own BRPOP comes each
// second. So it stays until a worker starts, which nobody needs.
func (f *facts) leftTo(a *attempt) (cause, string) {
	why := fmt.Sprintf("it is %s in the broker since %s", a.left, clock(a.since()))
	n := len(a.received)
	if n == 0 || a.left != "held" || f.pool != "gevent" {
		return byNobody, why
	}
	last := a.received[n-1]
	for _, d := range f.deeds {
		if d.kind != killWorker || d.host != last.host || d.from.Before(last.at) {
			continue
		}
		back := d.from.Add(f.visibility)
		for _, w := range f.workers {
			if w.started.After(back) {
				return byNobody, fmt.Sprintf("%s, and %s, which started at %s, did not give it back", why, short(w.host), clock(w.started))
			}
		}
		return byKill, fmt.Sprintf("%s; the chaos did %s to %s, which had it, at %s, and no worker has started since %s",
			why, d.kind, short(d.host), clock(d.from), clock(back))
	}
	return byNobody, why
}

// lostTo says why a message is nowhere any more.
func (f *facts) lostTo(m *message, a *attempt) (c cause, host string, at time.Time, why string) {
	if n := len(a.runs); n > 0 {
		r := a.runs[n-1]
		if r.outcome == retrying {
			// The next attempt was never seen.
			return f.vanished(r.end, r.end.Add(slack), "the message of its retry")
		}
		c, why := f.cutShort(r)
		return c, r.host, r.start, why
	}
	if n := len(a.received); n > 0 {
		r := a.received[n-1]
		w := f.workers[r.host]
		if w != nil && !w.stopping.IsZero() {
			switch w.by {
			case scaleIn:
				return byScaleIn, r.host, w.stopping, fmt.Sprintf("%s had fetched it at %s and was told to stop at %s", short(r.host), clock(r.at), clock(w.stopping))
			case deployment:
				return byDeployment, r.host, w.stopping, fmt.Sprintf("a deployment replaced %s at %s", short(r.host), clock(w.stopping))
			}
		}
		for _, d := range f.deeds {
			if d.host == r.host && (d.kind == killWorker || d.kind == killChild) && d.from.After(r.at.Add(-slack)) {
				return byKill, r.host, d.from, fmt.Sprintf("%s had fetched it at %s, and the chaos did %s to it at %s", short(r.host), clock(r.at), d.kind, clock(d.from))
			}
		}
		if d, ok := f.during(r.at.Add(-recovery), f.ended, brokerFaults...); ok {
			return byReconnect, r.host, d.from, fmt.Sprintf("%s had fetched it at %s, and lost its connections in the %s at %s", short(r.host), clock(r.at), d.kind, clock(d.from))
		}
		return byNobody, r.host, r.at, fmt.Sprintf("%s had fetched it at %s", short(r.host), clock(r.at))
	}
	from, gone := a.from, a.from.Add(slack)
	for _, s := range a.listed {
		from, gone = s.to, s.gone
	}
	return f.vanished(from, gone, "it")
}

// vanished says why a message that no worker has told of left the broker between two times. A worker that ended then had popped
// it and not looked at it yet; one that had been drained before it was told to stop pops nothing.
func (f *facts) vanished(from, gone time.Time, what string) (c cause, host string, at time.Time, why string) {
	if gone.IsZero() {
		gone = from.Add(slack)
	}
	left := fmt.Sprintf("%s left the broker between %s and %s, and reached nobody", what, clock(from), clock(gone))
	begin, end := from.Add(-slack), gone.Add(slack)
	for _, host := range sortedKeys(f.workers) {
		w := f.workers[host]
		if w.by == scaleIn && !w.drainedAt(w.stopping) && w.stopping.After(begin) && w.stopping.Before(end) {
			return byScaleIn, host, w.stopping, fmt.Sprintf("%s; %s, which nobody had drained, was told to stop at %s", left, short(host), clock(w.stopping))
		}
	}
	if d, ok := f.during(from, gone, restartRedis); ok {
		return byRedis, "", d.from, fmt.Sprintf("%s; redis was killed at %s, and had not written it down", left, clock(d.from))
	}
	if d, ok := f.during(begin, end, killWorker, killChild); ok {
		return byKill, d.host, d.from, fmt.Sprintf("%s; the chaos did %s to %s at %s", left, d.kind, short(d.host), clock(d.from))
	}
	if d, ok := f.during(from.Add(-recovery), end, brokerFaults...); ok {
		return byReconnect, d.host, d.from, fmt.Sprintf("%s; %s at %s", left, d.kind, clock(d.from))
	}
	for _, host := range sortedKeys(f.workers) {
		w := f.workers[host]
		if w.by == deployment && w.stopping.After(begin) && w.stopping.Before(end) {
			return byDeployment, host, w.stopping, fmt.Sprintf("%s; a deployment replaced %s at %s", left, short(host), clock(w.stopping))
		}
	}
	return byNobody, "", from, left
}

// during returns the first deed of one of these kinds that touches the time between two.
func (f *facts) during(from, to time.Time, kinds ...kind) (deed, bool) {
	for _, d := range f.deeds {
		for _, k := range kinds {
			if d.kind == k && within(d, from, to) {
				return d, true
			}
		}
	}
	return deed{}, false
}

func within(d deed, from, to time.Time) bool { return !d.from.After(to) && !d.until.Before(from) }

// receiptOf is the message that a run came of: the last one that had reached its worker by then; nil if none had.
func (a *attempt) receiptOf(r *run) *receipt {
	var last *receipt
	for i := range a.received {
		if got := &a.received[i]; got.host == r.host && !got.at.After(r.start) {
			last = got
		}
	}
	return last
}

// receiptBefore is the message that reached the same worker before; nil if none did.
func (a *attempt) receiptBefore(r *receipt) *receipt {
	var before *receipt
	for i := range a.received {
		got := &a.received[i]
		if got == r {
			return before
		}
		if r != nil && got.host == r.host {
			before = got
		}
	}
	return nil
}

// clock shows a time of day with milliseconds, as the story and the ledger do.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// short is the part of a host name that tells it from others.
func short(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}
