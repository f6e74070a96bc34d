package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// statusFlags are the flags of `sluice status`.
type statusFlags struct {
	watch bool
	via   via
}

// How many targets status looks at task by task, which costs three calls to ECS for each, of a quota that Sluice shares.
const (
	closeOnce  = 25
	closeWatch = 5
)

func statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status [TARGET...]",
		Short: "Show how the targets stand now",
		Long: "Shows of each target how many messages wait (BACKLOG), how many execute (ACTIVE), how many workers have fetched and not begun " +
			"(HELD), the service's desired and running tasks, how many of them are protected from scale-in (PROT), and the last decision " +
			"with its age. `?` is what nobody knows. `3 -> 1?` is a scale-in that waits for its settle time.\n\n" +
			"Below a target stand the sluice: tags and the windows in effect, and what is wrong with it, in words.\n\n" +
			viaHelp + " The last decision is read from the log of decisions.\n\n" +
			"With --watch it looks again every two seconds, until Ctrl-C. As JSON that is one document a line.\n\n" +
			"Exit status: 1 if a target could not be seen. (--watch ends with 0.)",
		Example:           "  sluice status\n  sluice status video audio --watch\n  sluice status -o json | jq '.targets[] | select(.trouble != [])'",
		ValidArgsFunction: completeTargets(anyTargets),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, named, err := targets(cmd, args)
			if err != nil {
				return err
			}
			l, err := newLive(cmd, c, f.via)
			if err != nil {
				return err
			}
			s := &statusReader{live: l, targets: named, close: len(named) <= closeOnce}
			if f.watch {
				s.close = len(named) <= closeWatch
				return watch(cmd, func(ctx context.Context) (view, error) {
					st, err := s.read(ctx)
					return view{st, st.text}, err
				})
			}
			st, err := s.read(cmd.Context())
			if err != nil {
				return err
			}
			if err := print(cmd, st, st.text); err != nil {
				return err
			}
			if st.Unseen > 0 {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "look again every 2 s, until Ctrl-C")
	addVia(cmd, &f.via)
	return cmd
}

// status is how targets stand.
type status struct {
	At      time.Time      `json:"at"`
	Via     via            `json:"via"`
	Unseen  int            `json:"unseen"` // Targets of which something could not be seen.
	Targets []targetStatus `json:"targets"`
	// LogError says why the last decisions are not known; "" if they are.
	LogError string `json:"log_error,omitempty"`
	Note     string `json:"note,omitempty"`

	close bool
}

// targetStatus is how one target stands. What is not known is null.
type targetStatus struct {
	Target    string `json:"target"`
	Backlog   *int   `json:"backlog"`
	Active    *int   `json:"active"`
	Held      *int   `json:"held"`
	Later     *int   `json:"later"`
	Desired   *int   `json:"desired"`
	Running   *int   `json:"running"`
	Pending   *int   `json:"pending"`
	Protected *int   `json:"protected"` // Also null where single tasks were not looked at: of many targets at once.

	Min       int              `json:"min"` // In effect.
	Max       int              `json:"max"`
	Overrides scaler.Overrides `json:"overrides"` // By tags.
	Windows   []windowStatus   `json:"windows"`

	Last    *lastDecision `json:"last_decision"`
	Trouble []string      `json:"trouble"` // What is wrong, in words.
}

// windowStatus is how a window stands.
type windowStatus struct {
	Name   string     `json:"name"`
	Open   bool       `json:"open"`
	Opens  *time.Time `json:"opens"` // Next.
	Closes *time.Time `json:"closes"`
	Min    *int       `json:"min,omitempty"`
	Max    *int       `json:"max,omitempty"`
}

// lastDecision is the last decision in the log.
type lastDecision struct {
	At      time.Time       `json:"at"`
	AgeS    float64         `json:"age_s"`
	UseCase string          `json:"use_case"`
	Action  policy.Action   `json:"action"`
	Current int             `json:"current"`
	Desired int             `json:"desired"`
	Resume  int             `json:"resume,omitempty"`
	Reasons []policy.Reason `json:"reasons"`
}

