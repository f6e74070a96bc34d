package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"

	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"

	"sluice/internal/terminal"
)

// story writes what happens in the local cloud, line by line.
type story struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := make([]any, len(args))
	for i, a := range args {
		made[i] = terminal.Fitted{Value: a, Fit: func(text string) string { return terminal.Clean(terminal.Cut(ansi.Strip(text), maxLine)) }} // Tasks may print in colours.
	}
	_, _ = fmt.Fprintf(s.w, format+"\n", made...)
}

// happening tells what a person wants to see: events, errors of functions, messages, the counts and tasks of ECS, failed sweeps.
// What functions and tasks print is written besides, as it comes.
func (s *story) happening(h cloud.Happening) {
	switch {
	case h.Delivery != nil:
		d := h.Delivery
		fate := "delivered by rule " + d.Rule
		switch {
		case d.Err != nil:
			fate = "refused by the target of rule " + d.Rule + ": " + d.Err.Error()
		case d.Dropped:
			fate = "dropped"
		case d.Rule == "":
			fate = "matched by no rule on bus " + d.Bus
		}
		s.say("event %s %q %s: %s", d.Event.Source, d.Event.DetailType, d.Event.Detail, fate)
	case h.Invocation != nil && h.Invocation.Result.FunctionError != "":
		s.say("function %s failed: %s", h.Invocation.Function, h.Invocation.Result.Payload)
	case h.DeadLetter != nil:
		l := h.DeadLetter
		s.say("%s of %s (%s after %d attempts): %s: %s: %s", letter(l.Lost), l.Function, l.Reason, l.Attempts, l.ErrorType, l.ErrorMessage, l.Payload)
	case h.Undelivered != nil:
		u := h.Undelivered
		s.say("%s of %s (after %d retries): %s: %s", letter(u.Lost), u.From, u.Why.Retries, u.Why, u.Payload)
	case h.Denied != nil:
		s.say("function %s may not %s on %s", h.Denied.Function, h.Denied.Action, h.Denied.Resource)
	case h.Published != nil:
		p := h.Published
		s.say("message to %s: %s", p.Topic[strings.LastIndexByte(p.Topic, ':')+1:], p.Subject)
		for line := range strings.Lines(p.Message) {
			s.say("    %s", strings.TrimSuffix(line, "\n"))
		}
	case h.Task != nil && h.Task.Task != "":
		s.say("task %s/%s %.8s: %s %s", h.Task.Cluster, h.Task.Service, h.Task.Task, h.Task.Status, h.Task.Reason)
	case h.Task != nil && h.Task.Desired != h.Task.Previous:
		s.say("service %s/%s: %d -> %d", h.Task.Cluster, h.Task.Service, h.Task.Previous, h.Task.Desired)
	case h.Execution != nil && h.Execution.Ended != nil && h.Execution.Ended.Error != "":
		s.say("sweep %s: %s: %s", h.Execution.Ended.Status, h.Execution.Ended.Error, h.Execution.Ended.Cause)
	}
}

// letter is what an event is that was given up; lost says why it is in no dead-letter queue, if it is in none.
func letter(lost string) string {
	if lost == "" {
		return "dead letter"
	}
	return "lost event (" + lost + ")"
}

// task returns where a task's output goes.
func (s *story) task(spec ecs.Spec) io.Writer {
	return s.lines(fmt.Sprintf("task %s/%.8s: ", spec.Service, spec.TaskID))
}

// lines returns a writer whose lines are told with a prefix. What has no end of line is told when it is closed, or when it
// has grown too long.
func (s *story) lines(prefix string) io.WriteCloser { return &lineWriter{story: s, prefix: prefix} }

// maxLine bounds what a lineWriter keeps.
const maxLine = 64 << 10

type lineWriter struct {
	story  *story
	prefix string
	mu     sync.Mutex
	rest   []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok && len(l.rest) < maxLine {
			return len(p), nil
		}
		l.story.say("%s%s", l.prefix, strings.TrimSuffix(string(line), "\r"))
		l.rest = rest
		if !ok {
			l.rest = nil
		}
	}
}

func (l *lineWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.story.say("%s%s", l.prefix, l.rest)
		l.rest = nil
	}
	return nil
}
