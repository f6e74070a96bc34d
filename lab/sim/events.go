package sim

import (
	"encoding/json"
	"time"
)

// What an event has to carry to be ours.
const (
	eventSource = "custom.celery.monitor"
	eventType   = "celery.task.queue_full"
)

// How Lambda tries an event again that it has accepted (asynchronous invocation).
const (
	maxEventAge      = 6 * time.Hour
	firstRetry       = time.Minute
	secondRetry      = 2 * time.Minute
	throttleDelay    = time.Second
	maxThrottleDelay = 5 * time.Minute
)

// send sends one message of the load, and its producer's event.
func (w *world) send(s sendPlan) {
	t := w.targets[s.Target]
	task := s.Task
	if s.ETA > 0 {
		task.ETA = w.loop.now.Add(s.ETA)
	}
	if s.Expires > 0 {
		task.Expires = w.loop.now.Add(s.Expires)
	}
	id, err := t.broker.Send(task)
	if err != nil {
		// The producer tries again, as kombu does by default.
		w.loop.after(2*time.Second, func() { w.send(s) })
		return
	}
	w.tally.count("messages")
	t.unfinished = append(t.unfinished, id)
	t.state.idle = time.Time{}
	w.note(noteSend, t.index, "message %d to %s, takes %v%s", int(id), task.Queue, task.Duration, later(s))
	if s.Event {
		w.put(s)
	}
}

func later(s sendPlan) string {
	text := ""
	if s.ETA > 0 {
		text += ", due in " + s.ETA.String()
	}
	if s.Expires > 0 {
		text += ", expires in " + s.Expires.String()
	}
	if s.Task.Retries > 0 {
		text += ", will be retried"
	}
	if s.Task.AcksLate {
		text += ", acknowledged late"
	}
	return text
}

// put puts an event into EventBridge, which brings it to the function once, or as the faults say.
func (w *world) put(s sendPlan) {
	t := w.targets[s.Target]
	w.tally.count("events")
	detail := map[string]any{"target": t.plan.Name}
	if s.ScaleTo > 0 {
		detail["scale_to"] = s.ScaleTo
	}
	if s.Hold > 0 {
		detail["hold_seconds"] = int(s.Hold / time.Second)
	}
	payload, err := json.Marshal(map[string]any{"source": eventSource, "detail-type": eventType, "detail": detail})
	if err != nil {
		panic(err)
	}
	delay := w.draw.spread(20*time.Millisecond, 400*time.Millisecond)
	if w.faults.take(eventLost, t.index, w.loop.now) != nil {
		w.note(noteFault, t.index, "the event for %s is lost", t.plan.Name)
		return
	}
	if f := w.faults.take(eventLate, t.index, w.loop.now); f != nil {
		w.note(noteFault, t.index, "the event for %s is late by %v", t.plan.Name, f.Length)
		delay += f.Length
	}
	deliver := func() { w.deliver(t, payload, w.loop.now, 0, 0) }
	w.loop.after(delay, deliver)
	if f := w.faults.take(eventDouble, t.index, w.loop.now); f != nil {
		w.note(noteFault, t.index, "the event for %s comes twice, %v apart", t.plan.Name, f.Length)
		w.loop.after(delay+f.Length, deliver)
	}
}

// deliver invokes the function with an event, and again if that fails.
func (w *world) deliver(t *target, payload []byte, accepted time.Time, failures, throttles int) {
	again := func(wait time.Duration, failures, throttles int) {
		if w.loop.now.Add(wait).Sub(accepted) > maxEventAge {
			w.tally.count("events given up")
			return
		}
		w.loop.after(wait, func() { w.deliver(t, payload, accepted, failures, throttles) })
	}
	inv, refused := w.invoke(w.functions[scaleOut], payload)
	if refused != nil {
		wait := min(throttleDelay<<min(throttles, 20), maxThrottleDelay)
		again(wait/2+w.draw.between(0, wait/2), failures, throttles+1)
		return
	}
	w.note(noteEvent, t.index, "event for %s: %s", t.plan.Name, string(payload[1:]))
	inv.waiting = append(inv.waiting, func() {
		switch {
		case inv.err == nil:
		case failures == 0:
			again(firstRetry, 1, throttles)
		case failures == 1:
			again(secondRetry, 2, throttles)
		default:
			w.tally.count("events given up")
		}
	})
}
