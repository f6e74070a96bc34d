package sim

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/lab/sim/broker"
)

// prepare plans everything that happens by itself.
func (w *world) prepare() {
	for _, s := range w.plan.Sends {
		w.loop.at(epoch.Add(s.At), func() { w.send(s) })
	}
	for _, k := range slices.Concat(kinds, apart) {
		if k.strike == nil {
			continue
		}
		for _, f := range w.faults.byKind[k.kind] {
			if f.Tag == "" {
				w.loop.at(epoch.Add(f.At), func() { k.strike(w, f) })
			}
		}
	}
	for _, k := range halts {
		for _, f := range w.faults.byKind[k] {
			if f.Tag != "" && !f.OnDrain {
				w.loop.at(epoch.Add(f.At), func() { w.halt(f) })
			}
		}
	}
	for _, t := range w.targets {
		for _, window := range t.plan.Windows {
			w.loop.at(epoch.Add(window.From), func() { w.judge.bounds(t) })
			w.loop.at(epoch.Add(window.To), func() { w.judge.bounds(t) })
		}
	}
	w.loop.at(epoch.Add(w.plan.Calm), w.calm)
	w.schedule()
	w.judge.watch()
}

// hit notes that a fault has hit.
func (w *world) hit(f *fault, format string, args ...any) {
	w.tally.faults[f.Kind]++
	topic := noteFault
	if slices.Contains([]kind{
		operatorPause, operatorBounds, operatorTypo, operatorCount, deployment,
		operatorPausesIn, operatorPausesOut, operatorDryRun, operatorDrains,
	}, f.Kind) {
		topic = noteOperator
	}
	w.note(topic, f.Subject, format, args...)
}

