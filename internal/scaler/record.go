package scaler

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/policy"
)

// RecordVersion is the version of Record's schema, as `v` in each. It grows when a field changes its meaning or goes away; further fields
// may come with the same version.
const RecordVersion = 1

// Record is the record of one decision: the log line with the message "decision", written before its effect, also when nothing is
// done. What is not known is null or absent, never 0. docs/observability.md lists the fields.
type Record struct {
	V       int    `json:"v"`
	UseCase string `json:"use_case"` // scale_out, check, confirm, scale_in; plan in a Plan, which is not logged.
	Target  string `json:"target"`
	Service string `json:"service"`
	Cluster string `json:"cluster"`

	Action  policy.Action   `json:"action"`
	Current int             `json:"current"`
	Desired int             `json:"desired"`
	Wish    int             `json:"wish"`
	Reasons []policy.Reason `json:"reasons"`
	Resume  int             `json:"resume"`  // Drained workers that are to fetch again.
	Drained int             `json:"drained"` // Tasks whose workers fetch nothing.

	Backlog *int `json:"backlog"` // Due messages that wait; null if unknown.
	Active  *int `json:"active"`  // Tasks that execute; null if unknown.
	Held    *int `json:"held"`    // Due messages that workers have fetched and not started; null if unknown.
	Later   *int `json:"later"`   // Messages that are due beyond the horizon; null if unknown.

	// Absent where ECS did not say, or was not asked.
	Running   *int `json:"running,omitempty"`
	Pending   *int `json:"pending,omitempty"`
	Protected *int `json:"protected,omitempty"` // Tasks that are protected from scale-in; only where single tasks were looked at.

	Min    int    `json:"min"` // As they were in effect.
	Max    int    `json:"max"`
	Window string `json:"window,omitempty"` // The open windows that gave min or max, joined by ", ".
	Floor  int    `json:"floor,omitempty"`  // What an earlier event asked to keep.
	DryRun bool   `json:"dry_run,omitempty"`
	Paused string `json:"paused,omitempty"` // all, in or out; both of the latter are "in, out".

	// HeadAgeS is for how many seconds the oldest observed head message of the target's lists has been seen to be the next: a lower
	// bound, as the process that looks remembers only what it has seen itself. Absent if nothing waits, or none was observed.
	HeadAgeS *float64 `json:"head_age_s,omitempty"`
	// EventAgeMS is from the event's time to the decision; absent without an event that says its time.
	EventAgeMS *int64 `json:"event_age_ms,omitempty"`
	// StartS is from the creation of the target's youngest running task to its start, in seconds; only where single tasks were
	// looked at.
	StartS *float64 `json:"start_s,omitempty"`

	// What comes from outside is shortened in all of these: see Shortened.
	Cause     string   `json:"cause,omitempty"`     // Of what is unknown.
	Unfetched []string `json:"unfetched,omitempty"` // Queues with messages from which none of the workers fetches.
	Unlisted  []string `json:"unlisted,omitempty"`  // Queues that the workers fetch from and that no target has.
	Unheard   []string `json:"unheard,omitempty"`   // Running tasks in which no worker answered.
	Error     string   `json:"error,omitempty"`
}

// Sweep sums up a check of all targets: the log line with the message "sweep".
type Sweep struct {
	Shard    int `json:"shard"`
	Shards   int `json:"shards"`
	Checked  int `json:"checked"`
	Held     int `json:"held"`     // Nothing to do.
	Failed   int `json:"failed"`   // Could not be looked at properly.
	Deferred int `json:"deferred"` // Left to the next sweep.
	Unknown  int `json:"unknown"`  // Not all of it could be seen.
	Stranded int `json:"stranded"` // Due messages, and no running task.
}

// Change is the answer of a scale-out and of a scale-in, and the log line with the message "result".
type Change struct {
	// Status is "scaled out", "resumed" (only drained workers fetch again) or "unchanged" of a scale-out; "scaled in", "draining"
	// (workers were told to fetch no more, and are let go by a later sweep), "resumed" (they fetch again, as work came or they may
	// not go), "replaced" (a stuck one; the count is what it was), "scaled out" (beside a stuck one) or "held" of a scale-in.
	Status       string          `json:"status"`
	Target       string          `json:"target"`
	Service      string          `json:"service"`
	DesiredCount int             `json:"desired_count"` // The count as it is now.
	Previous     int             `json:"previous"`      // The count as it was found.
	Reasons      []policy.Reason `json:"reasons"`
	Ignored      []string        `json:"ignored,omitempty"` // Fields of the event that mean nothing to us.
	// EventToCountMS is from the event's time until ECS had taken the new count; absent where no count was raised for an event that
	// says its time. The time of an event is in whole seconds, unless the producer says it more exactly (detail.sent_at).
	EventToCountMS *int64 `json:"event_to_count_ms,omitempty"`
}

// Observer is told what is logged, beside the log: for metrics and traces. Its methods must return soon, and may be called by
// several goroutines at once.
type Observer interface {
	// Decided is called with each decision, before its effect.
	Decided(ctx context.Context, r Record)
	// Changed is called with what came of a scale-out or a scale-in that did not fail.
	Changed(ctx context.Context, c Change)
	// Swept is called at the end of a check of all targets.
	Swept(ctx context.Context, s Sweep)
}

// decided records a decision, before its effect.
func (s *Scaler) decided(ctx context.Context, r Record) {
	r.Unheard = Shortened(r.Unheard)
	s.Log.InfoContext(ctx, "decision", fields(r)...)
	if s.Observer != nil {
		s.Observer.Decided(ctx, r)
	}
}

