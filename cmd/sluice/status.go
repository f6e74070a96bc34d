package main

import (
	"context"
	"fmt"
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
