package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/local/asl"
	"sluice/internal/policy"
	"sluice/internal/sim/broker"
)

// Invariant names what must hold in every history.
type Invariant string

// The invariants.
const (
	// Lossless: ECS never stops a worker because of a count that we lowered while it executes a message, or has fetched one that
	// is due within the horizon. What a deployment, Spot, rebalancing, a crash or an operator's own change stops is not ours.
	Lossless Invariant = "lossless"
	// Live: once the faults have ended, no message waits longer than the bound (see liveBound) while there are fewer workers that
	// fetch than the work asks for and max allows.
	Live Invariant = "live"
	// Bounded: the count that we set is within min and max as they were in force while the function ran, and a paused service is
	// left alone.
	Bounded Invariant = "bounded"
	// Spared: we never lower the count below the tasks that others protect, never change their protection, and end our own; no
	// service is left blocked by us.
	Spared Invariant = "spared"
	// Even: where ECS evens out the Availability Zones by itself, a lower count leaves them even: else ECS would stop a task for it, and
	// ask nobody whether it is busy.
	Even Invariant = "even"
	// Frugal: once the faults have ended, a target without work goes down to min, by a step at least in each frugalBound, wherever
	// its workers can be told or min is 0.
	Frugal Invariant = "frugal"
	// Sane: nothing panics, the state machine never meets an answer that it does not understand, no lock is taken for longer than
	// maxLock.
	Sane Invariant = "sane"
	// Same: two runs of one seed are identical, event by event.
	Same Invariant = "same"
)

const invariantPanic = Sane

// Breach is an invariant that was broken.
type Breach struct {
	Invariant Invariant
	At        time.Duration // From the beginning of the history.
	Target    int           // -1 if it is of none.
	Text      string
}

func (b Breach) String() string { return fmt.Sprintf("%s: %s", b.Invariant, b.Text) }

// maxLock is the longest that a lock may be taken for: longer, and who dies with it keeps workers from being resumed.
const maxLock = 4 * time.Minute

// broken notes that an invariant is broken, which ends the history. The first is the one that counts.
func (w *world) broken(i Invariant, format string, args ...any) {
	w.brokenAt(i, -1, format, args...)
}

func (w *world) brokenAt(i Invariant, target int, format string, args ...any) {
	if w.first != nil {
		return
	}
	w.first = &Breach{Invariant: i, At: w.loop.now.Sub(epoch), Target: target, Text: fmt.Sprintf(format, args...)}
	w.note(noteBroken, target, "BROKEN: %s", w.first.String())
}

// judge watches a history.
type judge struct {
	w *world
	// protection is who set the protection of a task last, by task ID.
	protection map[string]protection
}

type protection struct {
	ours  bool
	at    time.Time // When it was set.
	until time.Time // Zero if it was ended.
}

// targetJudgement is what the judge remembers of a target.
type targetJudgement struct {
	clients []*broker.Client
	limits  []limitsInForce // Newest last.
	short   time.Time       // Since when it has had too few workers; zero if it has enough.
	idle    time.Time       // Since when it has been without work, and its count the same.
	count   int             // That count.
	blocked time.Time       // Since when more tasks have run than our count asks for.
	below   time.Time       // Since when its count has been below min.
}

// limitsInForce are the bounds and the pause from a time on.
type limitsInForce struct {
	from     time.Time
	min, max int
	paused   bool
}

func newJudge(w *world) *judge { return &judge{w: w, protection: map[string]protection{}} }

// bounds notes a change of the tags. What they mean is said in the README, and said here once more: min above the configured max
// raises it, and max below the configured min lowers that.
func (j *judge) bounds(t *target) {
	f := limitsInForce{from: j.w.loop.now, min: t.plan.Min, max: t.plan.Max, paused: t.tags[tagPaused] == "true"}
	low, hasLow := number(t.tags[tagMin])
	high, hasHigh := number(t.tags[tagMax])
	if !hasLow || !hasHigh || low <= high {
		if hasLow {
			f.min, f.max = low, max(f.max, low)
		}
		if hasHigh {
			f.max, f.min = high, min(f.min, high)
		}
	}
	t.state.limits = append(t.state.limits, f)
}

func (t *target) inForce() limitsInForce { return t.state.limits[len(t.state.limits)-1] }

func number(s string) (n int, ok bool) {
	_, err := fmt.Sscan(s, &n)
	return n, err == nil
}