// result records what came of a decision, as it is answered.
func (s *Scaler) result(ctx context.Context, c Change) {
	s.Log.InfoContext(ctx, "result", fields(c)...)
	if s.Observer != nil {
		s.Observer.Changed(ctx, c)
	}
}

// swept records the end of a sweep.
func (s *Scaler) swept(ctx context.Context, sum Sweep) {
	s.Log.InfoContext(ctx, "sweep", fields(sum)...)
	if s.Observer != nil {
		s.Observer.Swept(ctx, sum)
	}
}

// fields are the fields of a struct as attributes of a log line, by the names and rules of its JSON.
func fields(of any) []any {
	var attrs []any
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		name, rule, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		if rule == "omitempty" && f.IsZero() {
			continue
		}
		switch {
		case f.Kind() != reflect.Pointer:
			attrs = append(attrs, name, f.Interface())
		case f.IsNil():
			attrs = append(attrs, name, nil)
		default: // Whoever reads the log in text, as the simulator's stories do, is not to read an address.
			attrs = append(attrs, name, f.Elem().Interface())
		}
	}
	return attrs
}

// record is the record of a decision on the observation.
func (o observation) record(useCase string, j judgement) Record {
	r := Record{
		V: RecordVersion, UseCase: useCase, Target: o.target.Name, Service: o.target.Ref.Service, Cluster: o.target.Ref.Cluster,
		Action: j.Action, Current: j.Current, Desired: j.Desired, Wish: j.Wish, Reasons: j.Reasons, Resume: j.Resume,
		Drained: j.signals.Drained.Tasks,
		Backlog: orNull(j.signals.Backlog), Active: orNull(j.signals.Active), Held: orNull(j.signals.Held), Later: o.later(),
		Min: j.limits.Min, Max: j.limits.Max, Window: strings.Join(o.target.windows(j.at).names, ", "),
		Floor: j.signals.Floor, DryRun: j.signals.DryRun, Paused: paused(j.signals),
		HeadAgeS: o.headAge(), StartS: o.startTime(),
		Unfetched: Shortened(o.unfetched()), Unlisted: Shortened(o.unlisted()), Unheard: o.unheard(),
	}
	if o.serviceErr == nil && !o.at.IsZero() { // Else ECS did not say, or was not asked.
		r.Running, r.Pending = &o.service.Running, &o.service.Pending
	}
	if o.tasksKnown {
		r.Protected = &j.signals.Tasks.Protected
	}
	if slices.Contains(j.Reasons, policy.ReasonUnknown) {
		r.Cause = clipTo(j.signals.Backlog.Add(j.signals.Active).Add(j.signals.Held).Cause, maxText)
	}
	if err := o.err(); err != nil {
		r.Error = clipTo(oneLine(err), maxText)
	}
	return r
}

// A line of the log may have 256 KiB, and in a record everything but the lists and texts has a kilobyte. In JSON a byte takes six at
// most.
const (
	maxNames = 20
	maxNamed = 100 // Bytes of a name.
	maxText  = 1000
)

// more ends a list that was longer.
var more = regexp.MustCompile(`^and (\d+) more$`)

// Shortened returns the beginning of a list of names, for people: each with its beginning, and at last how many more there are.
func Shortened(names []string) []string {
	var out []string
	for i, name := range names {
		if i == maxNames {
			return append(out, fmt.Sprintf("and %d more", len(names)-i))
		}
		out = append(out, clipTo(name, maxNamed))
	}
	return out
}

// Named is how many names a list of a record stands for.
func Named(list []string) int {
	if len(list) != maxNames+1 {
		return len(list)
	}
	n := 1
	if m := more.FindStringSubmatch(list[maxNames]); m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	return maxNames + n
}

// paused says what of the scaling is paused.
func paused(s policy.Signals) string {
	switch {
	case s.Paused:
		return "all"
	case s.PausedIn && s.PausedOut:
		return "in, out"
	case s.PausedIn:
		return "in"
	case s.PausedOut:
		return "out"
	}
	return ""
}

// later is how many messages of the target's queues are due beyond the horizon.
func (o observation) later() *int {
	if o.view.err != nil {
		return nil
	}
	n := 0
	for _, q := range o.target.Queues {
		n += o.view.look.Queues[q].Later
	}
	return &n
}

// headAge is for how long the oldest observed head of the target's lists has been seen.
func (o observation) headAge() *float64 {
	if o.view.err != nil {
		return nil
	}
	var since time.Time
	for _, q := range o.target.Queues {
		if at := o.view.look.Queues[q].HeadSince; !at.IsZero() && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	if since.IsZero() {
		return nil
	}
	return seconds(o.view.look.At.Sub(since))
}

// startTime is how long the youngest running task took to start.
func (o observation) startTime() *float64 {
	var youngest policy.Task
	for _, t := range o.tasks {
		if t.State == policy.TaskRunning && !t.CreatedAt.IsZero() && t.StartedAt.After(youngest.StartedAt) {
			youngest = t
		}
	}
	if youngest.StartedAt.IsZero() {
		return nil
	}
	return seconds(youngest.StartedAt.Sub(youngest.CreatedAt))
}

// seconds is a duration in seconds, to the tenth.
func seconds(d time.Duration) *float64 {
	s := math.Round(max(0, d).Seconds()*10) / 10
	return &s
}

func orNull(c policy.Count) *int {
	if !c.Known {
		return nil
	}
	return &c.N
}
