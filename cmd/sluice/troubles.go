package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// troubles says in words what is wrong with a target.
func troubles(r scaler.Record) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	switch {
	case r.Error != "":
		say("%s", r.Error)
	case blind(r):
		say("%s", unknowns(r))
	}
	if len(r.Unheard) > 0 && !blind(r) {
		say("no worker answers from %s", tasksNamed(r.Unheard))
	}
	if slices.Contains(r.Reasons, policy.ReasonStuck) {
		say("stuck: %s", policy.ReasonStuck.Sentence())
	} else if len(r.Unfetched) > 0 {
		say("messages wait in %s, from which no worker fetches", strings.Join(r.Unfetched, ", "))
	}
	if len(r.Unlisted) > 0 {
		say("its workers also fetch from %s: list it under queues, or its work is not seen", strings.Join(r.Unlisted, ", "))
	}
	if r.Backlog != nil && *r.Backlog > 0 && r.Running != nil && *r.Running == 0 && r.Action == policy.Hold {
		why := []string{}
		for _, reason := range r.Reasons {
			why = append(why, reason.Sentence())
		}
		say("%s, and nobody works: %s", waiting(*r.Backlog), strings.Join(why, "; "))
	}
	return list
}

// unknowns says what is not known, and why if that is known.
func unknowns(r scaler.Record) string {
	var parts []string
	for what, n := range []*int{r.Backlog, r.Active, r.Held, r.Running} {
		if n == nil {
			parts = append(parts, []string{"what waits", "what executes", "what is held", "what runs"}[what])
		}
	}
	text := "not known: " + cmp.Or(strings.Join(parts, ", "), "part of it")
	if r.Cause != "" {
		text += ": " + r.Cause
	}
	if slices.Contains(r.Reasons, policy.ReasonGrace) {
		text += " (a task is younger than grace: its worker may not have connected yet)"
	}
	return text
}

// waiting says that messages wait.
func waiting(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

// tasksNamed names tasks by the beginning of their ids.
func tasksNamed(ids []string) string {
	short := make([]string, len(ids))
	for i, id := range ids {
		short[i] = shortID(id)
	}
	return "task " + listed(short)
}

// shortID is as much of a task's id as people need.
func shortID(id string) string { return id[:min(len(id), 8)] }