// statusReader looks, time and again.
type statusReader struct {
	live    *live
	targets []config.Target
	close   bool

	logRead  time.Time // When the log was last read.
	last     map[string]decisions.Entry
	logError string
}

// logEvery is how often the log is read again: its quota of calls is small, and shared by all who look.
const logEvery = 10 * time.Second

func (s *statusReader) read(ctx context.Context) (status, error) {
	names := make([]string, len(s.targets))
	for i, t := range s.targets {
		names[i] = t.Name
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.readLog(ctx, names)
	}()
	p, note, err := s.live.plan(ctx, scaler.PlanInput{Targets: names, Close: s.close})
	<-done
	if err != nil {
		return status{}, err
	}
	st := status{At: p.At, Via: s.live.via, Targets: []targetStatus{}, LogError: s.logError, Note: note, close: s.close}
	overdue := time.Duration(0)
	if s.logError == "" {
		overdue = missedSweeps(s.live.config)
	}
	for _, plan := range p.Targets {
		t, _ := s.live.config.Target(plan.Record.Target)
		ts := targetStatusOf(t, plan, p.At, s.last[t.Name], overdue)
		if unseen(plan) {
			st.Unseen++
		}
		st.Targets = append(st.Targets, ts)
	}
	return st, nil
}

// missedSweeps is the age of a last decision from which on sweeps are missing: each sweep decides on each target.
func missedSweeps(c *config.Config) time.Duration { return 2*c.Sweep.Every.Std() + time.Minute }

// readLog reads the last decisions, unless that was a moment ago.
func (s *statusReader) readLog(ctx context.Context, names []string) {
	now := time.Now()
	if now.Sub(s.logRead) < logEvery {
		return
	}
	s.logRead = now
	stack, err := s.live.find(ctx)
	if err == nil {
		s.last, err = stack.Log(s.live.logs()).Latest(ctx, now.Add(-max(missedSweeps(s.live.config), time.Hour)), now.Add(time.Minute), names)
	}
	s.logError = ""
	if err != nil {
		s.logError = plainly(err)
	}
}