// worker picks the worker that a fault hits among those of its target that are up; nil if there is none.
func (w *world) worker(f *fault) *task {
	var up []*task
	for _, k := range w.targets[f.Subject].live {
		if k.worker != nil && k.worker.Ready() {
			up = append(up, k)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[f.N%len(up)]
}

// onWorker makes a strike out of what happens to one worker.
func (w *world) onWorker(f *fault, text string, do func(*broker.Worker)) *task {
	k := w.worker(f)
	if k == nil {
		return nil
	}
	executing, held := k.worker.Holding(0)
	w.hit(f, "worker %s of %s %s (executing %d, holding %d)", short(k.id), k.target.plan.Name, text, executing, held)
	do(k.worker)
	return k
}

func (w *world) crash(f *fault) {
	w.onWorker(f, "crashes", func(b *broker.Worker) { b.Crash(137) })
}

func (w *world) freeze(f *fault) {
	if k := w.onWorker(f, "is frozen for "+f.For.String(), (*broker.Worker).Freeze); k != nil {
		w.loop.after(f.For, k.worker.Thaw)
	}
}

func (w *world) wedge(f *fault) {
	if k := w.onWorker(f, "is wedged for "+f.For.String(), (*broker.Worker).Wedge); k != nil {
		w.loop.after(f.For, k.worker.Reconnect)
	}
}

func (w *world) starve(f *fault) {
	if k := w.onWorker(f, "fetches nothing any more", (*broker.Worker).Starve); k != nil {
		w.loop.after(f.For, k.worker.Reconnect)
	}
}

func (w *world) reconnect(f *fault) {
	w.onWorker(f, "loses its connection", (*broker.Worker).Reconnect)
}

// restart has a worker's process begin anew in the same task, as a supervisor in the container does after a crash.
func (w *world) restart(f *fault) {
	k := w.worker(f)
	if k == nil {
		return
	}
	executing, held := k.worker.Holding(0)
	w.hit(f, "worker %s of %s begins anew in its task (executed %d, held %d)", short(k.id), k.target.plan.Name, executing, held)
	old := k.worker
	k.restarted = w.loop.now
	k.start()
	old.Crash(1)
}

func (w *world) crashChild(f *fault) {
	k := w.worker(f)
	if k != nil && k.worker.CrashChild() {
		w.hit(f, "a pool process of worker %s of %s is killed", short(k.id), k.target.plan.Name)
	}
}

func (w *world) interrupt(f *fault) {
	if k := w.worker(f); k != nil && w.ecs.Interrupt(k.id) == nil {
		w.hit(f, "task %s of %s loses its Spot capacity", short(k.id), k.target.plan.Name)
	}
}

func (w *world) failStarts(f *fault) {
	t := w.targets[f.Subject]
	if w.ecs.FailStarts(cluster, t.plan.Name, f.N, "CannotPullContainerError: not found") == nil {
		w.hit(f, "the next %d tasks of %s fail to start", f.N, t.plan.Name)
		w.loop.after(f.For, func() { _ = w.ecs.FailStarts(cluster, t.plan.Name, 0, "") })
	}
}

func (w *world) slowPlacement(f *fault) {
	t := w.targets[f.Subject]
	w.hit(f, "new workers of %s take %v longer, for %v", t.plan.Name, f.Length, f.For)
	t.placement = f.Length
	w.loop.after(f.For, func() { t.placement = 0 })
}

func (w *world) fillZone(f *fault) {
	t := w.targets[f.Subject]
	zone := t.zones()[f.N%t.plan.Zones]
	w.hit(f, "zone %s has no room for new tasks, for %v", zone, f.For)
	w.ecs.ZoneFull(zone, true)
	w.loop.after(f.For, func() { w.ecs.ZoneFull(zone, false) })
}

func (w *world) deploy(f *fault) {
	t := w.targets[f.Subject]
	w.hit(f, "a deployment of %s begins", t.plan.Name)
	t.generation++
	t.rolling = true
	_ = w.ecs.Deploy(cluster, t.plan.Name)
}

func (w *world) redis(f *fault) {
	m := w.brokers[f.Subject]
	w.hit(f, "Redis %d: %s for %v", f.Subject, string(f.Kind[len("redis "):]), f.For)
	switch f.Kind {
	case redisDown:
		m.Outage(f.For)
	case redisHung:
		m.Hang(f.For)
	case redisReadOnly:
		m.ReadOnly(f.For)
	case redisSlow:
		m.Slow(f.Length, f.For)
	default:
		m.Lag()
		w.loop.after(f.Length, func() {
			w.note(noteFault, -1, "Redis %d fails over, and loses what was written in the last %v", f.Subject, f.Length)
			m.Failover(min(f.For, 20*time.Second))
		})
	}
}

// appProtects has the application protect its task, as it does through the agent's endpoint while it works on something dear.
func (w *world) appProtects(f *fault) {
	k := w.worker(f)
	if k == nil {
		return
	}
	minutes := int32(f.Length/time.Minute) + 1
	w.hit(f, "the application protects task %s of %s for %d min, and releases it after %v",
		short(k.id), k.target.plan.Name, int(minutes), f.Length)
	w.protect(k, aws.Int32(minutes))
	w.loop.after(f.Length, func() {
		if w.judge.protectedByApp(k) {
			w.note(noteFault, k.target.index, "the application releases task %s", short(k.id))
			w.protect(k, nil)
		}
	})
}

// protect sets or ends the application's own protection.
func (w *world) protect(k *task, minutes *int32) {
	out, err := w.direct.UpdateTaskProtection(context.Background(), &sdk.UpdateTaskProtectionInput{
		Cluster: aws.String(cluster), Tasks: []string{k.id}, ProtectionEnabled: minutes != nil, ExpiresInMinutes: minutes,
	})
	if err != nil || len(out.ProtectedTasks) != 1 {
		return // It has stopped.
	}
	w.judge.appSet(k, aws.ToTime(out.ProtectedTasks[0].ExpirationDate))
}

// The tags by which an operator overrides the configuration.
const (
	tagPaused = "sluice:paused"
	tagMin    = "sluice:min"
	tagMax    = "sluice:max"
)

// tag sets a tag of the service.
func (w *world) tag(t *target, name, value string) {
	t.tags[name] = value
	w.judge.bounds(t)
	w.setTag(t, name, value)
}

func (w *world) pause(f *fault) {
	t := w.targets[f.Subject]
	w.hit(f, "an operator pauses %s for %v", t.plan.Name, f.For)
	w.tag(t, tagPaused, "true")
	w.loop.after(f.For, func() {
		w.note(noteOperator, t.index, "the operator lets %s go on", t.plan.Name)
		w.tag(t, tagPaused, "false")
	})
}

func (w *world) bounds(f *fault) {
	t := w.targets[f.Subject]
	name, value := tagMin, f.Low
	if f.High >= 0 {
		name, value = tagMax, f.High
	}
	w.hit(f, "an operator sets %s of %s to %d", name, t.plan.Name, value)
	w.tag(t, name, strconv.Itoa(value))
}

// mistype has an operator set a bound that cannot be understood, and correct it later.
func (w *world) mistype(f *fault) {
	t := w.targets[f.Subject]
	w.hit(f, "an operator sets %s of %s to \"ten\", for %v", tagMax, t.plan.Name, f.For)
	w.tag(t, tagMax, "ten")
	w.loop.after(f.For, func() {
		w.note(noteOperator, t.index, "the operator corrects %s of %s to %d", tagMax, t.plan.Name, t.plan.Max)
		w.tag(t, tagMax, strconv.Itoa(t.plan.Max))
	})
}

func (w *world) manual(f *fault) {
	t := w.targets[f.Subject]
	w.hit(f, "an operator sets the count of %s to %d", t.plan.Name, f.N)
	_ = w.setDesired(t, nil, f.N)
}

// calm ends what may go wrong.
func (w *world) calm() {
	w.note(noteFault, -1, "all faults have ended")
	for _, t := range w.targets {
		t.placement = 0
	}
	for i := range w.faults.byKind {
		for _, f := range w.faults.byKind[i] {
			f.left = 0
		}
	}
}