// stops judges ECS's telling a task to stop.
func (j *judge) stops(k *task, reason string) {
	t := k.target
	switch {
	case !strings.HasPrefix(reason, "Scaling activity"):
		j.w.tally.count("stops by others: " + reason)
	case k.generation < t.generation:
		j.w.tally.count("stops by others: deployment")
	case t.ours == 0:
		j.w.tally.count("stops by others: operator or rebalancing")
	default:
		t.ours--
		k.ours = true
		j.w.tally.count("stops by us")
		if k.executing+k.held > 0 {
			j.w.brokenAt(Lossless, t.index, "ECS stops task %s of %s because of the count that we lowered, while it executes %d and holds %d messages%s",
				short(k.id), t.plan.Name, k.executing, k.held, k.has)
		}
	}
}

// possessions tells what a worker has.
func (j *judge) possessions(k *task) string {
	var b strings.Builder
	for id := range broker.ID(k.target.broker.Sent()) {
		r := k.target.broker.Record(id)
		at := slices.IndexFunc(r.Deliveries, func(d broker.Delivery) bool {
			return d.Worker == k.worker && d.Acked.IsZero() && d.Back.IsZero() && d.Ended.IsZero()
		})
		if at < 0 {
			continue
		}
		d := r.Deliveries[at]
		fmt.Fprintf(&b, "; message %d (%s) is %s, sent at %v, fetched at %v", int(id), r.Task.Name, r.State, r.Sent.Sub(epoch), d.Fetched.Sub(epoch))
		if !r.Task.ETA.IsZero() {
			fmt.Fprintf(&b, ", due at %v", r.Task.ETA.Sub(epoch))
		}
		if r.Task.Routed {
			b.WriteString(", of no queue that can be told")
		}
		if r.Retried > 0 {
			fmt.Fprintf(&b, ", retried %d times, each after %v", r.Retried, r.Task.RetryIn)
		}
	}
	return b.String()
}

// over judges the end of a worker: one that we made ECS stop has lost nothing on its way out.
func (j *judge) over(k *task) {
	if !k.ours {
		return
	}
	for _, id := range k.target.broker.Lost()[k.lost:] {
		r := k.target.broker.Record(id)
		if n := len(r.Deliveries); n > 0 && r.Deliveries[n-1].Worker == k.worker {
			j.w.brokenAt(Lossless, k.target.index, "task %s of %s, which ECS stopped because of the count that we lowered, has lost message %d",
				short(k.id), k.target.plan.Name, int(id))
		}
	}
}

// sets judges a count that we set.
func (j *judge) sets(t *target, inv *invocation, n int) {
	j.w.tally.count(fmt.Sprintf("counts set by %s", inv.function.name))
	low, high, paused := t.inForce().min, t.inForce().max, t.inForce().paused
	for i := len(t.state.limits) - 1; i >= 0; i-- {
		f := t.state.limits[i]
		low, high, paused = min(low, f.min), max(high, f.max), paused && f.paused
		if !f.from.After(inv.began) {
			break
		}
	}
	if paused {
		j.w.brokenAt(Bounded, t.index, "%s sets %s to %d although it is paused", inv.function.name, t.plan.Name, n)
	}
	if slices.Contains(inv.reasons, policy.ReasonStuck) {
		low-- // To replace a worker takes a moment with one fewer: see min for how long that may be.
	}
	// One that is beyond its bounds, since they have been changed, may go towards them in steps.
	if n < low && n < t.desired || n > high && n > t.desired {
		j.w.brokenAt(Bounded, t.index, "%s sets %s from %d to %d, and %d..%d are in force", inv.function.name, t.plan.Name, t.desired, n, low, high)
	}
	if n >= t.desired {
		return
	}
	if inv.function.name == scaleOut {
		j.w.tally.count("counts lowered by a scale-out")
	}
	spared := 0
	for _, k := range t.live {
		if p, ok := j.protection[k.id]; ok && !p.ours && p.until.After(j.w.loop.now) && !p.at.After(inv.lastTasks) {
			spared++
		}
	}
	if n < spared {
		j.w.brokenAt(Spared, t.index, "%s lowers %s to %d, and the application protects %d tasks", inv.function.name, t.plan.Name, n, spared)
	}
}