// targetStatusOf joins what was seen of a target with the last decision on it. Overdue is the age from which on that is missing; 0
// is never.
func targetStatusOf(t config.Target, p scaler.TargetPlan, at time.Time, last decisions.Entry, overdue time.Duration) targetStatus {
	r := p.Record
	ts := targetStatus{
		Target: r.Target, Backlog: r.Backlog, Active: r.Active, Held: r.Held, Later: r.Later, Running: r.Running, Pending: r.Pending,
		Protected: r.Protected, Min: r.Min, Max: r.Max, Overrides: p.Overrides, Windows: []windowStatus{}, Trouble: []string{},
	}
	if r.Running != nil { // Else ECS did not say.
		ts.Desired = &r.Current
	}
	for _, w := range t.Windows {
		opens, closes := w.Next(at)
		ts.Windows = append(ts.Windows, windowStatus{w.Name, w.Open(at), orNil(opens), orNil(closes), w.Min, w.Max})
	}
	if d := last.Decision; d != nil {
		ts.Last = &lastDecision{last.Time, at.Sub(last.Time).Seconds(), d.UseCase, d.Action, d.Current, d.Desired, d.Resume, d.Reasons}
	}
	ts.Trouble = append(ts.Trouble, troubles(r)...)
	if overdue > 0 && (ts.Last == nil || at.Sub(last.Time) > overdue) {
		age := "in the last hour"
		if ts.Last != nil {
			age = "for " + ago(at.Sub(last.Time))
		}
		ts.Trouble = append(ts.Trouble, fmt.Sprintf("no decision %s: do the sweeps run? `sluice doctor` tells", age))
	}
	return ts
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

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

// text is the status for people.
func (s status) text(w *textWriter) {
	columns := []column{
		{title: "TARGET", names: true},
		{title: "BACKLOG", right: true},
		{title: "ACTIVE", right: true},
		{title: "HELD", right: true},
		{title: "DESIRED", right: true},
		{title: "RUNNING", right: true},
		{title: "PROT", right: true},
		{title: "LAST DECISION"},
	}
	if !s.close {
		columns = slices.Delete(columns, 6, 7)
	}
	table := w.table(columns...)
	for _, t := range s.Targets {
		cells := []any{t.Target, shown(t.Backlog), shown(t.Active), shown(t.Held), shown(t.Desired), shown(t.Running), shown(t.Protected), t.lastText()}
		if !s.close {
			cells = slices.Delete(cells, 6, 7)
		}
		table.row(cells...)
		for _, line := range slices.Concat(overridesText(t.Overrides, s.At), windowsText(t.Windows, s.At)) {
			table.note("%s", line)
		}
		for _, trouble := range t.Trouble {
			table.note("%s", bad(trouble))
		}
	}
	table.end()
	if s.LogError != "" {
		w.wrapped(0, "\nThe last decisions are not known: %s", s.LogError)
	}
	if s.Note != "" {
		w.wrapped(0, "\n%s", s.Note)
	}
}

// lastText is the last decision with its age, such as "3 -> 1, 4m".
func (t targetStatus) lastText() string {
	if t.Last == nil {
		return "?"
	}
	d := t.Last
	return outcome(d.Action, d.Current, d.Desired, d.Resume) + ", " + ago(time.Duration(d.AgeS*float64(time.Second)))
}

// outcome is what a decision comes to, in a word.
func outcome(action policy.Action, current, desired, resume int) string {
	switch {
	case action == policy.Hold:
		return "hold"
	case action == policy.Candidate:
		return fmt.Sprintf("%d -> %d?", current, desired)
	case current == desired && resume > 0:
		return fmt.Sprintf("resume %d", resume)
	}
	return fmt.Sprintf("%d -> %d", current, desired)
}

// overridesText says which tags are in effect, a line each.
func overridesText(o scaler.Overrides, now time.Time) (lines []string) {
	say := func(tag, what string) {
		end := ""
		if until, ok := o.Until[tag]; ok {
			end = " until " + when(until, now)
		}
		line := fmt.Sprintf("%s%s (%s)", what, end, tag)
		if pause := []string{scaler.TagPaused, scaler.TagPausedIn, scaler.TagPausedOut}; o.Reason != "" && slices.Contains(pause, tag) {
			line += ": " + o.Reason
		}
		lines = append(lines, line)
	}
	if o.Paused {
		say(scaler.TagPaused, "paused")
	}
	if o.PausedIn {
		say(scaler.TagPausedIn, "scale-in paused")
	}
	if o.PausedOut {
		say(scaler.TagPausedOut, "scale-out paused")
	}
	if o.DryRun != nil && *o.DryRun {
		say(scaler.TagDryRun, "dry run")
	} else if o.DryRun != nil {
		say(scaler.TagDryRun, "no dry run")
	}
	if o.Min != nil {
		say(scaler.TagMin, fmt.Sprintf("min %d", *o.Min))
	}
	if o.Max != nil {
		say(scaler.TagMax, fmt.Sprintf("max %d", *o.Max))
	}
	if o.Floor.Count > 0 {
		say(scaler.TagFloor, fmt.Sprintf("floor of %d for an event", o.Floor.Count))
	}
	return lines
}

// windowsText says which windows are open, and which opens next.
func windowsText(windows []windowStatus, now time.Time) (lines []string) {
	var next *windowStatus
	for i, w := range windows {
		switch {
		case w.Open && w.Closes != nil:
			lines = append(lines, fmt.Sprintf("window %s open until %s: %s", w.Name, when(*w.Closes, now), w.bounds()))
		case w.Open:
			lines = append(lines, fmt.Sprintf("window %s open: %s", w.Name, w.bounds()))
		case w.Opens != nil && (next == nil || w.Opens.Before(*next.Opens)):
			next = &windows[i]
		}
	}
	if next != nil {
		lines = append(lines, fmt.Sprintf("next window %s opens %s: %s", next.Name, when(*next.Opens, now), next.bounds()))
	}
	return lines
}

func (w windowStatus) bounds() string {
	var parts []string
	if w.Min != nil {
		parts = append(parts, fmt.Sprintf("min %d", *w.Min))
	}
	if w.Max != nil {
		parts = append(parts, fmt.Sprintf("max %d", *w.Max))
	}
	return strings.Join(parts, ", ")
}
