package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
)

// line is one line of a round's story: something that happened, and to whom.
type line struct {
	at         time.Time
	task, host string // What it is about, or "": then it is about everybody.
	text       string
}

// tell puts together what everybody saw, in the order in which it happened.
func tell(f *facts, rows []row, happenings []cloud.Happening) []line {
	var story []line
	add := func(at time.Time, task, host, format string, args ...any) {
		story = append(story, line{at, task, host, fmt.Sprintf(format, args...)})
	}
	for _, r := range rows {
		text := r.Event
		if r.Task != "" {
			text = fmt.Sprintf("%s.%d %s", r.Task, r.Attempt, r.Event)
		}
		if r.Redelivered {
			text += ", redelivered"
		}
		if r.Error != "" {
			text += ": " + r.Error
		}
		if r.Host != "" && r.Event != "sending" && r.Event != "sent" && r.Event != "unsure" {
			text = short(r.Host) + " " + text
		}
		add(moment(r.At), r.Task, r.Host, "%s", text)
	}
	for _, d := range f.deeds {
		text := "CHAOS " + d.note
		if d.host != "" {
			text += ": " + short(d.host)
		}
		add(d.from, "", "", "%s", text)
		if d.until.Sub(d.from) > 100*time.Millisecond {
			add(d.until, "", "", "CHAOS ends %s", d.kind)
		}
	}
	hosts := map[string]string{} // By task id.
	for _, w := range f.workers {
		hosts[w.id] = w.host
	}
	for _, h := range happenings {
		switch {
		case h.Task != nil && h.Task.Task != "":
			e := h.Task
			add(e.At, "", hosts[e.Task], "%s is %s %s", short(hosts[e.Task]), e.Status, e.Reason)
		case h.Task != nil && h.Task.Desired != h.Task.Previous:
			add(h.Task.At, "", "", "COUNT %d -> %d", h.Task.Previous, h.Task.Desired)
		case h.Delivery != nil && h.Delivery.Dropped:
			add(h.At, "", "", "an event was lost")
		case h.Invocation != nil:
			tellInvocation(add, h)
		case h.Execution != nil && h.Execution.Event != nil && h.Execution.Event.Type == asl.Entered:
			add(h.At, "", "", "sweep %.4s enters %s", h.Execution.Name, h.Execution.Event.State)
		case h.Execution != nil && h.Execution.Ended != nil && h.Execution.Ended.Status != asl.Succeeded:
			add(h.At, "", "", "sweep %.4s %s: %s %s", h.Execution.Name, h.Execution.Ended.Status, h.Execution.Ended.Error, h.Execution.Ended.Cause)
		}
	}
	slices.SortStableFunc(story, func(a, b line) int { return a.at.Compare(b.at) })
	return story
}

func tellInvocation(add func(at time.Time, task, host, format string, args ...any), h cloud.Happening) {
	i := h.Invocation
	for _, r := range i.Records {
		text, err := json.Marshal(r.Fields)
		if err != nil {
			continue // It was read from JSON.
		}
		add(h.At, "", "", "%s says %s %s", i.Function, r.Message, text)
	}
	switch {
	case i.Err != nil:
		add(h.At, "", "", "%s did not run: %v", i.Function, i.Err)
	case i.Result.FunctionError != "":
		add(h.At, "", "", "%s failed: %s", i.Function, i.Result.Payload)
	case i.Function == cloud.ScaleIn:
		add(h.At, "", "", "%s answered %s", i.Function, i.Result.Payload)
	}
}

// write writes the story and the ledger's verdict beside the round's logs.
func (r *result) write() error {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%v\nscaled by: %s\n\n", r.plan, r.arm)
	for _, l := range r.story {
		_, _ = fmt.Fprintf(&b, "%s %s\n", clock(l.at), l.text)
	}
	_, _ = fmt.Fprintf(&b, "\n")
	for _, f := range r.verdict.findings {
		_, _ = fmt.Fprintf(&b, "%v\n", f)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "story.log"), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write the story: %w", err)
	}
	return nil
}

// lastLines is how much of a story is printed for a finding.
const lastLines = 30

// explain prints a finding with the last of what happened to its message and its worker, and of what concerned everybody, up to
// a little after it.
func (r *result) explain(out io.Writer, f finding) {
	_, _ = fmt.Fprintf(out, "\n  round %d (seed %d): %v\n", r.plan.number, r.plan.seed, f)
	var about []line
	for _, l := range r.story {
		if l.at.After(f.at.Add(stopTimeout)) {
			break
		}
		everybody := l.task == "" && l.host == "" && !strings.HasPrefix(l.text, "sweep") && !strings.HasPrefix(l.text, cloud.Check)
		if l.task == f.task || everybody || l.task == "" && l.host != "" && l.host == f.host {
			about = append(about, l)
		}
	}
	for _, l := range about[max(0, len(about)-lastLines):] {
		_, _ = fmt.Fprintf(out, "    %s %.220s\n", clock(l.at), l.text)
	}
	_, _ = fmt.Fprintf(out, "    all of it, and the logs: %s\n", r.dir)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	return keys
}
