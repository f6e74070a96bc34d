package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/events"
)

// witness takes in what happened in the cloud: into the chronicle, and as a line of the story if it is worth one.
func (d *driver) witness(h cloud.Happening) {
	at := d.since(h.At)
	say := func(t topic, format string, args ...any) {
		if d.act != beginning { // What happens before is no part of the story.
			d.view.tell(moment{at, t, fmt.Sprintf(format, args...)})
		}
	}
	switch {
	case h.Delivery != nil:
		d.chronicle.event(at, h.Delivery.Dropped)
		say(onEvent, "%s", describeDelivery(*h.Delivery))
	case h.Invocation != nil:
		if f := h.Invocation; f.Err != nil {
			say(onError, "%s did not run: %v", f.Function, f.Err)
		} else if f.Result.FunctionError != "" {
			say(onError, "%s: %s", f.Function, f.Result.Payload)
		}
	case h.DeadLetter != nil:
		say(onError, "%s gave an event up (%s): %s%s", h.DeadLetter.Function, h.DeadLetter.Reason, h.DeadLetter.ErrorMessage, lost(h.DeadLetter.Lost))
	case h.Undelivered != nil:
		say(onError, "%s could not deliver: %v%s", h.Undelivered.From, h.Undelivered.Why, lost(h.Undelivered.Lost))
	case h.Denied != nil:
		d.chronicle.denied = append(d.chronicle.denied, fmt.Sprintf("%s: %s on %s", h.Denied.Function, h.Denied.Action, h.Denied.Resource))
		say(onError, "%s may not %s on %s", h.Denied.Function, h.Denied.Action, h.Denied.Resource)
	case h.Execution != nil:
		if text := d.follow(*h.Execution); text != "" {
			say(onSweep, "%s", text)
		}
	case h.Task != nil:
		e := *h.Task
		switch {
		case e.Task != "":
			d.chronicle.task(at, e.Task, e.Status == "STOPPED")
		case e.Desired != e.Previous:
			d.chronicle.count(at, e.Desired)
		}
		if text := describeTask(e); text != "" {
			say(onECS, "%s", text)
		}
		if n := len(d.chronicle.repairs); n > d.repaired {
			d.repaired = n
			say(onSweep, "the sweep has made good what was lost, %.1f s after the event", d.chronicle.repairs[0].took.Seconds())
		}
	}
}

// lost says why what was given up is in no dead-letter queue, if it is in none.
func lost(why string) string {
	if why == "" {
		return ""
	}
	return "; it is lost: " + why
}

func describeDelivery(e events.Delivery) string {
	text := fmt.Sprintf("%s %s %s", e.Event.Source, e.Event.DetailType, e.Event.Detail)
	switch {
	case e.Dropped:
		text += ", lost on purpose"
	case e.Rule == "":
		text += ", matched by no rule"
	case e.Err != nil:
		text += fmt.Sprintf(", not delivered: %v", e.Err)
	}
	return text
}

// describeRecord puts a function's record of a decision into one line, and that of a result which no count shows; empty if the
// record is of something else. Each reason comes with its sentence the first time.
func (d *driver) describeRecord(r record) string {
	switch {
	case r["message"] == "result" && r["status"] == "draining":
		return "result: workers fetch no more, and go when they are done"
	case r["message"] == "result" && r["status"] == "resumed":
		return "result: drained workers fetch again"
	case r["message"] != "decision":
		return ""
	}
	text := fmt.Sprintf("%v: %v -> %v", r["use_case"], r["current"], r["desired"])
	switch r["action"] {
	case string(policy.Hold):
		text = fmt.Sprintf("%v: stays at %v", r["use_case"], r["current"])
	case string(policy.Candidate):
		text += " unless work comes"
	}
	if n, _ := r["resume"].(float64); n > 0 {
		text += fmt.Sprintf(" and %.0f fetch again", n)
	}
	var why []string
	reasons, _ := r["reasons"].([]any)
	for _, reason := range reasons {
		word := fmt.Sprint(reason)
		if !d.explained[word] {
			d.explained[word] = true
			word += " (" + policy.Reason(word).Sentence() + ")"
		}
		why = append(why, word)
	}
	text += ", because: " + strings.Join(why, ", ")
	var seen []string
	for _, name := range []string{"backlog", "active", "held"} {
		if n := r[name]; n == nil {
			seen = append(seen, name+" unknown")
		} else if n != 0.0 {
			seen = append(seen, fmt.Sprintf("%s %v", name, n))
		}
	}
	if cause, ok := r["cause"]; ok {
		seen = append(seen, fmt.Sprint(cause))
	}
	if len(seen) > 0 {
		text += "; " + strings.Join(seen, ", ")
	}
	return text
}

// follow follows a sweep through the state machine, and tells where it comes to a place of interest.
func (d *driver) follow(s cloud.ExecutionStep) string {
	name, _, _ := strings.Cut(s.Name, "-")
	switch {
	case s.Ended != nil:
		d.chronicle.sweepEnded(s.Name, s.Ended.Status != asl.Succeeded)
		if s.Ended.Status != asl.Succeeded {
			return fmt.Sprintf("sweep %s %s: %s %s", name, s.Ended.Status, s.Ended.Error, s.Ended.Cause)
		}
	case s.Event == nil:
		return ""
	case s.Event.Type == asl.Retried:
		return fmt.Sprintf("sweep %s tries %s again: %s", name, s.Event.State, s.Event.Error)
	case s.Event.State == "Settle" && s.Event.Type == asl.Exited:
		delete(d.chronicle.settling, s.Name)
	case s.Event.Type == asl.Entered:
		switch s.Event.State {
		case "Settle":
			d.chronicle.settling[s.Name] = true
			var look struct {
				First struct {
					Seconds int `json:"settle_seconds"`
				} `json:"first"`
			}
			_ = json.Unmarshal(s.Event.Data, &look) // The interpreter made it: it is JSON.
			return fmt.Sprintf("sweep %s finds workers to spare, and waits %d s to see whether they stay so", name, look.First.Seconds)
		case "Dropped":
			return fmt.Sprintf("sweep %s lets them be", name)
		case "Restore":
			return fmt.Sprintf("sweep %s found new work after the scale-in", name)
		}
	}
	return ""
}

func describeTask(e ecs.Event) string {
	switch {
	case e.Task == "" && e.Desired != e.Previous:
		return fmt.Sprintf("desired %d -> %d", e.Previous, e.Desired)
	case e.Task == "":
		return ""
	case e.Status == "RUNNING":
		return fmt.Sprintf("worker %.8s starts", e.Task)
	case e.Status == "STOPPING":
		return fmt.Sprintf("worker %.8s gets SIGTERM", e.Task)
	case e.Status == "STOPPED":
		if strings.HasPrefix(e.Reason, "Scaling activity initiated by") {
			return fmt.Sprintf("worker %.8s has stopped", e.Task)
		}
		return fmt.Sprintf("worker %.8s has stopped: %s", e.Task, e.Reason)
	}
	return ""
}
