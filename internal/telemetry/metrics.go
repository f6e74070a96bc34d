package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// Recorder gathers what happens in one invocation and writes it as metrics at its end. A nil Recorder does nothing. It is safe for
// concurrent use.
type Recorder struct {
	level     Level
	namespace string
	out       io.Writer
	now       func() time.Time

	mu sync.Mutex
	gathered
}

// gathered is what there is to be written.
type gathered struct {
	totals  map[string][]float64
	targets map[string]map[string][]float64
	reasons map[policy.Reason]int
	decided []scaler.Record
}

// NewRecorder returns a Recorder that writes to out; nil if the level is Off.
func NewRecorder(level Level, namespace string, out io.Writer, now func() time.Time) *Recorder {
	if level != Totals && level != Targets {
		return nil
	}
	if namespace == "" {
		namespace = DefaultNamespace
	}
	return &Recorder{level: level, namespace: namespace, out: out, now: now, gathered: nothing()}
}

func nothing() gathered {
	return gathered{totals: map[string][]float64{}, targets: map[string]map[string][]float64{}, reasons: map[policy.Reason]int{}}
}

// Decided is scaler.Observer's.
func (r *Recorder) Decided(_ context.Context, d scaler.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reason := range d.Reasons {
		r.reasons[reason]++
	}
	r.decided = append(r.decided, d)
	if d.StartS != nil {
		r.both(d.Target, CountToWorker, *d.StartS)
	}
}

// Changed is scaler.Observer's.
func (r *Recorder) Changed(_ context.Context, c scaler.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.EventToCountMS != nil {
		r.both(c.Target, EventToCount, float64(*c.EventToCountMS))
	}
}

// Swept is scaler.Observer's. It makes the sweep's decisions into the gauges: what was seen of every target at one time. A look at one
// target makes none, since a sum over some targets would look like one over all.
func (r *Recorder) Swept(_ context.Context, _ scaler.Sweep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := map[string]float64{}
	for _, d := range r.decided {
		for name, value := range gauges(d) {
			if name == HeadAge {
				sums[name] = max(sums[name], value)
			} else {
				sums[name] += value
			}
			r.ofTarget(d.Target, name, value)
		}
		if d.Error != "" || slices.Contains(d.Reasons, policy.ReasonUnknown) {
			r.ofTarget(d.Target, Unknown, 1)
		}
	}
	for name, sum := range sums {
		r.totals[name] = append(r.totals[name], sum)
	}
}

// gauges is what is known of a target. What is not known is not there.
func gauges(d scaler.Record) map[string]float64 {
	out := map[string]float64{}
	add := func(name string, n *int) {
		if n != nil {
			out[name] = float64(*n)
		}
	}
	add(DueBacklog, d.Backlog)
	add(Active, d.Active)
	add(HeldMessages, d.Held)
	add(Running, d.Running)
	if d.Backlog != nil && d.Later != nil {
		out[Backlog] = float64(*d.Backlog + *d.Later)
	}
	if d.Running != nil { // Else ECS did not say: the record's count is no count.
		out[Desired] = float64(d.Current)
	}
	if d.HeadAgeS != nil {
		out[HeadAge] = *d.HeadAgeS
	}
	return out
}

// Called counts a call to "ecs" or "redis".
func (r *Recorder) Called(system, _ string, err error) {
	calls, failures := ECSCalls, ECSErrors
	if system == "redis" {
		calls, failures = RedisCalls, RedisErrors
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(calls)
	if err != nil {
		r.count(failures)
	}
}

// count adds one to a total.
func (r *Recorder) count(name string) {
	if r.totals[name] == nil {
		r.totals[name] = []float64{0}
	}
	r.totals[name][0]++
}

// both notes a value of a target and of all.
func (r *Recorder) both(target, name string, value float64) {
	r.totals[name] = append(r.totals[name], value)
	r.ofTarget(target, name, value)
}

// ofTarget notes a value of a target.
func (r *Recorder) ofTarget(target, name string, value float64) {
	if r.level != Targets {
		return
	}
	if r.targets[target] == nil {
		r.targets[target] = map[string][]float64{}
	}
	r.targets[target][name] = append(r.targets[target][name], value)
}

// Flush writes what was gathered, and begins anew.
func (r *Recorder) Flush() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	g := r.gathered
	r.gathered = nothing()
	r.mu.Unlock()
	now := r.now()
	var out []byte
	var errs []error
	add := func(dimension, value string, values map[string][]float64) {
		lines, err := emf(r.namespace, dimension, value, values, now)
		out, errs = append(out, lines...), append(errs, err)
	}
	add("", "", g.totals)
	for _, reason := range slices.Sorted(maps.Keys(g.reasons)) {
		add(DimensionReason, string(reason), map[string][]float64{Decisions: {float64(g.reasons[reason])}})
	}
	for _, target := range slices.Sorted(maps.Keys(g.targets)) {
		add(DimensionTarget, target, g.targets[target])
	}
	if len(out) > 0 {
		_, err := r.out.Write(out)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
