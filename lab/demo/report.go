package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// print writes the summary for people.
func (s summary) print(w io.Writer) {
	r := lipgloss.NewRenderer(w)
	name := r.NewStyle().Bold(true)
	good, bad := r.NewStyle().Foreground(lipgloss.Color("2")), r.NewStyle().Foreground(lipgloss.Color("1")).Bold(true)
	line := func(what, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "  %s  %s\n", name.Render(fmt.Sprintf("%-28s", what)), fmt.Sprintf(format, args...))
	}
	none := func(what string, n int) {
		style := good
		if n > 0 {
			style = bad
		}
		line(what, "%s", style.Render(fmt.Sprint(n)))
	}

	_, _ = fmt.Fprintln(w)
	if s.Template != "" {
		line("deployment", "%s", s.Template)
		none("calls denied by its roles", s.Denied)
	}
	line("tasks done", "%d of %d", s.Done, s.Tasks)
	none("wrong results", s.Wrong)
	none("lost", s.Lost)
	none("doubled", s.Doubled)
	none("killed", s.Killed)
	switch {
	case len(s.EventToCount) > 0:
		line("event to the new count", "%s", seconds(s.EventToCount...))
	case len(s.LostToCount) == 0:
		line("event to the new count", "none was needed: a sweep was faster")
	}
	if len(s.LostToCount) > 0 {
		line("lost event to the new count", "%s, by the sweep", seconds(s.LostToCount...))
	}
	line("event to the first task", "%s", seconds(s.EventToWorker))
	line("last task to zero workers", "%s", seconds(s.DoneToZero))
	line("most workers", "%d", s.PeakWorkers)
	var calls []string
	for _, op := range slices.Sorted(maps.Keys(s.ECSCalls)) {
		calls = append(calls, fmt.Sprintf("%d %s", s.ECSCalls[op], op))
	}
	line("ECS calls", "%s", strings.Join(calls, ", "))
	line("events", "%d sent, %d of them lost on purpose", s.Events, s.Dropped)
	line("sweeps", "%d, %d of them failed", s.Sweeps, s.FailedSweeps)

	_, _ = fmt.Fprintln(w)
	if len(s.Broken) == 0 {
		_, _ = fmt.Fprintln(w, "  "+good.Render("Every promise held."))
		return
	}
	_, _ = fmt.Fprintln(w, "  "+bad.Render("Promises broke:"))
	for _, b := range s.Broken {
		_, _ = fmt.Fprintln(w, "  - "+b)
	}
}

// seconds writes times, negative ones being those that never were.
func seconds(times ...float64) string {
	var texts []string
	for _, t := range times {
		if t < 0 {
			texts = append(texts, "never")
		} else {
			texts = append(texts, fmt.Sprintf("%.2f s", t))
		}
	}
	return strings.Join(texts, ", ")
}

// write writes the summary to a file as JSON.
func (s summary) write(path string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