// lowered judges what a lower count of ours has left, where all that it lets go has been told to stop.
func (j *judge) lowered(t *target, inv *invocation, before int) {
	if after := t.spread(); t.plan.Rebalances && t.ours == 0 && before <= 1 && after > 1 {
		j.w.brokenAt(Even, t.index, "%s lowers %s to %d, and its zones differ by %d tasks; they differed by %d", inv.function.name, t.plan.Name, t.desired, after, before)
	}
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
func (j *judge) touches(t *target, ids []string, doing string) {
	inv := j.w.loop.current.owner
	for _, id := range ids {
		p, ok := j.protection[id]
		if ok && !p.ours && p.until.After(j.w.loop.now) && p.at.Before(inv.lastTasks) {
			j.w.brokenAt(Spared, t.index, "%s %s task %s of %s, which the application protects", inv.function.name, doing, short(id), t.plan.Name)
		}
	}
}

func (j *judge) protects(t *target, ids []string, d time.Duration) {
	j.w.tally.add("tasks protected", len(ids))
	j.w.note(noteDrain, t.index, "%d tasks of %s are to be protected for %v", len(ids), t.plan.Name, d)
	j.touches(t, ids, "protects")
}

func (j *judge) protected(t *target, until map[string]time.Time) {
	for id, at := range until {
		j.protection[id] = protection{ours: true, at: j.w.loop.now, until: at}
	}
}

func (j *judge) releases(t *target, ids []string) {
	j.w.tally.add("tasks released", len(ids))
	j.w.note(noteDrain, t.index, "%d tasks of %s are to be released", len(ids), t.plan.Name)
	j.touches(t, ids, "releases")
	for _, id := range ids {
		j.protection[id] = protection{ours: true, at: j.w.loop.now}
	}
}

func (j *judge) locked(name, _ string, ttl time.Duration) {
	j.w.tally.count("locks taken")
	if ttl <= 0 || ttl > maxLock {
		j.w.broken(Sane, "lock %s is taken for %v", name, ttl)
	}
}

// ended judges the end of an invocation.
func (j *judge) ended(inv *invocation) {
	if inv.err != nil {
		j.w.tally.statuses[inv.function.name+": "+inv.err.Name]++
		if inv.err.Name == "InternalError" || inv.err.Name == string(policy.InvalidEvent) {
			j.w.broken(Sane, "%s ended in %s: %s", inv.function.name, inv.err.Name, inv.err.Cause)
		}
	}
}

// swept judges the end of an execution of the state machine: whatever a function answers, it understands.
func (j *judge) swept(done asl.Execution) {
	switch done.Error {
	case asl.Runtime, asl.NoChoiceMatched, asl.DataLimit, asl.IntrinsicFailure, "UnexpectedAnswer":
		j.w.broken(Sane, "the state machine ended in %s: %s", done.Error, done.Cause)
	}
}

// watch begins to watch what has to hold at any time, and what has to hold once the faults have ended.
func (j *judge) watch() {
	for _, t := range j.w.targets {
		j.bounds(t)
		t.state.count = -1
	}
	look := 40 * time.Second
	j.w.loop.every(epoch.Add(j.w.plan.Calm+look), func() time.Duration { return look }, func() bool {
		for _, t := range j.w.targets {
			j.live(t)
			j.frugal(t)
			j.blocked(t)
			j.min(t)
		}
		return true
	})
}

// min judges that a count below min is raised: where a replacement left it, or an operator's change of either.
func (j *judge) min(t *target) {
	f := t.inForce()
	t.state.below = j.since(t.state.below, t.desired < f.min && !f.paused)
	if !t.state.below.IsZero() && j.w.loop.now.Sub(t.state.below) > j.liveBound(t) {
		j.w.brokenAt(Bounded, t.index, "the count of %s has been %d for over %v, and min is %d", t.plan.Name, t.desired, j.liveBound(t), f.min)
	}
}

// since returns from when on something has been so: now, if it was not before.
func (j *judge) since(at time.Time, is bool) time.Time {
	switch {
	case !is:
		return time.Time{}
	case at.IsZero():
		return j.w.loop.now
	}
	return at
}

// liveBound is how long a message may wait, once the faults have ended, while there are too few workers: two sweeps, since the one
// that is under way may have looked already; the ttl of the lock of a function that died with it; a scale-in that
// holds it; and what ECS and the worker take to start, after failures a while longer.
func (j *judge) liveBound(t *target) time.Duration {
	p := j.w.plan
	return 2*p.SweepEvery + 2*p.SweepJitter + 180*time.Second + 2*time.Minute +
		p.Provisioning + t.plan.Pending + t.plan.Worker.Boot + 3*time.Minute
}

// live judges whether the target has the workers that its work asks for. A worker that is busy with something long fetches no more
// than its window, and the policy gives each worker as many messages as it is meant to have: so long nobody waits in vain.
func (j *judge) live(t *target) {
	backlog := j.backlog(t)
	work, up, drained := backlog, 0, 0
	horizon := j.w.plan.Brokers[t.plan.Broker].Horizon
	for _, k := range t.live {
		if k.worker == nil || !k.worker.Ready() {
			continue
		}
		executing, held := k.worker.Holding(horizon)
		engaged := executing > 0 && !k.worker.Obeys() // Nobody can tell it anything before it is done.
		if !engaged && !fetches(k.worker, t.plan.Queues) {
			drained += executing
			continue
		}
		up++
		work += executing + held
	}
	// A message that a worker still has and that was restored behind its back is there twice.
	work = min(work, len(t.left())-drained)
	f := t.inForce()
	need := min((work+t.plan.MessagesPerWorker-1)/t.plan.MessagesPerWorker, f.max)
	t.state.short = j.since(t.state.short, backlog > 0 && up < need && !f.paused)
	if t.state.short.IsZero() {
		return
	}
	if waited, bound := j.w.loop.now.Sub(t.state.short), j.liveBound(t); waited > bound {
		j.w.brokenAt(Live, t.index, "%d messages have waited for workers of %s for over %v: %d fetch, %d are asked for by the work, the count is %d",
			backlog, t.plan.Name, bound, up, need, t.desired)
	}
}

// fetches says whether the worker fetches from one of the queues.
func fetches(b *broker.Worker, queues []string) bool {
	return slices.ContainsFunc(b.Consumes(), func(q string) bool { return slices.Contains(queues, q) })
}

// backlog is how many messages wait for the target that are due.
func (j *judge) backlog(t *target) int {
	if t.state.clients == nil {
		t.state.clients = []*broker.Client{t.broker.Client(broker.ClientOptions{Horizon: time.Nanosecond})}
	}
	if _, _, waits := t.broker.LongestWait(t.plan.Queues...); !waits {
		return 0
	}
	look, err := t.state.clients[0].Look(context.Background(), t.plan.Queues, 0)
	if err != nil {
		return 0 // Redis is not well: nobody waits for us.
	}
	n := 0
	for _, q := range look.Queues {
		n += q.Backlog.N
	}
	return n
}

// frugalBound is how long a target without work may keep its count: three sweeps, one that is under way, one that finds it a
// candidate, one that was held by a young task; and what each waits for.
func (j *judge) frugalBound(t *target) time.Duration {
	p := j.w.plan
	held := max(t.plan.Floor, p.longestHold(t.index))
	return 3*p.SweepEvery + 2*p.SweepJitter + t.plan.Settle + t.plan.Grace + held + 180*time.Second + 2*time.Minute
}

// longestHold is how long an event asks at most to keep workers of the target.
func (p *plan) longestHold(target int) time.Duration {
	var hold time.Duration
	for _, s := range p.Sends {
		if s.Target == target {
			hold = max(hold, s.Hold)
		}
	}
	return hold
}

// frugal judges whether a target without work goes down.
func (j *judge) frugal(t *target) {
	f := t.inForce()
	idle := !f.paused && t.desired > f.min && (t.plan.mappable() || f.min == 0)
	for _, o := range j.w.targets {
		if o.broker != t.broker {
			continue
		}
		// A neighbour's silent worker may be anybody's; and workers that all bear one name cannot be told apart at all.
		idle = idle && len(o.left()) == 0 && !o.plan.Worker.NoControl && (o == t || o.plan.Naming != allSame || t.plan.Naming != allSame)
	}
	if t.desired != t.state.count {
		t.state.idle, t.state.count = time.Time{}, t.desired
	}
	t.state.idle = j.since(t.state.idle, idle)
	if t.state.idle.IsZero() {
		return
	}
	j.w.tally.count("idle looks")
	if since, bound := j.w.loop.now.Sub(t.state.idle), j.frugalBound(t); since > bound {
		j.w.brokenAt(Frugal, t.index, "%s has had no work for over %v, and its count is still %d (min %d)", t.plan.Name, bound, t.desired, f.min)
	}
}

// left returns the messages of the target that are not done.
func (t *target) left() []broker.ID {
	t.unfinished = slices.DeleteFunc(t.unfinished, func(id broker.ID) bool {
		return t.broker.Record(id).State >= broker.Done
	})
	return t.unfinished
}

// blockedBound is how long more tasks may run than the count asks for that we set: as long as our own protection lasts, and a sweep
// to see to it.
const blockedBound = 16 * time.Minute

func (j *judge) blocked(t *target) {
	t.state.blocked = j.since(t.state.blocked, t.ours > 0)
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
				j.w.brokenAt(Spared, t.index, "task %s of %s is still protected by us, %v after we began", short(k.id), t.plan.Name, j.w.loop.now.Sub(p.at))
			}
		}
	}
}

// sum adds to the tally what became of the messages.
func (j *judge) sum() {
	for _, b := range j.w.brokers {
		j.w.tally.add("messages done", b.Done())
		j.w.tally.add("messages lost", len(b.Lost()))
	}
}
